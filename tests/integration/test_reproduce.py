"""The committed tables: means of their CSV's runs, seeds 0 to 4, and what the README and docs/results.md show."""

import csv

import numpy as np
import pytest

from experiments import reproduce
from experiments.reproduce import (
    IN_README,
    METHODS,
    PAGE,
    README,
    RESULTS,
    TABLES,
    cells,
    entries,
    on_page,
    summary,
    with_others,
    with_tables,
)
from tests.quick import interpreter

LATER = {"autoencoder", "simvc", "comvc", "completer", "cvcl", "sem"}  # of which tables may have no rows yet
LATER |= {"idec", "demvc", "sdmvc", "mvcan", "divide", "gcfagg", "rml"}


def between(text, name):
    """What stands between a table's markers."""
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- end {name} -->\n")[0]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_the_mean_and_deviation_of_its_runs(name):
    runs = list(csv.DictReader((RESULTS / f"{name}.csv").open(newline="")))
    rows = cells((RESULTS / f"{name}.md").read_text())
    assert {row["method"] for row in rows} == {run["method"] for run in runs}
    for row in rows:
        group = [run for run in runs if run["method"] == row["method"]]
        assert sorted(int(run["seed"]) for run in group) == list(range(len(group)))
        assert int(row["runs"]) == len(group) >= 5
        for column in ("acc", "nmi", "ari"):
            values = [float(run[column]) for run in group]
            expected = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
            assert row[column.upper()] == expected, (row["method"], column)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_every_method_and_preset(name):
    shown = {row["method"].split()[0] for row in cells((RESULTS / f"{name}.md").read_text())}
    every = {entry.name.partition("-")[0] for entry in entries(name)}
    assert shown - LATER == every - LATER


def test_the_page_shows_the_committed_tables():
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, on_page()) == text
    for name in TABLES:
        rows, whole = cells(between(text, name)), cells((RESULTS / f"{name}.md").read_text(encoding="utf-8"))
        assert [row["method"] for row in rows] == [row["method"] for row in whole]
        assert all(row.items() <= there.items() for row, there in zip(rows, whole, strict=True))
        assert {"ACC", "NMI", "ARI", "runs"} <= rows[0].keys()


def test_the_readme_shows_acc_of_the_committed_tables():
    text = README.read_text(encoding="utf-8")
    assert with_tables(text, {"results": summary()}) == text
    rows = cells(between(text, "results"))
    there = [{row["method"] for row in cells((RESULTS / f"{name}.md").read_text())} for name in IN_README]
    assert [row["method"] for row in rows] == [x.name for x in METHODS if any(x.name in names for names in there)]
    for name, title in IN_README.items():
        whole = {row["method"]: row["ACC"] for row in cells((RESULTS / f"{name}.md").read_text(encoding="utf-8"))}
        assert [row[title] for row in rows] == [whole.get(row["method"], "") for row in rows]


def test_a_table_names_its_lines():
    assert [entry.name for entry in entries("digits")][-2:] == ["kmeans-left", "kmeans-right"]


def test_a_table_is_run_written_and_shown(tmp_path, monkeypatch, capsys):
    """Two seeds of k-means and of its left half; a second call runs nothing again."""
    monkeypatch.setattr(reproduce, "RESULTS", tmp_path)
    monkeypatch.setattr(reproduce, "README", tmp_path / "README.md")
    monkeypatch.setattr(reproduce, "PAGE", tmp_path / "results.md")
    monkeypatch.setattr(reproduce, "SEEDS", 2)
    monkeypatch.setattr("sys.executable", interpreter())
    (tmp_path / "README.md").write_text("above\n<!-- results -->\nold\n<!-- end results -->\nbelow\n")
    (tmp_path / "results.md").write_text("".join(f"<!-- {name} -->\nold\n<!-- end {name} -->\n" for name in TABLES))
    words = ["reproduce", "digits", "--runs", str(tmp_path / "runs"), "--only", "kmeans", "kmeans-left", "--seeds"]

    monkeypatch.setattr("sys.argv", [*words, "1"])
    reproduce.main()
    assert "| digits | kmeans |" in capsys.readouterr().out
    assert not (tmp_path / "digits.csv").exists(), "one seed makes no table"

    monkeypatch.setattr("sys.argv", [*words, "2"])
    reproduce.main()
    runs = list(csv.DictReader((tmp_path / "digits.csv").open(newline="")))
    assert [(run["method"], run["seed"]) for run in runs] == [
        *(("kmeans", "0"), ("kmeans", "1"), ("kmeans (left)", "0"), ("kmeans (left)", "1"))
    ]
    assert all(run["git_commit"] and run["precision"] == "32-true" and float(run["acc"]) > 0.5 for run in runs)
    page, readme = (tmp_path / "results.md").read_text(), (tmp_path / "README.md").read_text()
    assert [row["method"] for row in cells(between(page, "digits"))] == ["kmeans", "kmeans (left)"]
    assert between(page, "event") == ""
    assert "old" not in page + readme
    assert readme.startswith("above\n<!-- results -->\n| method | digits |")
    assert readme.endswith("<!-- end results -->\nbelow\n")
    assert {row["method"]: row["digits"] for row in cells(readme)}["kmeans"].startswith("0.79")

    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("metrics.json")}
    reproduce.main()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("metrics.json")} == stamps
    assert len(stamps) == 4


def test_methods_without_a_new_run_keep_their_rows():
    old = [{"method": "cmmc", "ACC": "1", "agreement": "2", "runs": "5"}, {"method": "dmim", "ACC": "3"}]
    new = [{"method": "dmim", "ACC": "4", "gap": "6", "runs": "5"}, {"method": "kmeans (left)", "ACC": "7"}]
    merged = with_others(new, old)
    assert [list(row) for row in merged] == [["method", "ACC", "agreement", "gap", "runs"]] * 3
    assert [list(row.values()) for row in merged] == [
        *(["cmmc", "1", "2", "", "5"], ["dmim", "4", "", "6", "5"], ["kmeans (left)", "7", "", "", ""])
    ]
    assert with_others(new, []) == [new[0], {**new[1], "gap": "", "runs": ""}]


@pytest.mark.parametrize("text", ["", "<!-- digits -->\n", "<!-- end digits -->\n<!-- digits -->\n"])
def test_a_page_without_its_markers_is_left_alone(text):
    with pytest.raises(SystemExit, match="<!-- digits --> and <!-- end digits --> must stand in the page"):
        with_tables(text, {"digits": ""})
