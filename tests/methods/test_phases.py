"""Which phase an epoch belongs to."""

import pytest

from cmc.errors import UserError
from cmc.methods.phases import Schedule

PHASES = {"a": {"epochs": 2}, "b": {"epochs": 0}, "c": {"epochs": 3, "batch_size": "full", "chunk_size": 7}}


def test_epochs_fall_into_phases_in_order():
    schedule = Schedule(PHASES, 16)
    assert schedule.n_epochs == 5
    assert [(phase.name, epoch) for phase, epoch in map(schedule.at, range(7))] == [
        ("a", 0),
        ("a", 1),
        ("c", 0),
        ("c", 1),
        ("c", 2),
        ("c", 3),
        ("c", 4),
    ]


def test_a_phase_may_have_its_own_sizes():
    a, _, c = Schedule(PHASES, 16).phases
    assert (a.batch_size, a.chunk_size) == (16, None)
    assert (c.batch_size, c.chunk_size) == (None, 7)


@pytest.mark.parametrize(
    ("phases", "batch_size", "message"),
    [
        ({"a": {"epochs": 0}}, 4, "0 epochs together"),
        ({"a": {"epochs": -1}}, 4, "method.phases.a.epochs: -1 given"),
        ({"a": {}}, 4, "method.phases.a.epochs: None given"),
        ({"a": {"epochs": 1}}, 0, "method.batch_size: 0 given"),
        ({"a": {"epochs": 1, "batch_size": "all"}}, 4, "method.phases.a.batch_size: 'all' given"),
        ({"a": {"epochs": 1, "chunk_size": 0}}, 4, "method.phases.a.chunk_size: 0 given"),
    ],
)
def test_impossible_numbers_are_refused_by_key(phases, batch_size, message):
    with pytest.raises(UserError, match=message):
        Schedule(phases, batch_size)
