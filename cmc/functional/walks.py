"""Targets of contrast that random walks among the samples of a batch find: which negatives may be positives."""

from __future__ import annotations

import torch
from torch import Tensor


def walk_targets(z: Tensor, temperature: float, steps: int, alpha: float) -> Tensor:
    r"""Where walks among rows lead, beside each row itself.

    .. math:: \alpha I + (1 - \alpha) G^{steps}, \quad G_{ij} \propto e^{-(2 - 2 \cos(z_i, z_j)) / \tau}

    Args:
        z: B x D, rows of unit length, of the whole batch.
        temperature: tau, above 0.
        steps: of the walks, at least 1.
        alpha: the weight of the row itself, from 0 to 1.

    Returns:
        B x B, rows summing to 1.

    Source: DIVIDE (Lu et al., AAAI 2024), its decoupled contrast by random walks.
    """
    step = ((2 * z @ z.T - 2) / temperature).softmax(1)
    own = torch.eye(len(z), dtype=z.dtype, device=z.device)
    walked: Tensor = torch.linalg.matrix_power(step, steps)
    return alpha * own + (1 - alpha) * walked
