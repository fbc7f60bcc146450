"""Candidates side by side: what they are trained on, how one is chosen, how it is trained on."""

import logging
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import normalized_mutual_info_score
from torch.nn import functional as F

from cmc.callbacks.evaluation import Tally, measures, unseen
from cmc.config.schema import check
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.errors import UserError
from cmc.methods.candidates import read_candidates
from cmc.methods.dmim import DMIM
from cmc.training.rehearsal import rehearse
from tests.methods.toy import ToyData, fit

TRAIN, BOTH = {"train": {"epochs": 6}}, {"train": {"epochs": 6}, "finish": {"epochs": 4}}
TWO = {"few": {"components": 2, "input_noise": 0.5}, "shared": {"components": 3, "shared": 2, "final_noise": 0.2}}


def build(phases=TRAIN, candidates=TWO, validation=0.3, kind=DMIM, **settings):
    torch.manual_seed(0)
    small = {"width": 6, "overcluster_factor": 2, "refresh_every": 2, "restarts": 1, "halvings": (), **settings}
    return kind({"a": 4, "b": 3}, 3, phases, torch.optim.Adam, candidates=candidates, validation=validation, **small)


class Part(DataModule):
    """Some rows of other data, as they are there."""

    def __init__(self, whole, rows):
        super().__init__(scaling="none")
        self._whole, self._rows = whole, rows

    def read(self):
        taken = self._whole.samples.take(self._rows)
        features = {name: x.numpy() for name, x in zip(self._whole.dims, taken, strict=True)}
        return Modalities(features, self._whole.labels[self._rows].numpy(), source="part")


def test_candidates_are_trained_as_if_the_samples_set_aside_were_not_there(tmp_path):
    data, method = ToyData(60), build()
    fit(method, data, tmp_path)
    assert (len(data.fitted), int(method.aside.sum())) == (42, 18)
    alone = build(validation=0.0)
    fit(alone, Part(data, data.fitted), tmp_path)
    theirs = dict(alone.named_parameters())
    for name, ours in method.named_parameters():
        assert torch.equal(ours, theirs[name]), name
    for ours, other in zip(method.front.state_dict().values(), alone.front.state_dict().values(), strict=True):
        assert torch.equal(ours, other)
    assert torch.equal(method.pseudo[:, :, data.fitted], alone.pseudo)


def test_the_network_is_kept_that_agrees_on_samples_it_has_not_seen(tmp_path):
    """One agrees on all that was trained on and on nothing else, the other on most of everything."""
    data, method = ToyData(60), build(candidates={"plain": {}}, unit_rows=False, restarts=2)
    fit(method, data, tmp_path)
    truth, generator = torch.arange(60) % 3, torch.Generator().manual_seed(0)
    wrong = torch.where(method.aside, torch.randint(0, 3, (60,), generator=generator), truth)
    partly = torch.where(torch.arange(60) % 5 == 0, 0, truth)
    for network, second in zip(method.networks, (wrong, partly), strict=True):
        codes = torch.stack([truth, second])

        def log_assignments(rows, p=codes, aside=method.aside):
            own = p if len(rows[0]) == 60 else p[:, aside]
            return F.one_hot(own, 3).float().clamp_min(1e-12).log()

        network.log_assignments = log_assignments
    with method.evaluating():
        method.settle(data.pass_over())
    assert int(method.choice.kept) == 1
    assert torch.equal(method.unseen()[0, 1], table(truth[method.aside], partly[method.aside]))
    method.aside = method.aside[:0]
    with method.evaluating():
        method.settle(data.pass_over())
    assert (int(method.choice.kept), method.unseen()) == (1, None), "on all samples it is the better one, too"


def table(a, b):
    counts = torch.zeros(3, 3, dtype=torch.long)
    for i, j in zip(a.tolist(), b.tolist(), strict=True):
        counts[i, j] += 1
    return counts


def test_the_kept_network_goes_on_alone_with_all_samples(tmp_path):
    seen = {}

    class Watched(DMIM):
        def pieces(self, batch):
            pieces = list(super().pieces(batch))
            state = {name: p.detach().clone() for name, p in self.named_parameters()}
            seen[self.current_epoch] = (batch.size, len(pieces), state, self._share_of_run(), self.unseen())
            return iter(pieces)

    data, method = ToyData(60), build(BOTH, kind=Watched)
    fit(method, data, tmp_path)
    assert [seen[e][:2] for e in range(10)] == [(42, 2)] * 6 + [(60, 1)] * 4
    assert [seen[e][3] for e in (0, 3, 6, 8)] == [0.0, 0.5, 0.5, 0.75]
    kept, before, after = int(method.choice.kept), seen[6][2], dict(method.named_parameters())
    for name, p in before.items():
        assert torch.equal(p, after[name]) == (not name.startswith(f"networks.{kept}.")), name
    assert all(torch.equal(seen[e][4], seen[6][4]) for e in (7, 8, 9)), "the judgement is that of before"
    assert int(method.unseen()[0, 0].sum()) == 18


def test_the_better_half_goes_on_after_each_halving(tmp_path):
    trained, judged, states = [], [], []

    class Watched(DMIM):
        def pieces(self, batch):
            trained.append(self._trained)
            states.append({name: p.detach().clone() for name, p in self.named_parameters()})
            return super().pieces(batch)

        def _judged(self, batches):
            tables = super()._judged(batches)
            judged.append((self.current_epoch, tables.unseen))
            return tables

    data = ToyData(60)
    method = build(
        BOTH, candidates={"plain": {}, "few": {"components": 2}}, restarts=5, halvings=(0.5, 1 / 3), kind=Watched
    )
    fit(method, data, tmp_path)
    assert [len(those) for those in trained] == [10, 10, 6, 4, 4, 4, 1, 1, 1, 1]
    assert [epoch for epoch, _ in judged[:3]] == [2, 3, 6]
    left = [range(5), range(5, 10)]
    for (_, tables), next_ones in zip(judged, (trained[2], trained[3]), strict=False):
        half = len(next_ones) // 2
        left = [sorted(those, key=lambda r, t=tables: -quality(t[r]))[:half] for those in left]
        assert sorted(left[0] + left[1]) == next_ones
    assert trained[6] == [max(left[0] + left[1], key=lambda r: quality(judged[2][1][r]))]
    for name in states[0]:
        number = int(name.split(".")[1])
        if number not in trained[2]:
            assert torch.equal(states[2][name], states[-1][name]), name


def quality(tables):
    """Of M = 2: NMI of both assignments, by the mean entropy of their sizes over log 3, by how many are matched."""
    a, b = tables[0, 1].nonzero().T.repeat_interleave(tables[0, 1][tables[0, 1] > 0], 1).numpy()
    matched = max(np.mean(np.array(order)[a] == b) for order in permutations(range(3)))
    return normalized_mutual_info_score(a, b) * np.mean([entropy(np.bincount(x), base=3) for x in (a, b)]) * matched


def test_measures_are_of_samples_that_were_set_aside_or_held_out(tmp_path):
    data, method = ToyData(60), build(BOTH)
    fit(method, data, tmp_path)
    found = measures(method, data)
    tally = Tally(method, None, data.spaced)
    assert found["agreement_held_out"] == unseen(method, data, tally)["agreement"]
    assert found["gap"] == found["agreement"] - found["agreement_held_out"]
    held, other = ToyData(60, holdout=0.25), build(BOTH)
    fit(other, held, tmp_path)
    tally = Tally(other, None, held.spaced)
    with other.evaluating():
        for batch in held.pass_over(held_out=True):
            tally.add(batch, *other.assignments(batch), None)
    assert measures(other, held)["agreement_held_out"] == tally.agreed()["agreement"]


def test_one_sample_held_out_tells_nothing(tmp_path):
    data, method = ToyData(60, holdout=1 / 60), build(BOTH, validation=0.0)
    fit(method, data, tmp_path)
    assert data.held_out.n_samples == 1
    assert "agreement_held_out" not in measures(method, data)


def test_a_share_that_is_too_small_keeps_nothing_and_one_that_is_too_large_is_refused(tmp_path, caplog):
    data, method = ToyData(12), build(validation=0.1)
    with caplog.at_level(logging.WARNING):
        fit(method, data, tmp_path)
    assert "method.validation: 0.1 of 12 samples is 1, too few to judge 3 clusters: none is kept" in caplog.text
    assert data.n_fitted == 12
    data = ToyData(12)
    data.load()
    with pytest.raises(UserError, match=r"method\.validation: 0\.9 given; of 12 samples that leaves 1 to train on"):
        build(validation=0.9).accept(data)


def test_a_last_batch_is_that_of_the_samples_that_are_trained_on():
    data = ToyData(60)
    data.load()
    with pytest.raises(UserError, match=r"of 42 samples that leaves 2 for the last batch"):
        build(batch_size=10, drop_last=False).accept(data)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "method.candidates: none given"),
        ({"a": None}, "method.candidates: none given"),
        ({"a": {"noise": 1}}, r"method\.candidates\.a\.noise: no such setting; there are components, final_noise"),
        ({"a": {"components": 0}}, r"method\.candidates\.a\.components: 0 given"),
        ({"a": {"components": 3, "shared": 0}}, r"method\.candidates\.a\.shared: 0 given"),
        ({"a": {"shared": 3}}, r"method\.candidates\.a\.shared: 3 given without components"),
        ({"a": {"input_noise": -1.0}}, r"method\.candidates\.a\.input_noise: -1\.0 given"),
        ({"a": {"final_noise": float("nan")}}, r"method\.candidates\.a\.final_noise: nan given"),
    ],
)
def test_impossible_candidates_name_their_key(settings, message):
    with pytest.raises(UserError, match=message):
        read_candidates(settings)


def test_a_candidate_that_is_null_is_left_out():
    (only,) = read_candidates({"a": None, "b": {"components": 3}})
    assert only.components == 3


def test_modalities_that_share_nothing_are_told_by_the_samples_set_aside(tmp_path):
    """Pairs at random can be learned by heart; on others nothing of it is left."""

    class Shuffled(DataModule):
        def read(self):
            rng = np.random.default_rng(0)
            rows = rng.normal(size=(240, 60))
            return Modalities({"a": rows, "b": rows[rng.permutation(240)]}, None, source="shuffled")

    torch.manual_seed(0)
    method = DMIM(
        {"a": 60, "b": 60}, 3, {"train": {"epochs": 150}}, lambda p: torch.optim.Adam(p, 5e-3),
        width=32, candidates={"plain": {"components": 60}}, restarts=1, validation=0.3, beta=0.0,
    )  # fmt: skip
    data = Shuffled(n_clusters=3)
    fit(method, data, tmp_path)
    found = measures(method, data)
    assert found["agreement"] > 0.3
    assert found["agreement_held_out"] < 0.1


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        (["~method.candidates.few"], ["many", "shared"]),
        (["method.candidates.few=null"], ["many", "shared"]),
        (["+method.candidates.mine={components: 50}"], ["few", "many", "shared", "mine"]),
        (["method.candidates.few.components=null"], ["few", "many", "shared"]),
    ],
)
def test_candidates_are_left_out_and_added_on_the_command_line(composed, overrides, kept):
    config = composed("method=dmim", *overrides)
    check(config, composed("method=dmim"))
    rehearse(config.method)
    assert [name for name, given in config.method.candidates.items() if given is not None] == kept


def test_what_is_wrong_with_a_candidate_or_has_none_is_said(composed):
    config = composed("method=dmim", "+method.candidates.mine={component: 50}")
    check(config, composed("method=dmim"))
    with pytest.raises(UserError, match=r"method\.candidates\.mine\.component: no such setting"):
        rehearse(config.method)
    with pytest.raises(UserError, match=r"method\.candidates\.mine\.components: no such key"):
        check(composed("method=dmim_paper", "+method.candidates.mine={components: 50}"), composed("method=dmim_paper"))
