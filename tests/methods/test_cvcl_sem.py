"""CVCL and SEM: what the naive loops (tests/fidelity) do not see."""

import math

import pytest
import torch
from torch.nn import functional as F

from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.functional.contrastive import cluster_contrast, cluster_products, nt_xent
from cmc.functional.targets import sharpen
from tests.methods.test_peers import batch_of, build, in_phase
from tests.methods.toy import ToyData, passes

DIMS = {"a": 6, "b": 5}


def test_cvcl_is_cluster_contrast_of_sharpened_assignments():
    method = in_phase(build("cvcl", dims=DIMS), "contrast")
    batch = batch_of(dims=DIMS)
    a, b = (sharpen(x) for x in method.assign_each(batch))
    expected = 0.01 * cluster_contrast(cluster_products(a, b), 1.0)
    torch.testing.assert_close(method.losses(batch)["label_contrast"], expected)


def test_cvcls_targets_carry_gradients():
    """Those of the contrast with the sharpened assignments held fixed are none."""
    method = in_phase(build("cvcl", dims=DIMS), "contrast")
    method.losses(batch_of(dims=DIMS))["label_contrast"].backward()
    assert all(p.grad.abs().sum() > 0 for p in method.cluster_head.parameters())


def test_cvcls_head_is_two_linear_layers_with_nothing_between():
    method, z = build("cvcl"), torch.rand(7, 8).double()
    first, second = method.cluster_head
    logits = z @ (second.weight @ first.weight).T + second.weight @ first.bias + second.bias
    torch.testing.assert_close(method._assigned(z), logits.softmax(1))


def test_cvcl_refuses_batches_of_fewer_samples_than_clusters():
    data = ToyData(30, scaling="minmax")
    data.load()
    with pytest.raises(UserError, match=r"method\.batch_size: 2 samples a batch given; CVCL compares 3 clusters"):
        build("cvcl", "method.batch_size=2", dims={"a": 4, "b": 3}).accept(data)


def sem(*overrides, dims=DIMS):
    method = in_phase(build("sem", *overrides, dims=dims), "contrast")
    return method, batch_of(dims=dims)


def test_sem_with_weights_of_one_is_twice_the_sum_over_pairs():
    method, batch = sem(dims={"a": 6, "b": 5, "c": 4})
    method.pulls = 1 - torch.eye(3, dtype=torch.float64)
    z = method.codes(batch)
    expected = 2 * sum(nt_xent(z[a], z[b], 1.0) for a, b in ((0, 1), (0, 2), (1, 2)))
    torch.testing.assert_close(method.losses(batch)["feature_contrast"], expected)


def test_sems_pairs_of_a_modality_with_itself_have_weight_e_minus_1():
    method, batch = sem()
    with method.evaluating():
        method.refresh("contrast", 0, passes(batch, 40))
    whole = method.losses(batch)["feature_contrast"]
    method.self_pairs = False
    own = sum(nt_xent(z, z, 1.0) for z in method.codes(batch))
    torch.testing.assert_close(whole - method.losses(batch)["feature_contrast"], (math.e - 1) * own)


def test_sems_weights_fall_to_0_for_a_modality_of_noise_and_stay_for_a_round():
    truth, g = torch.arange(90) % 3, torch.Generator().manual_seed(0)
    blob = 5 * F.one_hot(truth, 6).double()
    noise = torch.randn(90, 5, generator=g).double()
    batch = Batch((blob + 0.1 * torch.randn(90, 6, generator=g), blob[:, :4] * 2, noise), truth)
    method, _ = sem("method.refresh_every=5", "method.kmeans_restarts=20", dims={"a": 6, "b": 4, "c": 5})
    with method.evaluating():
        method.refresh("contrast", 0, passes(batch, 40))
        assert method.pulls[0, 1].item() == pytest.approx(math.e - 1)
        assert method.pulls[0, 2] < 0.15
        before = method.pulls.clone()
        torch.nn.init.normal_(method.autoencoders.encoder.layers[-1].weight)
        for epoch in range(1, 5):
            method.refresh("contrast", epoch, passes(batch, 40))
            assert torch.equal(method.pulls, before)
        method.refresh("contrast", 5, passes(batch, 40))
        assert not torch.equal(method.pulls, before)


@pytest.mark.parametrize(
    ("name", "override", "said"),
    [
        ("sem", "temperature=0.0", r"method\.temperature: 0\.0 given"),
        ("sem", "refresh_every=0", r"method\.refresh_every: 0 given"),
        ("sem", "reconstruction_weight=-1.0", r"method\.reconstruction_weight: -1\.0 given"),
        ("sem", "seed=-1", r"method\.seed: -1 given"),
        ("cvcl", "temperature=-1.0", r"method\.temperature: -1\.0 given"),
        ("cvcl", "balance_weight=-1.0", r"method\.balance_weight: -1\.0 given"),
        ("autoencoder", "scale_codes=l1", r"method\.scale_codes: 'l1' given; it must be one of none, minmax, unit"),
        ("autoencoder", "latent_dim=0", r"method\.latent_dim: 0 given"),
        (
            "autoencoder",
            "phases={train: {epochs: 1}}",
            r"method\.phases\.train: autoencoder's one phase is reconstruct",
        ),
        ("cvcl", "phases={train: {epochs: 1}}", r"method\.phases\.train: CVCL's phases are reconstruct, contrast"),
    ],
)
def test_settings_out_of_range_name_their_key(name, override, said):
    override = f"+method.{override}" if override.startswith("phases") else f"method.{override}"
    with pytest.raises(UserError, match=said):
        build(name, override)
