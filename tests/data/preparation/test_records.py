"""Number files of raw distributions, written by struct and by hand, read to the same numbers; damage is named."""

import numpy as np
import pytest

from cmc.data.preparation import records
from cmc.data.preparation.records import TextTable, VectorTable
from cmc.errors import UserError
from tests.data import trees


def whole(table, n):
    array = np.full((n, table.width), -1.0)
    for part in range(len(table.paths)):
        for rows, values in table.blocks(part):
            assert values.dtype == table.dtype
            array[rows] = values
    return array


@pytest.mark.parametrize("block", [1, 37, 2**23])
def test_text_in_two_files_lands_in_its_rows(tmp_path, monkeypatch, block):
    monkeypatch.setattr(records, "_BLOCK", block)
    numbers = np.random.default_rng(0).random((30, 3)).round(5)
    first, second = np.arange(0, 30, 2), np.arange(1, 30, 2)
    trees.numbers(tmp_path / "a.dat", numbers[first])
    trees.numbers(tmp_path / "b.dat", numbers[second], "\t", "\t")
    table = TextTable([tmp_path / "a.dat", tmp_path / "b.dat"], [first, second])
    np.testing.assert_allclose(whole(table, 30), numbers, atol=1e-6)


@pytest.mark.parametrize("suffix", [".hvecs", ".hvecs32", ".fvec"])
@pytest.mark.parametrize("block", [1, 2**23])
def test_vectors_are_read_as_they_were_packed(tmp_path, monkeypatch, suffix, block):
    monkeypatch.setattr(records, "_BLOCK", block)
    top = 2**16 if suffix == ".hvecs" else 2**20
    numbers = np.random.default_rng(0).integers(0, top, (9, 300))
    trees.records(tmp_path / f"x{suffix}", numbers.tolist())
    table = VectorTable([tmp_path / f"x{suffix}"], [np.arange(9)[::-1]])
    np.testing.assert_array_equal(whole(table, 9), numbers[::-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1 2\n3\n5 6\n", r"line 2: 1 numbers, the others 2"),
        (b"1 2\n3 4\n", r"ends after line 2, but its list has 3 samples; cut short"),
        (b"1 2\n3 4\n5 6\n7 8\n", "more lines than the 3 samples"),
        (b"1 2\n3 nan\n5 6\n", r"line 2, column 2: 'nan' is no number"),
        (b"1 2\n3 1e40\n5 6\n", r"line 2, column 2: '1e40' is no number"),
        (b"\n<html>\n", "a web page"),
        (b"1 2\n3 x4\n5 6\n", r"line 2, column 2: 'x4' is no number"),
        (b"<html>\n", "a web page"),
        (b"", "the file is empty"),
        (b"\xff\xfe\x00\n", "line 1, column 1"),
    ],
)
def test_damaged_text_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "a.dat").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        whole(TextTable([tmp_path / "a.dat"], [np.arange(3)]), 3)
    assert str(tmp_path / "a.dat") in str(caught.value)


@pytest.mark.parametrize("cell", ["0.5", "-1", "300", "nan"])
def test_tags_that_are_no_small_whole_numbers_are_refused(tmp_path, cell):
    (tmp_path / "a.txt").write_text(f"0 1\n1 {cell}\n")
    with pytest.raises(UserError, match=rf"line 2, column 2: '{cell}' is no whole number from 0 to 255"):
        whole(TextTable([tmp_path / "a.txt"], [np.arange(2)], "uint8"), 2)


def test_blank_lines_before_the_numbers_do_not_count(tmp_path):
    (tmp_path / "a.dat").write_text("\n\n1 2\n3 4\n")
    np.testing.assert_array_equal(whole(TextTable([tmp_path / "a.dat"], [np.arange(2)]), 2), [[1, 2], [3, 4]])


def test_a_vector_that_is_not_finite_is_named(tmp_path):
    trees.records(tmp_path / "a.fvec", [[1, 2], [3, np.inf]])
    with pytest.raises(UserError, match=r"a\.fvec, record 1 \(byte 12\): holds a number that is not finite"):
        whole(VectorTable([tmp_path / "a.fvec"], [np.arange(2)]), 2)


def test_vectors_cut_at_any_byte_are_refused(tmp_path):
    path = tmp_path / "a.hvecs"
    trees.records(path, [[1, 2, 3]] * 4)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"cut short after record|no hvecs records|records, but its list has 4"):
            VectorTable([path], [np.arange(4)])


def test_a_record_of_another_count_is_named_with_its_byte(tmp_path):
    path = tmp_path / "a.fvec"
    trees.records(path, [[1, 2, 3]] * 4)
    content = bytearray(path.read_bytes())
    content[32] = 9
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"record 2 \(byte 32\): says 9 numbers, the others 3"):
        whole(VectorTable([path], [np.arange(4)]), 4)
