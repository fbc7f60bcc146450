"""Batches: every sample once, in an order of (seed, epoch) alone, whatever the source and the number of processes."""

from itertools import chain

import numpy as np
import pytest
import torch

from cmc import distributed
from cmc.data.loader import Batch, Batches, InOrder
from cmc.data.scaling import Scaler
from cmc.data.sources import Mapped, Resident
from cmc.distributed import collectives
from cmc.errors import UserError

N = 23


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return {"a": rng.normal(size=(N, 3)).astype(np.float32), "b": rng.normal(size=(N, 2))}


@pytest.fixture
def scaler(features):
    return Scaler().fit(features, None, "minmax")


@pytest.fixture(params=[Resident, Mapped])
def source(request, features, scaler):
    return request.param(features, None, scaler)


def indices(batches):
    return [batch.index.tolist() for batch in batches]


@pytest.mark.parametrize("batch_size", [1, 5, 22, 23, 100])
def test_every_sample_comes_once_with_its_own_rows(source, features, scaler, batch_size):
    seen = []
    for batch in Batches(source, batch_size):
        seen += batch.index.tolist()
        for (name, x), rows in zip(features.items(), batch.modalities, strict=True):
            expected = scaler(name, torch.from_numpy(x[batch.index.numpy()].astype(np.float32)))
            torch.testing.assert_close(rows, expected)
    assert sorted(seen) == list(range(N))


@pytest.mark.parametrize(("batch_size", "drop_last", "sizes"), [(5, False, [5, 5, 5, 5, 3]), (5, True, [5] * 4)])
def test_sizes_and_length(source, batch_size, drop_last, sizes):
    batches = Batches(source, batch_size, drop_last=drop_last)
    assert [batch.size for batch in batches] == sizes
    assert len(batches) == len(sizes)


def test_order_depends_on_seed_and_epoch_alone(source):
    def order(**settings):
        return indices(Batches(source, 5, **settings))

    assert order(seed=1, epoch=2) == order(seed=1, epoch=2)
    assert order(seed=1, epoch=2) != order(seed=1, epoch=3)
    assert order(seed=1, epoch=2) != order(seed=2, epoch=2)
    assert order(seed=1, epoch=2) != order(seed=2, epoch=1)


def test_sources_agree(features, scaler):
    pairs = zip(Batches(Resident(features, None, scaler), 4), Batches(Mapped(features, None, scaler), 4), strict=True)
    for resident, mapped in pairs:
        for a, b in zip(resident.modalities, mapped.modalities, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("batch_size", [5, N])
def test_shares_of_all_processes_are_the_global_batch(source, world_size, batch_size, monkeypatch):
    whole = indices(Batches(source, batch_size, seed=3, drop_last=True))
    shares = []
    monkeypatch.setattr(collectives, "world_size", lambda: world_size)
    for r in range(world_size):
        monkeypatch.setattr(collectives, "rank", lambda r=r: r)
        batches = list(Batches(source, batch_size, seed=3, drop_last=True))
        shares.append([batch.index.tolist() for batch in batches])
        for batch, all_of_it in zip(batches, whole, strict=True):
            assert (batch.total, batch.size) == (len(all_of_it), len(batch.index))
            assert all_of_it[batch.offset : batch.offset + batch.size] == batch.index.tolist()
    assert [list(chain(*parts)) for parts in zip(*shares, strict=True)] == whole
    assert all(abs(len(a) - len(b)) <= 1 for parts in zip(*shares, strict=True) for a in parts for b in parts)


def test_a_full_resident_batch_is_handed_on_without_a_copy(features, scaler):
    source = Resident(features, None, scaler)
    (batch,) = Batches(source, N)
    assert [x.data_ptr() for x in batch.modalities] == [x.data_ptr() for x in source.tensors]


def test_position_resumes_in_mid_epoch(source):
    whole = indices(Batches(source, 5, epoch=4))
    first = Batches(source, 5, epoch=4)
    iterator = iter(first)
    head = [next(iterator).index.tolist() for _ in range(2)]
    second = Batches(source, 5, epoch=4)
    second.load_state_dict(first.state_dict())
    assert head + indices(second) == whole


def test_rows_choose_a_subset(features, scaler):
    rows = np.array([2, 3, 11, 20])
    for kind in (Resident, Mapped):
        (batch,) = InOrder(kind(features, rows, scaler), 10)
        assert batch.index.tolist() == [0, 1, 2, 3]
        expected = scaler("a", torch.from_numpy(features["a"][rows]))
        torch.testing.assert_close(batch.modalities[0], expected)


@pytest.mark.parametrize("size", [None, 1, 7, 23, 50])
def test_a_span_is_cut_as_a_batch_of_everything_is(source, size):
    (span,), (batch,) = Batches(source, N, chunked=True), Batches(source, N)
    assert (span.size, span.total, span.share) == (batch.size, batch.total, batch.share) == (N, N, 1.0)
    cut, expected = list(span.chunks(size)), list(batch.chunks(size))
    assert [(c.size, c.total, c.offset, c.index.tolist()) for c in cut] == [
        (c.size, c.total, c.offset, c.index.tolist()) for c in expected
    ]
    for mine, theirs in zip(cut, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.modalities, theirs.modalities, strict=True))


def test_in_order_passes_over_everything_once(source):
    assert indices(InOrder(source, 10)) == [list(range(10)), list(range(10, 20)), list(range(20, 23))]


def test_chunks_cut_a_batch_InOrder():
    batch = Batch((torch.arange(14).view(7, 2), torch.arange(7).view(7, 1)), torch.arange(7))
    chunks = list(batch.chunks(3))
    assert [chunk.size for chunk in chunks] == [3, 3, 1]
    for m in range(2):
        assert torch.equal(torch.cat([chunk.modalities[m] for chunk in chunks]), batch.modalities[m])
    assert list(batch.chunks(None)) == [batch]


def test_a_mapped_source_reads_from_disk_no_more_than_a_batch(tmp_path, scaler):
    np.save(tmp_path / "a.npy", np.zeros((N, 3), np.float32))

    class Counting(np.memmap):
        rows = 0

        def __getitem__(self, key):
            part = super().__getitem__(key)
            Counting.rows = max(Counting.rows, len(part))
            return part

    mapped = np.load(tmp_path / "a.npy", mmap_mode="r").view(Counting)
    source = Mapped(
        {"a": mapped, "b": mapped}, None, Scaler().fit({"a": np.eye(2, 3), "b": np.eye(2, 3)}, None, "none")
    )
    list(Batches(source, 5))
    assert 0 < Counting.rows <= 5


def test_a_batch_smaller_than_the_number_of_processes_is_refused(source, monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    with pytest.raises(UserError, match=r"method\.batch_size: 3 given; a batch of \d samples cannot be shared by 4"):
        Batches(source, 3)
