"""``python -m cmc.prepare``: a raw download becomes a feature folder; stopped and started again, it goes on."""

from __future__ import annotations

import os
import sys

import hydra
from omegaconf import DictConfig

from cmc.cli import command, conf_dir, register_resolvers, shipped, task
from cmc.config.schema import check
from cmc.errors import UserError

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="prepare")
@task
def _prepare(config: DictConfig) -> None:
    check(config, shipped("prepare"))

    from hydra.utils import instantiate

    from cmc.data.datasets.published import Raw
    from cmc.utils.progress import bars

    data = instantiate(config.data)
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
    """Run the command; like ``python -m`` it finds classes in the folder that it is called from."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    command(_prepare, "prepare")


if __name__ == "__main__":
    main()
