"""The clustering subset, against a naive loop."""

import numpy as np
import pytest

from cmc.data.preparation.distribution import Distribution
from cmc.data.preparation.mentions import leaving_out
from cmc.data.preparation.selection import select
from cmc.errors import UserError


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (["sky", "Sky", "blue sky", "skyline", "hot  dog", "hot dogs", "dog"], ["skyline", "dog"]),
        ("A SKY over hot\ndogs; skylines", "A   over  ; skylines"),
    ],
)
def test_chosen_concepts_leave_the_text_in_any_case_and_among_other_words(text, rest):
    assert leaving_out(lambda rows: [text for _ in rows], ["sky", "hot dog"])(np.arange(2)) == [rest, rest]


def source(n=200, unusable=()):
    rng = np.random.default_rng(0)
    labels = rng.random((n, 5)) < [0.1, 0.5, 0.3, 0.2, 0.4]
    names = [f"s{i}" for i in range(n)]
    return Distribution("toy", names, ("a", "b", "c", "d", "e"), labels, unusable=dict.fromkeys(unusable, "why"))


def naive(held, chosen):
    rows = {}
    for i, row in enumerate(held.labels):
        carried = [name for name, flag in zip(held.concepts, row, strict=True) if flag and name in chosen]
        if len(carried) == 1 and i not in held.unusable:
            rows[i] = carried[0]
    return rows


@pytest.mark.parametrize(("concepts", "chosen"), [(3, ["b", "e", "c"]), (["d", "a"], ["d", "a"])])
def test_samples_of_exactly_one_chosen_concept(concepts, chosen):
    held = source(unusable=(3, 4))
    selection = select(held, concepts, None)
    expected = naive(held, chosen)
    assert selection.classes == tuple(chosen)
    assert dict(zip(selection.rows.tolist(), [chosen[k] for k in selection.labels], strict=True)) == expected


def test_at_most_per_class_are_drawn_by_the_seed():
    held = source()
    many = select(held, 3, None)
    few = select(held, 3, 7, seed=1)
    assert np.bincount(few.labels).tolist() == [7, 7, 7]
    assert set(few.rows) <= set(many.rows)
    assert select(held, 3, 7, seed=1).rows.tolist() == few.rows.tolist()
    assert select(held, 3, 7, seed=2).rows.tolist() != few.rows.tolist()
    assert np.bincount(select(held, 3, [5, 1, 10_000]).labels)[:2].tolist() == [5, 1]


def test_full_takes_every_usable_sample_without_labels():
    selection = select(source(unusable=(3,)), 3, 7, "full")
    assert selection.rows.tolist() == [i for i in range(200) if i != 3]
    assert selection.labels is None


@pytest.mark.parametrize(
    ("concepts", "per_class", "message"),
    [
        (["a", "bb"], None, "no concept 'bb'; did you mean b"),
        (9, None, "9 given; there are 5"),
        (["a"], None, "name at least 2"),
        (["a", "a"], None, "each once"),
        (3, [1, 2], "2 numbers for 3 concepts"),
    ],
)
def test_impossible_choices_name_their_key(concepts, per_class, message):
    with pytest.raises(UserError, match=message):
        select(source(), concepts, per_class)


def test_a_class_without_a_sample_is_refused():
    held = source()
    held.labels[:, 1] = True
    with pytest.raises(UserError, match="no sample carries 'e' and none of the others"):
        select(held, ["e", "b"], None)
