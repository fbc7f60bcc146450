"""``python -m cmc.describe``: what data hold and what their modalities share, before an hour is spent on them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.messages import make
from cmc.config.schema import check, conf_dir

if TYPE_CHECKING:
    from cmc.data.modalities import Modalities
    from cmc.data.module import DataModule

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="describe")
@task
def _describe(config: DictConfig) -> None:
    check(config, shipped("describe"))
    data: DataModule = make("data", config.data, n_clusters=config.data.n_clusters or 2)  # which nothing depends on
    held = data.given()
    with _silent(logging.getLogger("cmc.data.module")):  # the table says it all
        data.load(held)
    _show(held, data)


@contextmanager
def _silent(log: logging.Logger) -> Iterator[None]:
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def _show(held: Modalities, data: DataModule) -> None:
    from rich.console import Console
    from rich.table import Table

    from cmc.data.description import class_sizes, columns
    from cmc.data.scaling import there

    console = Console()
    table = Table(title=f"{held.source}: {held.n_samples} samples", title_justify="left")
    table.add_column("modality")
    for title in ("width", "scaling", "least", "most", "zeros", "constant columns", "repeated rows"):
        table.add_column(title, justify="right")
    if held.lacking:
        table.add_column("lacking it", justify="right")
    for m, (name, features) in enumerate(held.features.items()):
        found = columns(features, None if held.present is None else there(held.present[:, m], None))
        shown = (
            f"{found.least:.4g}",
            f"{found.most:.4g}",
            f"{found.zeros:.0%}",
            str(found.constant),
            str(found.repeated),
            *([str(held.lacking.get(name, 0))] if held.lacking else []),
        )
        table.add_row(name, str(found.width), data.scaler.kinds[name], *shown)
    console.print(table)
    for pair in data.shared:
        console.print(str(pair), soft_wrap=True, highlight=False)
    sizes = ", ".join(f"{name}: {size}" for name, size in class_sizes(held).items())
    without = held.n_samples - held.n_labelled
    said = f"{held.n_classes} classes: {sizes}" if sizes else "no labels: a run needs data.n_clusters"
    said += f"; without a label: {without}" if sizes and without else ""
    said += f"; labels? {' or '.join(held.offered)}" if held.offered else ""
    for line in (*held.remarks, *data.doubts):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(said, soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command."""
    command(_describe, "describe")


if __name__ == "__main__":
    main()
