"""What calibrated confidences are worth: expected calibration error against labels, raw and calibrated.

    python -m experiments.calibration                # runs method=dmim, seed 0, below multirun/calibration first
    python -m experiments.calibration RUN RUN ...    # of finished runs

The runs' own data are read again and assigned by the trained models; the temperature is chosen as at the end of a run
(`cmc.callbacks.calibration`), so that a run counts that is of a version without it. Labels score, and do nothing else.
``results/calibration.csv`` has a row a run, docs/inference.md the table, which is printed as well.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from cmc.callbacks.calibration import calibration
from cmc.errors import UserError
from cmc.functional.calibration import calibrated, calibration_error
from cmc.functional.contingency import contingency_table
from cmc.functional.matching import match
from cmc.inference.samples import module_of
from cmc.inference.trained import load
from cmc.reporting.tables import write_csv
from cmc.utils.atomic import atomic_write
from cmc.utils.safe_read import parse_yaml
from experiments.reproduce import HOME, RESULTS, as_table, with_tables

PAGE, FILE = HOME / "docs" / "inference.md", RESULTS / "calibration.csv"
RUNS = {"digits": (), "synthetic": (), "emoji": (), "emoji-small": ("features=small",)}
_ALMOST = 0.999


def run_all(folder: Path) -> list[Path]:
    """Run what is missing of `RUNS`."""
    for name, overrides in RUNS.items():
        if not (folder / name / "metrics.json").exists():
            chosen = ["method=dmim", f"data={name.partition('-')[0]}", "seed=0", *overrides]
            command = [sys.executable, "-m", "cmc.run", *chosen, f"hydra.run.dir={folder / name}", "resume=auto"]
            subprocess.run(command, cwd=HOME, check=True)
    return [folder / name for name in RUNS]


def measured(run: Path) -> dict[str, Any]:
    """A row of the table, of samples that have a label.

    Raises:
        UserError: the run or its data cannot be read, or has no labels or no calibration.
    """
    trained = load(run, (), "cpu")
    module = module_of(trained, None, ())
    module.load(data := module.read())
    found = calibration(trained.method, module)
    if found is None or data.labels is None:
        raise UserError(
            f"{run}: {'its modalities have no assignments' if found is None else 'its data have no labels'}"
        )
    parts = list(trained.assign({name: data.features[name] for name in trained.dims}))
    assignment = torch.cat([part.assignment for part in parts]).float()
    each = torch.cat([part.each for part in parts if part.each is not None], 1).float()
    confidence, cluster = assignment.max(1)
    labels = torch.as_tensor(data.labels)
    known = labels >= 0
    table = contingency_table(cluster[known], labels[known], assignment.shape[1], int(labels.max()) + 1)
    right = match(table)[cluster] == labels
    sure = calibrated(each, cluster, found["temperature"])
    report = trained.report
    return {
        "method": report["method"],
        "data": report["data"],
        "features": _preset(trained.config),
        "seed": report["seed"],
        "samples": int(known.sum()),
        "acc": round(float(right[known].float().mean()), 6),
        "above_999": round(float((confidence[known] > _ALMOST).float().mean()), 6),
        "ece_raw": round(calibration_error(confidence[known], right[known])[0], 6),
        "ece_calibrated": round(calibration_error(sure[known], right[known])[0], 6),
        "temperature": round(found["temperature"], 6),
        "agreement": round(found["agreement"], 6),
        "agreement_of": found["of"],
        "git_commit": report["git_commit"],
    }


def _preset(config: DictConfig) -> str:
    """Which of ``conf/features`` made the features; empty where the data are no pictures and texts."""
    if (made := config.data.get("extract")) is None:
        return ""
    for path in sorted((HOME / "conf" / "features").glob("*.yaml")):
        own = parse_yaml(path)
        if all(own.get(key) == made[key] for key in ("image", "text")):
            return path.stem
    return f"{made.image} + {made.text}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; rows are of dmim where they do not say otherwise."""
    shown = []
    for row in rows:
        names = [row["data"], f"`features={row['features']}`" if row["features"] else ""]
        names.append(f"`method={row['method']}`" if row["method"] != "dmim" else "")
        shown.append(
            {
                "data": ", ".join(filter(None, names)),
                "ACC": _decimals(row["acc"]),
                "above .999": f"{100 * float(row['above_999']):.0f} %",
                "raw": _decimals(row["ece_raw"]),
                "calibrated": _decimals(row["ece_calibrated"]),
            }
        )
    return as_table(shown)


def _decimals(value: Any) -> str:
    return f"{float(value):.3f}".removeprefix("0")


def committed() -> list[dict[str, Any]]:
    """The rows of ``results/calibration.csv``."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Run where no runs are named, measure, write, print."""
    parser = argparse.ArgumentParser(prog="python -m experiments.calibration")
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    given = parser.parse_args()
    try:
        rows = [measured(run) for run in given.runs or run_all(HOME / "multirun" / "calibration")]
    except UserError as error:
        raise SystemExit(str(error)) from None
    rows.sort(key=lambda row: (row["method"] != "dmim", row["data"], row["features"], row["seed"]))
    write_csv(FILE, rows)
    text = with_tables(PAGE.read_text(encoding="utf-8"), {"calibration": table(committed())})
    with atomic_write(PAGE) as path:
        path.write_text(text, encoding="utf-8")
    print(table(rows), end="")


if __name__ == "__main__":
    main()
