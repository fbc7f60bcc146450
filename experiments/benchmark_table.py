"""The benchmark's figures, kept, and in words and columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cmc.utils.atomic import atomic_write

RESULTS = Path(__file__).resolve().parent / "results"
LEAN = {"callbacks__figures": None, "callbacks__checkpoints": None, "callbacks__progress": None}
LEAN |= {"evaluate_every": 0, "callbacks__results__embeddings": False}  # of a run that is measured


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    lines = [f"{found['machine']}; limits: {json.dumps(found['limits'])} GFLOP/s", ""]
    head = ["", "s an epoch", "samples/s", "times as fast as naive", "GFLOP/s", "of the limit", "outside steps", "MiB"]
    for title, rows in found["cases"].items():
        lines += [f"| {' | '.join([title, *head[1:]])} |", f"|{'---|' * len(head)}"]
        for name, row in rows.items():
            kind = "bf16" if "bf16" in name else "fp32"
            cells = [
                name,
                "{:.3f} ({:.3f} to {:.3f})".format(*row["seconds"]),
                f"{row['samples_per_second']:,}",
                "{:.2f} ({:.2f} to {:.2f})".format(*row["ratio"]),
                f"{row['gflops']:.0f}",
                f"{row['gflops'] / found['limits'][kind]:.0%}",
                "" if row["outside_steps"] is None else f"{row['outside_steps']:.1%}",
                f"{row['peak_mib']:.0f}" if "peak_mib" in row else "",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines.append(f"The first step comes {found['start_up']:.1f} s after its command.")
    if found.get("kmeans"):
        (theirs, sought), (ours, reached) = (found["kmeans"][name] for name in ("scikit-learn", "ours"))
        lines.append(
            f"k-means with 100 restarts on 5,000 x 128, K = 10: {ours:.2f} s, inertia {reached:,.0f}; scikit-learn "
            f"{theirs:.2f} s, inertia {sought:,.0f}."
        )
    if run := found.get("whole"):
        outside = run["outside_steps"] * run["seconds"]
        parts = ", ".join(f"{share:.1%} {name}" for name, share in run.get("parts", {}).items())
        lines.append(
            f"A default run on MNIST-USPS, figures and all: {run['seconds']} s in {run['precision']}, {run['ratio']} "
            f"times as fast as the first 250 epochs of the naive loop ({run['naive_seconds']} s); "
            f"ACC {run['scores']['acc']:.4f}; {outside:.0f} s of it ({run['outside_steps']:.1%}) outside steps"
            f"{f': {parts}' if parts else ''}."
        )
    if scores := found.get("accuracy"):
        lines += ["", "| ACC on digits, seeds 0 to 4 | mean | std |", "|---|---|---|"]
        lines += [f"| {name} | {mean:.3f} | {std:.3f} |" for name, (mean, std) in scores.items()]
    return "\n".join(lines) + "\n"


def keep(found: dict[str, Any], device: str) -> None:
    """Write and print; scores stay as they were where times are new, and the other way round."""
    name = "benchmark" if device == "cpu" else "benchmark_cuda"
    before = RESULTS / f"{name}.json"
    found = (json.loads(before.read_text()) if before.exists() else {}) | found
    with atomic_write(before) as path:
        path.write_text(json.dumps(found, indent=1) + "\n")
    with atomic_write(RESULTS / f"{name}.md") as path:
        path.write_text(table(found))
    print(table(found))
