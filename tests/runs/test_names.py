"""What the gallery's page exports, taken by a run: what it must be, and what is refused."""

import csv
import json

import numpy as np
import pytest

from cmc.errors import UserError
from cmc.runs.names import FORMAT, kept, mark, take
from tests.clusters.made import Made


@pytest.fixture(scope="module")
def made():
    return Made(n=40, pictures=False)


@pytest.fixture
def run(made, tmp_path):
    return made.write(tmp_path / "run")


def export(made, path, **changes):
    said = {"format": FORMAT, "run": mark(made.cluster), "names": {"0": " round\n things "}, "merged": {"2": 1}}
    said |= {"moved": {"7": 3}, "wrong": [9, 3]} | changes
    path.write_text(json.dumps(said))
    return path


def table(made, path, now, names, wrong=()):
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "id", "cluster", "now", "name", "wrong"])
        for i, k in enumerate(made.cluster.tolist()):
            writer.writerow([i, made.ids[i], k, now[i], names.get(now[i], ""), int(i in wrong)])
    return path


def test_an_export_is_kept_and_read_again(made, run, tmp_path):
    assert kept(run).names == {}
    edits = take(export(made, tmp_path / "e.json"), run)
    assert edits == kept(run)
    assert (edits.names, edits.merged, edits.moved, edits.wrong) == ({0: "round things"}, {2: 1}, {7: 3}, (3, 9))
    assert [edits.name(k) for k in range(4)] == ["round things", "", "", ""]
    take(export(made, tmp_path / "e.json", names={"1": "boxes"}), run)
    assert [kept(run).name(k) for k in range(4)] == ["", "boxes", "boxes", ""]


def test_a_table_says_the_same(made, run, tmp_path):
    now = [1 if k == 2 else k for k in made.cluster.tolist()]
    moved = next(i for i, k in enumerate(now) if k == 0)
    now[moved] = 3
    edits = take(table(made, tmp_path / "e.csv", now, {1: "boxes", 3: "stars"}, {5}), run)
    assert (edits.names, edits.merged, edits.moved, edits.wrong) == (
        {1: "boxes", 3: "stars"}, {2: 1}, {moved: 3}, (5,)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run": "0" * 32}, "is an export of another run"),
        ({"format": "something"}, "is no export of the gallery; export it again"),
        ({"names": {"1": "same", "3": "same"}}, "'same' names clusters 1 and 3; give them different names, or merge"),
        ({"names": {"4": "x"}}, "speaks of cluster 4, but the run's are 0 to 3"),
        ({"merged": {"0": 1, "1": 0}}, "merges cluster 0 into itself"),
        ({"moved": {"40": 1}}, "speaks of row 40, but the run has rows 0 to 39"),
        ({"wrong": "all"}, "is no export of the gallery"),
        ({"names": ["a"]}, "is no export of the gallery"),
        ({"names": {"0": "x" * 201}}, "a name of 201 characters; give at most 200"),
    ],
)
def test_what_is_no_export_of_the_run_is_refused(made, run, tmp_path, changes, said):
    with pytest.raises(UserError, match=f"^{tmp_path}/e.json: .*{said}"):
        take(export(made, tmp_path / "e.json", **changes), run)
    assert not (run / "names.json").exists()


def test_a_table_of_another_run_is_refused(made, run, tmp_path):
    other = Made(n=40, seed=1)
    with pytest.raises(UserError, match="is an export of another run"):
        take(table(other, tmp_path / "e.csv", other.cluster.tolist(), {}), run)
    with pytest.raises(UserError, match="there is no such file"):
        take(tmp_path / "nowhere.json", run)


def test_a_name_that_was_merged_away_may_be_given_again(made, run, tmp_path):
    edits = take(export(made, tmp_path / "e.json", names={"1": "a", "2": "a"}, merged={"2": 1}), run)
    assert edits.name(2) == "a"


def test_a_run_trained_again_does_not_take_its_old_names(made, run, tmp_path):
    take(export(made, tmp_path / "e.json"), run)
    other = Made(n=40, seed=5).write(tmp_path / "other")
    (run / "assignments.csv").write_bytes((other / "assignments.csv").read_bytes())
    with pytest.raises(UserError, match=r"names\.json: is an export of another run"):
        kept(run)
    assert np.load(run / "embeddings.npy").shape == (40, 16)
