"""How often finished runs of DMIM ended in a false optimum of the symmetrised joint, and what that costs.

    python -m cmc.run -m method=dmim data=digits method.joint=symmetric method.restarts=1 'seed=range(10)' \
        hydra.sweep.dir=multirun/symmetric
    python experiments/false_optima.py multirun/symmetric [another sweep ...]

Of each run of two modalities: how many pairs of clusters are swapped (what the first modality calls k, the second
calls l, and the other way round), how many clusters one modality uses and the other does not, and the accuracy of the
mean assignment with and without matching the modalities' clusters first.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
from hydra.utils import instantiate

from cmc.functional.contingency import contingency_table
from cmc.functional.scores import accuracy
from cmc.runs.config import read_config


class Finding(NamedTuple):
    """Of one run."""

    swapped: int
    one_sided: int
    matched: float
    unmatched: float


def finding(run: Path) -> Finding:
    """Take the run's kept network and hold its modalities' own assignments against each other."""
    config = read_config(run)
    data = instantiate(config.data)
    data.load()
    method = instantiate(config.method, dims=data.dims, n_clusters=data.n_clusters)
    method.load_state_dict(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    names = method.permutations[int(method.kept)]
    with method.evaluating():
        matched = torch.cat([method.assign_each(batch) for batch in data.pass_over()], 1)
    own = torch.stack([p[:, name.argsort()] for p, name in zip(matched, names, strict=True)])
    k = data.n_clusters
    sizes = torch.stack([torch.bincount(p.argmax(1), minlength=k) for p in own]).double() * k / data.n_samples
    used = sizes > 0.2
    partner = names[1].tolist()
    return Finding(
        swapped=sum(partner[a] > a and partner[partner[a]] == a for a in range(k)),
        one_sided=int((used[0] != used[1]).sum()),
        matched=score(matched, data),
        unmatched=score(own, data),
    )


def score(assignments: torch.Tensor, data: object) -> float:
    """ACC of the argmax of the mean over modalities."""
    clusters = assignments.mean(0).argmax(1)
    return float(accuracy(contingency_table(clusters, data.labels, data.n_clusters, data.n_classes)))


def main() -> None:
    """Print a line a sweep."""
    for folder in map(Path, sys.argv[1:]):
        found = [finding(path.parent) for path in sorted(folder.rglob("metrics.json"))]
        swapped = Counter(f.swapped for f in found)
        print(
            f"{folder}: {len(found)} runs; swapped pairs a run: {dict(sorted(swapped.items()))}; "
            f"runs with clusters that one modality alone uses: {sum(f.one_sided > 0 for f in found)} "
            f"({sum(f.one_sided for f in found)} clusters); ACC {mean(f.matched for f in found):.3f}, "
            f"without matching {mean(f.unmatched for f in found):.3f}"
        )


if __name__ == "__main__":
    main()
