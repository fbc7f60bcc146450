"""Deep divergence-based clustering: three terms of assignments and of a kernel between the samples of a batch.

Kampffmeyer et al., "Deep divergence-based approach to clustering", Neural Networks 2019; as SiMVC and CoMVC take them
(Trosten et al., CVPR 2021). Every function is one of the *global* batch.
"""

from __future__ import annotations

from torch import Tensor


def ddc_kernel(h: Tensor, relative_width: float = 0.15) -> Tensor:
    r"""Gaussian kernel between rows, :math:`e^{-|h_i - h_j|^2 / 2 \sigma^2}`, whose width follows the rows' distances.

    Args:
        h: B x D.
        relative_width: sigma^2, in multiples of the median of all B^2 squared distances; no gradient passes through it.

    Returns:
        B x B; the same for c h as for h, for any c.

    Source: SiMVC, section 3.2.
    """
    length = h.square().sum(1)
    squares = (length[:, None] + length - 2 * h @ h.T).clamp_min(0)
    variance = (relative_width * squares.detach().flatten().median()).clamp_min(1e-9)
    return (-squares / (2 * variance)).exp()


def cauchy_schwarz(a: Tensor, kernel: Tensor) -> Tensor:
    r"""How much clusters overlap, by the Cauchy-Schwarz divergence of their densities: a mean over pairs of clusters.

    .. math:: \frac{a_k^T K a_l}{\sqrt{a_k^T K a_k \; a_l^T K a_l}}

    Args:
        a: B x K weights of samples in clusters, not negative.
        kernel: B x B.

    Returns:
        A scalar: 1 where the kernel tells no samples apart, about 0 where clusters are blocks of it.

    Source: SiMVC, the first term of its loss on assignments, the third on `corner_closeness`.
    """
    products = a.T @ kernel @ a
    own = products.diagonal()
    ratios = products.clamp_min(1e-9) / (own[:, None] * own).clamp_min(1e-18).sqrt()
    k = len(own)
    return ratios.triu(1).sum() * 2 / (k * (k - 1))


def overlap(a: Tensor) -> Tensor:
    """The mean inner product of two samples' assignments, over pairs of samples; made of sums alone.

    Args:
        a: B x K, B at least 2.

    Returns:
        A scalar: 1/K for uniform assignments, 1 where all samples are in one cluster.

    Source: SiMVC, the second term of its loss.
    """
    n = len(a)
    return (a.sum(0).square().sum() - a.square().sum()) / (n * (n - 1))


def corner_closeness(a: Tensor) -> Tensor:
    r"""How near assignments are to the corners of the simplex, :math:`e^{-|a_i - e_k|^2}`.

    Args:
        a: B x K.

    Returns:
        B x K.

    Source: SiMVC, of which its loss's third term is made.
    """
    return (2 * a - 1 - a.square().sum(1, keepdim=True)).exp()
