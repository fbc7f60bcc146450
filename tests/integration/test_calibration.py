"""The table of calibrated confidences: what a run wrote, scored by loops, and what the page shows."""

import csv
from itertools import permutations

import pytest

from cmc.errors import UserError
from cmc.training.fit import train
from experiments.calibration import PAGE, committed, measured, table
from experiments.reproduce import with_tables


def error_of(sure, right):
    """The expected calibration error, bin by bin."""
    total = 0.0
    for i in range(15):
        here = [(s, r) for s, r in zip(sure, right, strict=True) if i / 15 <= s < (i + 1) / 15 or (i == 14 and s >= 1)]
        total += abs(sum(s for s, _ in here) - sum(r for _, r in here))
    return total / len(sure)


def test_a_row_is_what_the_run_s_own_files_say(tiny_run, tmp_path):
    report = tiny_run("data.n_clusters=4", method="dmim")
    row = measured(tmp_path / "run")
    with (tmp_path / "run" / "assignments.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    kinds = sorted({each["label"] for each in written})
    best = max(
        (
            [kinds[order[int(each["cluster"])]] == each["label"] for each in written]
            for order in permutations(range(len(kinds)), 4)
        ),
        key=sum,
    )
    raw, sure = ([float(each[name]) for each in written] for name in ("confidence", "confidence_calibrated"))
    assert row["acc"] == pytest.approx(sum(best) / len(best), abs=1e-6)
    assert row["acc"] == pytest.approx(report["scores"]["acc"], abs=1e-6)
    assert row["above_999"] == pytest.approx(sum(s > 0.999 for s in raw) / len(raw), abs=1e-6)
    assert row["ece_raw"] == pytest.approx(error_of(raw, best), abs=1e-5)
    assert row["ece_calibrated"] == pytest.approx(error_of(sure, best), abs=1e-5)
    assert row["temperature"] == pytest.approx(report["calibration"]["temperature"], abs=1e-5)
    assert (row["method"], row["samples"], row["agreement_of"]) == ("dmim", len(written), report["calibration"]["of"])


def test_a_run_without_a_calibration_is_told(composed, tmp_path):
    (run := tmp_path / "run").mkdir()
    small = ["data=synthetic", "data.n_samples=60", "data.dims=[6,5]", "trainer.accelerator=cpu"]
    train(composed("method=kmeans", *small, "callbacks.figures=null", "callbacks.gallery=null"), str(run))
    with pytest.raises(UserError, match="its modalities have no assignments"):
        measured(run)


def test_the_page_shows_the_committed_rows():
    text, rows = PAGE.read_text(encoding="utf-8"), committed()
    assert with_tables(text, {"calibration": table(rows)}) == text
    assert {row["data"] for row in rows if row["method"] == "dmim"} == {"digits", "emoji", "synthetic"}
    assert f"| .{round(1000 * float(rows[0]['ece_raw'])):03d} |" in text
