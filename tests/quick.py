"""An interpreter that has imported PyTorch already: what tests start through it begins in a second instead of ten.

`interpreter` stands in a command for ``sys.executable``. It hands its arguments, environment, folder and open files to
a server, which has imported what runs need, and forks; signals are passed on, and it ends as the forked process does.
The ranks of a run of several processes are begun so, too.

What a fork cannot show is tested on interpreters begun anew: what a command imports and how soon it answers, how much
memory it takes, and that ranks end with their parent.
"""

import array
import json
import os
import signal
import socket
import sys

_PASSED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_PRELOADED = ("cmc.training.fit", "cmc.training.sweep", "cmc.figures.embedding", "cmc.methods.baselines",
              "hydra", "sklearn.manifold", "torch.distributed.fsdp")  # fmt: skip
_MOST_FILES = 64
_HERE = os.path.abspath(__file__)
_places = []  # of the server that this process began


def interpreter():
    """The path of an interpreter that begins quickly, until this process ends."""
    if not _places:
        import subprocess
        import tempfile

        place = tempfile.mkdtemp()
        with open(path := f"{place}/python", "w") as script:
            script.write(f'#!/bin/sh\nexec {sys.executable} -I -S {_HERE} {place}/socket "$@"\n')
        os.chmod(path, 0o755)
        code = f"from tests.quick import serve; serve({place!r})"
        ends = {"cwd": os.path.dirname(os.path.dirname(_HERE)), "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        _places.extend((path, subprocess.Popen([sys.executable, "-c", code], env=clean, **ends)))
        assert _places[1].stdout.readline() == b"ready\n"
    return _places[0]


def client(place, arguments):
    """Ask the server for a process of these arguments; end as it does."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(place)
    files = [n for n in range(_MOST_FILES) if n != server.fileno() and _is_open(n)]
    ignored = [int(number) for number in _PASSED if signal.getsignal(number) == signal.SIG_IGN]
    asked = {"arguments": arguments, "cwd": os.getcwd(), "environ": dict(os.environ)}
    text = json.dumps(asked | {"files": files, "ignored": ignored}).encode()
    passed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))
    server.sendmsg([len(text).to_bytes(8, "big")], [passed])
    server.sendall(text)
    told = server.makefile("r")
    process = int(told.readline())
    for number in _PASSED:
        if number not in ignored:
            signal.signal(number, lambda number, _: os.kill(process, number))
    status = int(told.readline())
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def serve(place):
    """Import; then fork for every client until standard input ends."""
    import gc
    import importlib
    import selectors
    import shutil

    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    for name in _PRELOADED:
        importlib.import_module(name)
    _compose_once()
    gc.set_threshold(50_000, 50, 100)
    gc.freeze()  # else a collection in a forked process writes to every page, and copies all of them
    running, listening, selector = {}, socket.socket(socket.AF_UNIX), selectors.DefaultSelector()
    listening.bind(f"{place}/socket")
    listening.listen()
    print("ready", flush=True)
    for source in (listening, sys.stdin):
        selector.register(source, selectors.EVENT_READ)
    while True:
        for ready, _ in selector.select(0.02 if running else None):
            if ready.fileobj is sys.stdin:
                shutil.rmtree(place)
                os._exit(0)
            if ready.fileobj is listening:
                asking = listening.accept()[0]
                process = _forked(asking, place)
                running[process] = asking
                selector.register(asking, selectors.EVENT_READ, process)
            else:  # a client was killed
                os.kill(ready.data, signal.SIGKILL)
                selector.unregister(ready.fileobj)
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            asking = running.pop(ended[0])
            if asking in (key.fileobj for key in selector.get_map().values()):
                selector.unregister(asking)
                asking.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())
            asking.close()


def _compose_once():
    """Have Hydra find its plugins and warm its parsers."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from cmc.cli import register_resolvers
    from cmc.config.schema import conf_dir

    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        compose("config", overrides=["method.hidden=[8]", "data=synthetic"])
    GlobalHydra.instance().clear()


def _forked(asking, place):
    """A process for a client, to which its number is told."""
    kept = array.array("i")
    head, (*_, rights), *_ = asking.recvmsg(8, socket.CMSG_SPACE(_MOST_FILES * kept.itemsize))
    kept.frombytes(rights[2])
    asked = json.loads(asking.makefile("rb").read(int.from_bytes(head, "big")))
    if not (process := os.fork()):
        _become(asked, kept, place)
    for number in kept:
        os.close(number)
    asking.sendall(f"{process}\n".encode())
    return process


def _become(asked, kept, place):
    """Be the process that a client asked for, to its end."""
    import atexit
    import threading
    import traceback

    os.setsid()
    high = [os.dup2(number, 1000 + i) for i, number in enumerate(kept)]
    os.closerange(0, 1000)
    for there, number in zip(high, asked["files"], strict=True):
        os.dup2(there, number)
    os.closerange(1000, 1000 + len(high))
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(n, mode, closefd=False) for n, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in asked["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    status = 0
    try:
        _run(asked["arguments"], f"{place}/python")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run(arguments, executable):
    """As the interpreter does with its command line."""
    import runpy
    import types

    import cmc.training.launcher

    cmc.training.launcher.sys = types.SimpleNamespace(executable=executable)
    how, *rest = arguments
    above = [os.path.dirname(os.path.abspath(how))] if how not in ("-m", "-c") else [os.getcwd()]
    above += filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = above
    sys.argv = [how, *rest] if how not in ("-m", "-c") else [how, *rest[1:]]
    if how == "-m":
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.modules["__main__"] = module = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), module.__dict__)
    else:
        runpy.run_path(how, run_name="__main__")


if __name__ == "__main__":
    client(sys.argv[1], sys.argv[2:])
