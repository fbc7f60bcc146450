"""Samples that lack modalities: what is told of them, what is refused, and what loading makes of them."""

import numpy as np
import pytest
import torch
from sklearn import preprocessing

from cmc.data.gaps import settled, take_away
from cmc.data.giveaways import doubts
from cmc.data.loader import Batches, InOrder
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.data.scaling import Scaler
from cmc.data.sources import Mapped, Resident
from cmc.errors import UserError

N = 40


def whole(n=N, dims=(4, 3)):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return {f"m{i}": rng.normal(size=(n, d)) + 3 * labels[:, None] for i, d in enumerate(dims)}


def gappy(n=N, dims=(4, 3)):
    """Every fourth sample lacks the first modality, the one after it the last."""
    features = whole(n, dims)
    features["m0"][::4] = np.nan
    features[f"m{len(dims) - 1}"][1::4] = np.nan
    return features


class Given(DataModule):
    """Features as they are given."""

    def __init__(self, features, labels=None, held_out=None, **settings):
        super().__init__(**settings)
        self._given = (features, labels, held_out)

    def read(self):
        features, labels, held_out = self._given
        n = len(features["m0"])
        captions, ids = [f"text {i}" for i in range(n)], np.arange(n).astype(str)
        more = {"ids": ids, "captions": captions, "held_out": held_out}
        return Modalities(features, np.arange(n) % 3 if labels is None else labels, source="given", **more)


def loaded(features, **settings):
    data = Given(features, **settings)
    data.load()
    return data


def refusal(features, **settings):
    with pytest.raises(UserError) as caught:
        loaded(features, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_of_nan_are_gaps_and_complete_data_have_none():
    data = Modalities(gappy())
    expected = np.ones((N, 2), bool)
    expected[::4, 0] = expected[1::4, 1] = False
    assert np.array_equal(data.present, expected)
    assert data.lacking == {"m0": 10, "m1": 10}
    complete = Modalities(whole())
    assert complete.present is None
    assert complete.lacking == {}


@pytest.mark.parametrize("at_once", [1, 200, 10**6])
def test_gaps_are_found_in_blocks_of_any_size(monkeypatch, at_once):
    from cmc.data import modalities

    monkeypatch.setattr(modalities, "CHECKED_AT_ONCE", at_once)
    assert Modalities(gappy()).lacking == {"m0": 10, "m1": 10}


def spoil(features, **cells):
    for name, (row, column) in cells.items():
        features[name][row, column] = np.nan
    return features


REFUSED = {
    "a part of a row": (lambda: spoil(gappy(), m0=(3, 1)), "modality 'm0', row 3, column 1 is nan: give finite"),
    "a sample with nothing": (lambda: spoil(gappy(), m1=(8, slice(None))), "row 8 has no modality at all"),
    "a modality that nobody has": (lambda: whole() | {"m2": np.full((N, 2), np.nan)}, "modality 'm2' is NaN in every"),
    "a modality that one has": (
        lambda: whole() | {"m2": np.where(np.arange(N)[:, None] == 7, 1.0, np.nan)},
        "modality 'm2' is there for 1 of 40 training samples, fewer than the 3 clusters",
    ),
    "no pair": (
        lambda: {"m0": np.where(np.arange(N)[:, None] < 20, whole()["m0"], np.nan),
                 "m1": np.where(np.arange(N)[:, None] < 20, np.nan, whole()["m1"])},
        "no training sample has 'm0' together with 'm1': what they share",
    ),
    "modalities that nothing ties": (
        lambda: {f"m{m}": np.where((np.arange(N)[:, None] < 20) == (m < 2), x, np.nan)
                 for m, x in enumerate(whole(dims=(4, 3, 2, 3)).values())},
        "no training sample has 'm0' or 'm1' together with 'm2' or 'm3'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_nothing_can_be_learned_from_is_refused_in_one_line(case):
    made, line = REFUSED[case]
    assert line in refusal(made())


def test_without_a_complete_sample_modalities_that_others_tie_are_taken(caplog):
    features = whole(dims=(4, 3, 2))
    for row in range(N):
        features[f"m{row % 3}"][row] = np.nan
    with caplog.at_level("INFO"):
        assert loaded(features).samples.present.sum(1).unique().tolist() == [2]
    assert "data: of 40 samples 14 lack m0, 13 lack m1, 13 lack m2; 0 lack none" in caplog.messages


def test_incomplete_says_what_becomes_of_them():
    used, dropped = loaded(gappy()), loaded(gappy(), incomplete="drop")
    assert (used.n_samples, dropped.n_samples) == (40, 20)
    kept = [i for i in range(N) if i % 4 > 1]
    assert dropped.samples.present is None
    assert dropped.ids.tolist() == [str(i) for i in kept]
    assert list(dropped.captions) == [f"text {i}" for i in kept]
    assert dropped.labels.tolist() == [i % 3 for i in kept]
    assert dropped.remarks == ("20 of 40 samples lack a modality, and are left out",)
    line = refusal(gappy(), incomplete="refuse")
    assert (
        "given: 20 of 40 samples lack a modality, such as row 0, which lacks 'm0', and data.incomplete=refuse" in line
    )
    assert loaded(whole(), incomplete="refuse").n_samples == 40
    with pytest.raises(UserError, match=r"data\.incomplete: 'keep' given; it must be one of use, drop, refuse"):
        Given(gappy(), incomplete="keep")


def test_dropping_all_but_one_sample_is_refused():
    features = whole()
    features["m0"][1:] = np.where(np.arange(39)[:, None] < 20, np.nan, features["m0"][1:])
    features["m1"][21:] = np.nan
    assert "data.incomplete=drop leaves 1 of 40 samples" in refusal(features, incomplete="drop")


def test_held_out_samples_stay_so_where_others_are_dropped():
    data = loaded(gappy(), incomplete="drop", held_out=np.array([0, 2, 3, 5, 39]))
    assert [data.ids[row] for row in data.held_rows] == ["2", "3", "39"]
    assert [data.ids[row] for row in data.rows] == [str(i) for i in range(N) if i % 4 > 1 and i not in (2, 3, 39)]


@pytest.mark.parametrize("n_modalities", [2, 3, 4])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 1.0])
def test_modalities_are_taken_away_from_a_share_and_each_sample_keeps_one(n_modalities, share):
    features = whole(1000, (3,) * n_modalities)
    taken = take_away(features, share, seed=0)
    there = np.stack([~np.isnan(x).any(1) for x in taken.values()], 1)
    assert there.any(1).all()
    assert (~there.all(1)).sum() == round(1000 * share)
    for m, (name, x) in enumerate(taken.items()):
        assert np.array_equal(x[there[:, m]], features[name][there[:, m]])
        assert np.isnan(x[~there[:, m]]).all()
    kept, counts = np.unique(there[~there.all(1)], axis=0, return_counts=True)
    assert len(kept) == 2**n_modalities - 2, "every choice that is neither none nor all"
    assert counts.min() > 0.4 * counts.mean() * min(1, share * 5), "each as likely"
    again, other = take_away(features, share, seed=0), take_away(features, share, seed=1)
    assert all(np.array_equal(taken[name], again[name], equal_nan=True) for name in taken)
    assert not all(np.array_equal(taken[name], other[name], equal_nan=True) for name in taken)


def test_what_is_taken_away_comes_on_top_of_gaps_and_of_whole_numbers():
    features = gappy()
    features["m0"][2::4] = features["m1"][2::4] = 1.0
    taken = take_away(features, 0.9, seed=0)
    there = np.stack([~np.isnan(x).any(1) for x in taken.values()], 1)
    assert there.any(1).all()
    assert not there[::4, 0].any()
    counts = take_away({"a": np.arange(12).reshape(6, 2), "b": np.ones((6, 1), np.uint8)}, 0.5, 0)
    assert [x.dtype for x in counts.values()] == [np.float64, np.float32]


def test_taking_away_changes_the_fingerprint_by_share_and_seed():
    settings = ({}, {"missing": 0.5}, {"missing": 0.25}, {"missing": 0.5, "missing_seed": 1})
    marks = {loaded(whole(), **each).fingerprint for each in settings}
    assert len(marks) == 4
    assert loaded(whole(), missing=0.5).fingerprint == loaded(whole(), missing=0.5, seed=3).fingerprint
    assert (
        "modalities are taken away from 0.5 of the samples (data.missing_seed=0)"
        in loaded(whole(), missing=0.5).remarks
    )


@pytest.mark.parametrize("given", [1, 1.0, -0.1, 1.5, "half", None, True])
def test_a_share_that_is_none_is_refused(given):
    with pytest.raises(UserError, match=r"data\.missing: .* given; it must be a share of at least 0 and below 1"):
        Given(whole(), missing=given)


def test_a_share_that_takes_all_pairs_or_no_sample_is_refused():
    assert "no training sample has 'm0' together with 'm1'" in refusal(whole(), missing=0.999)
    assert "data.missing: 0.001 of 40 samples is none" in refusal(whole(), missing=0.001)


@pytest.mark.parametrize(
    ("kind", "reference"), [("minmax", preprocessing.minmax_scale), ("standard", preprocessing.scale)]
)
def test_scaling_is_fitted_on_the_training_rows_that_are_there(kind, reference):
    features, rows = gappy(), np.arange(5, N)
    features["m0"][:4] *= 100
    there = ~np.isnan(features["m0"]).any(1)
    there[:5] = False
    scaler = Scaler().fit(features, rows, kind, Modalities(features).present)
    ours = scaler("m0", torch.from_numpy(features["m0"][there])).numpy()
    np.testing.assert_allclose(ours, reference(features["m0"][there]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["auto", "none", "l2", "standard", "minmax"])
def test_rows_that_are_not_there_are_0_and_the_others_as_in_complete_data(kind):
    features, present = gappy(), Modalities(gappy()).present
    scaler = Scaler().fit(features, None, kind, present)
    for source in (Resident(features, None, scaler, present), Mapped(features, None, scaler, present)):
        (batch,) = InOrder(source, N)
        assert np.array_equal(batch.present.numpy(), present)
        for m, (name, x) in enumerate(features.items()):
            there = present[:, m]
            expected = scaler(name, torch.from_numpy(x[there])).float()
            torch.testing.assert_close(batch.modalities[m][there], expected)
            assert not batch.modalities[m][~there].any()


def test_every_batch_knows_what_all_of_it_has(monkeypatch):
    """Shuffled, in order and in chunks, on one process and on two: presence of the whole, and of what is here."""
    from cmc.distributed import collectives

    features, present = gappy(), torch.from_numpy(Modalities(gappy()).present)
    scaler = Scaler().fit(features, None, "none", present.numpy())
    for world in (1, 2):
        monkeypatch.setattr(collectives, "world_size", lambda world=world: world)
        for rank in range(world):
            monkeypatch.setattr(collectives, "rank", lambda rank=rank: rank)
            for kind in (Resident, Mapped):
                source = kind(features, None, scaler, present.numpy())
                for size, chunked in ((7, False), (N, False), (N, True)):
                    for whole_batch in Batches(source, size, seed=1, chunked=chunked):
                        for batch in whole_batch.chunks(3):
                            assert torch.equal(batch.present, present[batch.index])
                            assert len(batch.presence) == batch.total
                for batch in InOrder(source, 9):
                    assert torch.equal(batch.present, present[batch.index])
                assert torch.equal(InOrder(source, 9).spaced(5).present, present[InOrder(source, 9).spaced(5).index])


def test_training_rows_that_lack_nothing_are_complete_data():
    features = whole()
    features["m0"][[3, 7]] = np.nan
    data = loaded(features, held_out=np.array([3, 7, 11]))
    assert data.samples.present is None
    assert data.held_out.present.tolist() == [[False, True], [False, True], [True, True]]


def test_samples_set_aside_are_some_that_tell_of_agreement():
    data = loaded(gappy(400))
    aside = data.set_aside(0.25, 3)
    present = data.samples.present
    assert int(aside.sum()) == 50, "a quarter of those with two modalities"
    assert (present[aside].sum(1) == 2).all()
    assert sorted([*data.fitted.tolist(), *aside.nonzero().flatten().tolist()]) == list(range(400))


def test_labels_among_features_are_seen_beside_gaps():
    features, labels = gappy(200), np.arange(200) % 3
    features["m1"][:, 1] = np.where(np.isnan(features["m1"][:, 1]), np.nan, labels)
    (line,) = doubts(features, labels, Modalities(features).present)
    assert line.startswith("m1: the labels can be read off column 2 exactly")


def test_complete_data_are_handed_through_as_they_are():
    data = Modalities(whole())
    assert settled(data, "drop") is data
    assert settled(data, "refuse") is data


def test_what_modalities_share_is_told_of_samples_that_have_both():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(400, 2))
    features = {f"m{m}": np.hstack([common, rng.normal(size=(400, 2))]) for m in range(3)}
    for row in range(400):
        features[f"m{row % 3}"][row] = np.nan
    pairs = loaded(features, scaling="none").shared
    assert [pair.names for pair in pairs] == [("m0", "m1"), ("m0", "m2"), ("m1", "m2")]
    assert all(pair.held_out[0] > 0.95 for pair in pairs)
