"""``python -m cmc.evaluate``: the run's own scores again, other data, missing modalities; nothing else is written."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score

from cmc import evaluate
from cmc.data.datasets.synthetic import Synthetic
from cmc.data.loader import Batch
from cmc.inference.trained import load
from tests.conftest import SMALL, TINY, compose_with
from tests.inference.test_trained import METHODS


@pytest.fixture
def evaluated(commanded, tmp_path):
    """Score a run; returns ``evaluation.json`` and what was printed."""

    def call(run, *more):
        status, out, line = commanded(evaluate, f"run={run}", "out=scores", *more)
        assert status == 0, line
        return json.loads((tmp_path / "scores" / "evaluation.json").read_text()), out

    return call


@pytest.mark.parametrize("method", METHODS)
def test_a_run_s_own_scores_come_out_again(method, finished_runs, evaluated):
    run = finished_runs[method]
    first = json.loads((run / "metrics.json").read_text())
    again, out = evaluated(run)
    for key in ("scores", "holdout", "label_free", "method", "data", "seed"):
        assert again[key] == first[key], key
    assert (again["own_data"], again["n_samples"], again["missing"]) == (True, 120, {})
    assert f"{first['scores']['acc']:.4f}" in out
    assert f"{first['holdout']['nmi']:.4f}" in out
    assert "held-out samples" in out


def test_it_is_written_beside_the_run_and_leaves_the_rest_alone(finished_runs, commanded, tmp_path):
    run = shutil.copytree(finished_runs["cmmc"], tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert commanded(evaluate, "run=run")[0] == 0
    assert {path.name for path in run.rglob("*") if path.is_file()} - {p.name for p in before} == {"evaluation.json"}
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def accuracy(labels, clusters):
    table = confusion_matrix(labels, clusters)
    return table[linear_sum_assignment(-table)].sum() / len(labels)


@pytest.mark.parametrize("method", METHODS)
def test_other_data_are_scored_under_the_training_scaling(method, finished_runs, evaluated):
    trained = load(finished_runs[method])
    report, out = evaluated(trained.folder, "data.generator_seed=7", "data.n_samples=90")
    assert (report["own_data"], report["n_samples"]) == (False, 90)
    assert "other samples" in out
    assert "holdout" not in report
    data = Synthetic(n_samples=90, dims=[6, 5], n_clusters=3, generator_seed=7).read()
    rows = tuple(trained.scaler(name, torch.from_numpy(x).float()) for name, x in data.features.items())
    with torch.no_grad():
        clusters = trained.method.assign(Batch(rows, torch.arange(90))).argmax(1).numpy()
    assert report["scores"]["acc"] == pytest.approx(accuracy(data.labels, clusters))
    assert report["scores"]["nmi"] == pytest.approx(normalized_mutual_info_score(data.labels, clusters))
    assert report["scores"]["ari"] == pytest.approx(adjusted_rand_score(data.labels, clusters))


def test_without_a_modality_the_others_are_scored(finished_runs, evaluated):
    trained = load(finished_runs["dmim"])
    report, _ = evaluated(trained.folder, "missing=[modality_1]")
    assert report["missing"] == {"modality_1": 150}
    assert report["label_free"] is None
    settings = {key: value for key, value in trained.config.data.items() if key != "_target_"}
    data = Synthetic(**settings).read()
    with (trained.folder / "assignments_holdout.csv").open() as file:
        held = [int(line.split(",")[0]) for line in file.readlines()[1:]]
    rows = tuple(trained.scaler(name, torch.from_numpy(x[held]).float()) for name, x in data.features.items())
    with torch.no_grad():
        clusters = trained.method.assign_each(Batch(rows, torch.arange(30)))[0].argmax(1).numpy()
    assert report["holdout"]["acc"] == pytest.approx(accuracy(data.labels[held], clusters))
    assert report["scores"] != json.loads((trained.folder / "metrics.json").read_text())["scores"]


@pytest.fixture(scope="module")
def on_files(tmp_path_factory):
    """A finished run on a file, whose data have moved since."""
    from cmc.training.fit import train

    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    truth = np.arange(90) % 3
    arrays = {name: truth[:, None] + rng.normal(size=(90, 4)) for name in ("img", "txt")}
    np.savez(folder / "x.npz", **arrays, labels=truth)
    (folder / "run").mkdir()
    words = ["method=dmim", *SMALL["dmim"], *(w for w in TINY if not w.startswith("data")), "~callbacks.figures"]
    train(compose_with(*words, "data=files", f"data.root={folder / 'x.npz'}"), str(folder / "run"))
    (folder / "x.npz").rename(folder / "moved.npz")
    return folder


def test_data_that_moved_or_changed(on_files, evaluated, commanded, tmp_path):
    run = on_files / "run"
    status, _, line = commanded(evaluate, f"run={run}", "out=scores")
    assert status == 2
    assert "x.npz: there is no such file or folder" in line
    first = json.loads((run / "metrics.json").read_text())
    again, _ = evaluated(run, f"data.root={on_files / 'moved.npz'}")
    assert (again["own_data"], again["scores"]) == (True, first["scores"])
    arrays = dict(np.load(on_files / "moved.npz"))
    np.savez(tmp_path / "anonymous.npz", view_0=arrays["img"], view_1=arrays["txt"], labels=arrays["labels"])
    again, _ = evaluated(run, "data.root=anonymous.npz")
    assert (again["own_data"], again["scores"]) == (False, first["scores"])
    arrays["txt"][::2] = np.nan
    np.savez(tmp_path / "some.npz", **arrays)
    again, _ = evaluated(run, "data.root=some.npz")
    assert again["missing"] == {"txt": 45}
    del arrays["labels"], arrays["txt"]
    np.savez(tmp_path / "unlabelled.npz", **arrays)
    again, out = evaluated(run, "data.root=unlabelled.npz")
    assert again["scores"] is None
    assert "no labels, nothing to score" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=digits"], r"holds 'left' 1797 x 32, 'right' .*but the run knows 'modality_0' \(6\)"),
        (["data=digitz"], r"^data=digitz: no such data; there are .*; did you mean digits\?$"),
        (["data=files"], r"^data\.root is not given"),
        (["data.dims=[6,7]"], r"modality 'modality_1' has width 7, but the run's has 5$"),
        (["data.n_sample=9"], r"^data\.n_sample: no such key; did you mean data\.n_samples\?$"),
        (["mising=[a]"], r"^mising: no such key; did you mean missing\?$"),
        (["missing=[a]"], r"^missing: no modality 'a'; the run has 'modality_0' \(6\), 'modality_1' \(5\)$"),
        (["data._target_=os.system"], r"^data: names os\.system, and files may name classes of cmc alone"),
        (["out=/proc/x"], r"/proc/x.*; out=FOLDER writes elsewhere$"),
        (["run=nowhere"], r"^run: nowhere is no run folder"),
        (["run=null"], r"^run: not given"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(words, message, finished_runs, commanded, tmp_path):
    words = [f"run={finished_runs['cmmc']}", "out=scores", *words]
    words = [
        word for i, word in enumerate(words) if word.split("=")[0] not in {w.split("=")[0] for w in words[i + 1 :]}
    ]
    status, out, line = commanded(evaluate, *words)
    assert (status, out) == (2, "")
    assert re.search(message, line), line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chosen", [None, "[a,b,c]"])
def test_the_runs_own_files_are_known_as_such_without_a_modality(evaluated, tmp_path, chosen):
    """Where training and held-out samples are still told apart."""
    from cmc.training.fit import train

    rng, labels = np.random.default_rng(0), np.arange(60) % 3
    np.savez(tmp_path / "x.npz", labels=labels, **{name: rng.normal(size=(60, 4)) + labels[:, None] for name in "abc"})
    (tmp_path / "run").mkdir()
    given = ["data=files", f"data.root={tmp_path / 'x.npz'}", *([f"data.features={chosen}"] if chosen else [])]
    small = ["method=dmim", *SMALL["dmim"], "experiment=smoke", "trainer.accelerator=cpu", "callbacks.figures=null"]
    first = train(compose_with(*given, *small, "data.holdout=0.2"), str(tmp_path / "run"))
    report, out = evaluated(tmp_path / "run", "missing=[b]")
    assert (report["own_data"], report["n_samples"], report["missing"]) == (True, 48, {"b": 60})
    assert report["fingerprint"] == first["features"]["fingerprint"]
    assert report["holdout"] is not None
    assert "held-out samples" in out
    left, _ = evaluated(tmp_path / "run", "missing=[a,c]")
    assert left["missing"] == {"a": 60, "c": 60}
