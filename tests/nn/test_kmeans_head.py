"""k-means as the head of a method: against scikit-learn's, modality by modality, and on codes at the ends."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch.nn import functional as F

from cmc.functional.kmeans import memberships
from cmc.nn.kmeans_head import KMeansHead

K = 4
LABELS = torch.arange(200) % K


def codes_of(spread=0.3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [
        3 * torch.randn(K, d, generator=g, dtype=torch.float64)[LABELS]
        + spread * torch.randn(200, d, generator=g, dtype=torch.float64)
        for d in (5, 3)
    ]


def fitted(codes, **settings):
    head = KMeansHead([z.shape[1] for z in codes], K, 10, 0, **settings).double()
    head.fit(codes)
    return head


def scaled(codes, scale):
    if scale == "unit":
        codes = [F.normalize(z) for z in codes]
    x = torch.cat(codes, 1)
    return (x - x.amin(0)) / (x.amax(0) - x.amin(0)) if scale == "minmax" else x


def same_partition(a, b):
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == K == len(set(a.tolist()))


@pytest.mark.parametrize("scale", ["none", "minmax", "unit"])
def test_clusters_are_scikit_learns_on_the_same_codes(scale):
    codes = codes_of(1.0)
    head, x = fitted(codes, scale=scale), scaled(codes, scale)
    reference = KMeans(K, n_init=10, random_state=1).fit(x.numpy())
    assert same_partition(head.assign(codes)[0].argmax(1), reference.labels_)
    torch.testing.assert_close(head.joined(codes), x)
    assert head.variance.item() == pytest.approx(reference.inertia_ / x.numel(), rel=1e-6)


def test_probabilities_are_those_of_normal_clusters():
    codes = codes_of(2.0)
    head = fitted(codes)
    x, p = torch.cat(codes, 1), head.assign(codes)[0]
    for i in range(0, 200, 17):
        normal = torch.distributions.Normal(head.centres, head.variance.sqrt())
        likely = normal.log_prob(x[i]).sum(1).exp()
        torch.testing.assert_close(p[i], likely / likely.sum())


def test_a_modality_alone_is_held_against_its_own_part_and_depends_on_no_other():
    codes = codes_of(2.0)
    head = fitted(codes)
    each = head.assign(codes)[1]
    for m, part in enumerate((slice(0, 5), slice(5, 8))):
        nearest = torch.cdist(codes[m], head.centres[:, part]).argmin(1)
        assert torch.equal(each[m].argmax(1), nearest)
        others = [z if i == m else torch.randn_like(z) for i, z in enumerate(codes)]
        assert torch.equal(head.assign(others)[1][m], each[m])


def test_of_samples_that_lack_modalities_those_speak_that_are_there():
    codes = codes_of(2.0)
    head = fitted(codes)
    whole, each = head.assign(codes)
    present = torch.ones(2, 200, dtype=torch.bool)
    present[0, :50] = present[1, 50:90] = False
    partly = head.assign_partly(codes, present)
    torch.testing.assert_close(partly[:50], each[1, :50])
    torch.testing.assert_close(partly[50:90], each[0, 50:90])
    torch.testing.assert_close(partly[90:], whole[90:])
    torch.testing.assert_close(whole, F.normalize(each.prod(0), p=1.0), msg="modalities' logarithms add up")


@pytest.mark.parametrize("scale", ["none", "minmax", "unit"])
@pytest.mark.parametrize("kind", ["zeros", "alike", "a constant column", "K rows", "far away", "tiny"])
def test_codes_at_the_ends_leave_finite_probabilities(kind, scale):
    codes = codes_of()
    codes = {
        "zeros": [torch.zeros_like(z) for z in codes],
        "alike": [z[:1].expand(200, -1) for z in codes],
        "a constant column": [torch.cat([z[:, :1] * 0 + 7, z], 1) for z in codes],
        "K rows": [z[:K] for z in codes],
        "far away": [z + 1e6 for z in codes],
        "tiny": [1e-30 * z for z in codes],
    }[kind]
    head = fitted(codes, scale=scale)
    for p in (*head.assign(codes)[1], head.assign(codes)[0]):
        assert p.isfinite().all()
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-9)


def test_memberships_without_variance_are_the_nearest_centres():
    p = memberships(torch.tensor([[3.0, 1.0, 2.0], [5.0, 5.0, 9.0]]), torch.tensor(0.0))
    assert torch.equal(p, torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]))


def test_weights_multiply_scaled_codes_and_do_not_add_up_over_fits():
    codes, weights = codes_of(), torch.tensor([2.5, 0.5])
    plain, head = fitted(codes, scale="minmax"), fitted(codes, scale="minmax")
    for _ in range(2):
        head.fit(codes, weights)
        expected = plain.joined(codes) * torch.tensor([2.5] * 5 + [0.5] * 3)
        torch.testing.assert_close(head.joined(codes), expected)
