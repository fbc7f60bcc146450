"""A reader in a process of its own: the same arrays, and one line whatever becomes of it."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmc.data.formats import Contents, child
from cmc.data.formats.child import read_apart
from cmc.data.formats.hdf5 import read_hdf5
from cmc.data.formats.matlab import read_mat
from cmc.errors import UserError
from cmc.utils.memory import SETTING
from tests.data.formats import readers

ROOT = Path(__file__).resolve().parents[3]
SOON = 60  # seconds in which what must happen has happened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.arange(60, dtype=np.float32).tofile(path := tmp_path / "x.bin")
    return path


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()


def of_ours() -> set[str]:
    """The process numbers of this process's children, those that ended and were not waited for among them."""
    children = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if path.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                children.add(path.parent.name)
    return children


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """No child, no open file, no temporary file."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    gc.collect()
    before, children = open_files(), of_ours()  # what an earlier test of this process left behind is not meant
    yield
    gc.collect()
    assert not list((tmp_path / "temporary").iterdir())
    assert of_ours() <= children
    assert open_files() == before


# arrays


def test_arrays_are_those_of_the_reader(file: Path) -> None:
    expected, found = readers.varied(file), read_apart(readers.varied, file, "a file")
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype.str == array.dtype.str, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        for order in ("C_CONTIGUOUS", "F_CONTIGUOUS"):
            if array.flags.c_contiguous or array.flags.f_contiguous:
                assert found[name].flags[order] == array.flags[order], name
    mapped = [name for name, array in found.items() if isinstance(array, np.memmap)]
    assert mapped == ["mapped", "mapped, turned", "mapped by columns"]
    assert all(
        type(array) is np.ndarray and array.flags.writeable for name, array in found.items() if name not in mapped
    )


def test_of_what_is_no_plain_array_the_shape_comes(file: Path) -> None:
    found = read_apart(readers.others, file, "a file")
    shapes = {"objects": (1, 2), "records": (4, 1), "void": (2,)}
    assert {name: array.shape for name, array in found.items()} == shapes
    assert {array.dtype for array in found.values()} == {np.dtype(object)}


def test_the_child_is_light_and_in_a_session_of_its_own(file: Path) -> None:
    found = read_apart(readers.where, file, "a file")
    assert found["heavy"].tolist() == []
    assert found["session"] == found["pid"] != os.getpid()


def test_what_libraries_say_is_for_no_user(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert read_apart(readers.talkative, file, "a file")["x"].tolist() == [[1, 0], [0, 1]]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("how", ["script", "command", "input"])
def test_where_the_main_script_cannot_be_imported(file: Path, how: str) -> None:
    """Without a guard of ``__main__``, from a folder with modules of a stranger's, where warnings are errors."""
    for name in ("json", "numpy", "cmc"):
        (file.parent / f"{name}.py").write_text("raise SystemExit('a stranger had a turn')")
    (scripts := file.parent / "scripts").mkdir()
    text = (
        f"import sys; sys.path = [{str(ROOT)!r}, *(place for place in sys.path if place)]\n"
        "from pathlib import Path\nfrom cmc.data.formats.child import read_apart\n"
        "from tests.data.formats.readers import varied\n"
        f"print(len(read_apart(varied, Path({file.name!r}), 'a file')))\n"
    )
    (scripts / "script.py").write_text(text)
    command = {"script": ["scripts/script.py"], "command": ["-c", text], "input": ["-"]}[how]
    env = {**os.environ, "PYTHONWARNINGS": "error"}
    env.pop("PYTHONPATH", None)
    told = {"input": text, "env": env, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([sys.executable, *command], cwd=file.parent, **told)  # type: ignore[call-overload]
    assert done.stdout == f"{len(readers.varied(file))}\n", done.stderr


def test_where_nobody_waits_for_children_arrays_come_all_the_same(file: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert len(read_apart(readers.where, file, "a file")) == 3
    finally:
        signal.signal(signal.SIGCHLD, before)


# what may become of a child


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGKILL])
def test_a_reader_that_breaks_down_is_one_line(
    file: Path, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_text(str(int(number)))
    with pytest.raises(UserError, match=rf"x\.bin: cannot be read as a file.*broke down, signal {int(number)}\)$"):
        read_apart(readers.killed, file, "a file")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        (readers.exiting, r"cannot be read as a file; cut short or damaged\?.*broke down, status 3\)$"),
        (readers.dying_while_it_sends, r"cannot be read as a file.*broke down, signal 9\)$"),
        (readers.failing, r"cannot be read as a file.*\(RuntimeError: out of tune\)$"),
        (readers.refusing, r"x\.bin: no$"),
    ],
)
def test_a_reader_that_fails_is_one_line(file: Path, reader: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read_apart(reader, file, "a file")


@pytest.mark.parametrize("reader", [readers.turning, readers.waiting])
def test_a_reader_that_comes_to_no_end_is_ended(file: Path, monkeypatch: pytest.MonkeyPatch, reader: Any) -> None:
    monkeypatch.setattr(child, "_LEAST_SECONDS", 1)
    with pytest.raises(UserError, match=r"cannot be read as a file.*came to no end within 1 s\)$"):
        read_apart(reader, file, "a file")
    assert is_gone(int(file.with_suffix(".pid").read_text()))


def test_a_large_file_has_more_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(file, 2**40)  # nothing is written

    def told(*command: Any, **settings: Any) -> Any:
        given.extend(command[0])
        raise OSError(11, "Resource temporarily unavailable")

    given: list[str] = []
    monkeypatch.setattr(subprocess, "Popen", told)
    with pytest.raises(UserError):
        read_apart(readers.where, file, "a file")
    assert float(given[8]) == 60 + 2**19


@pytest.mark.skipif(sys.platform != "linux", reason="Linux limits the address space")
@pytest.mark.parametrize("reader", [readers.greedy, readers.hoarding])
def test_a_reader_that_takes_too_much_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch, reader: Any) -> None:
    monkeypatch.setenv(SETTING, str(1 / 64))
    with pytest.raises(UserError, match=r"x\.bin: takes .+ in memory, and reading may take 0\.0 GiB; raise that"):
        read_apart(reader, file, "a file")


def test_this_process_has_no_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(*given: Any) -> None:
        pytest.fail("a limit on the user's process")

    monkeypatch.setattr(resource, "setrlimit", limited)
    read_apart(readers.where, file, "a file")


def test_where_no_process_can_be_started_one_line_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*command: Any, **settings: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "_fork_exec", full)
    with pytest.raises(UserError, match=r"x\.bin: no process can be started .*Resource temporarily unavailable"):
        read_apart(readers.where, file, "a file")


NONSENSE = {
    "no json": b"\x00\xff\n",
    "a line without end": b"[" * 2**21,
    "no mapping": b"[1, 2]\n",
    "an unknown type": json.dumps({"name": "x", "shape": [2], "dtype": "z9", "order": "C"}).encode() + b"\n",
    "a shape beyond any memory": b'{"name": "x", "shape": [1e9, 1e9], "dtype": "f8", "order": "C"}\n',
    "a negative shape": b'{"name": "x", "shape": [-3], "dtype": "f8", "order": "C"}\n',
    "a place beyond the file": b'{"name": "x", "shape": [9], "dtype": "f8", "order": "C", "offset": 4096}\n',
    "fewer numbers than told": b'{"name": "x", "shape": [9], "dtype": "f8", "order": "C"}\n123',
    "nothing": b"",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_from_a_damaged_child_is_one_line(file: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    received = child._received
    monkeypatch.setattr(child, "_received", lambda pipe, path: received(io.BytesIO(NONSENSE[what]), path))
    with pytest.raises(UserError, match=r"x\.bin: (cannot be read as a file|takes more in memory)"):
        read_apart(readers.where, file, "a file")


def test_bytes_never_become_objects(file: Path) -> None:
    head = b'{"name": "x", "shape": [2], "dtype": "O", "order": "C"}\n'
    found = child._received(io.BytesIO(head + b'{"end": true}\n'), file)
    assert found is not None
    assert found["x"].tolist() == [None, None]


# what may become of the parent


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def is_gone(pid: int) -> bool:
    until = time.monotonic() + SOON
    while time.monotonic() < until:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def begun(tmp_path: Path, reader: str, how: str) -> tuple[subprocess.Popen[str], int]:
    """A parent that reads, and its child."""
    (tmp_path / "hang.py").write_text(
        "import signal\nfrom pathlib import Path\nfrom cmc.data.formats.child import read_apart\n"
        f"from tests.data.formats.readers import {reader} as read\n"
        f"{how}\n"
        f"Path({str(tmp_path)!r}, 'x').touch()\n"
        f"try:\n    read_apart(read, Path({str(tmp_path)!r}, 'x'), 'a file')\n"
        "except KeyboardInterrupt:\n    print('stopped')\n"
    )
    command = [sys.executable, str(tmp_path / "hang.py")]
    parent = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + SOON
    while not (said := tmp_path / "x.pid").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return parent, int(said.read_text())


@pytest.mark.parametrize("reader", ["waiting", "turning"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_does_not_outlive_its_parent(tmp_path: Path, reader: str, number: signal.Signals) -> None:
    parent, pid = begun(tmp_path, reader, "")
    with parent:
        parent.send_signal(number)
        parent.wait(SOON)
        assert is_gone(pid)


@pytest.mark.parametrize("reader", ["waiting", "turning"])
def test_ctrl_c_ends_a_child(tmp_path: Path, reader: str) -> None:
    parent, pid = begun(tmp_path, reader, "signal.signal(signal.SIGINT, signal.default_int_handler)")
    with parent:
        parent.send_signal(signal.SIGINT)
        assert parent.communicate(timeout=SOON)[0] == "stopped\n"
        assert is_gone(pid)


def test_a_parent_that_heeds_no_signal_has_children_that_do(tmp_path: Path) -> None:
    ignoring = (
        "for n in (signal.SIGIO, signal.SIGALRM): signal.signal(n, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO, signal.SIGALRM])"
    )
    parent, pid = begun(tmp_path, "turning", ignoring)
    with parent:
        parent.kill()
        parent.wait(SOON)
        assert is_gone(pid)


# who reads so


@pytest.mark.parametrize("read", [read_hdf5, read_mat])
def test_matlab_and_hdf5_are_read_so(file: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], Any]) -> None:
    module = sys.modules[read.__module__]
    asked: list[Any] = []
    monkeypatch.setattr(module, "read_apart", lambda *given: asked.append(given) or {})
    assert read(file) == (Contents({}) if read is read_hdf5 else {})
    assert asked[0][:2] == (module._read, file)  # type: ignore[attr-defined]
