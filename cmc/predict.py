"""``python -m cmc.predict``: label other data with a finished run, also where modalities are missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from cmc.cli import command, conf_dir, register_resolvers, shipped, task
from cmc.config import check
from cmc.errors import UserError
from cmc.runs import finished
from cmc.tables import assignments, check_writable, table

if TYPE_CHECKING:
    from cmc.data.incoming import Incoming
    from cmc.trained import Trained

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="predict")
@task
def _predict(config: DictConfig) -> None:
    check(config, shipped("predict"))
    run = finished(config.run)
    if not config.data.root:
        raise UserError("data.root: not given; name the file or folder to label, data.root=PATH")
    if not Path(config.data.root).expanduser().exists():
        raise UserError(f"data.root: {config.data.root}: there is no such file or folder")
    out = Path(config.out).expanduser() if config.out else run / "predictions.csv"
    check_writable("out", out)

    from hydra.utils import instantiate

    from cmc.data import incoming
    from cmc.progress import bars
    from cmc.trained import load

    trained = load(run, config.trust, config.device)
    data = incoming.read(instantiate(config.data), trained.dims, config.missing)
    with bars() as (advance, begin):
        begin("predict", data.n_samples)
        predict(trained, data, out, config.probabilities, lambda rows: advance("predict", rows))
    lacking = "".join(f"; {count} of them lack {name}" for name, count in data.missing.items())
    print(f"{out}: {data.n_samples} samples, K = {trained.method.n_clusters}{lacking}")


def predict(
    trained: Trained, data: Incoming, out: Path, probabilities: bool, advance: Callable[[int], None] = lambda rows: None
) -> None:
    """Write a row a sample: index, cluster, confidence, label if known, a probability a cluster if asked for.

    Args:
        trained: the model.
        data: the samples.
        out: a file that ends in ``.csv`` or ``.parquet``.
        probabilities: write ``probability_0`` and so on.
        advance: told the number of rows after every batch.
    """
    with table(out) as append:
        for batch, assignment in trained.assign(data.features):
            assignment = assignment.float().cpu()
            confidence, cluster = assignment.max(1)
            names = None
            if data.labels is not None and data.classes is not None:
                names = [data.classes[label] for label in data.labels[batch.index.numpy()]]
            columns = assignments(batch.index.tolist(), cluster.tolist(), confidence.tolist(), names)
            if probabilities:
                columns |= {f"probability_{k}": p.tolist() for k, p in enumerate(assignment.unbind(1))}
            append(columns)
            advance(batch.size)


def main() -> None:
    """Run the command; like ``python -m`` it finds classes in the folder that it is called from."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    command(_predict, "predict")


if __name__ == "__main__":
    main()
