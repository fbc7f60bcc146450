"""The readers of a run folder's files: blocks joined, what is mapped, what is refused, and nothing heavy imported."""

import subprocess
import sys

import numpy as np
import pytest

from cmc.errors import UserError
from cmc.runs import assignments
from cmc.runs.assignments import assignment_blocks, read_assignments
from cmc.runs.embeddings import read_embeddings
from cmc.runs.rows import read_rows, write_rows

HEAD = "index,cluster,confidence,label\n"


def write(run, part, rows):
    (run / f"assignments{part}.csv").write_text(HEAD + "".join(f"{i},{k},0.25,{label}\n" for i, k, label in rows))


def test_blocks_are_joined_whatever_the_lengths_of_their_labels(tmp_path, monkeypatch):
    rows = [(2 * i, i % 3, "x" * (1 + i // 4)) for i in range(20)]
    write(tmp_path, "", rows)
    monkeypatch.setattr(assignments, "_BLOCK", 6)
    assert [len(block.index) for block in assignment_blocks(tmp_path)] == [6, 6, 6, 2]
    found = read_assignments(tmp_path)
    assert list(zip(found.index.tolist(), found.cluster.tolist(), found.label.tolist(), strict=True)) == rows
    assert (found.confidence == 0.25).all()
    assert read_assignments(tmp_path, "_holdout") is None


@pytest.mark.parametrize(
    "row", ["-1,0,1,a", "0,-1,1,a", "0,1,1", "0,1,1,a,b", "0,one,1,a", "0,1,?,a", "9" * 20 + ",1,1,a"]
)
def test_a_row_that_is_none_is_one_line_wherever_it_stands(tmp_path, monkeypatch, row):
    monkeypatch.setattr(assignments, "_BLOCK", 2)
    write(tmp_path, "", [(i, 0, "a") for i in range(5)])
    with (tmp_path / "assignments.csv").open("a") as file:
        file.write(f"{row}\n")
    with pytest.raises(UserError, match=r"^\S+assignments\.csv: cannot be read; damaged\? train again \(.+\)$"):
        read_assignments(tmp_path)
    with pytest.raises(UserError, match=r"^it \(.+\)$"):
        read_assignments(tmp_path, what="it")


def test_embeddings_are_mapped_and_nothing_else_is_taken_for_them(tmp_path):
    assert read_embeddings(tmp_path) is None
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.save(tmp_path / "embeddings.npy", x)
    found = read_embeddings(tmp_path)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, x)
    for wrong in (x.astype(float), x[0], np.array([{}])):
        np.save(tmp_path / "embeddings.npy", wrong)
        with pytest.raises(UserError, match=r"embeddings\.npy: "):
            read_embeddings(tmp_path)


def test_rows_of_both_parts_stand_in_the_order_of_the_data(tmp_path):
    with pytest.raises(UserError, match=r"has no assignments\.csv; train again"):
        read_rows(tmp_path)
    write(tmp_path, "", [(0, 2, "a"), (3, 1, "a")])
    write(tmp_path, "_holdout", [(1, 0, "b"), (2, 2, "b")])
    rows = read_rows(tmp_path)
    assert (rows.clusters.tolist(), rows.embeddings) == ([2, 0, 2, 1], None)
    np.save(tmp_path / "embeddings.npy", np.array([[0], [3]], np.float32))
    with pytest.raises(UserError, match=r"embeddings\.npy: not as many rows as in assignments\.csv; damaged\? train"):
        read_rows(tmp_path)
    np.save(tmp_path / "embeddings_holdout.npy", np.array([[1], [2]], np.float32))
    rows = read_rows(tmp_path)
    assert rows.embeddings.ravel().tolist() == [0, 1, 2, 3]
    (copy := tmp_path / "copy").mkdir()
    write_rows(copy, rows)
    assert read_rows(copy).clusters.tolist() == [2, 0, 2, 1]
    for name in ("embeddings.npy", "embeddings_holdout.npy"):
        assert (copy / name).read_bytes() == (tmp_path / name).read_bytes()


def test_what_the_command_line_reads_imports_nothing_heavy():
    rooms = ", ".join(f"cmc.runs.{n}" for n in ("folder", "config", "report", "history", "assignments", "embeddings"))
    script = f"import sys, {rooms}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy"} & set(loaded)


def test_one_long_caption_takes_no_more_than_itself(tmp_path):
    """As an array of texts, each would take as much as the longest."""
    lines = ["index,cluster,confidence,id,caption", *(f"{i},0,1,{i},a {i}" for i in range(20_000))]
    lines[7] = f"6,0,1,6,{'word ' * 20_000}"
    (tmp_path / "assignments.csv").write_text("\n".join(lines) + "\n")
    found = assignments.read_assignments(tmp_path)
    assert found.caption[5:8].tolist() == ["a 5", "word " * 20_000, "a 7"]
    assert found.caption.nbytes < 10**6
