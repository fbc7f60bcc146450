"""What the picture of shared information shows."""

import numpy as np

from cmc.figures import sharing


def pair(names, values, chance):
    return {"modalities": names, "held_out": values, "by_chance": chance}


def test_every_pair_is_a_line_above_what_chance_gives():
    pairs = [pair(["a", "b"], [0.4, 0.3], 0.1), pair(["a", "c"], [0.9, 0.2, 0.1], 0.2)]
    (axes,) = sharing(pairs).axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(lines["a, b"], [[1, 0.4], [2, 0.3]])
    np.testing.assert_allclose(lines["a, c"], [[1, 0.9], [2, 0.2], [3, 0.1]])
    assert list(lines) == ["a, c", "a, b"], "the pair that shares most comes first"
    (band,) = axes.patches
    assert (band.get_y(), band.get_height()) == (-0.2, 0.4)


def test_without_pairs_there_is_no_picture():
    assert sharing([]) is None
