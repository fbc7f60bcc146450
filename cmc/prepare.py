"""``python -m cmc.prepare``: a raw download becomes a feature folder; stopped and started again, it goes on."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.messages import make
from cmc.config.schema import check, conf_dir
from cmc.errors import UserError

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="prepare")
@task
def _prepare(config: DictConfig) -> None:
    check(config, shipped("prepare"))

    from cmc.data.datasets.published import Raw
    from cmc.utils.progress import bars

    data = make("data", config.data)
    if not isinstance(data, Raw):
        raise UserError("data: this data set needs no preparation; run it with python -m cmc.run")
    with bars() as (advance, begin):
        meta = data.prepare(advance, begin)
    _tell(data, meta)


def _tell(data: object, meta: dict[str, object]) -> None:
    modalities = meta["modalities"]
    assert isinstance(modalities, dict)
    widths = " + ".join(f"{name} {about['width']} ({about['extractor']})" for name, about in modalities.items())
    classes = meta["classes"]
    assert isinstance(classes, list)
    k = f", K = {len(classes)} ({', '.join(classes)})" if classes else ", no labels"
    skipped = f"; {meta['skipped']} left out, see skipped.csv" if meta["skipped"] else ""
    print(f"{data.root}: {meta['n_samples']} samples, {widths}{k}{skipped}")  # type: ignore[attr-defined]
    ask = "" if classes else " data.n_clusters=K"
    print(f"next: python -m cmc.run data={meta['name']} data.root={data.root}{ask}")  # type: ignore[attr-defined]


def main() -> None:
    """Run the command."""
    command(_prepare, "prepare")


if __name__ == "__main__":
    main()
