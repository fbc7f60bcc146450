"""How many clusters do rules without labels find, where the number is known, and where there are none?

``python -m experiments.choose_k --data FOLDER``: k-means of ``cmc.choose`` (2 restarts, K from 2 to 20), in one
process, on made data and digits, and on what lies in FOLDER. Two choices a data set, of seeds 0 to 2 and 3 to 5.
Leaves choose_k.csv, a row a choice, and choose_k.md in experiments/results (docs/choosing-k.md).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from cmc.choosing.found import Found, nearest_means
from cmc.choosing.measures import measure
from cmc.choosing.rule import recommend
from cmc.data.datasets import synthetic
from cmc.data.datasets.digits import Digits
from cmc.data.datasets.files import Files
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.functional.agreement import agreement_tables, label_free
from cmc.functional.kmeans import nearest
from cmc.functional.separation import silhouette
from cmc.methods.baselines.sklearn import KMeans

RESULTS = Path(__file__).parent / "results"
CLUSTERS = range(2, 21)
CHOICES = ((0, 1, 2), (3, 4, 5))
RULES = ("choose", "most shared", "most stable", "silhouette", "quality")


def made(k: int, seed: int) -> Modalities:
    """Generated clusters."""
    return synthetic.load(n_clusters=k, seed=seed)


def shuffled(data: Modalities) -> Modalities:
    """One modality in another order: two sets of clusters that share nothing."""
    first, *others = data.features.items()
    order = np.random.default_rng(0).permutation(data.n_samples)
    return Modalities(dict([first, *((name, np.asarray(x)[order]) for name, x in others)]), source="shuffled")


def blob(shared: int) -> Modalities:
    """Normal numbers without clusters, of which so many dimensions are shared."""
    rng = np.random.default_rng(0)
    common, features = rng.standard_normal((1500, shared)), {}
    for name, width in (("first", 64), ("second", 48)):
        latent = np.hstack([common, rng.standard_normal((1500, 32 - shared))])
        x = latent @ rng.standard_normal((32, width)) / 5 + 0.5 * rng.standard_normal((1500, width))
        features[name] = x.astype(np.float32)
    return Modalities(features, source="a blob")


DATA: dict[str, tuple[int | None, Callable[[], Modalities]]] = {
    **{f"synthetic, {k}, {s}": (k, lambda k=k, s=s: made(k, s)) for k in (3, 8, 15) for s in (0, 1)},
    "digits": (10, lambda: Digits().read()),
    "digits, shuffled": (None, lambda: shuffled(Digits().read())),
    "synthetic 8, shuffled": (None, lambda: shuffled(made(8, 0))),
    "blob, nothing shared": (None, lambda: blob(0)),
    "blob, half shared": (None, lambda: blob(16)),
}
FILES = {"handwritten": (10, "handwritten.mat"), "youcook": (6, "youcook")}


def found(data: Modalities, seed: int) -> tuple[dict[int, Found], dict[int, float]]:
    """k-means at every K, trained without other samples for every seed, and its ``quality``."""
    module = DataModule(holdout=0.2, n_clusters=2, seed=seed)
    module.load(data)
    train, held = (torch.cat([torch.cat(b.modalities, 1) for b in module.pass_over(part)]) for part in (False, True))
    rows = np.concatenate([module.rows, module.held_rows])
    order, spaced = np.argsort(rows), np.linspace(0, len(train) - 1, 500).astype(int)
    runs, qualities = {}, {}
    for k in CLUSTERS:
        model = KMeans(2, seed, dims=module.dims, n_clusters=k, phases={"fit": {"epochs": 1}})
        model.fit(train)
        fitted, asked = (nearest(x, model.centres).numpy() for x in (train, held))
        own = nearest_means(train.numpy(), fitted, held.numpy(), list(module.dims.values()))
        apart = silhouette(train[spaced], torch.from_numpy(fitted[spaced]))
        clusters = np.concatenate([fitted, asked])[order]
        runs[k] = Found(rows[order], clusters, own, apart, None, Path(), True)
        qualities[k] = label_free(agreement_tables(torch.from_numpy(own), k))["quality"]
    return runs, qualities


def choices(name: str, true: int | None, data: Modalities) -> list[dict[str, Any]]:
    """What each rule chooses, a row a choice."""
    rows = []
    for seeds in CHOICES:
        by_seed = {seed: found(data, seed) for seed in seeds}
        measured = [measure(k, {seed: runs[k] for seed, (runs, _) in by_seed.items()}) for k in CLUSTERS]
        answer = recommend(measured)
        best = {
            "choose": answer.k,
            "most shared": max(measured, key=lambda m: m.shares).k,
            "most stable": max(measured, key=lambda m: m.stable).k,
            "silhouette": max(measured, key=lambda m: mean(m.silhouette)).k,
            "quality": max(CLUSTERS, key=lambda k: mean(quality[k] for _, quality in by_seed.values())),
        }
        curve = " ".join(f"{m.k}:{m.shares:.2f}/{m.stable:.2f}" for m in measured)
        rows.append({"data": name, "true": true or "", "seeds": " ".join(map(str, seeds)), **best, "curve": curve})
        rows[-1]["choose"] = answer.k or "none"
        rows[-1]["line"] = str(answer)
        print(f"{name}, seeds {seeds}: {answer}\n  {curve}", flush=True)
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table, both choices of a data set in one cell."""
    lines = [f"| data | K | {' | '.join(RULES)} |", f"|---|---|{'---|' * len(RULES)}"]
    for name in dict.fromkeys(row["data"] for row in rows):
        two = [row for row in rows if row["data"] == name]
        cells = [", ".join(str(row[rule]) for row in two) for rule in RULES]
        lines.append(f"| {name} | {two[0]['true'] or 'none'} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of the files; without it their rows are left out")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of data sets; default: all")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sets = dict(DATA)
    if options.data is not None:
        sets |= {name: (true, Files(root=str(options.data / file)).read) for name, (true, file) in FILES.items()}
    rows: list[dict[str, Any]] = []
    for name in options.only or sets:
        true, read = sets[name]
        rows += choices(name, true, read())
        with (options.out / "choose_k.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        (options.out / "choose_k.md").write_text(markdown(rows))


if __name__ == "__main__":
    main()
