"""Runs of several processes, and sweeps over them, through the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cmc.runs.history import read_history
from tests.conftest import SMALL
from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[2]
LEAN = ["experiment=smoke", "~callbacks.figures", "callbacks.results.embeddings=false"]
TWO = ["trainer.devices=2", "trainer.accelerator=cpu"]
TINY = ["data=synthetic", "data.n_samples=151", "data.n_clusters=3", "data.dims=[6,5]"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def cmc(*arguments, cwd, start=(), **settings):
    command = [*(start or (interpreter(), "-m", "cmc.run")), *arguments]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, **settings)


def report(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.slow
def test_nuswides_size_on_four_processes(tmp_path):
    four = ["trainer.devices=4", "trainer.accelerator=cpu", "experiment=smoke"]
    done = cmc("method=dmim", "data=nuswide", "data.surrogate=true", *four, "hydra.run.dir=out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = report(tmp_path / "out")
    assert (told["processes"], told["features"]["n_samples"]) == (4, 20_000)
    assert len((tmp_path / "out/assignments.csv").read_text().splitlines()) == 20_001
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("assignments.csv", "checkpoints", "clusters.csv", "config.yaml", "embeddings.npy", "figures", "history.csv"),
        *("metrics.json", "run.log"),
    }


@pytest.mark.slow
def test_a_grid_over_data_methods_and_processes_runs_each_job_once(tmp_path):
    grid = ["method=dmim,cmmc", "data=digits,synthetic", "trainer=cpu,ddp", "seed=0,1"]
    done = cmc("-m", *grid, *LEAN, "hydra.sweep.dir=out", "trainer.accelerator=cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "no ghost of a sweep"
    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    seen = set()
    for folder in folders:
        config, told = OmegaConf.load(folder / "config.yaml"), report(folder)
        seen.add((told["method"], told["data"], told["processes"], told["seed"]))
        assert (config.seed, config.trainer.devices) == (told["seed"], told["processes"])
        assert len((folder / "history.csv").read_text().splitlines()) == 1 + config.max_phase_epochs * len(
            told["phases"]
        ), "none ran twice"
    assert len(folders) == len(seen) == 16


@pytest.mark.slow
def test_torchrun_starts_the_processes_too(tmp_path):
    start = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "cmc.run")
    done = cmc("method=dmim", *SMALL["dmim"], *TINY, *TWO, *LEAN, "hydra.run.dir=out", cwd=tmp_path, start=start)
    assert done.returncode == 0, done.stderr
    assert "sync_dist" not in done.stderr
    assert report(tmp_path / "out")["processes"] == 2
    straight = cmc("method=dmim", *SMALL["dmim"], *TINY, *TWO, *LEAN, "hydra.run.dir=ours", cwd=tmp_path)
    assert straight.returncode == 0, straight.stderr
    losses = [[float(row["loss"]) for row in read_history(tmp_path / name)] for name in ("out", "ours")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


LONG = ["method=dmim", *TINY, *TWO, "method.phases.train.epochs=100000", "evaluate_every=0", "~callbacks.figures"]


def started(folder, *arguments, **settings):
    process = subprocess.Popen(
        [sys.executable, "-m", "cmc.run", *LONG, *arguments, "hydra.run.dir=out"],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )
    wait_for(
        lambda: (folder / "out/history.csv").exists() and (folder / "out/history.csv").read_text().count("\n") > 20
    )
    return process


def wait_for(condition, seconds=90):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def workers(folder):
    """Process ids of the ranks, by rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode().split("\0")
            settings = (path / "environ").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "cmc.training.worker" in words and Path(os.readlink(path / "cwd")) == folder:
            found[next(int(x[11:]) for x in settings if x.startswith("LOCAL_RANK="))] = int(path.name)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes through /proc")
@pytest.mark.parametrize("killed", [0, 1])
def test_when_a_process_is_killed_the_others_end_and_the_run_goes_on(tmp_path, killed):
    process = started(tmp_path, "callbacks.checkpoints.minutes=0")
    wait_for((tmp_path / "out/checkpoints/last.ckpt").exists)
    os.kill(workers(tmp_path)[killed], signal.SIGKILL)
    began = time.monotonic()
    line = process.communicate(timeout=90)[1].splitlines()[-1]
    assert time.monotonic() - began < 60
    assert process.returncode == 1
    assert f"rank {killed} was killed (SIGKILL)" in line
    assert "go on with: python -m cmc.run resume=" in line
    assert not workers(tmp_path)
    before = (tmp_path / "out/history.csv").read_text().count("\n")
    onward = subprocess.Popen(
        [sys.executable, "-m", "cmc.run", "resume=out"], cwd=tmp_path, env=ENVIRONMENT, stderr=-1, text=True
    )
    wait_for(lambda: (tmp_path / "out/history.csv").read_text().count("\n") > before + 5)
    onward.send_signal(signal.SIGINT)
    assert "stopped in train, epoch" in onward.communicate(timeout=60)[1].splitlines()[-1]
    assert onward.returncode == 130


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes through /proc")
@pytest.mark.slow
def test_processes_end_with_their_parent(tmp_path):
    process = started(tmp_path)
    assert len(workers(tmp_path)) == 2
    process.kill()
    process.communicate()
    wait_for(lambda: not workers(tmp_path), 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGKILL, -9)]
)
def test_a_run_of_two_stopped_and_resumed_ends_as_one_never_stopped(tmp_path, number, status):
    run = ["method=cmmc", *SMALL["cmmc"], *TINY, *TWO, "evaluate_every=0", "~callbacks.figures", "method.batch_size=32"]
    run += ["method.phases.reconstruct.epochs=40", "method.phases.contrast.epochs=5", "method.phases.align.epochs=2"]
    assert cmc(*run, "hydra.run.dir=straight", cwd=tmp_path).returncode == 0
    command = [sys.executable, "-m", "cmc.run", *run, "hydra.run.dir=out"]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=-1, text=True)
    wait_for((tmp_path / "out/history.csv").exists)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == status
    wait_for(lambda: not workers(tmp_path), 20)
    resumed = cmc(*run, "hydra.run.dir=out", "resume=auto", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("assignments.csv", "history.csv"):
        assert (tmp_path / "out" / name).read_text() == (tmp_path / "straight" / name).read_text()


@pytest.mark.slow
def test_a_run_of_two_that_was_started_with_ctrl_c_ignored_ignores_it(tmp_path):
    """As a script's shell starts ``command &``."""
    process = started(tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    history = tmp_path / "out/history.csv"
    for number in (process.pid, *workers(tmp_path).values()):
        os.kill(number, signal.SIGINT)
    before = history.read_text().count("\n")
    wait_for(lambda: history.read_text().count("\n") > before + 5)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainer.devices=0"], "trainer.devices: 0 given"),
        (["trainer.devices=[]"], "trainer.devices: [] given"),
        (["trainer=gpu", "trainer.devices=64"], "trainer.devices: 64 given, but 0 GPUs are here"),
        (["trainer.num_nodes=2"], "trainer.num_nodes: 2 given; start the command on every machine"),
        ([*TWO, "method.batch_size=1"], "method.batch_size: 1 given; a batch of 1 samples cannot be shared by 2"),
        ([*TWO, "data._target_=cmc.data.datasets.digits.Digit"], "Digit"),
        ([*TWO, "data.holdout=1.0"], "data.holdout: 1.0 given; it must be a share of at least 0 and below 1"),
        ([*TWO, "method.latent_dim=0"], "method.latent_dim: 0 given; it must be a number of at least 1"),
        (["trainer.strategy=dpp"], "trainer: "),
        ([*TWO, "trainer.strategy=ddp_spawn"], "trainer.strategy: ddp_spawn given; with several processes it must be"),
    ],
)
def test_mistakes_are_one_line_whoever_finds_them(tmp_path, arguments, message):
    done = cmc(*TINY, *SMALL["cmmc"], *LEAN, *arguments, "hydra.run.dir=out", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    *logged, line = done.stderr.splitlines()
    assert line.startswith("cmc: error: ")
    assert message in line
    assert not any("Traceback" in earlier or message in earlier for earlier in logged)


@pytest.mark.slow
def test_other_data_on_another_rank_are_refused(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os\nfrom cmc.data.datasets.synthetic import Synthetic, load\n"
        "class Mine(Synthetic):\n    def read(self):\n"
        "        return load(n_samples=100, seed=int(os.environ.get('LOCAL_RANK', 0)))\n"
    )
    done = cmc(*TINY, "data._target_=mine.Mine", *TWO, *SMALL["cmmc"], *LEAN, "hydra.run.dir=out", cwd=tmp_path)
    assert done.returncode == 2
    assert "data: rank 1 reads other data than rank 0" in done.stderr.splitlines()[-1]


SEARCH = ["method=cmmc", *SMALL["cmmc"], *TINY, *LEAN, "trainer.accelerator=cpu", "hydra.sweep.dir=out"]


def test_an_optuna_search_over_temperatures_maximises_what_needs_no_labels(tmp_path):
    search = ["hydra/sweeper=optuna", "+sweep=cmmc", "hydra.sweeper.n_trials=4", "hydra.sweeper.sampler.seed=0"]
    digits = [x for x in SEARCH if not x.startswith("data")]
    done = cmc("-m", *digits, "data=digits", *search, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    reports = [report(path) for path in sorted((tmp_path / "out").iterdir()) if path.is_dir()]
    assert len(reports) == 4
    best = OmegaConf.load(tmp_path / "out/optimization_results.yaml")
    assert best.best_value == pytest.approx(max(told["label_free"]["quality"] for told in reports))


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
    ],
)
def test_other_launchers_run_jobs_of_one_and_of_two_processes(tmp_path, launcher):
    done = cmc("-m", *SEARCH, "trainer=cpu,ddp", *launcher, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    reports = [report(path) for path in sorted((tmp_path / "out").iterdir()) if (path / "metrics.json").exists()]
    assert [told["processes"] for told in reports] == [1, 2]


@pytest.mark.slow
def test_a_sweep_taken_up_again_runs_what_is_missing(tmp_path):
    sweep = ["-m", *SEARCH, "seed=0,1,2"]
    assert cmc(*sweep, cwd=tmp_path).returncode == 0
    first, second, third = sorted(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    whole = (second / "assignments.csv").read_text()
    kept = (first / "metrics.json").stat().st_mtime_ns
    (second / "metrics.json").unlink()
    for path in third.rglob("*"):
        if path.is_file():
            path.unlink()
    again = cmc(*sweep, "resume_sweep=true", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (first / "metrics.json").stat().st_mtime_ns == kept
    assert (second / "assignments.csv").read_text() == whole
    assert report(third)["seed"] == 2
    other = cmc(*sweep, "resume_sweep=true", "method.batch_size=33", cwd=tmp_path)
    assert other.returncode == 2
    assert "holds a run whose method differs" in other.stderr
