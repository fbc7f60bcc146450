"""Run folders written by hand, with the names and shapes of real ones (`test_report.py` holds them against one)."""

import csv
import json
import os
import zlib

import numpy as np
from omegaconf import OmegaConf

FINGERPRINT = "4d9fb508ba2e33931b41ad905466c56c"


def make_run(
    folder,
    seed=0,
    method="dmim",
    data="digits",
    scores=None,
    settings=(),
    fingerprint=FINGERPRINT,
    labels=("a", "b", "c"),
    n=60,
    age=0,
    **report,
):
    """Write a finished run; ``settings`` are changes to its configuration, ``report`` to its metrics.json."""
    rng = np.random.default_rng(zlib.crc32(f"{seed}{method}{data}{settings}".encode()))
    folder.mkdir(parents=True)
    config = OmegaConf.create(
        {
            "method": {"optimizer": {"lr": 1e-3}, "scheduler": {"T_max": 12}, "seed": seed},
            "data": {"seed": seed, "root": None},
            "callbacks": {"results": {"run": {"seed": seed}}},
            "seed": seed,
            "evaluate_every": 4,
        }
    )
    config.method.phases = {"first": {"epochs": 4}, "second": {"epochs": 8}}
    for key, value in dict(settings).items():
        OmegaConf.update(config, key, value, force_add=True)
    OmegaConf.save(config, folder / "config.yaml")
    truth = np.arange(n) % 3
    cluster = np.where(rng.random(n) < 0.7, (truth + 1) % 3, rng.integers(0, 3, n))
    with (folder / "assignments.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "cluster", "confidence", *(["label"] if labels else [])])
        for i in range(n):
            writer.writerow([i, cluster[i], f"{rng.random():.6f}", *([labels[truth[i]]] if labels else [])])
    np.save(folder / "embeddings.npy", np.eye(3, 8, dtype=np.float32)[cluster] + 0.1 * rng.random((n, 8), np.float32))
    _history(folder / "history.csv", rng, bool(labels))
    if scores is None and labels:
        scores = dict(zip(("acc", "nmi", "ari", "purity"), rng.uniform(0.2, 0.9, 4).tolist(), strict=True))
    features = {"source": "made", "fingerprint": fingerprint, "n_samples": n, "dims": {"x": 4, "y": 5}}
    features |= {"remarks": [], "doubts": []}
    text = {
        "method": method,
        "data": data,
        "seed": seed,
        "scores": scores,
        "label_free": {"agreement": 0.5, "balance": 0.9, "quality": 0.45},
        "protocol": "assignments of the last epoch; labels used for scoring alone",
        "n_clusters": 3,
        "epochs": 12,
        "phases": {"first": 4, "second": 8},
        "features": {**features, "scaling": {"x": "minmax", "y": "none"}, "surrogate": False},
        "calibration": {"temperature": 2.0, "agreement": 0.5, "of": "training"},
        "shared": [{"modalities": ["x", "y"], "held_out": [0.5, 0.2], "by_chance": 0.1}],
        "n_parameters": 99,
        "device": "cpu",
        "processes": 1,
        "precision": "32-true",
        "threads": 1,
        "peak_memory_mib": 300.5,
        "versions": {"cmc": "0.1.0", "torch": "2.13.0"},
        "git_commit": "79702e8",
        "seconds": {"first": 1.0, "second": 2.0, "total": 3.25},
    } | report
    path = folder / "metrics.json"
    path.write_text(json.dumps({key: value for key, value in text.items() if value != "left out"}))
    os.utime(path, (1e9 - age, 1e9 - age))
    return folder


def _history(path, rng, scored):
    names = ["epoch", "phase", "loss", "pull", "push", *(["acc", "nmi"] if scored else []), "agreement"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        for epoch in range(12):
            row = {"epoch": epoch, "phase": "first" if epoch < 4 else "second", "loss": rng.random(), "pull": epoch / 2}
            row |= {"push": 0.25} if epoch >= 4 else {}
            row |= {name: 0.5 for name in ("acc", "nmi", "agreement") if name in names and epoch % 4 == 3}
            writer.writerow(row)
