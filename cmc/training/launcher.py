"""Several processes for one run, or one preparation, started and watched by a parent that imports no torch.

Lightning would start the others by running the command line again, which under ``-m`` is the whole sweep. Here the
parent notes the resolved configuration, starts every rank as ``python -m cmc.training.worker NOTES``, and ends them all
when one fails.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cmc.errors import Ending, Failed, Interrupted, Preempted, UserError, ending_of
from cmc.runs.folder import how_to_resume
from cmc.runs.report import read_report
from cmc.training.jobs import Job
from cmc.utils.cores import available, bound_spinning
from cmc.utils.signals import PREEMPTION, interrupts

REQUEST = "launch.json"
GO_ON = "the same command goes on from here"  # with a preparation that stopped
_POLL = 0.1
_GRACE = 15  # seconds between asking a process to end and killing it


def n_local(config: DictConfig) -> int:
    """Processes to start here: 1 where one is enough, or where something else (torchrun, SLURM) starts them."""
    trainer, devices = config.trainer, n_devices(config)
    if is_external() or trainer.get("strategy", "auto") not in ("auto", "ddp"):
        return 1
    if trainer.get("num_nodes", 1) > 1 and not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys():
        raise UserError(
            f"trainer.num_nodes: {trainer.num_nodes} given; start the command on every machine with torchrun or srun, "
            "or set MASTER_ADDR, MASTER_PORT and NODE_RANK (docs/scaling.md)"
        )
    if devices > 1:
        check_gpus(trainer.accelerator, devices)
    return devices


def n_devices(config: DictConfig) -> int:
    """The number of devices that the trainer is to have."""
    devices = config.trainer.devices
    return devices if isinstance(devices, int) else len(devices)


def check_gpus(accelerator: str, n: int) -> int:
    """Refuse more processes than GPUs; without any GPU, ``auto`` shares the CPU. The count is another process's.

    Returns:
        How many GPUs there are; 0 where none is to be used.
    """
    if accelerator not in ("auto", "gpu", "cuda"):
        return 0
    count = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    there = int(subprocess.run(count, capture_output=True, text=True, check=True).stdout)
    if n > there and (there or accelerator != "auto"):
        raise UserError(
            f"trainer.devices: {n} given, but {there} GPUs are here; give at most that, or trainer.accelerator=cpu"
        )
    return there


def is_external() -> bool:
    """Whether torchrun or SLURM started this process as one of several."""
    return "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", 1)) > 1


def external_rank() -> int:
    """This process's rank among those that torchrun or SLURM started; 0 without them."""
    if not is_external():
        return 0
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", os.environ.get("LOCAL_RANK", 0))))


def launch(jobs: Sequence[Job], run: Path, n: int, locks: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Train in n processes on this machine.

    Args:
        jobs: one run, or several side by side.
        run: its folder, or the folder of theirs.
        n: how many.
        locks: file descriptors that the first process, which writes the run folders, keeps open.

    Returns:
        What ``metrics.json`` holds, of each.

    Raises:
        UserError, Interrupted: as a process said.
        Failed: a process died; the line names its rank.
    """
    run.mkdir(parents=True, exist_ok=True)
    told = [(_plain(job.config), str(job.folder), job.overrides) for job in jobs]
    cause = _ended(jobs[0].config, n, {"folder": str(run), "jobs": told}, run, locks)
    if not isinstance(cause, Failed):
        _tidy(run, n)
    if cause is not None:
        raise cause
    return [read_report(job.folder) for job in jobs]


def launch_preparation(config: DictConfig, n: int) -> None:
    """Prepare features in n processes on this machine; see `cmc.training.preparation`.

    Raises:
        UserError, Interrupted: as a process said.
        Failed: a process died; the line names its rank.
    """
    if (cause := _ended(config, n, {"config": _plain(config)})) is not None:
        raise cause


def _plain(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=True)


def _ended(
    config: DictConfig, n: int, request: Mapping[str, Any], run: Path | None = None, locks: Sequence[int] = ()
) -> Ending | None:
    """Start n processes, watch them, and say why they ended early, if they did.

    Args:
        config: composed and checked.
        n: how many.
        request: what they are told.
        run: the folder that takes their logs; None for standard error.
        locks: see `launch`.
    """
    meeting = _meeting(config)
    asked: list[int] = []
    with tempfile.TemporaryDirectory() as notes:
        (Path(notes) / REQUEST).write_text(json.dumps(request))
        ranks = [_start(run, notes, rank, n, meeting, locks) for rank in range(n)]
        with _forwarding(ranks, asked):
            codes = _watch(ranks)
        said = {rank: end for rank, code in enumerate(codes) if code and (end := _said(Path(notes), rank))}
    return _cause(run, codes, said, asked)


@contextmanager
def _forwarding(ranks: list[subprocess.Popen[bytes]], asked: list[int]) -> Iterator[None]:
    """Hand the signals that ask a run to stop on to its processes, and note them."""

    def forward(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for process in ranks:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (*interrupts(), *PREEMPTION)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _meeting(config: DictConfig) -> dict[str, str]:
    """Where the processes meet, and how many there are."""
    if config.trainer.get("num_nodes", 1) > 1:
        return {name: os.environ[name] for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "NODE_RANK": "0"}


def _start(
    run: Path | None, notes: str, rank: int, n: int, meeting: Mapping[str, str], locks: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Start a rank in a session of its own, so that a Ctrl-C reaches it through the parent alone."""
    threads = {"OMP_NUM_THREADS": str(max(1, available() // n))}
    environment = {**threads, **os.environ, **meeting, "WORLD_SIZE": str(n), "LOCAL_RANK": str(rank)}
    bound_spinning(environment)
    environment["PYTHONPATH"] = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = None if rank == 0 or run is None else (run / f"rank{rank}.log").open("wb")
    command = [sys.executable, "-m", "cmc.training.worker", notes]
    try:
        kept = () if rank else tuple(locks)
        return subprocess.Popen(command, env=environment, stdout=own, stderr=own, start_new_session=True, pass_fds=kept)
    finally:
        if own is not None:
            own.close()


def _watch(ranks: list[subprocess.Popen[bytes]]) -> list[int]:
    """Wait for all; when one fails, end the others. Returns their status where they ended by themselves, else 0."""
    while any(process.poll() is None for process in ranks):
        codes = [process.poll() for process in ranks]
        if any(codes):
            time.sleep(1)  # others may be about to say why
            codes = [process.poll() for process in ranks]
            _end(ranks)
            return [code or 0 for code in codes]
        time.sleep(_POLL)
    return [process.returncode for process in ranks]


def _end(ranks: list[subprocess.Popen[bytes]]) -> None:
    for process in ranks:
        if process.poll() is None:
            process.terminate()
    limit = time.monotonic() + _GRACE
    while any(process.poll() is None for process in ranks) and time.monotonic() < limit:
        time.sleep(_POLL)
    for process in ranks:
        process.kill()
        process.wait()


def _said(notes: Path, rank: int) -> Ending | None:
    """How a process said that it ended, if it did."""
    path = ending_file(notes, rank)
    return ending_of(json.loads(path.read_text())) if path.exists() else None


def _cause(run: Path | None, codes: list[int], said: Mapping[int, Ending], asked: list[int]) -> Ending | None:
    """Why a run ended early: what a process said that ended by itself, else a process that was killed.

    Args:
        run: the run folder, if there is one.
        codes: of the processes; see `_watch`.
        said: rank -> how it ended, of processes that ended by themselves.
        asked: signals that the run got.
    """
    for kind in (UserError, Preempted, Interrupted):
        if found := next((end for end in said.values() if isinstance(end, kind)), None):
            return found
    way_on = how_to_resume(run) if run else GO_ON
    for rank, code in enumerate(codes):
        if code < 0:
            name = signal.Signals(-code).name
            if -code in asked:  # before the process could listen
                return Preempted(f"stopped at once ({name})", way_on)
            return Failed(f"rank {rank} was killed ({name}); the other processes were ended", way_on)
    for rank, end in said.items():
        more = f"; {run / 'run.log'} has more" if run else ""
        return Failed(f"rank {rank} failed: {end.line}{more}", way_on)
    for rank, code in enumerate(codes):
        if code:
            more = f"; see {run / f'rank{rank}.log'}" if run else ""
            return Failed(f"rank {rank} ended with status {code}{more}", way_on)
    return None


def _tidy(run: Path, n: int) -> None:
    for rank in range(1, n):
        (run / f"rank{rank}.log").unlink(missing_ok=True)


def ending_file(notes: Path, rank: int) -> Path:
    """Where a process says how it ended."""
    return notes / f"ending-{rank}.json"
