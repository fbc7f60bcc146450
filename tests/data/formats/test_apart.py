"""A reader in a process of its own: the same arrays, and one line when it breaks down."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from cmc.data.formats import apart
from cmc.data.formats.apart import read_apart
from cmc.data.formats.hdf5 import read_hdf5
from cmc.errors import UserError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system knows no fork")


@pytest.fixture
def file(tmp_path):
    np.arange(60, dtype=np.float32).tofile(path := tmp_path / "x.bin")
    return path


def varied(path):
    """Arrays of every kind that readers return."""
    mapped = np.memmap(path, np.float32, "r", 8, (6, 4))
    return {
        "rows": np.arange(12.0).reshape(3, 4),
        "columns": np.asfortranarray(np.arange(12).reshape(3, 4)),
        "every other": np.arange(24.0).reshape(4, 6)[:, ::2],
        "big-endian": np.arange(5, dtype=">i2"),
        "texts": np.array(["a", "bä\n"]),
        "truths": np.array([True, False]),
        "records": np.zeros(3, [("a", "i4"), ("b", "f8")]),
        "none": np.empty((0, 7)),
        "one": np.array(3.0),
        "mapped": mapped,
        "mapped, turned": mapped.T,
        "mapped, in part": mapped[2:5],
        "mapped, with gaps": mapped[:, 1:3],
    }


def test_arrays_are_those_of_the_reader(file):
    expected, found = varied(file), read_apart(varied, file, "a file")
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    mapped = [name for name, array in found.items() if isinstance(array, np.memmap)]
    assert mapped == ["mapped", "mapped, turned", "mapped, in part"]


def test_objects_are_told_by_their_shape_alone(file):
    found = read_apart(lambda path: {"x": np.array([[file, 1]], dtype=object)}, file, "a file")
    assert found["x"].dtype == object
    assert found["x"].tolist() == [[None, None]]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_reader_that_breaks_down_is_one_line(file, number, capfd):
    def broken(path):
        os.write(2, b"corrupted size vs. prev_size\n")
        os.kill(os.getpid(), number)

    with pytest.raises(UserError, match=rf"x\.bin: cannot be read as a file.*broke down, signal {int(number)}"):
        read_apart(broken, file, "a file")
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_refusal_is_the_reader_s(file):
    def refusing(path):
        raise UserError(f"{path}: no")

    with pytest.raises(UserError, match=r"x\.bin: no$"):
        read_apart(refusing, file, "a file")


def test_ctrl_c_ends_a_reader_that_hangs(tmp_path):
    (tmp_path / "hang.py").write_text(
        "import os, signal, threading, time\nfrom pathlib import Path\n"
        "from cmc.data.formats.apart import read_apart\n"
        f"def hang(path):\n    Path({str(tmp_path)!r}, 'child').write_text(str(os.getpid()))\n    time.sleep(600)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try: read_apart(hang, Path('x'), 'a file')\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    command = [sys.executable, str(tmp_path / "hang.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "stopped\n", done.stderr
    assert not Path("/proc", (tmp_path / "child").read_text()).exists()


def test_hdf5_is_read_apart(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["image"] = np.eye(3)
    here = os.getpid()
    real = h5py.File

    def breaking(*given, **named):
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGSEGV)
        return real(*given, **named)

    monkeypatch.setattr(h5py, "File", breaking)
    with pytest.raises(UserError, match="broke down, signal 11"):
        read_hdf5(tmp_path / "x.h5")
    monkeypatch.setattr(apart, "_CAN_FORK", False)
    assert read_hdf5(tmp_path / "x.h5")["image"].tolist() == np.eye(3).tolist()
