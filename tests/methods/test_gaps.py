"""Samples that lack modalities in training: batches with too little, the same numbers where nothing is missing."""

import numpy as np
import pytest
import torch

from cmc.callbacks import Evaluation
from cmc.data.loader import Batch
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.errors import UserError
from cmc.functional.agreement import agreement, agreement_tables, concordance, match_modalities
from cmc.functional.present import average
from cmc.methods import CMMC, DMIM, PaperDMIM, ReleasedCMMC, ReleasedDMIM, StableCMMC
from cmc.methods.baselines.sklearn import CCA, KMeans, Spectral
from cmc.methods.gaps import Gaps, assign_present
from cmc.nn.inputs import Inputs, View
from tests.methods import test_base
from tests.methods.test_base import StopAndSave
from tests.methods.toy import Toy, ToyData, fit

DIMS = {"m0": 4, "m1": 3, "m2": 5}
SMALL_CMMC = {"hidden": (6,), "latent_dim": 5, "feature_dim": 4, "kmeans_restarts": 2}
SMALL_DMIM = {"width": 5, "overcluster_factor": 2, "refresh_every": 2}
CMMC_PHASES = {"reconstruct": {"epochs": 2}, "contrast": {"epochs": 2}, "align": {"epochs": 2, "batch_size": "full"}}
CMMC_PHASES["align"]["chunk_size"] = 7
CANDIDATES = {"few": {"components": 2, "input_noise": 0.3}, "shared": {"components": 3, "shared": 2}}


def made(kind, n_modalities=2, batch_size=8, **more):
    torch.manual_seed(0)
    dims, adam = dict(list(DIMS.items())[:n_modalities]), lambda p: torch.optim.Adam(p, 1e-2)
    if issubclass(kind, CMMC):
        settings = {**SMALL_CMMC, **({"restarts": 2} if kind is StableCMMC else {})}
        return kind(dims, 3, CMMC_PHASES, adam, batch_size, **settings, **more)
    phases, settings = {"train": {"epochs": 4}}, dict(SMALL_DMIM)
    if kind is DMIM:
        phases["finish"] = {"epochs": 2}
        settings |= {"candidates": CANDIDATES, "restarts": 2, "validation": 0.3}
    if kind is ReleasedDMIM:
        del settings["width"]
    return kind(dims, 3, phases, adam, batch_size=batch_size, drop_last=False, **settings, **more)


METHODS = (CMMC, ReleasedCMMC, StableCMMC, DMIM, PaperDMIM, ReleasedDMIM)


def batch_of(present, dtype=torch.float64):
    presence = torch.tensor(present, dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    widths = list(DIMS.values())[: presence.shape[1]]
    rows = [torch.randn(40, d, dtype=dtype, generator=generator)[: len(presence)] for d in widths]
    rows = [x * there.unsqueeze(1) for x, there in zip(rows, presence.T, strict=True)]
    return Batch(tuple(rows), torch.arange(len(presence)), presence=presence)


def losses_of(method, batch, phase):
    """In a phase, with pseudo labels that need no pass over data."""
    method.schedule.phases = tuple(each for each in method.schedule.phases if each.name == phase)
    labels = torch.arange(batch.size) % 3
    if isinstance(method, CMMC):
        method.pseudo_labels = labels.repeat(len(method.modalities), 1).short()
    else:
        method.pseudo = labels.repeat(len(method.networks), len(method.modalities), 1).short()
    torch.manual_seed(3)
    return method.losses(batch)


EVERY = [(kind, phase) for kind in METHODS for phase in (CMMC_PHASES if issubclass(kind, CMMC) else ("train",))]
PAIR_TERMS = ("feature_contrast", "label_contrast", "shared_information")
POOR = {
    "no pair": [[1, 0]] * 4 + [[0, 1]] * 4,
    "one pair": [[1, 0]] * 4 + [[0, 1]] * 3 + [[1, 1]],
    "one row of a modality": [[1, 0]] * 7 + [[1, 1]],
    "nothing of a modality": [[1, 0]] * 8,
    "one row of each": [[1, 0], [0, 1]],
}


@pytest.mark.parametrize("poor", POOR)
@pytest.mark.parametrize(("kind", "phase"), EVERY)
def test_a_batch_with_too_little_is_learned_from_by_what_it_has(kind, phase, poor):
    method = made(kind).double()
    losses = losses_of(method, batch_of(POOR[poor]), phase)
    total = sum(losses.values())
    assert torch.isfinite(total)
    if total.requires_grad:
        total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())
    assert all(x.isfinite().all() for x in method.state_dict().values())
    if not any(a and b for a, b in POOR[poor]):
        assert all(losses[name].item() == 0 for name in PAIR_TERMS if name in losses)


@pytest.mark.parametrize(("kind", "phase"), EVERY)
def test_where_nothing_is_missing_both_ways_are_one(kind, phase):
    """Presence that says all is there, against none said: losses, gradients and statistics."""
    results = []
    for given in (False, True):
        method, batch = made(kind, 3).double(), batch_of([[1, 1, 1]] * 9)
        losses = losses_of(method, batch if given else batch._replace(presence=None), phase)
        sum(losses.values()).backward()
        gradients = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
        statistics = {name: x for name, x in method.state_dict().items() if "running" in name}
        results.append({**losses, **gradients, **statistics})
    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize(("kind", "phase"), EVERY)
def test_what_stands_in_the_place_of_a_gap_changes_nothing(kind, phase):
    present = [[1, 1], [1, 0], [0, 1], [1, 1], [1, 1], [0, 1], [1, 0], [1, 1]]
    results = []
    for filled in (0.0, 100.0):
        batch = batch_of(present)
        rows = tuple(
            x.where(there.unsqueeze(1), filled) for x, there in zip(batch.modalities, batch.present.T, strict=True)
        )
        method = made(kind).double()
        losses = losses_of(method, batch._replace(modalities=rows), phase)
        sum(losses.values()).backward()
        results.append([*losses.values(), *(p.grad for p in method.parameters() if p.grad is not None)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_a_batch_with_few_pairs_does_not_shout():
    """The same pair among others that have one modality: its contrast weighs as one sample of the batch does."""
    lengths = []
    for alone in (2, 30):
        method = made(CMMC).double()
        batch = batch_of([[1, 1]] * 3 + [[1, 0]] * alone)
        losses = losses_of(method, batch, "contrast")
        lengths.append(losses["feature_contrast"].item() * batch.size)
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-9)


class Recorder(test_base.Recorder):
    """Of batches that are read chunk by chunk, too."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        rows = [chunk.index.tolist() for chunk in batch.chunks(None)]
        self.steps.append((pl_module.phase.name, trainer.current_epoch, rows))


class Gappy(DataModule):
    """The toy's data in three modalities, of which two thirds of the samples lack some."""

    def __init__(self, n=60, n_modalities=3, **settings):
        super().__init__(missing=settings.pop("missing", 0.6), **settings)
        self._n, self._m = n, n_modalities

    def read(self):
        rng, labels = np.random.default_rng(0), np.arange(self._n) % 3
        features = {name: rng.normal(size=(self._n, d)) + 4 * np.eye(3, d)[labels] for name, d in DIMS.items()}
        return Modalities(dict(list(features.items())[: self._m]), labels, source="gappy")


@pytest.mark.parametrize("after", [3, 9, 16])
@pytest.mark.parametrize("kind", [CMMC, DMIM])
def test_a_run_cut_inside_a_phase_resumes_bit_for_bit(kind, after, tmp_path):
    """Steps in each of CMMC's phases: 7 or 8 an epoch, then one; of DMIM's, with noise in each."""
    data = {"in_memory": after != 9}
    whole, straight = made(kind, 3), Recorder()
    fit(whole, Gappy(**data), tmp_path, [straight, Evaluation(1)])
    path = tmp_path / "cut.ckpt"
    with pytest.raises(StopAndSave.Stopped):
        fit(made(kind, 3), Gappy(**data), tmp_path, [StopAndSave(path, after), Evaluation(1)])
    resumed, behind = made(kind, 3), Recorder()
    fit(resumed, Gappy(**data), tmp_path, [behind, Evaluation(1)], ckpt_path=path)
    assert behind.steps == straight.steps[after:]
    assert behind.records == straight.records[-len(behind.records) :]
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


@pytest.mark.parametrize("kind", [CMMC, DMIM])
def test_classes_are_found_though_most_samples_lack_something(kind, tmp_path):
    """Far better than by chance, also for samples of a single modality; and measured without labels."""
    method, data = made(kind, 3, batch_size=32), Gappy(120)
    for phase in method.schedule.phases:
        object.__setattr__(phase, "epochs", 12)
    fit(method, data, tmp_path)
    from cmc.callbacks.evaluation import measures

    found = measures(method, data)
    assert found["acc"] > 0.5
    assert 0 < found["agreement"] <= 1
    with method.evaluating():
        (batch,) = data.pass_over()
        alone = batch.present.sum(1) == 1
        assignment, each = assign_present(method, batch)
        for i in alone.nonzero().flatten()[:20].tolist():
            (m,) = batch.present[i].nonzero().flatten().tolist()
            torch.testing.assert_close(assignment[i], each[m, i])
        assert method.embed(batch).isfinite().all()


@pytest.mark.parametrize("kind", METHODS)
def test_labels_of_a_modality_are_of_samples_that_have_it(kind, tmp_path):
    """Pseudo labels change with nothing that stands in the place of a gap."""
    method, data = made(kind, 3), Gappy()
    fit(method, data, tmp_path)
    present, labels = data.samples.present.T, method.pseudo_labels if isinstance(method, CMMC) else method.pseudo
    if isinstance(method, CMMC):
        assert ((labels >= 0) == present).all()
    else:
        assert not labels[:, ~present].any(), "as they began"


def test_a_method_that_knows_of_no_gaps_is_refused_them(tmp_path):
    torch.manual_seed(0)
    toy = Toy({"m0": 4, "m1": 3}, 3, {"first": {"epochs": 1}})
    line = (
        r"data\.incomplete: use given, and 36 of 60 samples lack a modality, but Toy trains on .* have all; give drop"
    )
    with pytest.raises(UserError, match=line):
        fit(toy, Gappy(n_modalities=2), tmp_path)
    fit(toy, Gappy(n_modalities=2, incomplete="drop"), tmp_path)
    assert toy.targets.shape == (24,)


def test_complete_data_bring_no_presence():
    data = ToyData()
    data.load()
    assert all(batch.presence is batch.present is None for batch in data.pass_over())
    assert all(batch.present is None for batch in data.batches(8, False, False, 0))


def test_gaps_count_what_the_whole_batch_has():
    presence = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=torch.bool)
    rows = tuple(torch.arange(3.0)[:, None] for _ in range(3))
    gaps = Gaps(Batch(rows, torch.arange(2, 5), 5, 2, presence))
    assert [gaps.count(m) for m in range(3)] == [4, 4, 2]
    assert gaps.pairs() == [(0, 1), (0, 2), (1, 2)]
    assert [gaps.count(*pair) for pair in gaps.pairs()] == [3, 1, 2]
    assert [gaps.before(*pair) for pair in gaps.pairs()] == [1, 0, 1]
    assert (gaps.weight(0, 1), gaps.size(0, 1)) == (0.6, 3), "nothing is known of other batches"
    expected = Gaps(Batch(rows, torch.arange(2, 5), 5, 2, presence, torch.full((3, 3), 0.25)))
    assert (expected.weight(0, 1), expected.size(0, 1)) == (2.4, 0.75)
    there = gaps.there(rows)
    assert [x.flatten().tolist() for x in there] == [[0, 1, 2], [0, 2], [0]]
    assert [x.flatten().tolist() for x in gaps.both(0, 1, there)] == [[0, 2], [0, 2]]
    assert [x.flatten().tolist() for x in gaps.both(1, 2, there)] == [[0], [0]]


def test_the_mean_over_what_is_there_is_one_over_samples():
    each, present = torch.randn(3, 20, 4), torch.rand(20, 3) < 0.6
    present[:, 0] |= ~present.any(1)
    found = average(each, present)
    for i in range(20):
        torch.testing.assert_close(found[i], each[present[i], i].mean(0))
    assert torch.equal(average(each, None), each.mean(0))


def test_modalities_are_compared_on_samples_that_have_both():
    clusters, present = torch.randint(0, 3, (3, 200)), torch.rand(200, 3) < 0.5
    present[:, 2] &= ~present[:, 0]  # no sample has both of these
    tables = agreement_tables(clusters, 3, present)
    for a in range(3):
        for b in range(3):
            both = present[:, a] & present[:, b]
            assert torch.equal(tables[a, b], agreement_tables(clusters[[a, b]][:, both], 3)[0, 1])
    pairs = [tables[[a, b]][:, [a, b]] for a, b in ((0, 1), (1, 2))]
    assert agreement(tables)[0] == pytest.approx(sum(agreement(pair)[0] for pair in pairs) / 2)
    assert concordance(tables) == pytest.approx(sum(map(concordance, pairs)) / 2)


def test_clusters_are_matched_by_way_of_a_modality_that_ties_them():
    """No sample has both of the first two; either shares some with the third."""
    names = torch.tensor([[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    tables = torch.zeros(3, 3, 3, 3)
    for a, b in ((0, 0), (1, 1), (2, 2), (0, 2), (2, 0), (1, 2), (2, 1)):
        for k in range(3):
            tables[a, b, names[a, k], names[b, k]] = 10
    assert torch.equal(match_modalities(tables), names)


def test_inputs_are_fitted_on_what_is_there():
    """Principal components of a modality's own rows; what two share, of the samples that have both."""
    torch.manual_seed(0)
    common = torch.randn(400, 2)
    rows = [torch.cat([common, torch.randn(400, d - 2)], 1).double() for d in DIMS.values()]
    present = torch.rand(400, 3) < 0.6
    present[~present.any(1)] = True
    for view in (View(3), View(3, 2)):
        gappy, other = (Inputs(DIMS.values(), False, [view]).double() for _ in range(2))
        zeroed = [x * there.unsqueeze(1) for x, there in zip(rows, present.T, strict=True)]
        parts = [([x[part] for x in zeroed], present[part]) for part in torch.arange(400).split(150)]
        gappy.fit(lambda parts=parts: parts)
        if view.shared is None:
            for m in range(3):
                other.fit(lambda m=m: [([x[present[:, m]] for x in rows], None)])
                torch.testing.assert_close(gappy.projection(0, m).basis, other.projection(0, m).basis)
                torch.testing.assert_close(gappy.projection(0, m).mean, other.projection(0, m).mean)
            continue
        seen = [x[present.all(1)] for x in gappy(rows, 0)]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert torch.corrcoef(torch.stack([seen[a][:, 0], seen[b][:, 0]]))[0, 1] > 0.8


@pytest.mark.parametrize("kind", [KMeans, CCA, Spectral])
def test_baselines_fill_in_means_and_say_so(kind, tmp_path, caplog):
    dims = {"m0": 4, "m1": 3}
    method, data = kind(dims=dims, n_clusters=3, phases={"fit": {"epochs": 1}}), Gappy(n_modalities=2)
    with caplog.at_level("WARNING"):
        fit(method, data, tmp_path)
    assert (
        f"method: {kind.__name__}: 36 of 60 samples lack a modality; the mean of its features is taken" in caplog.text
    )
    assert method.variant == "mean-filled"
    (batch,) = data.pass_over()
    means = [x[there].mean(0) for x, there in zip(batch.modalities, batch.present.T, strict=True)]
    filled = [torch.where(there[:, None], x, mean)
              for x, there, mean in zip(batch.modalities, batch.present.T, means, strict=True)]  # fmt: skip
    torch.testing.assert_close(method.rows(batch), torch.cat(filled, 1))
    whole = Batch(tuple(filled), batch.index)
    assert torch.equal(assign_present(method, batch)[0], method.assign(whole))


def test_a_baseline_that_was_fitted_to_complete_samples_assigns_no_others(tmp_path):
    method = KMeans(dims={"m0": 4, "m1": 3}, n_clusters=3, phases={"fit": {"epochs": 1}})
    fit(method, Gappy(n_modalities=2, incomplete="drop"), tmp_path)
    assert method.variant == ""
    data = Gappy(n_modalities=2)
    data.load()
    (batch,) = data.pass_over()
    row = int((~batch.present.all(1)).nonzero()[0])
    with pytest.raises(
        UserError, match=rf"KMeans assigns from all modalities together \(m0, m1\); row {row} lacks one"
    ):
        assign_present(method, batch)
