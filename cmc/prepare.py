"""``python -m cmc.prepare``: a raw download becomes a feature folder; stopped and started again, it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.messages import make
from cmc.config.schema import check, conf_dir
from cmc.errors import UserError

if TYPE_CHECKING:
    from cmc.data.datasets.published import Raw

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


def _tell(data: Raw, meta: dict[str, Any]) -> None:
    from cmc.data.preparation.feature_store import skipped, told

    widths = " + ".join(f"{name} {made['width']} ({made['extractor']})" for name, made in meta["modalities"].items())
    classes = meta["classes"]
    k = f", K = {len(classes)} ({', '.join(classes)})" if classes else ", no labels"
    left_out = f"{words}: see skipped.csv" if (words := told(skipped(data.root))) else ""
    print(f"{data.root}: {meta['n_samples']} samples, {widths}{k}{left_out}")
    ask = "" if classes else " data.n_clusters=K"
    print(f"next: python -m cmc.run data={meta['name']} data.root={data.root}{ask}")


def main() -> None:
    """Run the command."""
    command(_prepare, "prepare")


if __name__ == "__main__":
    main()
