"""A reader in a process of its own: the same arrays, and one line when it breaks down."""

import os
import signal
import subprocess
import sys
import time
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
    """NamedArrays of every kind that readers return."""
    mapped = np.memmap(path, np.float32, "r", 8, (6, 4))
    return {
        "rows": np.arange(12.0).reshape(3, 4),
        "columns": np.asfortranarray(np.arange(12).reshape(3, 4)),
        "every other": np.arange(24.0).reshape(4, 6)[:, ::2],
        "big-endian": np.arange(5, dtype=">i2"),
        "texts": np.array(["a", "bä\n"]),
        "truths": np.array([True, False]),
        "complex": np.arange(4) * 1j,
        "long double": np.arange(3, dtype=np.longdouble),
        "dates": np.array(["2026-11-22"], "M8[D]"),
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


RECORDS = {
    "texts": np.dtype([("id", "i4"), ("name", h5py.string_dtype())]),
    "many": np.dtype([(f"field {i}", "f8") for i in range(500)]),
    "turned": np.dtype({"names": ["a", "b"], "formats": ["f8", "f8"], "offsets": [8, 0]}),
    "plain": np.dtype([("a", "i4"), ("b", "f8")]),
}


@pytest.mark.parametrize("records", RECORDS)
def test_records_beside_features_are_told_by_their_shape_alone(tmp_path, records):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["image"], file["text"] = np.eye(4), np.eye(4)
        file.create_dataset("records", (4, 1), RECORDS[records])
    found = read_hdf5(tmp_path / "x.h5")
    assert found["records"].dtype == object
    assert found["records"].shape == (4, 1)
    np.testing.assert_array_equal(found["text"], np.eye(4))


def test_both_processes_together_hold_an_array_once(tmp_path):
    """300 MiB: what the system still has, every 5 ms, against what it had before."""
    (tmp_path / "once.py").write_text(
        "import threading, time, numpy as np\nfrom pathlib import Path\n"
        "from cmc.data.formats.apart import read_apart\n"
        "def pss():\n"
        "    import os, glob\n"
        "    children = Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()\n"
        "    texts = []\n"
        "    for pid in ('self', *children):\n"
        "        try: texts.append(Path(f'/proc/{pid}/smaps_rollup').read_text())\n"
        "        except OSError: pass\n"
        "    return sum(int(x.split('Pss:')[1].split()[0]) for x in texts if 'Pss:' in x)\n"
        "most, before, on = [0], pss(), [True]\n"
        "def look():\n    while on[0]: most[0] = max(most[0], pss() - before); time.sleep(0.005)\n"
        "watch = threading.Thread(target=look); watch.start()\n"
        "found = read_apart(lambda path: {'x': np.ones((300, 2**18), np.float32)}, Path('x'), 'a file')\n"
        "on[0] = False; watch.join()\n"
        "assert (found['x'] == 1).all() and found['x'].shape == (300, 2**18)\n"
        "print(most[0] / 2**10)\n"
    )
    done = subprocess.run([sys.executable, str(tmp_path / "once.py")], capture_output=True, text=True, check=True)
    assert 290 < float(done.stdout) < 400  # MiB


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


def test_what_else_a_reader_raises_is_told(file):
    def failing(path):
        raise RuntimeError("out of tune")

    with pytest.raises(UserError, match=r"cannot be read as a file.*RuntimeError: out of tune"):
        read_apart(failing, file, "a file")


def test_where_nobody_waits_for_children_arrays_come_all_the_same(file, monkeypatch):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert list(read_apart(varied, file, "a file")) == list(varied(file))
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_where_the_system_cannot_fork_it_is_read_here(file, monkeypatch):
    def full():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    descriptors = len(os.listdir("/proc/self/fd"))
    assert list(read_apart(varied, file, "a file")) == list(varied(file))
    assert len(os.listdir("/proc/self/fd")) == descriptors


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
        f"child = Path({str(tmp_path)!r}, 'child')\n"
        "def interrupt():\n    while not child.exists() or not child.read_text(): time.sleep(0.02)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=interrupt).start()\n"
        "try: read_apart(hang, Path('x'), 'a file')\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    command = [sys.executable, str(tmp_path / "hang.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "stopped\n", done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "child").read_text()), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the child of a dead parent")
def test_a_reader_that_hangs_does_not_outlive_its_parent(tmp_path):
    (tmp_path / "hang.py").write_text(
        "import os, time\nfrom pathlib import Path\nfrom cmc.data.formats.apart import read_apart\n"
        "def hang(path):\n    print(os.getpid(), file=open(path, 'w'), flush=True)\n    while True: pass\n"
        f"read_apart(hang, Path({str(tmp_path)!r}, 'child'), 'a file')\n"
    )
    process = subprocess.Popen([sys.executable, str(tmp_path / "hang.py")])
    until = time.monotonic() + 30
    while not ((child := tmp_path / "child").exists() and child.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.wait()
    while Path("/proc", child.read_text().strip(), "exe").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path("/proc", child.read_text().strip(), "exe").exists()


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
