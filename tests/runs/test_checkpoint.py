"""Checkpoint files: no damage changes what is loaded, the one before is kept, a full disk changes nothing."""

import errno
import random
import zipfile
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
import torch

from cmc.errors import UserError
from cmc.runs.checkpoint import check_records, double, find, write
from cmc.runs.folder import LAST, PREVIOUS
from cmc.utils.rng import get_state, set_state


def content(number):
    weights = {"a": torch.full((7,), float(number)), "b": torch.arange(9).view(3, 3).T}
    step = {0: {"step": torch.tensor(4.0), "exp_avg": torch.rand(5, dtype=torch.float64)}}
    loop = {"fraction": 0.1 * number, "rows": [1, 2**40], "name": "align", "last": True, "clip": None}
    return {"state_dict": weights, "optimizer_states": [step], "loop": loop, "epoch": number}


@pytest.fixture
def run(tmp_path):
    """A folder with two checkpoints, 1 and 2."""
    for number in (1, 2):
        write(content(number), tmp_path / LAST)
    return tmp_path


def test_other_readers_read_it_and_the_one_before_is_kept(run):
    for path, number in ((run / LAST, 2), (run / PREVIOUS, 1)):
        for mapped in (True, False):
            assert torch.load(path, weights_only=True, mmap=mapped)["state_dict"]["a"][0] == number
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["last.ckpt", "previous.ckpt"]


def same(a, b):
    """Whether two contents are one: types, order, and tensors with dtype, strides and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor):
        form = [(x.dtype, x.shape, x.stride(), x.storage_offset()) for x in (a, b)]
        return form[0] == form[1] and a.numpy().tobytes() == b.numpy().tobytes()
    return a == b


def damages(whole):
    """One random bit of every byte, some bits at once, zeros where a disk lost blocks, and every cut."""
    chance = random.Random(0)

    def flip(*offsets):
        flipped = bytearray(whole)
        for offset in offsets:
            flipped[offset] ^= 1 << chance.randrange(8)
        return flipped

    for offset in range(len(whole)):
        yield "flip", flip(offset)
        yield "cut", whole[:offset]
    for n in (2, 3, 8) * 100:
        yield "flips", flip(*chance.sample(range(len(whole)), n))
    for offset in range(0, len(whole), 64):
        yield "zeros", whole[:offset] + bytes(64) + whole[offset + 64 :]
        yield "zeros", whole[:offset] + bytes(len(whole) - offset)


def test_damage_is_noticed_or_changes_nothing_that_is_loaded_though_pytorch_notices_little(run):
    path = run / LAST
    (run / PREVIOUS).unlink()
    whole, expected = path.read_bytes(), torch.load(path, weights_only=True)
    noticed, harmless = Counter(), Counter()
    for kind, damaged in damages(whole):
        path.unlink()  # some file systems write to disk what is truncated
        path.write_bytes(damaged)
        try:
            found = find(run).content
        except UserError:
            noticed[kind] += 1
        else:
            assert same(found, expected), f"another content: {kind}, {damaged.hex()}"
            harmless[kind] += 1
    assert noticed["cut"] == len(whole)
    assert all(noticed[kind] > harmless[kind] for kind in ("flip", "flips", "zeros"))
    assert harmless["flip"], "some bytes nobody reads"
    path.write_bytes(whole)
    assert same(find(run).content, expected)
    number = whole.index(torch.full((7,), 2.0).numpy().tobytes())
    path.write_bytes(whole[:number] + b"\1" + whole[number + 1 :])
    assert not same(torch.load(path, weights_only=True), expected), "PyTorch reads another number"


def test_the_one_before_is_taken_where_the_last_is_damaged_and_both_are_named(run, caplog):
    assert find(run).content["epoch"] == 2
    assert not caplog.records
    (run / LAST).write_bytes((run / LAST).read_bytes()[:100])
    with caplog.at_level("WARNING"):
        assert (find(run).path, find(run).content["epoch"]) == (run / PREVIOUS, 1)
    assert "last.ckpt: cannot be read, taking previous.ckpt in its place" in caplog.records[0].getMessage()
    (run / PREVIOUS).write_bytes(b"")
    with pytest.raises(UserError, match=r"^.*last\.ckpt: cannot be read, nor the one before; .*its end is missing"):
        find(run)


def test_what_is_not_read_back_as_written_takes_no_other_s_place(run, monkeypatch):
    before = {path: path.read_bytes() for path in (run / LAST, run / PREVIOUS)}
    save, number = torch.save, torch.full((7,), 3.0).numpy().tobytes()

    def spoiled(what, file):
        save(what, held := BytesIO())
        file.write(held.getvalue().replace(number, bytes(28)))

    monkeypatch.setattr(torch, "save", spoiled)
    with pytest.raises(zipfile.BadZipFile, match="is not what was written"):
        write(content(3), run / LAST)
    assert {path: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before


def test_compressed_records_which_might_be_endless_are_refused(tmp_path, run):
    with zipfile.ZipFile(run / LAST) as plain, zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(zipfile.BadZipFile, match="compressed"):
        check_records(tmp_path / "x")


def test_on_a_full_disk_what_was_there_stands(run, monkeypatch):
    before = {path: path.read_bytes() for path in (run / LAST, run / PREVIOUS)}
    room = 500

    class Small:
        def __init__(self, file):
            self.file = file

        def write(self, block):
            if self.file.tell() + len(block) > room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(block)

    save = torch.save
    monkeypatch.setattr(torch, "save", lambda what, file: save(what, Small(file)))
    with pytest.raises(OSError, match="No space left") as error:
        write(content(3), run / LAST)
    assert error.value.filename == str(run / LAST)
    assert {path: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before


def test_a_finished_run_has_its_model_in_two_files(run):
    double(run)
    assert (run / PREVIOUS).read_bytes() == (run / LAST).read_bytes()
    assert (run / PREVIOUS).stat().st_ino != (run / LAST).stat().st_ino


def test_the_states_of_all_generators_pass_through_a_checkpoint(tmp_path):
    def draw():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), np.random.randn(), random.random()  # noqa: NPY002

    draw()
    write({"state_dict": {}, "random_state": get_state()}, tmp_path / LAST)
    expected = draw()
    set_state(find(tmp_path).content["random_state"])
    assert draw() == expected
    set_state({"cpu": torch.get_rng_state(), "cuda": None})
