"""CMMC's objectives against the same written out by hand, its pseudo labels, and runs cut in every phase."""

from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from torch.nn import functional as F

from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.functional.contrastive import cluster_contrast, cluster_imbalance, cluster_products, nt_xent
from cmc.methods import cmmc
from cmc.methods.cmmc import CMMC
from cmc.methods.cmmc_released import ReleasedCMMC
from tests.methods.toy import passes

PHASES = {name: {"epochs": 1} for name in ("reconstruct", "contrast", "align")}
SMALL = {"hidden": (10,), "latent_dim": 7, "feature_dim": 5, "kmeans_restarts": 3}


def build(dims=(6, 5), phases=PHASES, kind=CMMC, **settings):
    torch.manual_seed(0)
    names = {f"m{i}": d for i, d in enumerate(dims)}
    return kind(names, 3, phases, lambda p: torch.optim.Adam(p, lr=1e-3), **{**SMALL, **settings}).double()


def batch_of(dims=(6, 5), n=12):
    generator = torch.Generator().manual_seed(1)
    rows = tuple(torch.rand(n, d, dtype=torch.float64, generator=generator) for d in dims)
    return Batch(rows, torch.arange(n))


def in_phase(method, name):
    """Make ``name`` the present phase."""
    method.schedule.phases = tuple(phase for phase in method.schedule.phases if phase.name == name)
    return method


def each_by_itself(networks, rows):
    """What the networks of `SideBySide` make of their rows, one modality and one layer after the other."""
    results = []
    for m, x in enumerate(rows):
        for i, layer in enumerate(networks.layers):
            x = F.linear(F.relu(x) if i else x, layer.weight[m], layer.bias[m])
        results.append(x)
    return results


def codes(method, batch):
    return each_by_itself(method.network.autoencoders.encoder, batch.modalities)


@pytest.mark.parametrize("dims", [(6, 5), (6, 5, 4)])
def test_reconstruct_is_the_mean_squared_error_summed_over_modalities(dims):
    method, batch = in_phase(build(dims), "reconstruct"), batch_of(dims)
    losses = method.losses(batch)
    decoded = each_by_itself(method.network.autoencoders.decoder, codes(method, batch))
    expected = sum(((y - x) ** 2).mean() for y, x in zip(decoded, batch.modalities, strict=True))
    assert list(losses) == ["reconstruction"]
    torch.testing.assert_close(losses["reconstruction"], expected)


@pytest.mark.parametrize("dims", [(6, 5), (6, 5, 4), (3, 3, 3, 3)])
def test_contrast_sums_over_all_pairs(dims):
    method, batch = in_phase(build(dims), "contrast"), batch_of(dims)
    h = [F.normalize(method.network.feature_head(z), dim=1) for z in codes(method, batch)]
    q = [torch.softmax(method.network.cluster_head(z), 1) for z in codes(method, batch)]
    losses = method.losses(batch)
    assert set(losses) == {"reconstruction", "feature_contrast", "label_contrast", "imbalance"}
    torch.testing.assert_close(losses["feature_contrast"], sum(nt_xent(a, b, 0.5) for a, b in combinations(h, 2)))
    torch.testing.assert_close(
        losses["label_contrast"], sum(cluster_contrast(cluster_products(a, b), 1.0) for a, b in combinations(q, 2))
    )
    torch.testing.assert_close(losses["imbalance"], sum(map(cluster_imbalance, q)))


def test_the_release_counts_imbalance_once_a_pair():
    dims = (6, 5, 4)
    batch = batch_of(dims)
    ours = in_phase(build(dims), "contrast").losses(batch)["imbalance"]
    released = in_phase(build(dims, kind=ReleasedCMMC), "contrast").losses(batch)["imbalance"]
    torch.testing.assert_close(released, 2 * ours)


@pytest.mark.parametrize(("kind", "softmaxes"), [(CMMC, 1), (ReleasedCMMC, 2)])
def test_align_is_cross_entropy_against_each_modalitys_own_pseudo_labels(kind, softmaxes):
    method, batch = in_phase(build(kind=kind), "align"), batch_of()
    method.pseudo_labels = torch.stack([torch.arange(12) % 3, torch.arange(12) // 4])
    expected = 0.0
    for m, z in enumerate(codes(method, batch)):
        p = method.network.cluster_head(z)
        for _ in range(softmaxes):
            p = torch.softmax(p, 1)
        expected = expected - torch.stack([p[i, y].log() for i, y in enumerate(method.pseudo_labels[m])]).mean()
    torch.testing.assert_close(method.losses(batch)["alignment"], expected)


def test_align_trains_neither_decoders_nor_feature_head():
    method, batch = in_phase(build(), "align"), batch_of()
    method.pseudo_labels = torch.zeros(2, 12, dtype=torch.long)
    method.losses(batch)["alignment"].backward()
    assert all(p.grad is None for p in method.network.autoencoders.decoder.parameters())
    assert all(p.grad is None for p in method.network.feature_head.parameters())
    assert all(p.grad.abs().sum() > 0 for p in method.network.autoencoders.encoder.parameters())


def test_pseudo_labels_are_kmeans_on_scaled_features_in_the_numbers_of_q():
    method, batch = build(kmeans_restarts=20), batch_of(n=60)
    with method.evaluating():
        method.refresh("align", 0, passes(batch, 25))
        latent = codes(method, batch)
        for m, z in enumerate(latent):
            h = F.normalize(method.network.feature_head(z), dim=1).numpy()
            scaled = (h - h.min(0)) / (h.max(0) - h.min(0))
            reference = KMeans(3, n_init=20, random_state=1).fit_predict(scaled)
            q = method.network.cluster_head(z).argmax(1).numpy()
            mine = method.names[m][method.pseudo_labels[m].long()].numpy()
            pairs = set(zip(mine.tolist(), reference.tolist(), strict=True))
            assert len(pairs) == 3, "the same partition under other numbers"
            best = max((np.array(p)[reference] == q).sum() for p in permutations(range(3)))
            assert (mine == q).sum() == best


def test_beyond_a_number_of_samples_kmeans_sees_evenly_spaced_ones(monkeypatch):
    monkeypatch.setattr(cmmc, "_KMEANS_ROWS", 20)
    method, batch = build(kmeans_restarts=20), batch_of(n=58)
    spaced = np.linspace(0, 57, 20).astype(int)
    with method.evaluating():
        method.refresh("align", 0, passes(batch, 7))
        for m, z in enumerate(codes(method, batch)):
            h = F.normalize(method.network.feature_head(z), dim=1).numpy()
            low, high = h[spaced].min(0), h[spaced].max(0)
            reference = KMeans(3, n_init=20, random_state=1).fit((h[spaced] - low) / (high - low))
            expected = reference.predict((h - low) / (high - low))
            pairs = set(zip(method.pseudo_labels[m].tolist(), expected.tolist(), strict=True))
            assert len(pairs) == 3


def test_pseudo_labels_are_made_once_and_matched_to_q_in_every_epoch():
    method, batch = build(), batch_of(n=30)
    with method.evaluating():
        method.refresh("contrast", 0, passes(batch, 100))
        assert method.pseudo_labels.shape == (2, 0)
        method.refresh("align", 0, passes(batch, 7))
        kept = method.pseudo_labels
        for epoch, order in enumerate(permutations(range(3)), start=1):
            method.network.cluster_head.weight.data = method.network.cluster_head.weight[list(order)]
            method.network.cluster_head.bias.data = method.network.cluster_head.bias[list(order)]
            method.refresh("align", epoch, passes(batch, 7))
            for m, z in enumerate(codes(method, batch)):
                q, own = method.network.cluster_head(z).argmax(1), method.pseudo_labels[m].long()
                best = max(int((torch.tensor(p)[own] == q).sum()) for p in permutations(range(3)))
                assert int((method.names[m][own] == q).sum()) == best
    assert method.pseudo_labels is kept


def test_of_matchings_that_are_as_good_the_released_takes_that_of_q_as_rows():
    table = torch.tensor([[0, 2, 2], [2, 1, 1], [2, 1, 1]])  # pseudo label x q: two matchings have a sum of 5
    assert (
        table[[0, 1, 2], build()._named(table)].sum() == table[[0, 1, 2], build(kind=ReleasedCMMC)._named(table)].sum()
    )
    rows, columns = linear_sum_assignment(table.max().item() - table.T.numpy())
    expected = dict(zip(columns.tolist(), rows.tolist(), strict=True))
    found = build(kind=ReleasedCMMC)._named(table)
    assert {own: int(found[own]) for own in range(3)} == expected


def test_assign_is_the_mean_over_modalities():
    method, batch = build(), batch_of()
    expected = sum(torch.softmax(method.network.cluster_head(z), 1) for z in codes(method, batch)) / 2
    torch.testing.assert_close(method.assign(batch), expected)


def test_both_kinds_of_assignments_take_one_pass():
    method, batch, passes_seen = build(), batch_of(), []
    hook = method.network.autoencoders.encoder.register_forward_hook(lambda *_: passes_seen.append(1))
    together, each = method.assignments(batch)
    assert len(passes_seen) == 1
    hook.remove()
    assert torch.equal(together, method.assign(batch))
    assert torch.equal(each, method.assign_each(batch))
    assert method.embed(batch).shape == (12, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_temperature": 0.0}, r"method\.feature_temperature: 0\.0 given"),
        ({"label_temperature": -1.0}, r"method\.label_temperature: -1\.0 given"),
        ({"phases": {"pretrain": {"epochs": 1}}}, r"method\.phases\.pretrain: CMMC's phases are reconstruct"),
        ({"phases": {"contrast": {"epochs": 1, "chunk_size": 4}}}, r"method\.phases\.contrast\.chunk_size: 4 given"),
    ],
)
def test_settings_out_of_range_name_their_key(settings, message):
    with pytest.raises(UserError, match=message):
        build(**settings)


def test_published_sizes():
    """Encoder d-500-500-2000-512 and its mirror for each modality, heads 512-128 and 512-K: counted by hand."""
    d, k = 784, 10
    method = CMMC({"a": d, "b": d}, k, PHASES, torch.optim.Adam)
    widths = [d, 500, 500, 2000, 512]
    encoder = sum(a * b + b for a, b in pairwise(widths))
    decoder = sum(a * b + b for a, b in pairwise(widths[::-1]))
    assert sum(p.numel() for p in method.parameters()) == 2 * (encoder + decoder) + 513 * 128 + 513 * k
