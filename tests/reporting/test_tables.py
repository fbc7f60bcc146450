"""The tables against numpy and naive loops over the files."""

import csv
import json
import re
from itertools import combinations

import numpy as np
import pytest

from cmc.reporting.carried import carried
from cmc.reporting.rows import gather, swept
from cmc.reporting.runs import find, read_run
from cmc.reporting.tables import latex, markdown, write_tables
from tests.reporting.made import FINGERPRINT, make_run

OTHER = "a" * 32


def gathered(folder):
    return gather([read_run(path) for path in find([folder])], *[lambda name, n: None] * 2)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def latex_rows(text):
    body = text.split("\\midrule", 1)[1].split("\\bottomrule")[0].replace("\\midrule", "")
    return [[cell.strip() for cell in line.split(" & ")] for line in body.split("\\\\\n") if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two methods on two data sets, five seeds; one of them over two learning rates; one with two seeds alone."""
    root = tmp_path_factory.mktemp("runs")
    for seed in range(5):
        make_run(root / f"cmmc{seed}", seed, "cmmc_released")
        for lr in (1e-3, 1e-2):
            make_run(root / f"dmim{seed}{lr}", seed, "dmim", settings={"method.optimizer.lr": lr})
    for seed in range(2):
        make_run(root / f"birds{seed}", seed, "dmim", "birds (surrogate)", fingerprint=OTHER)
    return root


def test_runs_csv_has_every_run_with_the_figures_of_its_file(folder, tmp_path):
    rows, lines = gathered(folder)
    assert not lines
    write_tables(rows, tmp_path)
    records = {record["folder"]: record for record in read(tmp_path / "runs.csv")}
    assert set(records) == {str(path.parent) for path in folder.glob("*/metrics.json")}
    for name, record in records.items():
        report = json.loads((folder / name / "metrics.json").read_text())
        assert {key: float(record[key]) for key in report["scores"]} == report["scores"]
        assert float(record["agreement"]) == 0.5
        assert int(record["seed"]) == report["seed"]
        assert float(record["seconds"]) == report["seconds"]["total"]
        for key in ("method", "data", "device", "precision", "git_commit"):
            assert record[key] == report[key]
        assert (record["n_samples"], record["n_clusters"], record["epochs"]) == ("60", "3", "12")
        assert record["fingerprint"] == report["features"]["fingerprint"]
        expected = {"dmim": "0.001" if name.endswith("0.001") else "0.01"} if report["data"] == "digits" else {}
        assert record["method.optimizer.lr"] == expected.get(report["method"], "")


def naive_ari(a, b):
    """Hubert and Arabie's formula, by counting pairs of samples one by one."""
    pairs = list(combinations(range(len(a)), 2))
    together = sum(a[i] == a[j] and b[i] == b[j] for i, j in pairs)
    in_a, in_b = (sum(x[i] == x[j] for i, j in pairs) for x in (a, b))
    expected = in_a * in_b / len(pairs)
    return (together - expected) / ((in_a + in_b) / 2 - expected)


def test_table_csv_is_mean_and_standard_deviation_over_seeds(folder, tmp_path):
    write_tables(gathered(folder)[0], tmp_path)
    table = {(record["data"], record["method"], record["setting"]): record for record in read(tmp_path / "table.csv")}
    runs = [folder / f"dmim{seed}0.01" for seed in range(5)]
    record = table["digits", "dmim", "optimizer.lr=0.01"]
    reports = [json.loads((run / "metrics.json").read_text()) for run in runs]
    for name in ("acc", "nmi", "ari", "purity"):
        values = np.array([report["scores"][name] for report in reports])
        assert float(record[f"{name}_mean"]) == pytest.approx(values.mean())
        assert float(record[f"{name}_std"]) == pytest.approx(values.std(ddof=1))
    clusters = [[int(row["cluster"]) for row in read(run / "assignments.csv")] for run in runs]
    pairs = [naive_ari(a, b) for a, b in combinations(clusters, 2)]
    assert float(record["pairs_mean"]) == pytest.approx(np.mean(pairs))
    assert (record["runs"], record["seeds"], record["fingerprint"]) == ("5", "0 1 2 3 4", FINGERPRINT)
    assert len(table) == 4


def test_fewer_than_five_runs_are_listed_and_have_no_mean(folder, tmp_path):
    rows, _ = gathered(folder)
    write_tables(rows, tmp_path)
    (record,) = [record for record in read(tmp_path / "table.csv") if record["data"] == "birds (surrogate)"]
    values = [json.loads((folder / f"birds{seed}" / "metrics.json").read_text())["scores"]["acc"] for seed in (0, 1)]
    assert (record["acc_mean"], record["acc_std"]) == ("", "")
    assert [float(value) for value in record["acc_values"].split()] == values
    listed = ", ".join(f"{value:.3f}" for value in values)
    (line,) = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("| birds")]
    assert f" {listed} " in line
    (cells,) = [cells for cells in latex_rows((tmp_path / "table.tex").read_text()) if cells[0].startswith("birds")]
    assert listed in cells
    assert not any("textbf" in cell or "pm" in cell for cell in cells)


def test_latex_has_the_best_mean_of_each_data_set_in_bold(folder):
    rows, _ = gathered(folder)
    text = latex(rows)
    cells = {(line[0], line[1], line[2]): line for line in latex_rows(text)}
    assert set(cells) == {(row.data, row.method.replace("_", r"\_"), row.label) for row in rows}
    for column, name in enumerate(("acc", "nmi", "ari", "purity"), start=4):
        means = {}
        for row in rows:
            if len(row.runs) == 5:
                values = [run.report["scores"][name] for run in row.runs]
                means[row.data, row.method.replace("_", r"\_"), row.label] = np.mean(values)
        best = max(means, key=means.get)
        for key, line in cells.items():
            assert line[column].startswith("\\textbf{") == (key == best)
            if key in means:
                assert f"{means[key]:.3f} $\\pm$ " in line[column]
    assert "textbf" not in "".join("".join(line[8:]) for line in cells.values())
    assert all(line[-1] in ("5", "2") for line in cells.values())


def test_means_that_print_alike_are_both_bold(tmp_path):
    for seed in range(5):
        for method, acc in (("a", 0.5), ("b", 0.5001), ("c", 0.4)):
            make_run(tmp_path / f"{method}{seed}", seed, method, scores={"acc": acc, "nmi": 0, "ari": 0, "purity": 0})
    bold = ["textbf" in line[3] for line in latex_rows(latex(gathered(tmp_path)[0]))]
    assert bold == [True, True, False]


def test_runs_of_different_data_are_never_averaged(tmp_path):
    for seed in range(6):
        make_run(tmp_path / str(seed), seed, fingerprint=FINGERPRINT if seed % 2 else OTHER)
    rows, lines = gathered(tmp_path)
    assert [(row.data, [run.seed for run in row.runs]) for row in rows] == [
        ("digits (data 4d9fb508)", [1, 3, 5]),
        ("digits (data aaaaaaaa)", [0, 2, 4]),
    ]
    assert len(lines) == 1
    assert lines[0].startswith("digits: runs of 2 different data; kept apart")
    assert "±" not in "".join(line for line in markdown(rows).splitlines() if line.startswith("| digits"))


def test_of_a_repeated_run_the_newest_is_kept(tmp_path):
    make_run(tmp_path / "new", seed=1, age=0)
    make_run(tmp_path / "old", seed=1, age=100)
    make_run(tmp_path / "other", seed=2, age=200)
    (row,), (line,) = gathered(tmp_path)
    assert [run.folder.name for run in row.runs] == ["new", "other"]
    assert line.startswith(f"{tmp_path / 'old'}: left out")
    assert str(tmp_path / "new") in line


def keys(*settings, folder):
    runs = [make_run(folder / str(i), seed=i // 2, settings=each) for i, each in enumerate(settings)]
    return swept([read_run(run) for run in runs])


def test_swept_keys_are_those_that_differ_but_for_the_seed_and_what_follows_it(tmp_path):
    assert keys({}, {}, {}, {}, folder=tmp_path / "a") == []
    epochs = [{"method.phases.second.epochs": n, "method.scheduler.T_max": n} for n in (8, 16)] * 2
    assert keys(*epochs, folder=tmp_path / "b") == ["method.phases.second.epochs"]
    grid = [{"method.optimizer.lr": lr, "data.scaling": scaling} for lr in (1, 2) for scaling in ("l2", "none")]
    assert keys(*grid, folder=tmp_path / "c") == ["method.optimizer.lr", "data.scaling"]
    assert keys({"method.beta": 1}, {"method.beta": 1.0}, folder=tmp_path / "d") == []
    assert keys({"method.beta": 1}, {"method.beta": True}, folder=tmp_path / "e") == ["method.beta"]
    assert keys({"method.beta": None}, {}, folder=tmp_path / "f") == ["method.beta"]
    unseen = [{"evaluate_every": n, "callbacks.figures.max_points": n, "data.root": str(n)} for n in range(4)]
    assert keys(*unseen, folder=tmp_path / "g") == []
    assert keys({"trust": ["mine"]}, {"trust": []}, {}, {}, folder=tmp_path / "h") == []


def test_a_run_that_went_on_with_another_setting_is_a_row_by_it_and_a_line_says_so(tmp_path):
    clipped = {"method.gradient_clip": 1}
    for seed, settings in enumerate(({}, {}, clipped, {**clipped, "resumed_with": ["method.gradient_clip=1"]})):
        make_run(tmp_path / str(seed), seed, settings={"method.gradient_clip": None, **settings})
    rows, (line,) = gathered(tmp_path)
    assert [(row.label, [run.seed for run in row.runs]) for row in rows] == [
        ("gradient_clip=1", [2, 3]),
        ("gradient_clip=null", [0, 1]),
    ]
    assert line == f"{tmp_path / '3'}: resumed with [method.gradient_clip=1]; it began otherwise"


def test_held_out_scores_and_runs_without_labels(tmp_path):
    for seed in range(5):
        make_run(tmp_path / f"held{seed}", seed, holdout={"acc": seed / 10, "nmi": 0.5, "ari": 0.5, "purity": 0.5})
        make_run(tmp_path / f"bare{seed}", seed, data="bare", labels=None)
    rows, _ = gathered(tmp_path)
    head, _, bare, digits = markdown(rows).splitlines()[:4]
    titles = [title.strip() for title in head.split("|")]
    place = titles.index("held-out ACC")
    assert digits.split("|")[place].strip() == f"0.200 ± {np.std(np.arange(5) / 10, ddof=1):.3f}"
    assert bare.split("|")[place].strip() == bare.split("|")[titles.index("ACC")].strip() == ""
    assert bare.split("|")[titles.index("agreement")].strip() == "0.500 ± 0.000"


def test_clusterings_of_different_samples_are_compared_where_they_overlap(tmp_path):
    a, b = (make_run(tmp_path / name, seed) for seed, name in enumerate("ab"))
    lines = (a / "assignments.csv").read_text().splitlines(keepends=True)
    (a / "assignments.csv").write_text("".join([lines[0], *reversed(lines[21:])]))
    (row,), _ = gathered(tmp_path)
    clusters = [{r["index"]: r["cluster"] for r in read(run / "assignments.csv")} for run in (a, b)]
    shared = sorted(set(clusters[0]) & set(clusters[1]))
    assert len(shared) == 40
    assert row.pairs == pytest.approx([naive_ari(*([each[i] for i in shared] for each in clusters))])


def test_strange_names_stay_in_their_cells(tmp_path):
    name = r"a|b & $x_1$ \ {50%} #~^ <i> [ü]"
    for seed in range(5):
        make_run(tmp_path / str(seed), seed, data=f"[{name}]\n2")
    rows, _ = gathered(tmp_path)
    write_tables(rows, tmp_path)
    assert read(tmp_path / "runs.csv")[0]["data"] == f"[{name}] 2"
    line = next(line for line in markdown(rows).splitlines() if "dmim" in line)
    assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"\|", markdown(rows).splitlines()[0]))
    (cells,) = latex_rows(latex(rows))
    assert cells[0].startswith(r"{[}a\textbar{}b \& \$x\_1\$ \textbackslash{} \{50\%\} \#\textasciitilde{}")


def test_surrogates_are_named_in_every_table(folder, tmp_path):
    write_tables(gathered(folder)[0], tmp_path)
    for name in ("runs.csv", "table.csv", "table.md", "table.tex"):
        assert "birds (surrogate)" in (tmp_path / name).read_text()
    for name in ("table.md", "table.tex"):
        assert "generated data of the same shape stand in" in (tmp_path / name).read_text()


def test_agreement_that_does_not_carry_over_is_told_and_so_are_qualities_that_do_not_compare(tmp_path):
    for seed, unseen in ((0, 0.1), (1, 0.2), (2, 0.3)):
        measures = {"agreement": 0.6, "agreement_held_out": unseen, "gap": 0.6 - unseen, "quality": unseen}
        make_run(tmp_path / f"held{seed}", seed, "dmim", label_free=measures)
    rows, _ = gathered(tmp_path)
    said = "agreement does not carry over in 2 of 3 runs: 0.60 on training samples, 0.15 on held-out ones"
    assert carried(rows) == [f"digits, dmim: {said}"]
    make_run(tmp_path / "seen", 0, "cmmc")
    rows, _ = gathered(tmp_path)
    assert carried(rows)[1:] == [
        "digits: quality is that of held-out samples in 3 runs and of training samples in 1; the two do not compare"
    ]


def test_runs_without_clusters_are_told(tmp_path):
    for seed, entropy in ((0, 0.97), (1, 0.95), (2, 0.4)):
        make_run(tmp_path / f"run{seed}", seed, "cmmc", label_free={"entropy": entropy})
    rows, _ = gathered(tmp_path)
    said = "digits, cmmc: assignments are nearly uniform in 2 of 3 runs (entropy 0.96 of log K): no clusters were found"
    assert carried(rows) == [said]
