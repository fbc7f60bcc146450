"""Networks that are one computation: what each of them learns is what it learns alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

import cmc.run
from cmc.methods import pieces as room
from cmc.methods.loop import TrainingLoop
from cmc.methods.pieces import Piece, learn
from cmc.utils.turns import Turns
from tests.conftest import SMALL, TINY
from tests.methods import test_cmmc, test_dmim
from tests.methods.test_cmmc_stable import stable

PLENTY = 2**40


@pytest.fixture(autouse=True)
def nothing_taken_one_by_one(monkeypatch):
    monkeypatch.setattr(room, "_one_by_one", set())


def gradients(method):
    return {name: p.grad for name, p in method.named_parameters() if p.grad is not None}


def learned(make, n_runs, memory=PLENTY):
    """Terms and gradients of the method that ``make(number)`` gives, of one step of so many runs side by side."""

    def run(number):
        torch.manual_seed(10 + number)
        method, batch = make(number)
        method.zero_grad()
        found = list(learn(method.pieces(batch), 0.7, lambda objective: objective.backward(), memory))
        return found, gradients(method), dict(method.named_buffers())

    results = Turns([lambda n=n: run(n) for n in range(n_runs)]).run(lambda error: False)
    assert not [result for result in results if isinstance(result, BaseException)], results
    return results


def alone(make, number):
    torch.manual_seed(10 + number)
    method, batch = make(number)
    method.zero_grad()
    found = []
    for piece in method.pieces(batch):
        terms = piece.computed()
        (sum(terms.values()) * piece.weight * 0.7).backward()
        found.append((terms, piece.weight))
    return found, gradients(method), dict(method.named_buffers())


def moved(method, number):
    for parameter in method.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, dtype=parameter.dtype)
    return method


def of_cmmc(phase, kind=test_cmmc.build):
    def make(number):
        method = moved(test_cmmc.in_phase(kind(), phase), number)
        method.pseudo_labels = torch.randint(0, 3, (2, 12)).short()
        method.names = torch.stack([torch.randperm(3), torch.randperm(3)])
        return method, test_cmmc.batch_of()

    return make


def of_dmim(number):
    method = test_dmim.labelled(test_dmim.build(restarts=3).double(), seed=number)
    return moved(method, number).train(), test_dmim.batch_of()


CASES = {
    **{f"cmmc, {phase}": of_cmmc(phase) for phase in ("reconstruct", "contrast", "align")},
    **{f"cmmc_stable, {phase}": of_cmmc(phase, lambda: stable(restarts=3)) for phase in ("reconstruct", "contrast")},
    "dmim": of_dmim,
}


@pytest.mark.parametrize("n_runs", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_terms_gradients_and_statistics_are_those_of_each_alone(case, n_runs, monkeypatch):
    groups = []
    whole = room.stacked
    monkeypatch.setattr(room, "stacked", lambda *given: (groups.append(len(given[1])), whole(*given))[1])
    for number, (found, grads, buffers) in enumerate(learned(CASES[case], n_runs)):
        expected, expected_grads, expected_buffers = alone(CASES[case], number)
        assert [weight for _, weight in found] == [weight for _, weight in expected]
        for (terms, _), (others, _) in zip(found, expected, strict=True):
            torch.testing.assert_close(terms, {name: x.detach() for name, x in others.items()}, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(grads, expected_grads, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(buffers, expected_buffers, rtol=1e-10, atol=1e-12)
    assert not room._one_by_one
    networks = n_runs * (1 if case.startswith("cmmc,") else 3)
    assert sum(groups) == (networks if networks > 1 else 0)


def test_pieces_that_memory_does_not_hold_at_once_are_taken_in_parts(monkeypatch):
    taken = []
    whole = room.stacked
    monkeypatch.setattr(room, "stacked", lambda *given: (taken.append(len(given[1])), whole(*given))[1])
    bytes_of_one = 20 * sum(x.numel() * 8 for x in (*test_dmim.batch_of().modalities, *[torch.empty(12, 8)] * 2))
    ((_, grads, _),) = learned(of_dmim, 1, memory=3 * bytes_of_one)
    assert sum(taken) <= 3
    torch.testing.assert_close(grads, alone(of_dmim, 0)[1], rtol=1e-9, atol=1e-12)


def test_what_draws_in_its_terms_is_taken_one_by_one(caplog):
    caplog.set_level("INFO")
    weights = [torch.nn.Linear(2, 1) for _ in range(2)]

    def noisy(module, x):
        return {"term": (module(x) * torch.rand(3, 1)).sum()}

    parts = [Piece(noisy, module, (torch.ones(3, 2),), 0.5, ("noisy",)) for module in weights]
    assert len(list(learn(iter(parts), 1.0, lambda objective: objective.backward(), PLENTY))) == 2
    assert all(module.weight.grad.abs().sum() > 0 for module in weights)
    assert "taken one by one" in caplog.text


@pytest.mark.parametrize("method", ["cmmc", "dmim", "dmim_released"])
def test_whole_runs_are_what_they_are_alone_to_rounding(commanded, monkeypatch, method):
    settings = [f"method={method}", *SMALL[method], *TINY, "callbacks.figures=null"]
    for seed in (0, 1):
        assert commanded(cmc.run, *settings, f"seed={seed}", f"hydra.run.dir=alone{seed}")[0] == 0
    monkeypatch.setattr(TrainingLoop, "stacks", True)
    assert commanded(cmc.run, *settings, "seeds=[0,1]", "hydra.run.dir=both")[0] == 0
    for seed in (0, 1):
        own, other = (np.load(Path(folder, "embeddings.npy")) for folder in (f"both/seed{seed}", f"alone{seed}"))
        np.testing.assert_allclose(own, other, rtol=1e-2, atol=5e-3)
