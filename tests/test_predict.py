"""``python -m cmc.predict``: the run's own clusters for held-out rows, missing modalities, forms, one-line mistakes."""

import csv
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet
import pytest
import torch

from cmc import predict
from cmc.data.loader import Batch
from cmc.inference.trained import load
from tests.inference.test_trained import METHODS, features_of

NAMES = ("modality_0", "modality_1")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", params=METHODS)
def trained(request, finished_runs):
    return load(finished_runs[request.param])


@pytest.fixture(scope="module")
def features(trained):
    return features_of(trained)


@pytest.fixture
def predicted(commanded, trained, tmp_path):
    """Label arrays, or a file or folder; returns the table."""
    numbers = itertools.count()

    def call(data, *more):
        n = next(numbers)
        root = data if isinstance(data, Path) else tmp_path / f"new{n}.npz"
        if isinstance(data, dict):
            np.savez(root, **data)
        out = tmp_path / f"out{n}.csv"
        status, _, line = commanded(predict, f"run={trained.folder}", f"data.root={root}", f"out={out}", *more)
        assert status == 0, line
        return rows(out)

    return call


def test_held_out_rows_get_the_clusters_that_the_run_wrote_for_them(trained, features, predicted):
    written = rows(trained.folder / "assignments_holdout.csv")
    held = [int(row["index"]) for row in written]
    assert len(held) == 30
    table = predicted({name: x[held] for name, x in features.items()} | {"labels": np.arange(30) % 3})
    assert [row["cluster"] for row in table] == [row["cluster"] for row in written]
    assert [row["confidence"] for row in table] == [row["confidence"] for row in written]
    assert [int(row["index"]) for row in table] == list(range(30))
    assert [row["label"] for row in table] == [str(i % 3) for i in range(30)]


def test_without_other_data_the_runs_own_are_labelled(trained, commanded, tmp_path):
    status, _, line = commanded(predict, f"run={trained.folder}", "probabilities=true", f"out={tmp_path / 'own.csv'}")
    assert status == 0, line
    table = {row["index"]: row for row in rows(tmp_path / "own.csv")}
    assert len(table) == 150
    for part in ("", "_holdout"):
        for row in rows(trained.folder / f"assignments{part}.csv"):
            found = table.pop(row["index"])
            rounded = {"confidence", "confidence_calibrated", "margin"}
            assert {key: found[key] for key in row.keys() - rounded} == {key: row[key] for key in row.keys() - rounded}
            assert all(float(found[key]) == pytest.approx(float(row[key]), abs=2e-6) for key in rounded)
            probabilities = [float(found[f"probability_{k}"]) for k in range(3)]
            assert int(np.argmax(probabilities)) == int(row["cluster"])
            assert max(probabilities) == pytest.approx(float(row["confidence"]), abs=1e-6)
            second, first = sorted(probabilities)[-2:]
            assert float(row["margin"]) == pytest.approx(first - second, abs=2e-6)
    assert not table


@pytest.mark.parametrize("method", METHODS)
def test_held_out_rows_of_a_run_in_mixed_precision_too(method, tiny_run, finished_runs, commanded, tmp_path):
    report = tiny_run("trainer.precision=bf16-mixed", "data.holdout=0.2", "data.scaling=standard", method=method)
    assert report["precision"] == "bf16-mixed"
    run, other = tmp_path / "run", finished_runs[method]
    drawn = np.load(run / "embeddings_holdout.npy")
    assert not np.array_equal(drawn, np.load(other / "embeddings_holdout.npy")), "it was trained as in float32"
    trained, written = load(run), rows(run / "assignments_holdout.csv")
    held = {name: x[[int(row["index"]) for row in written]] for name, x in features_of(trained).items()}
    np.savez(tmp_path / "held.npz", **held)
    assert commanded(predict, "run=run", "data.root=held.npz", "out=held.csv")[0] == 0
    table = rows(tmp_path / "held.csv")
    assert [row["cluster"] for row in table] == [row["cluster"] for row in written]
    assert [row["confidence"] for row in table] == [row["confidence"] for row in written]
    assert torch.cat(list(trained.embed(held))).numpy().tobytes() == drawn.tobytes()


def own_assignments(trained, features):
    """M x N x K, of a forward pass over everything at once."""
    scaled = tuple(trained.scaler(name, torch.from_numpy(x).float()) for name, x in features.items())
    with torch.no_grad():
        return trained.method.assign_each(Batch(scaled, torch.arange(len(scaled[0]))))


def probabilities(table):
    return torch.tensor([[float(row[f"probability_{k}"]) for k in range(3)] for row in table])


@pytest.mark.parametrize("absent", [0, 1])
def test_a_modality_missing_for_all_leaves_the_other_s_assignments(trained, features, predicted, absent):
    there = NAMES[1 - absent]
    table = predicted({there: features[there]}, "probabilities=true")
    expected = own_assignments(trained, features)[1 - absent]
    torch.testing.assert_close(probabilities(table), expected, atol=2e-6, rtol=0)
    assert [int(row["cluster"]) for row in table] == expected.argmax(1).tolist()
    named = predicted(features, "probabilities=true", f"missing=[{NAMES[absent]}]")
    assert named == table


def test_a_modality_missing_for_some_is_missing_for_these(trained, features, predicted):
    some = dict(features)
    gone = np.arange(150) % 3 == 0
    some[NAMES[1]] = np.where(gone[:, None], np.nan, features[NAMES[1]])
    table = probabilities(predicted(some, "probabilities=true"))
    each = own_assignments(trained, features)
    torch.testing.assert_close(table[gone], each[0][gone], atol=2e-6, rtol=0)
    torch.testing.assert_close(table[~gone], each[:, ~gone].mean(0), atol=2e-6, rtol=0)


def test_every_form_and_name_of_the_same_data_is_labelled_the_same(trained, features, predicted, tmp_path):
    expected = predicted(features)
    a, b = features.values()
    (folder := tmp_path / "npy").mkdir()
    for name, x in features.items():
        np.save(folder / f"{name}.npy", x)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.update(features)
    assert predicted(folder) == expected
    assert predicted(tmp_path / "x.h5") == expected
    assert predicted({"view_0": a, "view_1": b}) == expected, "anonymous: by order"
    assert predicted({NAMES[1]: b, NAMES[0]: a}) == expected, "by name"
    assert predicted({"txt": b, "img": a}, "data.features=[img,txt]") == expected, "told"
    assert predicted({NAMES[0]: a, "txt": b}, f"data.features=[{NAMES[0]},txt]") == expected, "told in part"
    assert predicted({NAMES[0]: a.T, NAMES[1]: b.T}) == expected, "samples are columns"
    assert predicted({**features, "more": a}) == expected, "what is not of the run is not used"
    few = predicted({NAMES[0]: a[:1], NAMES[1]: b[:1]})
    assert [row["cluster"] for row in few] == [expected[0]["cluster"]]


def test_parquet_holds_what_csv_holds(trained, features, commanded, tmp_path):
    np.savez(tmp_path / "new.npz", **features, labels=np.repeat(["cat", "dog"], 75))
    words = [f"run={trained.folder}", "data.root=new.npz", "probabilities=true"]
    for suffix in ("csv", "parquet"):
        assert commanded(predict, *words, f"out=new.{suffix}")[0] == 0
    text, table = rows(tmp_path / "new.csv"), pyarrow.parquet.read_table(tmp_path / "new.parquet")
    assert table.column_names == list(text[0])
    assert [str(field.type) for field in table.schema] == [
        *["int64", "int64", "float", "float", "float", "int64", "int64", "string"],
        *["float"] * 3,
    ]
    for one, other in zip(text, table.to_pylist(), strict=True):
        for key, value in other.items():
            assert one[key] == (f"{value:.6f}" if isinstance(value, float) else str(value))


def test_by_default_it_lies_in_the_run_s_folder_and_is_never_overwritten(finished_runs, commanded, tmp_path):
    run = shutil.copytree(finished_runs["cmmc"], tmp_path / "run")
    np.savez(tmp_path / "new.npz", **features_of(load(run)))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    status, out, _ = commanded(predict, "run=run", "data.root=new.npz")
    assert (status, out) == (0, "run/predictions.csv: 150 samples, K = 3\n")
    written = (run / "predictions.csv").read_bytes()
    status, _, line = commanded(predict, "run=run", "data.root=new.npz", "missing=[modality_1]")
    assert status == 2
    assert line.startswith("out: run/predictions.csv is there already")
    assert (run / "predictions.csv").read_bytes() == written
    assert {path: path.read_bytes() for path in before} == before


@pytest.fixture(scope="module")
def a_and_b():
    return np.random.default_rng(0).normal(size=(20, 6)), np.random.default_rng(1).normal(size=(20, 5))


def spoil(x, row, column=slice(None), value=np.nan):
    x = x.copy()
    x[row, column] = value
    return x


WRONG = {
    "width": (lambda a, b: {NAMES[0]: a, NAMES[1]: b[:, :4]}, [], r"modality 'modality_1' has width 4, .* has 5$"),
    "part of a row": (
        lambda a, b: {NAMES[0]: a, NAMES[1]: spoil(b, 7, 2)},
        [],
        r"'modality_1', row 7, column 2 is nan: .*NaN in the whole row",
    ),
    "infinite": (
        lambda a, b: {NAMES[0]: spoil(a, 3, 1, 1e39), NAMES[1]: b},
        [],
        r"'modality_0', row 3, column 1 is 1e\+39",
    ),
    "nothing": (
        lambda a, b: {NAMES[0]: spoil(a, [3, 9]), NAMES[1]: spoil(b, [2, 9])},
        [],
        r"row 9 has no modality at all; leave that sample out$",
    ),
    "rows": (
        lambda a, b: {NAMES[0]: a, NAMES[1]: b[:19]},
        [],
        r"numbers of rows differ \('modality_0' 20, 'modality_1' 19\)",
    ),
    "a stranger": (
        lambda a, b: {NAMES[0]: a, "txt": b},
        [],
        r"'txt' is no modality of the run, and 'modality_1' is not there; .*data\.features=\[modality_0,txt\]",
    ),
    "strangers": (
        lambda a, b: {"img": a, "txt": b},
        [],
        r"holds 'img' 20 x 6, 'txt' 20 x 5, but the run knows 'modality_0' \(6\)",
    ),
    "one of a series": (
        lambda a, b: {"view_0": a},
        [],
        r"holds 'view_0' 20 x 6, but the run knows .*data\.features=\[\.\.\.\]",
    ),
    "too many": (lambda a, b: {"view_0": a, "view_1": b, "view_2": b}, [], r"holds 'view_0' .*'view_2'"),
    "text": (lambda a, b: {NAMES[0]: a.astype(str), NAMES[1]: b}, [], r"modality 'modality_0' is 20 x 6 of <U"),
    "all missing": (lambda a, b: {NAMES[0]: a}, ["missing=[modality_0]"], r"no modality is left"),
    "unknown missing": (lambda a, b: {NAMES[0]: a}, ["missing=[txt]"], r"^missing: no modality 'txt'; the run has"),
    "missing no list": (
        lambda a, b: {NAMES[0]: a},
        ["missing=txt"],
        r"^missing: 'txt' given; it must be a list of names",
    ),
    "unknown feature": (
        lambda a, b: {NAMES[0]: a},
        ["data.features=[im]"],
        r"data\.features names 'im', which is not in it",
    ),
    "labels": (lambda a, b: {NAMES[0]: a, NAMES[1]: b, "labels": np.arange(7)}, [], r"7 labels for 20 samples"),
    "key": (
        lambda a, b: {NAMES[0]: a},
        ["probabilites=true"],
        r"^probabilites: no such key; did you mean probabilities\?$",
    ),
    "data key": (lambda a, b: {NAMES[0]: a}, ["data.rot=3"], r"^data\.rot: no such key; did you mean data\.root\?$"),
    "method": (lambda a, b: {NAMES[0]: a}, ["method=dmim"], r"^method: no such key; known: data, "),
    "suffix": (
        lambda a, b: {NAMES[0]: a},
        ["out=x.txt"],
        r"^out: x\.txt given; its name must end in \.csv or \.parquet$",
    ),
    "folder": (lambda a, b: {NAMES[0]: a}, ["out=/proc/x.csv"], r"/proc/x\.csv.*; out=FILE writes elsewhere$"),
    "root": (
        lambda a, b: {},
        ["data.root=nowhere.npz"],
        r"^data\.root: nowhere\.npz: there is no such file or folder$",
    ),
    "no root": (lambda a, b: {}, ["data.root=null", "data.labels=y"], r"^data\.labels: given without data\.root"),
    "raw and root": (lambda a, b: {NAMES[0]: a}, ["data.raw=."], r"^data\.raw: given beside data\.root; give one"),
    "raw": (lambda a, b: {}, ["data.root=null", "data.raw=no"], r"^data\.raw: no: there is no such file or folder$"),
    "run": (lambda a, b: {NAMES[0]: a}, ["run=nowhere"], r"^run: nowhere is no run folder: it has no config\.yaml$"),
    "no run": (lambda a, b: {NAMES[0]: a}, ["run=null"], r"^run: not given; name the folder of a finished run"),
    "device": (lambda a, b: {NAMES[0]: a}, ["device=tpu9"], r"^device 'tpu9' is not there"),
    "probabilities": (
        lambda a, b: {NAMES[0]: a},
        ["probabilities=3"],
        r"^probabilities: 3 given; it must be true or false$",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_mistake_is_one_line_and_leaves_no_file(wrong, finished_runs, commanded, a_and_b, tmp_path):
    arrays, more, message = WRONG[wrong]
    np.savez(tmp_path / "new.npz", **arrays(*a_and_b))
    words = {"run": str(finished_runs["dmim"]), "data.root": "new.npz", "out": "out.csv"}
    words |= dict(word.split("=", 1) for word in more)
    status, out, line = commanded(predict, *(f"{key}={value}" for key, value in words.items()))
    assert (status, out) == (2, "")
    assert re.search(message, line), line
    assert [path.name for path in tmp_path.iterdir()] == ["new.npz"]


def test_parquet_without_its_package_says_what_to_install(finished_runs, commanded, tmp_path, monkeypatch):
    np.savez(tmp_path / "new.npz", modality_0=np.ones((4, 6)))
    monkeypatch.setattr("cmc.runs.tables.find_spec", lambda name: None)
    words = [f"run={finished_runs['dmim']}", "data.root=new.npz", "out=x.parquet"]
    status, _, line = commanded(predict, *words)
    assert (status, line) == (2, "out: Parquet needs pyarrow: pip install 'cmc[parquet]', or give x.csv")


PEAKS = r"""
import re, sys
from pathlib import Path
from cmc.data import modalities
from cmc.inference import inputs
from cmc.data.datasets.files import Files
from cmc.inference.predict import predict
from cmc.inference.trained import load

def kib(field):
    return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])

inputs.CHECKED_AT_ONCE = modalities.CHECKED_AT_ONCE = 2**18  # reached at both sizes
trained, own = load(sys.argv[1], device="cpu"), []
for folder in map(Path, sys.argv[2:]):
    for root, out in (("x.h5", "x.parquet"), ("npy", "x.csv")):
        files = Files(str(folder / root))
        given = inputs.read(files, trained.dims)
        predict(trained, given, folder / out, True, advance=lambda n: own.append(kib("RssAnon")))
        del files, given  # and their mapping, before the next is read
    print(kib("VmHWM"), max(own))
"""


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    """N -> a folder with N samples as ``.h5`` and as ``.npy`` files."""
    folders = {}
    for n in (32_768, 262_144):
        folders[n] = tmp_path_factory.mktemp(str(n))
        arrays = {name: np.full((n, d), 0.5, np.float32) for name, d in zip(NAMES, (6, 5), strict=True)}
        (folders[n] / "npy").mkdir()
        for name, x in arrays.items():
            np.save(folders[n] / "npy" / f"{name}.npy", x)
        with h5py.File(folders[n] / "x.h5", "w") as file:
            file.update(arrays)
    return folders


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's memory there")
def test_memory_does_not_grow_with_the_samples(finished_runs, sizes):
    """The peak of a whole process, torch's memory with it: but for pages of the mapped file, which are the kernel's.

    ``ru_maxrss`` would begin with the peak of the process that started this one.
    """
    words = [sys.executable, "-c", PEAKS, str(finished_runs["dmim"]), *map(str, sizes.values())]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    few, many = (np.array(line.split(), dtype=int) / 2**10 for line in done.stdout.splitlines())
    less, more = (folder.joinpath("x.h5").stat().st_size / 2**20 for folder in sizes.values())
    whole, own = many - few
    assert whole < more - less + 3, "MiB, 13 bytes a sample"
    assert own < 3
    for n, folder in sizes.items():
        assert len((folder / "x.csv").read_text().splitlines()) == n + 1
        assert pyarrow.parquet.read_metadata(folder / "x.parquet").num_rows == n


LIST_MODULES = """
import sys
from cmc.{0} import main

sys.argv = ["{0}", *{1!r}]
try:
    main()
finally:
    print(*sorted({{name.split(".")[0] for name in sys.modules}}), file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["rum=x"], 2), (["run=x"], 2)])
def test_help_and_mistakes_load_nothing_heavy(command, arguments, status, tmp_path):
    script = LIST_MODULES.format(command, arguments)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == status, done.stderr
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "omegaconf" in loaded
    assert not loaded & {"torch", "pytorch_lightning", "sklearn", "matplotlib", "wandb", "scipy", "pyarrow"}
