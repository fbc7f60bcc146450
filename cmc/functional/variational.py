"""The variational bound on what a representation keeps of its input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def gaussian_kl(mean: Tensor, deviation: Tensor, of: float | None = None) -> Tensor:
    r"""Mean divergence of N(mu_i, diag(sigma_i^2)) from N(0, I), an upper bound of I(x; z).

    .. math:: \frac{1}{n} \sum_i \frac{1}{2} \sum_d (\mu_{id}^2 + \sigma_{id}^2 - 1 - 2 \log \sigma_{id})

    Args:
        mean: n x d, mu.
        deviation: n x d, sigma, above 0.
        of: what the sum over rows is divided by, where they are some of so many samples; None for n.

    Returns:
        A scalar in nats, summed over the d dimensions; 0 at (0, 1).

    Source: DMIM, the superfluous-information term; the bound is that of the variational information bottleneck
    (Alemi et al., ICLR 2017).
    """
    result: Tensor = _GaussianKL.apply(mean, deviation, of)  # type: ignore[no-untyped-call]
    return result


class _GaussianKL(torch.autograd.Function):
    """Its gradient in closed form, (mu, sigma - 1 / sigma) / n: a third of the passes over n x d."""

    generate_vmap_rule = True

    @staticmethod
    def forward(mean: Tensor, deviation: Tensor, of: float | None) -> Tensor:
        squares = torch.addcmul(mean.square(), deviation, deviation).sum(1)
        each = (squares - mean.shape[1]) / 2 - deviation.log().sum(1)
        return each.mean() if of is None else each.sum() / of

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float | None], output: Tensor) -> None:
        mean, deviation, ctx.of = inputs
        ctx.save_for_backward(mean, deviation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        mean, deviation = ctx.saved_tensors
        scale = gradient / (len(mean) if ctx.of is None else ctx.of)
        return mean * scale, (deviation - deviation.reciprocal()) * scale, None


def softmax_kl(z: Tensor, noise: Tensor, of: float | None = None) -> Tensor:
    """What the authors' release takes for the bound: KL of softmax(z) from softmax(noise), a mean over all elements.

    Args:
        z: n x d.
        noise: n x d, standard normal.
        of: as for `gaussian_kl`.

    Returns:
        A scalar in nats, averaged over the n x d elements; near 0 for any z.

    Source: DMIM, its release.
    """
    each = noise.softmax(1) * (noise.log_softmax(1) - z.log_softmax(1))
    return each.mean() if of is None else each.sum() / (of * z.shape[1])
