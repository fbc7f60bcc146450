"""What is done about samples that lack modalities, and modalities taken away as the incomplete protocol does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.modalities import Modalities
from cmc.errors import UserError

INCOMPLETE = ("use", "drop", "refuse")


def settled(data: Modalities, incomplete: str) -> Modalities:
    """The data with samples that lack modalities kept (``use``), left out (``drop``) or refused (``refuse``).

    Raises:
        UserError: they are refused; fewer than two samples are left.
    """
    if data.present is None or incomplete == "use":
        return data
    whole = np.asarray(data.present.all(1))
    if incomplete == "refuse":
        row = int(np.argmin(whole))
        name = [*data.features][int(np.argmin(data.present[row]))]
        raise UserError(
            f"{data.source or 'data'}: {int((~whole).sum())} of {len(whole)} samples lack a modality, such as row "
            f"{row}, which lacks {name!r}, and data.incomplete=refuse; give use, or drop to train on the others"
        )
    if whole.sum() < 2:
        raise UserError(
            f"{data.source or 'data'}: data.incomplete=drop leaves {int(whole.sum())} of {len(whole)} samples, for the "
            "others lack a modality; give use"
        )
    remark = f"{int((~whole).sum())} of {len(whole)} samples lack a modality, and are left out"
    return _rows(data, np.flatnonzero(whole), remark)


def _rows(data: Modalities, rows: NDArray[np.intp], remark: str) -> Modalities:
    place = np.full(data.n_samples, -1)
    place[rows] = np.arange(len(rows))
    held = None if data.held_out is None else place[data.held_out]
    return dataclasses.replace(
        data,
        features={name: array[rows] for name, array in data.features.items()},
        labels=None if data.labels is None else data.labels[rows],
        ids=None if data.ids is None else data.ids[rows],
        captions=None if data.captions is None else [data.captions[row] for row in rows.tolist()],
        held_out=None if held is None else held[held >= 0],
        remarks=(*data.remarks, remark),
    )


def take_away(features: Mapping[str, NDArray[Any]], share: float, seed: int) -> dict[str, NDArray[Any]]:
    """Take modalities away from a share of the samples, as papers on incomplete data do.

    The samples are drawn at random. Each keeps some of its modalities, at least one and not all; of all such choices
    each is as likely. Samples that lack some already are drawn as others are, where they have two left at least.

    Args:
        features: modality -> N x d; copied, as numbers that may be NaN.
        share: of the samples, from 0 to 1.
        seed: of the draws, which depend on it, N and M alone where the data have no gaps.

    Raises:
        UserError: the share is no sample.
    """
    taken = {name: array.astype(np.result_type(array.dtype, np.float32)) for name, array in features.items()}
    present = np.stack([~np.isnan(array).all(1) for array in taken.values()], axis=1)
    rng = np.random.default_rng([seed, 3])
    n = round(share * len(present))
    if not n:
        raise UserError(f"data.missing: {share} of {len(present)} samples is none; give a larger share, or 0")
    drawn = rng.permutation(len(present))[:n]
    for row in drawn.tolist():
        there = np.flatnonzero(present[row])
        if len(there) > 1:
            kept = rng.integers(1, 2 ** len(there) - 1)  # of all subsets neither none nor all
            present[row, there] = [kept >> bit & 1 for bit in range(len(there))]
    for m, array in enumerate(taken.values()):
        array[~present[:, m]] = np.nan
    return taken
