"""Assignments of samples that lack modalities."""

from __future__ import annotations

import torch
from torch import Tensor

from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.methods.base import Method


def assign_present(method: Method, batch: Batch, present: Tensor) -> tuple[Tensor, Tensor | None]:
    """Assignment probabilities of samples that lack modalities, B x K, and those of each modality, M x B x K.

    Args:
        method: in evaluation mode.
        batch: finite numbers stand in the place of what is not there; they change nothing.
        present: M x B, true where a sample has a modality; every sample has one.

    Returns:
        Of a sample with all of the method's ``inputs`` what ``assign`` says, of another what ``assign_partly`` does, or
        the mean of ``assign_each`` over the modalities that are there; and ``assign_each``, None where a method has
        none.

    Raises:
        UserError: one of ``inputs`` is missing, and the method has no assignments of each modality.
    """
    whole = has_inputs(method, present)
    if whole.all():
        return method.assignments(batch)
    each, partly = method.assign_each(batch), method.assign_partly(batch, present)
    if partly is None:
        if each is None:
            raise _incomplete(method, int(batch.index[~whole.cpu()][0]))
        partly = each.masked_fill(~present[:, :, None], 0).sum(0) / present.sum(0)[:, None]
    return torch.where(whole[:, None], method.assign(batch), partly), each


def has_inputs(method: Method, present: Tensor) -> Tensor:
    """Of M x B, true where a sample has a modality: B, true where it has all of the method's ``inputs``."""
    return present[[method.modalities.index(name) for name in method.inputs]].all(0)


def _incomplete(method: Method, row: int) -> UserError:
    read, gap = f"all modalities together ({', '.join(method.inputs)})", "one of them"
    if len(method.inputs) == 1:
        read, gap = f"{method.inputs[0]} alone", "it"
    return UserError(f"{type(method).__name__} assigns from {read}; row {row} lacks {gap}: give data where none does")
