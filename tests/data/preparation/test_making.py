"""A feature folder made by several processes, each played here by an object of its own: nothing twice, nothing lost."""

import json
from itertools import zip_longest

import numpy as np
import pytest

from cmc.data.preparation.extraction import Modality
from cmc.data.preparation.feature_store import read_store
from cmc.data.preparation.making import Making
from cmc.data.preparation.progress import Taken
from cmc.errors import UserError

FACTS = {"title": "t", "classes": [], "selection": {}, "extraction": {}}


class Numbers(Modality):
    """Row i is i, i + 0.5; one row cannot be made; notes the steps that are taken."""

    def __init__(self, n, size, broken=None):
        super().__init__("numbers", 2, -(-n // size))
        self.n, self.size, self.broken, self.steps_taken = n, size, broken, []

    def work(self, step):
        return min(self.size, self.n - step * self.size)

    def run(self, step):
        self.steps_taken.append(step)
        rows = np.arange(self.work(step)) + step * self.size
        if self.broken in rows:
            self.skipped[self.broken] = "broken"
        yield rows, slice(0, 2), (rows[:, None] + [0, 0.5]).astype(np.float32)


def processes(folder, of, n=11, size=2, broken=4):
    """One making a process, as each of them would have it; the first begins the folder."""
    names = [f"s{i}" for i in range(n)]
    made = [{"a": Numbers(n, size, broken), "b": Numbers(n, n)} for _ in range(of)]
    for others in made[1:]:
        del others["b"]  # as TF-IDF is left out
    ours = [Making(folder, each, names, np.arange(n) % 2, FACTS | {"classes": ["x", "y"]}) for each in made]
    ours[0].begin()
    return ours


def work(makings, stop_after=None):
    """Take the shares in turns, a step at a time, until so many were taken."""
    shares = [making.share(rank, len(makings)) for rank, making in enumerate(makings)]
    turns = [(makings[rank], *step) for steps in zip_longest(*shares) for rank, step in enumerate(steps) if step]
    for making, name, step in turns[:stop_after]:
        making.take(name, step, making.made[name].run(step))
    return [making.made["a"].steps_taken for making in makings]


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def whole(tmp_path):
    """The folder that one process makes without a stop."""
    (alone,) = processes(tmp_path / "whole", 1)
    alone.run(lambda name, rows: None)
    held = read_store(tmp_path / "whole").features["a"]
    rows = np.array([i for i in range(11) if i != 4])
    np.testing.assert_array_equal(held, rows[:, None] + [0, 0.5])
    return files(tmp_path / "whole")


@pytest.mark.parametrize("of", [1, 2, 3, 9])
def test_any_number_of_processes_makes_the_same_folder(tmp_path, whole, of):
    ours = processes(tmp_path / "out", of)
    assert not ours[0].is_taken()
    taken = work(ours)
    assert sorted(step for each in taken for step in each) == list(range(6)), "each step once"
    assert max(map(len, taken)) - min(map(len, taken)) <= 1
    assert ours[0].is_taken()
    ours[0].finish()
    assert files(tmp_path / "out") == whole


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1), (3, 2), (2, 5)])
def test_wherever_some_are_stopped_others_of_another_number_go_on(tmp_path, whole, first, then):
    for stop in (0, 1, 3, 6):
        folder = tmp_path / f"{stop}"
        before = [step for each in work(processes(folder, first), stop) for step in each]
        (folder / "progress-1.json.tmp.json").write_text("{")  # killed while it wrote
        between = [step for each in work(processes(folder, then), 1) for step in each]
        last = processes(folder, then)
        after = [step for each in work(last) for step in each]
        assert sorted(before + between + after) == list(range(6))
        last[0].finish()
        assert files(folder) == whole


def test_what_is_left_of_steps_is_what_was_not_taken():
    rng = np.random.default_rng(0)
    for _ in range(50):
        taken, order = Taken(), rng.permutation(12)[: rng.integers(13)].tolist()
        for step in order:
            taken.add(step)
        assert taken.left(12) == [step for step in range(12) if step not in order]
    straight = Taken()
    for step in range(1000):
        straight.add(step)
    assert straight.spans == [(0, 1000)], "a note of one length, however many steps"


def test_damaged_notes_of_a_process_are_named(tmp_path):
    work(processes(tmp_path, 2), 3)
    (tmp_path / "progress-1.json").write_text(json.dumps({"request": "", "done": {"a": {"steps": [1]}}}))
    with pytest.raises(UserError, match=r"progress-1\.json: damaged; delete the folder and prepare anew"):
        processes(tmp_path, 2)
