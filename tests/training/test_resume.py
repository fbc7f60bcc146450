"""Stopped by a signal of pre-emption and started again by the same command; one folder, one run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cmc.run
from cmc.callbacks import Results
from cmc.errors import Preempted, UserError
from cmc.runs.lock import is_locked, locked
from cmc.utils.signals import Requests, preemptible
from tests.conftest import SMALL, TINY

COMMAND = [f"{key}={value}" for key, value in (("method", "cmmc"), ("callbacks.figures", "null"))]
COMMAND += [*SMALL["cmmc"], *TINY]


def folders():
    return sorted(Path("outputs").glob("*/*"))


def signalled(number, phase="contrast"):
    """A callback's hook that sends this process a signal in a phase."""

    def send(self, trainer, pl_module, batch, batch_idx):
        if pl_module.phase.name == phase:
            os.kill(os.getpid(), number)

    return send


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_the_same_command_goes_on_where_the_machine_was_wanted_back(commanded, monkeypatch, number):
    assert commanded(cmc.run, *COMMAND, "hydra.run.dir=whole")[0] == 0
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    monkeypatch.setattr(Results, "on_train_batch_start", signalled(number), raising=False)
    status, _, line = commanded(cmc.run, *COMMAND, "resume=auto")
    monkeypatch.delattr(Results, "on_train_batch_start")
    (folder,) = folders()
    assert (status, line) == (
        75,
        f"cmc: stopped in contrast, epoch 1 of 2; go on with: python -m cmc.run resume={folder.resolve()}",
    )
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == handlers

    time.sleep(1.1)  # another second, another name
    assert commanded(cmc.run, *COMMAND, "seed=1", "max_phase_epochs=1", "resume=auto")[0] == 0
    assert len(folders()) == 2, "another configuration begins anew"
    assert commanded(cmc.run, *COMMAND, "resume=auto")[0] == 0
    assert len(folders()) == 2, "the same configuration goes on"
    for name in ("assignments.csv", "embeddings.npy", "history.csv"):
        assert (folder / name).read_bytes() == (Path("whole") / name).read_bytes(), name


def test_a_given_folder_is_begun_gone_on_with_finished_or_refused(commanded):
    arguments = [*COMMAND, "max_phase_epochs=1", "hydra.run.dir=out", "resume=auto"]
    Path("out").mkdir()
    Path("out/config.yaml").write_text("a: [")
    assert "out/config.yaml: cannot be read" in commanded(cmc.run, *arguments)[2]
    Path("out/config.yaml").unlink()
    assert commanded(cmc.run, *arguments)[0] == 0
    written = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.*") if path.name != "run.log"}
    status, printed, line = commanded(cmc.run, *arguments)
    assert (status, printed) == (0, "")
    assert line.endswith("finished before")
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert "holds a run whose method differs" in commanded(cmc.run, *arguments, "method.batch_size=30")[2]
    for path in (*Path("out").glob("checkpoints/*"), Path("out/metrics.json")):
        path.unlink()
    assert commanded(cmc.run, *arguments)[0] == 0, "without a checkpoint it begins anew"


def test_processes_that_others_start_must_be_told_the_folder(commanded, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    status, _, line = commanded(cmc.run, *COMMAND, "resume=auto")
    assert status == 2
    assert line == "resume: auto given; where torchrun or srun starts the processes, give hydra.run.dir, too"


HOLD = "import sys, time; from pathlib import Path; from cmc.runs.lock import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_a_second_run_into_a_folder_is_refused_and_a_killed_one_leaves_no_lock(commanded, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", HOLD, "out"]
    holder = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        status, _, line = commanded(cmc.run, *COMMAND, "hydra.run.dir=out")
        assert status == 2
        assert line.endswith("/out: another process is at work on this run; wait for it or stop it, "
                             "or give another hydra.run.dir")  # fmt: skip
        assert not Path("out/config.yaml").exists()
        assert is_locked(Path("out"))
    finally:
        holder.kill()
        holder.wait()
    assert not is_locked(Path("out"))


def test_a_lock_lasts_as_long_as_a_process_that_was_given_it(tmp_path):
    with locked(tmp_path) as descriptor:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(descriptor,))
        other = subprocess.Popen(["sleep", "60"])
    try:
        assert is_locked(tmp_path)
        with pytest.raises(UserError, match="another process"), locked(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()
        assert not is_locked(tmp_path)
        other.kill()
        other.wait()


def test_outside_of_training_the_run_ends_at_once(tmp_path):
    with pytest.raises(Preempted, match="SIGTERM"), preemptible():
        os.kill(os.getpid(), signal.SIGTERM)


def interrupted(outcome):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        raise outcome


def test_what_a_library_says_when_it_is_stopped_in_the_middle_is_not_what_ended_the_run():
    with pytest.raises(Preempted, match="SIGTERM"), preemptible():
        interrupted(KeyError("unfinished"))
    with pytest.raises(KeyError, match="unfinished"), preemptible():
        raise KeyError("unfinished")
    with pytest.raises(Preempted, match="go on"), preemptible():
        interrupted(Preempted("stopped", "go on"))


def test_in_a_user_s_own_program_the_signals_are_the_user_s():
    before, requests = signal.getsignal(signal.SIGTERM), Requests()
    requests.listen()
    try:
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        requests.release()
