"""Every newer form, damaged byte by byte, line by line, object by object: read rightly, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cmc.data import formats
from cmc.data.formats import hdf5
from cmc.data.modalities import Modalities
from cmc.errors import UserError
from tests.data.formats.cells import h5ad, h5mu
from tests.data.formats.common import CODES, IMG, TXT, read_here
from tests.fuzz.targets import TARGETS, Place

IDS = [f"cell{i:02d}" for i in range(12)]
KINDS = [f"kind{code}" for code in CODES]
ORDER = np.random.default_rng(1).permutation(12)
IN_THIS_PROCESS = [
    *("csv-ids", "csv-labels-by-id", "npz-splits", "captions", "caption-lines", "caption-tokens", "caption-json"),
    *("skipped", "extractors", "extractors-fitted", "extractors-weights"),
]


def mangled(whole: bytes) -> Iterator[bytes]:
    """Cut, with a byte changed, with a stretch of zeros, twice, backwards, and with bytes that are no text."""
    rng = np.random.default_rng(0)
    for place in np.linspace(0, len(whole) - 1, 12).astype(int):
        yield whole[:place]
        yield whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :]
        yield whole[:place] + bytes(9) + whole[place + 9 :]
    yield from (whole + whole, whole[::-1], b"\xff\xfe" + whole, whole.replace(b"\n", b"\r"), whole + b"\n\n\x00")


@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_bytes(tmp_path: Path, name: str) -> None:
    place = Place(TARGETS[name], tmp_path / "place")
    tried = [found for seed in place.target.beginnings(place.folder) for found in map(place.attempt, mangled(seed))]
    assert len(tried) >= 41
    assert not any(tried), next(filter(None, tried))


def read_or_refused(path: Path, **told: Any) -> Modalities | None:
    """The data; None where they are refused, which is one line."""
    try:
        return formats.read(path, **told)
    except UserError as refusal:
        said = str(refusal)
    assert len(said.splitlines()) == 1, said
    return None


def table(corner: str, rows: list[str], columns: list[str], values: Any) -> list[str]:
    """Lines of a table with names on both sides."""
    body = [",".join([row, *map(str, line)]) for row, line in zip(rows, values, strict=True)]
    return [",".join([corner, *columns]), *body]


def by_id(folder: Path) -> None:
    labels = ["id,label", *(f"{name},{kind}" for name, kind in zip(IDS, KINDS, strict=True))]
    shuffled = table("id", [IDS[i] for i in ORDER], list("pqrs"), TXT[ORDER])
    write(folder, img=table("id", IDS, list("abcde"), IMG), txt=shuffled, labels=labels)


def genes_by_samples(folder: Path) -> None:
    genes = [f"gene{i}" for i in range(5)]
    proteins = table("", [f"protein{i}" for i in range(4)], [IDS[i] for i in ORDER], TXT[ORDER].T)
    write(folder, img=table("", genes, IDS, IMG.T), txt=proteins)


def write(folder: Path, **lines: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, those in lines.items():
        (folder / f"{name}.csv").write_text("\n".join(those) + "\n")


def lines_changed(lines: list[str]) -> Iterator[list[str]]:
    """A line left out, twice, exchanged with the next, empty, a field short, a field long; the order turned round."""
    for i in range(len(lines)):
        fields = lines[i].split(",")
        yield [*lines[:i], *lines[i + 1 :]]
        yield [*lines[: i + 1], *lines[i:]]
        yield [*lines[:i], *lines[i : i + 2][::-1], *lines[i + 2 :]]
        yield [*lines[:i], "", *lines[i + 1 :]]
        yield [*lines[:i], ",".join(fields[:-1]), *lines[i + 1 :]]
        yield [*lines[:i], ",".join([*fields, fields[-1]]), *lines[i + 1 :]]
    yield [lines[0], *lines[:0:-1]]


def rightly_paired(held: Modalities) -> None:
    """Rows that stand beside each other are of one sample: that whose numbers most of each are."""
    image, text = (np.asarray(held.features[name], np.float32) for name in ("img", "txt"))
    every_image, every_text = IMG.astype(np.float32), TXT.astype(np.float32)
    for i in range(len(image)):
        those = [np.isin(row, got).mean(1).argmax() for row, got in ((every_image, image[i]), (every_text, text[i]))]
        assert those[0] == those[1], f"row {i} pairs samples {those}"
        if held.labels is not None and held.labels[i] >= 0:
            assert held.classes[held.labels[i]] == KINDS[those[0]]


@pytest.mark.parametrize("make", [by_id, genes_by_samples])
def test_lines(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    rightly_paired(formats.read(tmp_path))
    read = refused = 0
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_text()
        for lines in lines_changed(whole.splitlines()):
            path.write_text("\n".join(lines) + "\n")
            if (held := read_or_refused(tmp_path)) is None:
                refused += 1
                continue
            rightly_paired(held)
            read += 1
        path.write_text(whole)
    assert read > 5
    assert refused > 20


def annotated(folder: Path, form: str, version: str) -> Path:
    """The same cells in two orders, as one ``.h5mu`` or as a folder of ``.h5ad``: what is read, and what is damaged."""
    columns = [{"kind": np.array(KINDS)}, {"kind": np.array(KINDS)[ORDER]}]
    image, text = (IMG, IDS, columns[0]), (TXT[ORDER].astype(float), [IDS[i] for i in ORDER], columns[1])
    if form == "h5mu":
        return h5mu(folder / "x.h5mu", version, img=image, txt=text)
    h5ad(folder / "img.h5ad", *image, version)
    return h5ad(folder / "txt.h5ad", *text, version)


def objects(path: Path) -> list[str]:
    with h5py.File(path) as file:
        file.visit((found := []).append)
    return found


def damaged(path: Path, name: str) -> Iterator[Callable[[h5py.File], None]]:
    """An object gone; its attributes gone; a dataset shorter, of another type, of another shape, empty."""
    yield lambda file: file.__delitem__(name)
    yield lambda file: [file[name].attrs.__delitem__(key) for key in list(file[name].attrs)] and None

    def instead(change: Callable[[Any], Any]) -> Callable[[h5py.File], None]:
        def put(file: h5py.File) -> None:
            marks, value = dict(file[name].attrs), change(file[name][()])
            del file[name]
            file[name] = value
            file[name].attrs.update(marks)

        return put

    with h5py.File(path) as file:
        value = file[name][()] if isinstance(file[name], h5py.Dataset) else None
    if value is None or not value.shape:
        return
    yield instead(lambda x: x[:-1])
    yield instead(lambda x: x[:0])
    yield instead(lambda x: np.zeros((3, 2, 2)))
    yield instead(lambda x: np.arange(float(len(x))))
    yield instead(lambda x: np.array([b"text"] * len(x)))
    if value.dtype.kind in "fiu":
        yield instead(lambda x: np.full_like(x, 127 if x.dtype.kind in "iu" else np.nan))


@pytest.mark.parametrize("version", ["0.2.0", "0.1.0", "old"])
@pytest.mark.parametrize("form", ["h5mu", "h5ad"])
def test_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, version: str) -> None:
    monkeypatch.setattr(hdf5, "read_apart", read_here)
    path = annotated(tmp_path, form, version)
    where, whole = path if form == "h5mu" else tmp_path, path.read_bytes()
    rightly_paired(formats.read(where, labels="kind"))
    read = refused = 0
    for name in objects(path):
        for damage in damaged(path, name):
            with h5py.File(path, "a") as file:
                damage(file)
            held = read_or_refused(where, labels="kind")
            path.write_bytes(whole)
            if held is None:
                refused += 1
                continue
            read += 1
            if "X" not in name and not name.endswith("codes") and "categories" not in name:
                rightly_paired(held)
    assert read > 5
    assert refused > 5
