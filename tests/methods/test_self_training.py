"""IDEC, DEMVC, SDMVC and MVCAN: what the naive loops (tests/fidelity) do not see."""

import math

import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.preprocessing import MinMaxScaler

from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.functional.targets import sharpen
from tests.methods.test_peers import DIMS, batch_of, build, in_phase
from tests.methods.toy import passes

SECOND = {"idec": "embed", "demvc": "embed", "sdmvc": "embed", "mvcan": "learn"}


def twins(n=90):
    """One modality twice."""
    (x, *_), index = batch_of(n)[:2]
    return Batch((x, x.clone()), index)


def begun(name, batch, *overrides, dims=DIMS, alike=False):
    """At the first epoch of the second phase."""
    method = build(name, "method.kmeans_restarts=20", *overrides, dims=dims)
    if alike:
        for p in method.autoencoders.parameters():
            p.data[1:] = p.data[:1]
    return in_phase(method, SECOND[name], batch)


def test_of_one_modality_twice_all_three_are_idec():
    batch, dims = twins(), {"a": 6, "b": 6}
    idec, demvc = (begun(name, batch, dims=dims, alike=True) for name in ("idec", "demvc"))
    torch.testing.assert_close(idec.centres, demvc.centres)
    torch.testing.assert_close(idec.targets, demvc.targets.expand(2, -1, -1))
    torch.testing.assert_close(idec.losses(batch)["target"], demvc.losses(batch)["target"])
    sdmvc = begun("sdmvc", batch, dims=dims, alike=True)
    assert torch.equal(sdmvc.targets[0].argmax(1), idec.targets[0].argmax(1)), (
        "k-means of the same codes, and its names"
    )


@pytest.mark.parametrize("name", SECOND)
def test_targets_are_fixed_between_refreshes_and_carry_no_gradient(name):
    batch = batch_of()
    method = begun(name, batch, "method.refresh_every=3")
    before = method.targets.clone()
    assert not before.requires_grad
    torch.testing.assert_close(before.sum(2), torch.ones(before.shape[:2], dtype=torch.float64))
    torch.nn.init.normal_(method.autoencoders.encoder.layers[-1].bias[0])
    with method.evaluating():
        for epoch in (1, 2):
            method.refresh(SECOND[name], epoch, passes(batch, 40))
            assert torch.equal(method.targets, before)
        method.settle(passes(batch, 40))
        assert torch.equal(method.targets, before), "evaluations change nothing"
        method.refresh(SECOND[name], 3, passes(batch, 40))
    assert not torch.equal(method.targets, before)


def test_demvcs_reference_is_the_next_modality_at_every_refresh():
    batch = batch_of()
    method = begun("demvc", batch, "method.reference=b", "method.refresh_every=2")
    with method.evaluating():
        for number, modality in enumerate((1, 2, 0, 1)):
            method.refresh("embed", 2 * number, passes(batch, 40))
            torch.testing.assert_close(method.targets[0], sharpen(method.assign_each(batch)[modality]))


@pytest.mark.parametrize("name", ["idec", "sdmvc"])
def test_modalities_begin_with_the_names_of_the_first(name):
    method = begun(name, batch := batch_of())
    clusters = method.assign_each(batch).argmax(2)
    assert (clusters == clusters[0]).double().mean() > 0.9


def test_sdmvcs_clusters_bear_the_names_that_there_are():
    method = begun("sdmvc", batch := batch_of())
    mean = method.assign(batch).argmax(1)
    assert (method.targets[0].argmax(1) == mean).double().mean() > 0.9


def test_of_six_modalities_sdmvc_clusters_columns_scaled_to_0_and_1():
    dims = dict.fromkeys("abcdef", 4)
    method = begun("sdmvc", batch := batch_of(dims=dims), dims=dims)
    joined = torch.cat(method.codes(batch), 1).detach().numpy()
    centres = KMeans(3, n_init=20, random_state=0).fit(scaled := MinMaxScaler().fit_transform(joined)).cluster_centers_
    near = 1 / (1 + ((scaled[:, None] - centres) ** 2).sum(2))
    q = near / near.sum(1, keepdims=True)
    p = q**2 / q.sum(0)
    expected = torch.from_numpy(p / p.sum(1, keepdims=True))
    order = [int((method.targets[0] - column[:, None]).abs().sum(0).argmin()) for column in expected.T]
    torch.testing.assert_close(method.targets[0][:, order], expected)


def test_aligned_is_the_share_of_samples_that_modalities_agree_on():
    method = begun("idec", batch := batch_of())
    clusters = method.assign_each(batch).argmax(2)
    assert method._notes["aligned"] == pytest.approx(sum(len(set(own)) == 1 for own in clusters.T.tolist()) / 90)


def test_mvcans_weights_are_e_of_a_good_modality_and_1_of_noise_and_equal_of_twins():
    truth, g = torch.arange(90) % 3, torch.Generator().manual_seed(0)
    blob = 5 * torch.eye(6, dtype=torch.float64)[truth] + 0.05 * torch.randn(90, 6, generator=g).double()
    batch = Batch((blob, blob.clone(), torch.randn(90, 6, generator=g).double()), torch.arange(90))
    dims = dict.fromkeys("abc", 6)
    method = build("mvcan", "method.kmeans_restarts=20", dims=dims)
    for p in method.autoencoders.parameters():
        p.data[1] = p.data[0]
    in_phase(method, "learn", batch)
    assert method.weights[0] == method.weights[1] == pytest.approx(math.e)
    assert 1 <= method.weights[2] < 1.15


def test_mvcans_targets_have_the_clusters_of_the_modality_where_both_agree():
    method = begun("mvcan", batch := batch_of())
    for names, q in zip(method.renamed, method.soft(method.codes(batch)), strict=True):
        p = torch.empty_like(q).index_copy_(1, names, method.targets[0])
        assert (p.argmax(1) == q.argmax(1)).double().mean() > 0.9
    each = method.assign_each(batch).argmax(2)
    assert (each == method.assign(batch).argmax(1)).double().mean() > 0.9, "assignments in common names"


@pytest.mark.parametrize(
    ("name", "override", "said"),
    [
        ("idec", "target=mine", r"method\.target: 'mine' given; it must be one of own, rotating, common"),
        ("demvc", "reference=d", r"method\.reference: 'd' given; it must be one of a, b, c"),
        ("sdmvc", "refresh_every=0", r"method\.refresh_every: 0 given"),
        ("mvcan", "target_weight=-1.0", r"method\.target_weight: -1\.0 given"),
        ("mvcan", "latent_dim=0", r"method\.latent_dim: 0 given"),
        ("mvcan", "kmeans_restarts=0", r"method\.kmeans_restarts: 0 given"),
        ("idec", "phases={train: {epochs: 1}}", r"method\.phases\.train: DeepEmbedded's phases are reconstruct, embed"),
    ],
)
def test_settings_out_of_range_name_their_key(name, override, said):
    override = f"+method.{override}" if override.startswith("phases") else f"method.{override}"
    with pytest.raises(UserError, match=said):
        build(name, override)
