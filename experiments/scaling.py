"""Which features `data.scaling=auto` takes for embeddings, and what that is worth to k-means.

``python -m experiments.scaling --data FOLDER``: NMI of k-means (10 restarts) on all modalities side by side, seeds 0 to
4, scaled in each way; on made data, digits, emoji (drawn into ``$CMC_DATA``, or ``data``), and what lies in FOLDER.
Leaves scaling.md in experiments/results, and the table of docs/datasets.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import torch

from cmc.data.datasets import synthetic
from cmc.data.datasets.digits import Digits
from cmc.data.datasets.emoji import Emoji
from cmc.data.datasets.files import Files
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.functional.contingency import contingency_table
from cmc.functional.kmeans import nearest
from cmc.functional.scores import normalized_mutual_info
from cmc.methods.baselines.sklearn import KMeans
from cmc.utils.atomic import atomic_write
from experiments.reproduce import HOME, RESULTS, as_table, with_tables

PAGE = HOME / "docs" / "datasets.md"
SCALINGS = ("auto", "minmax", "l2", "standard")
SEEDS = range(5)
SMALL = {"image": "efficientnet-lite0", "text": "all-MiniLM-L6-v2"}


def sets(folder: Path) -> dict[str, Callable[[], Modalities]]:
    """Name -> how it is read."""
    drawn = str(Path(os.environ.get("CMC_DATA", "data"), "emoji"))
    files = {
        "MNIST-USPS": "mnist_usps.mat",
        "Event": "event.npz",
        "handwritten": "handwritten.mat",
        "YouCook": "youcook",
    }
    return {
        "digits": Digits().read,
        "synthetic": synthetic.load,
        **{name: Files(root=str(folder / file)).read for name, file in files.items()},
        "emoji, histograms and TF-IDF": Emoji(raw=drawn).read,
        "emoji, EfficientNet and MiniLM": Emoji(raw=drawn, extract=SMALL).read,
    }


def scores(data: Modalities, scaling: str) -> tuple[dict[str, str], list[float]]:
    """What each modality was scaled by, and NMI of k-means, a seed each."""
    found = []
    for seed in SEEDS:
        module = DataModule(scaling=scaling, seed=seed)
        module.load(data)
        x = torch.cat([torch.cat(batch.modalities, 1) for batch in module.pass_over()])
        model = KMeans(10, seed, dims=module.dims, n_clusters=module.n_clusters, phases={"fit": {"epochs": 1}})
        model.fit(x)
        clusters, labels = nearest(x, model.centres), torch.as_tensor(module.labels)
        table = contingency_table(clusters, labels, module.n_clusters, int(labels.max()) + 1)
        found.append(normalized_mutual_info(table))
    return dict(module.scaler.kinds), found


def row(name: str, data: Modalities) -> dict[str, str]:
    """A line of the table."""
    cells, told = {}, {}
    for scaling in SCALINGS:
        kinds, found = scores(data, scaling)
        told = told or kinds
        cells[scaling] = f"{mean(found):.3f} ± {stdev(found):.3f}"
    return {"data": name, "what auto does": ", ".join(f"{which}: {kind}" for which, kind in told.items()), **cells}


def main() -> None:
    """Score, print, write."""
    parser = argparse.ArgumentParser(prog="python -m experiments.scaling", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CMC_REAL_DATA", "data")), metavar="FOLDER")
    rows = []
    for name, read in sets(parser.parse_args().data).items():
        rows.append(row(name, read()))
        print(rows[-1], flush=True)
    table = as_table(rows)
    with atomic_write(RESULTS / "scaling.md") as path:
        path.write_text(table, encoding="utf-8")
    text = with_tables(PAGE.read_text(encoding="utf-8"), {"scaling": table})
    with atomic_write(PAGE) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
