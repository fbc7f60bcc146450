"""The Gaussian divergence against torch.distributions and a Monte Carlo mean."""

import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from cmc.functional.variational import gaussian_kl, softmax_kl


@pytest.fixture
def gaussians():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(5, 3, dtype=torch.float64, generator=generator).requires_grad_()
    deviation = (torch.rand(5, 3, dtype=torch.float64, generator=generator) + 0.2).requires_grad_()
    return mean, deviation


def test_equals_torch_distributions_in_value_and_gradient(gaussians):
    reference = kl_divergence(Normal(*gaussians), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(gaussian_kl(*gaussians), reference)
    ours = torch.autograd.grad(gaussian_kl(*gaussians), gaussians)
    for mine, theirs in zip(ours, torch.autograd.grad(reference, gaussians), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_equals_the_mean_log_ratio_of_samples(gaussians):
    torch.manual_seed(0)
    q = Normal(*gaussians)
    z = q.sample((200_000,))
    estimate = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(2).mean()
    torch.testing.assert_close(gaussian_kl(*gaussians), estimate, rtol=1e-2, atol=1e-2)


def test_is_nothing_at_the_prior():
    assert gaussian_kl(torch.zeros(4, 2), torch.ones(4, 2)).item() == 0


def test_passes_gradcheck(gaussians):
    assert torch.autograd.gradcheck(gaussian_kl, gaussians)


def test_the_releases_divergence_is_that_of_categoricals_over_the_width(gaussians):
    z, noise = gaussians
    expected = kl_divergence(Categorical(logits=noise), Categorical(logits=z)).mean() / 3
    torch.testing.assert_close(softmax_kl(z, noise), expected)
    assert softmax_kl(z, z).item() == pytest.approx(0, abs=1e-12)
    assert torch.autograd.gradcheck(softmax_kl, gaussians)
