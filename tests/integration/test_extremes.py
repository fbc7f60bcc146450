"""Features at the ends of what numbers can be: every run ends with finite results, or with one line."""

import csv

import numpy as np
import pytest
import torch

from cmc import run as command
from cmc.data.datasets.arrays import Arrays
from cmc.data.modalities import Modalities
from cmc.data.scaling import Scaler
from cmc.data.sources import Mapped, Resident
from cmc.errors import UserError
from cmc.training.fit import fit
from tests.conftest import SMALL

N, K = 40, 3
TRUTH = np.arange(N) % K
BASELINES = ("kmeans", "spectral", "cca", "agglomerative", "gmm")


def plain(dtype=np.float64):
    rng = np.random.default_rng(0)
    return {name: (TRUTH[:, None] + 0.3 * rng.normal(size=(N, d))).astype(dtype) for name, d in (("a", 6), ("b", 5))}


def each(change, dtype=np.float64):
    return {name: change(x) for name, x in plain(dtype).items()}


def with_(**changed):
    """Plain features of which some are others."""
    return {**plain(np.float32), **{name: change(plain(np.float32)[name]) for name, change in changed.items()}}


def columns(x, **values):
    x = x.copy()
    for column, value in values.items():
        x[:, int(column[1:])] = value
    return x


def one_huge_cluster(x):
    rng = np.random.default_rng(1)
    x = x[:1] + 1e-3 * rng.normal(size=x.shape)
    x[:6] = 100 * rng.normal(size=(6, x.shape[1]))
    return x


INPUTS = {
    "1e30": each(lambda x: (x * 1e30).astype(np.float32)),
    "near the end of float32": each(lambda x: (x / abs(x).max() * 3.4e38).astype(np.float32)),
    "one number of 1e30": with_(a=lambda x: np.where(np.arange(6 * N).reshape(N, 6) == 9, np.float32(1e30), x)),
    "denormal": each(lambda x: (abs(x) * 1e-40).astype(np.float32)),
    "tiny": each(lambda x: x * 1e-20),
    "constant columns": with_(a=lambda x: columns(x, c1=7), b=lambda x: columns(x, c0=0, c2=1e10)),
    "a column of rounding errors": with_(a=lambda x: columns(x, c1=np.float32(1e30) * (1 + 1e-7 * (TRUTH == 1)))),
    "two distinct samples": each(lambda x: x[np.arange(N) % 2]),
    "zeros": with_(b=np.zeros_like),
    "one constant modality": with_(b=lambda x: np.full_like(x, 5)),
    "as many samples as clusters": each(lambda x: x[:K]),
    "one huge cluster": each(one_huge_cluster),
    "far from 0": each(lambda x: x + 1e8),
    "far from 0, float32": each(lambda x: (100 * x + 1e8).astype(np.float32)),
    "large integers": each(lambda x: (10 * x).astype(np.int64) + 10**11),
    "bytes": each(lambda x: np.clip(100 * x, 0, 255).astype(np.uint8)),
    "truth values": each(lambda x: x > 1),
    "half precision": plain(np.float16),
    "the other byte order": plain(">f8"),
    "long double": plain(np.longdouble),
    "width 1": each(lambda x: x[:, :1]),
}
REFUSED = {
    ("none", "1e30"): "whose square float32 cannot hold",
    ("none", "near the end of float32"): "whose square float32 cannot hold",
    ("none", "one number of 1e30"): "whose square float32 cannot hold",
    ("none", "denormal"): "whose square float32 cannot hold",
    ("none", "tiny"): "whose square float32 cannot hold",
    ("none", "large integers"): "float32 loses what tells samples apart",
    ("none", "far from 0"): "float32 loses what tells samples apart",
    ("l2", "far from 0"): "float32 loses what tells samples apart",
    ("l2", "large integers"): "float32 loses what tells samples apart",
    ("cca", "as many samples as clusters"): "correlates with anything",
    ("spectral", "as many samples as clusters"): "method.n_neighbors: 10 given for 3 samples",
}


@pytest.fixture
def ends(composed, tmp_path):
    """Train on features; every number that the run leaves behind."""

    def train(method, features, scaling="auto", *more, **settings):
        several = ["method.batch_size=16", "max_phase_epochs=2"] if method not in BASELINES else []
        config = composed(
            f"method={method}", *SMALL[method], *several, "trainer.accelerator=cpu", "~callbacks.figures",
            "~callbacks.progress", "evaluate_every=1", *more,
        )  # fmt: skip
        data = Arrays(Modalities(features, source="X"), scaling=scaling, n_clusters=K, **settings)
        report = fit(config, str(tmp_path), data=data)
        numbers = [np.load(tmp_path / "embeddings.npy").ravel(), list(report["label_free"].values())]
        for name in ("assignments.csv", "history.csv"):
            with (tmp_path / name).open(newline="") as file:
                rows = list(csv.DictReader(file))
            numbers += [[float(text) for key, text in row.items() if text and key != "phase"] for row in rows]
        checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
        numbers += [x.double().ravel().numpy() for x in checkpoint["state_dict"].values()]
        return np.concatenate(numbers)

    return train


def check(ends, method, name, scaling="auto", **settings):
    if said := REFUSED.get((scaling, name)) or REFUSED.get((method, name)):
        with pytest.raises(UserError, match=said) as caught:
            ends(method, INPUTS[name], scaling, **settings)
        assert "\n" not in str(caught.value)
    else:
        assert np.isfinite(ends(method, INPUTS[name], scaling, **settings)).all()


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_a_run_ends_with_finite_results_or_one_line(ends, method, name):
    check(ends, method, name)


@pytest.mark.parametrize("scaling", ["none", "l2", "standard", "minmax"])
@pytest.mark.parametrize("name", ["1e30", "denormal", "zeros", "far from 0", "large integers", "one huge cluster"])
@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_under_every_scaling(ends, method, name, scaling):
    check(ends, method, name, scaling)


@pytest.mark.parametrize(
    "name", ["near the end of float32", "zeros", "constant columns", "two distinct samples",
             "as many samples as clusters", "one huge cluster"]
)  # fmt: skip
@pytest.mark.parametrize("method", BASELINES)
def test_baselines_too(ends, method, name):
    check(ends, method, name)


@pytest.mark.parametrize("name", ["near the end of float32", "constant columns", "two distinct samples", "zeros"])
@pytest.mark.parametrize("method", ["autoencoder", "comvc", "completer", "cvcl", "sem"])
def test_peers_too(ends, method, name):
    check(ends, method, name)


@pytest.mark.parametrize(("method", "said"), [("simvc", "there are but 3 samples"), ("cvcl", "scaling l2"),
                                              ("completer", "scaling standard")])  # fmt: skip
def test_what_peers_cannot_do_is_refused_in_one_line(ends, method, said):
    scaling = said.partition("scaling ")[2] or "auto"
    features = {name: x - x.mean() for name, x in INPUTS["as many samples as clusters"].items()}
    with pytest.raises(UserError, match=said) as caught:
        ends(method, features, scaling, *([] if method == "simvc" else ["method.output=relu"]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["near the end of float32", "denormal", "far from 0"])
def test_from_disk_too(ends, name):
    check(ends, "dmim", name, "standard", in_memory=False)


@pytest.mark.parametrize("scaling", ["auto", "none", "l2", "standard", "minmax"])
def test_samples_that_are_all_the_same_are_refused(ends, scaling):
    with pytest.raises(UserError, match="all samples are the same in every modality: there is nothing to cluster"):
        ends("cmmc", each(lambda x: np.repeat(x[:1], N, 0)), scaling)


def test_a_modality_that_tells_nothing_apart_is_named(ends, caplog):
    ends("dmim", INPUTS["zeros"])
    assert "modality 'b' is the same in every sample" in caplog.text


def test_gradients_beyond_float32_stop_the_run(ends):
    """Finite losses, finite parameters, but squares of gradients that are infinite: nothing would move again."""
    with pytest.raises(UserError, match=r"the optimiser's exp_avg_sq holds inf: gradients are beyond float32"):
        ends("cmmc", each(lambda x: x * 1e13), "none")


def test_a_last_batch_of_fewer_samples_than_clusters_is_refused(ends):
    for size, left in ((13, 1), (19, 2)):
        said = (
            rf"method\.batch_size: {size} given; of 40 samples that leaves {left} for the last batch, fewer than the 3"
        )
        with pytest.raises(UserError, match=said):
            ends("dmim", plain(), "auto", f"method.batch_size={size}", "method.drop_last=false")
    assert np.isfinite(ends("dmim", plain(), "auto", "method.batch_size=14", "method.drop_last=false")).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_the_command_names_a_number_that_is_none(commanded, tmp_path, value):
    features = plain()
    features["b"][7, 2] = value
    np.savez(tmp_path / "x.npz", **features)
    status, _, line = commanded(command, "data=files", f"data.root={tmp_path / 'x.npz'}", "data.n_clusters=3")
    assert status == 2
    assert f"modality 'b', row 7, column 2 is {value}: give finite numbers within float32's range" in line


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("scaling", ["minmax", "standard", "l2"])
def test_scaled_features_are_those_of_exact_arithmetic(name, scaling):
    """Against the same formula in long double, in memory and from disk."""
    if said := REFUSED.get((scaling, name)):
        with pytest.raises(UserError, match=said):
            Scaler().fit(INPUTS[name], None, scaling)
        return
    scaler = Scaler().fit(INPUTS[name], None, scaling)
    rows = torch.arange(len(INPUTS[name]["a"]))
    for kind in (Resident, Mapped):
        taken = kind(INPUTS[name], None, scaler).take(rows)
        for stored, x in zip(INPUTS[name].values(), taken, strict=True):
            np.testing.assert_allclose(x.numpy(), exactly(stored.astype(np.longdouble), scaling), rtol=0, atol=2e-6)


def exactly(x, scaling):
    if scaling == "l2":
        length = np.sqrt((x**2).sum(1, keepdims=True))
        return x / np.where(length > 0, length, 1)
    shift, spread = (x.min(0), np.ptp(x, axis=0)) if scaling == "minmax" else (x.mean(0), x.std(0))
    constant = np.ptp(x, axis=0) <= np.finfo(np.float32).eps * abs(x.min(0)) * (abs(x.max(0)) > 1e29)
    return np.where(constant, 0, (x - shift) / np.where(constant, 1, spread))


def test_a_sample_far_from_the_training_data_is_named_where_it_is_assigned(finished_runs, tmp_path):
    from cmc.inference.trained import load

    trained = load(finished_runs["cmmc"])
    features = {name: np.random.default_rng(0).random((9, d)).astype(np.float32) for name, d in trained.dims.items()}
    list(trained.assign(features))
    features[next(iter(features))][4] = 3e38
    with pytest.raises(UserError, match="row 4 lies so far from the training data that its assignment is no number"):
        list(trained.assign(features))
