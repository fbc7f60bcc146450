"""Checkpoint files: every flipped bit and every cut is noticed, the one before is kept, a full disk changes nothing."""

import errno
import random
import zipfile

import numpy as np
import pytest
import torch

from cmc.errors import UserError
from cmc.runs import checkpoint
from cmc.runs.checkpoint import check_sums, double, find, write
from cmc.runs.folder import LAST, PREVIOUS
from cmc.utils.rng import get_state, set_state


def content(number):
    return {"state_dict": {"a": torch.full((7,), float(number)), "b": torch.arange(9).view(3, 3)}, "epoch": number}


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


def refused(path, damaged):
    path.write_bytes(damaged)
    try:
        check_sums(path)
    except Exception:
        return True
    return False


def test_every_flipped_bit_and_every_cut_is_noticed_though_pytorch_notices_few(run, tmp_path):
    whole, chance, path = (run / LAST).read_bytes(), random.Random(0), tmp_path / "damaged.ckpt"
    for offset in range(len(whole)):
        flipped = bytearray(whole)
        flipped[offset] ^= 1 << chance.randrange(8)
        assert refused(path, flipped), f"flipped at {offset}"
        assert refused(path, whole[:offset]), f"cut at {offset}"
    assert not refused(path, whole)
    number = whole.index(torch.full((7,), 2.0).numpy().tobytes())
    path.write_bytes(whole[:number] + b"\1" + whole[number + 1 :])
    assert torch.load(path, weights_only=True)["state_dict"]["a"][0] != 2, "PyTorch reads another number"


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


def test_a_file_of_an_older_version_is_read_and_checked_by_its_records(run):
    torch.save(content(3), run / LAST)
    assert find(run).content["epoch"] == 3
    damaged = (run / LAST).read_bytes().replace(torch.full((7,), 3.0).numpy().tobytes(), bytes(28))
    (run / LAST).write_bytes(damaged)
    assert find(run).path == run / PREVIOUS


def test_compressed_records_which_might_be_endless_are_refused(tmp_path, run):
    with zipfile.ZipFile(run / LAST) as plain, zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    checkpoint.seal(tmp_path / "x")
    with pytest.raises(zipfile.BadZipFile, match="compressed"):
        check_sums(tmp_path / "x")


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
