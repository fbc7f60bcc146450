"""The estimator: scikit-learn's own checks, the command's labels bit for bit, and nothing left behind."""

import copy
import csv
import json
import pickle
import subprocess
import sys
import tempfile
import threading

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_clustering, check_estimator

import cmc.run
from cmc import CrossModalClustering, evaluate, predict
from tests.conftest import compose_with

DIMS = {"img": 6, "txt": 5}
SMALL = {
    "dmim": {"width": 8, "restarts": 2, "overcluster_factor": 2, "refresh_every": 1},
    "cmmc": {"hidden": [16], "latent_dim": 8, "feature_dim": 4, "kmeans_restarts": 2},
}


def make(method="dmim", **more):
    return CrossModalClustering(method, **{"n_clusters": 3, "max_phase_epochs": 2, **SMALL[method], **more})


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    centre = np.arange(90) % 3
    return {name: rng.normal(size=(3, d))[centre] + 0.1 * rng.normal(size=(90, d)) for name, d in DIMS.items()}


@pytest.fixture(scope="module", params=SMALL)
def fitted(request, X):
    return make(request.param).fit(X)


AT_LEAST_TWO = "it sets n_clusters=1, and there must be at least 2"
EXPECTED = {
    "check_dont_overwrite_parameters": AT_LEAST_TWO,
    "check_methods_subset_invariance": f"{AT_LEAST_TWO}; tests/inference/test_trained.py holds it",
    "check_fit2d_predict1d": AT_LEAST_TWO,
    "check_clustering": "two epochs are too few to find its blobs; passed below with more",
}


def test_scikit_learn_s_own_checks():
    quick = CrossModalClustering("dmim_released", 3, widths=[1, -1], max_phase_epochs=2)
    results = check_estimator(quick, expected_failed_checks=EXPECTED, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(EXPECTED)
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}
    assert len(results) > 45


def test_scikit_learn_s_check_of_clusterers():
    """A row of one column has no direction, so that rows are not scaled to unit length."""
    model = CrossModalClustering("dmim", 3, widths=[1, -1], max_phase_epochs=60, unit_rows=False, restarts=1)
    check_clustering("CrossModalClustering", model)


def rows(path):
    with path.open(newline="") as file:
        return [[int(row["index"]), int(row["cluster"])] for row in csv.DictReader(file)]


@pytest.mark.parametrize("method", SMALL)
@pytest.mark.parametrize("more", [{}, {"data__holdout": 0.2, "data__scaling": "standard", "optimizer__lr": 1e-3}])
def test_the_command_ends_with_the_same_labels_bit_for_bit(method, more, X, tmp_path):
    from cmc.training.fit import train

    np.savez(tmp_path / "x.npz", **X)
    (folder := tmp_path / "run").mkdir()
    settings = {**SMALL[method], **more}
    words = [
        f"{'' if key.startswith('data') else 'method.'}{key.replace('__', '.')}={v}" for key, v in settings.items()
    ]
    words += [f"method={method}", "data=files", f"data.root={tmp_path / 'x.npz'}", "data.n_clusters=3", "seed=5"]
    train(compose_with(*words, "max_phase_epochs=2", "~callbacks.figures"), str(folder))
    model = make(method, random_state=5, **more).fit(X)
    files = [folder / "assignments.csv", *folder.glob("assignments_holdout.csv")]
    written = np.array(sorted(row for file in files for row in rows(file)))
    np.testing.assert_array_equal(written[:, 0], np.arange(90))
    np.testing.assert_array_equal(model.labels_, written[:, 1])
    embeddings = [np.load(folder / f"embeddings{part}.npy") for part in (["", "_holdout"] if more else [""])]
    order = np.argsort([row[0] for file in files for row in rows(file)])
    assert model.embedding_.tobytes() == np.concatenate(embeddings)[order].tobytes()


def test_it_finds_clusters_and_is_the_same_again(X):
    model = CrossModalClustering("dmim", 3, max_phase_epochs=30, restarts=2)
    labels = model.fit_predict(X)
    truth = np.arange(90) % 3
    assert adjusted_rand_score(truth, labels) > 0.9
    assert model.score(X, np.array(["cat", "dog", "fox"])[truth]) > 0.9
    assert np.array_equal(clone(model).fit(X).labels_, labels)
    assert model.report_["scores"] is None, "labels are no part of the training"


def test_prediction_agrees_with_what_fitting_left(fitted, X):
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (90, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(1), fitted.labels_)
    np.testing.assert_allclose(fitted.confidence_, probabilities.max(1), atol=1e-6)
    np.testing.assert_allclose(fitted.confidence_calibrated_, fitted.predict_confidence(X), atol=1e-6)
    assert not np.allclose(fitted.confidence_calibrated_, fitted.confidence_, atol=1e-3)
    np.testing.assert_array_equal(fitted.transform(X), fitted.embedding_)
    assert fitted.n_features_in_ == 11


def test_every_form_of_the_same_x_gives_the_same_labels(fitted, X):
    a, b = X.values()
    for other in ([a, b], (a, b), {"txt": b, "img": a}, [torch.from_numpy(a), torch.from_numpy(b)], np.hstack([a, b])):
        np.testing.assert_array_equal(fitted.predict(other), fitted.labels_)
    method = fitted.method
    same = [make(method).fit([a, b]), make(method, widths=[6, -1]).fit(np.hstack([a, b]))]
    for model in same:
        assert model.embedding_.tobytes() == fitted.embedding_.tobytes()


def test_modalities_may_be_missing_after_fitting(fitted, X):
    only = fitted.predict_proba({"img": X["img"]})
    np.testing.assert_array_equal(fitted.predict_proba([X["img"], None]), only)
    some = np.where((np.arange(90) % 2 == 0)[:, None], np.nan, X["txt"])
    mixed = fitted.predict_proba({"img": X["img"], "txt": some})
    np.testing.assert_allclose(mixed[::2], only[::2], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(mixed[1::2], fitted.predict_proba(X)[1::2], rtol=1e-5, atol=1e-7)
    embedded = fitted.transform({"img": X["img"]})
    assert np.isfinite(embedded).all()
    both = fitted.transform({"img": X["img"], "txt": some})
    np.testing.assert_allclose(both[::2], embedded[::2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both[1::2], fitted.transform(X)[1::2], rtol=1e-5, atol=1e-6)


def test_it_pickles_and_saves_itself_whole(fitted, X, tmp_path):
    saved = tmp_path / "saved"
    fitted.save(saved)
    loaded = CrossModalClustering.load(saved)
    for number, other in enumerate([pickled(fitted), copy.deepcopy(fitted), loaded, pickled(pickled(loaded))]):
        np.testing.assert_array_equal(other.predict_proba(X), fitted.predict_proba(X))
        np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
        np.testing.assert_array_equal(other.labels_, fitted.labels_)
        np.testing.assert_array_equal(other.embedding_, fitted.embedding_)
        assert other.n_features_in_ == 11
        other.save(again := tmp_path / str(number))
        assert content(again) == content(saved)
    assert clone(loaded).fit(X).embedding_.tobytes() == fitted.embedding_.tobytes()
    with pytest.raises(ValueError, match="something is there already"):
        fitted.save(saved)


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def content(folder):
    """The files of a run folder, but for the checkpoint, whose zip archive is written anew."""
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_it_keeps_its_weights_and_nothing_that_trains_them(X, tmp_path):
    model = make("cmmc", hidden=[300]).fit(X)
    weights = sum(x.numel() * x.element_size() for x in model._trained.method.state_dict().values())
    assert weights > 50_000
    whole = pickle.dumps(model)
    assert len(whole) < 2 * weights
    assert b"exp_avg" not in whole, "Adam's moments"
    model.save(tmp_path / "saved")
    kept = torch.load(tmp_path / "saved" / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(kept) == {"state_dict", "data"}


def test_a_method_of_a_trusted_package_comes_back_from_its_pickle(X, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("from cmc.methods import CMMC\n\n\nclass Mine(CMMC):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    model = make("cmmc").fit(X)
    model.save(tmp_path / "saved")
    settings = tmp_path / "saved" / "config.yaml"
    settings.write_text(settings.read_text().replace("cmc.methods.CMMC", "mine.Mine"))
    with pytest.raises(ValueError, match=r"add trust=\[mine\]"):
        CrossModalClustering.load(tmp_path / "saved")
    other = pickled(CrossModalClustering.load(tmp_path / "saved", trust=["mine"]))
    assert type(other._trained.method).__name__ == "Mine"
    np.testing.assert_array_equal(other.predict(X), model.labels_)


def test_what_it_saves_is_no_run_to_go_on_with(fitted, commanded, tmp_path):
    fitted.save(tmp_path / "saved")
    before = content(tmp_path / "saved")
    assert commanded(cmc.run, "resume=saved")[::2] == (
        2,
        "resume: saved holds a trained model alone, no state of its training; train again",
    )
    left = content(tmp_path / "saved")
    assert {name: left[name] for name in before} == before


def test_a_run_of_the_command_is_saved_again_file_by_file(finished_runs, tmp_path):
    """With labels, and with samples held out."""
    pickled(CrossModalClustering.load(finished_runs["dmim"])).save(tmp_path / "saved")
    saved, run = content(tmp_path / "saved"), content(finished_runs["dmim"])
    assert {"assignments_holdout.csv", "embeddings_holdout.npy", "history.csv"} <= saved.keys()
    assert saved == {name: run[name] for name in saved}


def test_what_it_saves_is_a_run_folder_of_the_commands(fitted, X, commanded, tmp_path):
    fitted.save(tmp_path / "saved")
    np.savez(tmp_path / "x.npz", **X, labels=np.arange(90) % 3)
    assert commanded(predict, "run=saved", "data.root=x.npz", "out=x.csv")[0] == 0
    assert [cluster for _, cluster in rows(tmp_path / "x.csv")] == fitted.labels_.tolist()
    assert commanded(evaluate, "run=saved", "data=files", "data.root=x.npz")[0] == 0
    scores = json.loads((tmp_path / "saved" / "evaluation.json").read_text())["scores"]
    assert scores["acc"] == pytest.approx(fitted.score(X, np.arange(90) % 3))
    status, _, line = commanded(evaluate, "run=saved")
    assert (status, line[:30]) == (2, "data: the run was given arrays")


def test_a_run_of_the_command_loads(finished_runs):
    model = CrossModalClustering.load(finished_runs["cmmc"])
    assert model.get_params()["hidden"] == [16]
    assert model.get_params()["data__holdout"] == 0.2
    assert model.get_params()["data__scaling"] == "standard"
    held = np.array(rows(finished_runs["cmmc"] / "assignments_holdout.csv"))
    assert len(model.labels_) == 150
    np.testing.assert_array_equal(model.labels_[held[:, 0]], held[:, 1])
    with pytest.raises(ValueError, match="no run folder"):
        CrossModalClustering.load("nowhere")


def test_parameters_are_those_of_the_yaml_and_survive_cloning():
    model = CrossModalClustering("cmmc", 4, hidden=[8], phases__contrast__epochs=7, trainer__precision="bf16-mixed")
    copy = clone(model).set_params(n_clusters=5, feature_dim=3)
    assert copy.get_params() == {**model.get_params(), "n_clusters": 5, "feature_dim": 3}
    assert "phases__contrast__epochs=7" in repr(model)
    config = copy._configuration(None)
    assert config.method.phases.contrast.epochs == 7
    assert (config.method.hidden, config.method.feature_dim) == ([8], 3)
    assert (config.trainer.precision, config.data.n_clusters) == ("bf16-mixed", 5)
    assert config.method.phases.align.epochs == compose_with("method=cmmc").method.phases.align.epochs


def test_wrong_x_is_a_value_error(fitted, X):
    a, b = X.values()
    for wrong, message in [
        ([a], r"number of modalities is 1"),
        (a, r"X is one matrix; give widths=\[\.\.\.\]"),
        ([a, b[:9]], r"'view_0' has 90 rows, modality 'view_1' has 9"),
        ([a, np.full_like(b, np.nan)], r"modality 'view_1' is NaN in every row"),
    ]:
        with pytest.raises(ValueError, match=message):
            make().fit(wrong)
    with pytest.raises(ValueError, match=r"widths: \[6, 4\] given, for 11 columns"):
        make(widths=[6, 4]).fit(np.hstack([a, b]))
    for wrong, message in [
        ([a, b[:, :4]], r"modality 'txt' has width 4, but the run's has 5"),
        ([a], r"X has 1 modalities, the model 2"),
        ({"img": a, "text": b}, r"no modality 'text'; the model knows 'img', 'txt'"),
        ({}, r"no modality is left"),
        (np.hstack([a, a]), r"X has 12 features, but CrossModalClustering is expecting 11"),
    ]:
        with pytest.raises(ValueError, match=message):
            fitted.predict(wrong)
    for unfitted in ("predict", "predict_proba", "transform"):
        with pytest.raises(NotFittedError):
            getattr(make(), unfitted)(X)
    with pytest.raises(NotFittedError):
        make().save("nowhere")


def test_k_is_the_number_of_classes_where_it_is_not_given(X):
    y = np.array(["cat", "dog", "fox", "owl"])[np.arange(90) % 4]
    assert make(n_clusters=None).fit(X, y).predict_proba(X).shape == (90, 4)


def test_it_leaves_no_trace(X, tmp_path, monkeypatch, capfd, recwarn):
    monkeypatch.chdir(tmp_path)
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    pickle.loads(pickle.dumps(make().fit(X))).predict(X)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
    assert not list(scratch.iterdir())
    make(verbose=True).fit(X)
    assert "nothing to score" in capfd.readouterr().out


def test_it_trains_in_a_thread(X):
    model = make()
    thread = threading.Thread(target=model.fit, args=(X,))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(model.labels_, make().fit(X).labels_)


def test_random_states_of_scikit_learn_are_taken(X):
    one, other, third = (make(random_state=s).fit(X) for s in (np.random.RandomState(0), np.random.RandomState(0), 7))
    assert np.array_equal(one.embedding_, other.embedding_)
    assert not np.array_equal(one.embedding_, third.embedding_)


def test_it_works_in_pipelines_and_searches(X):
    whole = np.hstack(list(X.values()))
    model = make(widths=[6, 5])
    labels = make_pipeline(StandardScaler(), model).fit_predict(whole)
    assert labels.shape == (90,)
    search = GridSearchCV(model, {"gamma": [0.1, 0.3]}, cv=2).fit(whole, np.arange(90) % 3)
    assert set(search.cv_results_["param_gamma"]) == {0.1, 0.3}
    assert search.best_estimator_.gamma == search.best_params_["gamma"]


def test_importing_cmc_loads_nothing_heavy():
    script = "import cmc, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "sklearn", "hydra", "numpy"} & set(loaded)
    with pytest.raises(ImportError):
        from cmc import Nothing  # noqa: F401
