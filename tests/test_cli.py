"""The command line: every mistake is one line that names the key, and exit status 2; nothing is trained."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cmc import cli, run
from cmc.config import requirements
from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[1]
CORES = len(os.sched_getaffinity(0))


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Run the command in this process; return the one line that it prints."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        monkeypatch.setattr(sys, "argv", ["cmc", *arguments])
        with pytest.raises(SystemExit) as stop:
            run.main()
        assert stop.value.code == 2
        *logged, line = capsys.readouterr().err.splitlines()
        known = (" data: ", "] threads: ", "] precision: ", "run folder: ", "HYDRA", "epoch ", "Error executing job")
        assert all(any(word in earlier for word in known) for earlier in logged), logged
        return line.removeprefix("cmc: error: ")

    return call


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metod=cmmc", r"^metod: no such key; did you mean method\?$"),
        ("method=cmcc", r"^method=cmcc: no such method; there are agglomerative, .*cmmc, .*did you mean cmmc\?$"),
        ("data=_base", r"^data: the chosen yaml names no class"),
        ("logger=wnadb", r"^logger=wnadb: no such logger; there are csv, mlflow, .*did you mean wandb\?$"),
        ("logger=[csv,wnadb]", r"^logger=wnadb: no such logger; there are csv, mlflow, .*did you mean wandb\?$"),
        ("data=nowhere", r"^data=nowhere: no such data; there are .*digits.*"),
        ("experiment=dmo", r"^experiment=dmo: no such experiment; .*did you mean demo\?$"),
        ("method.batchsize=3", r"^method\.batchsize: no such key; did you mean method\.batch_size\?$"),
        ("method.phases.contrast.epoch=3", r"did you mean method\.phases\.contrast\.epochs\?$"),
        ("+typo=1", r"^typo: no such key; known: .*seed"),
        ("+method.feature_temprature=1", r"did you mean method\.feature_temperature\?$"),
        ("~method.optimizer", r"^method\.optimizer\._target_: taken out"),
        ("a b", r"^a b: not understood; overrides are written key=value"),
        ("method.batch_size=0", r"^method\.batch_size: 0 given; it must be a whole number of at least 1, or full$"),
        ("method.batch_size=many", r"^method\.batch_size: 'many' given; .*or full$"),
        ("method.latent_dim=wide", r"^method\.latent_dim: 'wide' given; it must be a whole number$"),
        ("method.feature_temperature=warm", r"^method\.feature_temperature: 'warm' given; it must be a number$"),
        ("method.feature_temperature=0", r"^method\.feature_temperature: 0 given; it must be above 0$"),
        ("method.drop_last=3", r"^method\.drop_last: 3 given; it must be true or false$"),
        ("method.hidden=5", r"^method\.hidden: 5 given; it must be a list"),
        ("method.phases.align.epochs=-1", r"^method\.phases\.align\.epochs: -1 given; .*at least 0$"),
        ("method.phases=3", r"^method\.phases: 3 given; it must be a mapping of keys$"),
        ("seed=x", r"^seed: 'x' given; it must be a whole number from 0"),
        ("data.scaling=log", r"^data\.scaling: 'log' given; it must be one of auto, none, l2, standard, minmax$"),
        ("data.holdout=1.0", r"^data\.holdout: 1\.0 given; it must be a share of at least 0 and below 1$"),
        ("data.n_clusters=1", r"^data\.n_clusters: 1 given; it must be a whole number of at least 2, or null$"),
        ("data.n_clusters=1798", r"^data\.n_clusters: 1798 clusters for 1797 training samples"),
        ("trainer.precision=half", r"^trainer\.precision: 'half' given; it must be one of auto, 32-true, 16-mixed"),
        ("trainer.precision=64-true", r"^trainer\.precision: '64-true' given"),
        (
            "trainer.threads=0",
            rf"^trainer\.threads: 0 given; it must be auto, or a whole number from 1 to {CORES}, the cores",
        ),
        ("trainer.threads=-1", r"^trainer\.threads: -1 given; .*whole number from 1"),
        ("trainer.threads=many", r"^trainer\.threads: 'many' given; it must be auto, or"),
        ("trainer.threads=true", r"^trainer\.threads: True given"),
        ("trainer.threads=1.5", r"^trainer\.threads: 1\.5 given"),
        (f"trainer.threads={CORES + 1}", rf"^trainer\.threads: {CORES + 1} given; .* from 1 to {CORES}, the cores"),
        ("trainer.devices=auto", r"^trainer\.devices: 'auto' given; it must be a number of at least 1"),
        ("+trainer.max_epochs=3", r"^trainer\.max_epochs: is not taken; method\.phases.*max_phase_epochs=N"),
        ("+trainer.min_steps=3", r"^trainer\.min_steps: is not taken; method\.phases"),
        ("+trainer.fast_dev_run=true", r"^trainer\.fast_dev_run: is not taken; experiment=smoke"),
        ("trainer.limit_train_batches=2", r"^trainer\.limit_train_batches: is not taken; an epoch passes over all"),
        ("+trainer.overfit_batches=2", r"^trainer\.overfit_batches: is not taken; an epoch passes over all samples"),
        ("+trainer.max_time=00:00:10:00", r"^trainer\.max_time: is not taken; timeout SECONDS .*resume=auto"),
        ("callbacks.stopping.measure=nmi", r"^callbacks\.stopping\.measure: 'nmi' given; .*labels stop nothing$"),
        ("method.kmeans_restarts=0", r"^method\.kmeans_restarts: 0 given; it must be a number of at least 1$"),
        ("method.hidden=[0]", r"^method\.hidden\[0\]: 0 given"),
        ("method.latent_dim=0", r"^method\.latent_dim: 0 given"),
        ("method.optimizer.lr=-1", r"^method\.optimizer: .*-1"),
        ("+method.optimizer.weight_decy=0.1", r"weight_decy"),
        ("data.seed=-1", r"^data\.seed: -1 given"),
        ("data.holdout=1e-9", r"^data\.holdout: 1e-09 of 1797 samples is none"),
        ("trainer.accelerator=gpus", r"^trainer: .*gpus"),
        ("method.hidden=[a]", r"^method\.hidden\[0\]: 'a' given"),
        ("~callbacks.results", r"^callbacks\.results\._target_: taken out"),
        (
            "callbacks.figures.projection=lda",
            r"^callbacks\.figures\.projection: 'lda' given; .*pca, tsne, umap$",
        ),
        (
            "callbacks.figures.formats=[gif]",
            r"^callbacks\.figures\.formats: \['gif'\] given; .*png, pdf, svg$",
        ),
        ("callbacks.figures.formats=png", r"^callbacks\.figures\.formats: 'png' given"),
        ("callbacks.results=null", r"^callbacks\.results: None given; it must be a mapping of keys$"),
        ("data.holdout=0.999", r"^data\.n_clusters: 10 clusters for 2 training samples"),
        ("trainer.devices=0", r"^trainer\.devices: 0 given; it must be a number of at least 1"),
        ("+trainer.max_epoch=2", r"max_epoch"),
        ("method.optimizer._target_=torch.optim.Adamm", r"^method\.optimizer: .*Adamm"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(refused, override, message):
    line = refused(override)
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("logger.wandb.projet=x", r"^logger\.wandb\.projet: no such key; did you mean logger\.wandb\.project\?$"),
        ("+logger.wandb.projet=x", r"^logger\.wandb\.projet: no such key; did you mean logger\.wandb\.project\?$"),
        ("logger.wandb.entity=3", r"^logger\.wandb\.entity: 3 given"),
        (
            "logger.wandb.mode=onlin",
            r"^logger\.wandb\.mode: 'onlin' given; it must be one of online, offline, disabled$",
        ),
        ("callbacks.tracking.max_rows=0", r"^callbacks\.tracking\.max_rows: 0 given"),
    ],
)
def test_of_several_loggers_each_has_its_keys(refused, override, message):
    line = refused("logger=[csv,wandb]", override)
    assert re.search(message, line), line


@pytest.mark.parametrize("multirun", ["-m", "--multirun"])
def test_a_sweep_may_be_asked_for_after_overrides(refused, multirun):
    assert refused("seed=0,1", multirun, "metod=cmmc").startswith("metod: no such key")


def test_a_tilde_in_a_value_is_the_home_folder(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    line = refused("method=kmeans", "data=files", "data.root=~/x.npz", "hydra.run.dir=~/runs/1", "seed=3")
    assert line.startswith(f"{tmp_path}/home/x.npz: "), line
    assert (tmp_path / "home" / "runs" / "1" / "run.log").exists()
    assert not list(tmp_path.rglob("~"))


@pytest.mark.parametrize(
    ("given", "arranged"),
    [
        (["a=1", "-m", "~b"], ["-m", "a=1", "~b"]),
        (["a=~", "b=~/c,~/d", "c=[~/e]", "d='~/f'"], ["a=/h", "b=/h/c,/h/d", "c=[/h/e]", "d='/h/f'"]),
        (["~a", "a~/b", "a=b~/c", "a=~other/c"], ["~a", "a~/b", "a=b~/c", "a=~other/c"]),
    ],
)
def test_a_command_line_is_arranged(monkeypatch, given, arranged):
    monkeypatch.setenv("HOME", "/h")
    assert cli.arranged(given) == arranged


def test_of_many_overrides_the_one_that_cannot_be_read_is_named_with_the_way_to_write_it(refused):
    line = refused("method=kmeans", "hydra.run.dir=o/lr=0.1", "data=digits", "seed=3")
    assert line == (
        "hydra.run.dir=o/lr=0.1: not understood; put the value into quotes, for the shell and for Hydra: "
        "'hydra.run.dir=\"o/lr=0.1\"'"
    )


def test_a_folder_to_resume_must_be_one_and_is_not_made(refused, tmp_path):
    assert refused("resume=nowhere") == "resume: nowhere is no run folder: it has no config.yaml"
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.yaml").write_text("seed: 0\n")
    assert "no checkpoints/last.ckpt" in refused("resume=begun")


def test_files_need_a_root_that_can_be_read(refused, tmp_path):
    assert "data.root is not given" in refused("data=files")
    assert "no such file or folder" in refused("data=files", "data.root=missing.npz")
    (tmp_path / "empty").mkdir()
    assert "empty" in refused("data=files", "data.root=empty")
    np.savez(tmp_path / "whole.npz", a=np.eye(40), b=np.eye(40), labels=np.arange(40) % 4)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:900])
    assert "cut.npz" in refused("data=files", "data.root=cut.npz")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"nan": True}, ["b", "row 17", "nan"]),
        ({"shorter": True}, ["39", "40"]),
        ({"labels": np.linspace(0, 1, 40)}, ["label", "row 1"]),
        ({"labels": None}, ["data.n_clusters", "no labels"]),
        ({"labels": np.zeros(40, int)}, ["data.n_clusters", "1 class"]),
        ({"labels": np.arange(40)}, ["data.n_clusters", "40 values for 40 samples"]),
    ],
)
def test_data_that_cannot_be_clustered_are_named(refused, tmp_path, arrays, words):
    a, b = np.random.default_rng(0).random((2, 40, 3))
    if arrays.get("nan"):
        b[17, 1] = np.nan
    if arrays.get("shorter"):
        b = b[:-1]
    labels = arrays.get("labels", np.arange(40) % 4)
    np.savez(tmp_path / "x.npz", a=a, b=b, **({} if labels is None else {"labels": labels}))
    line = refused("data=files", "data.root=x.npz")
    assert all(word in line for word in words), line


def test_an_output_folder_that_cannot_be_written_is_named(refused, tmp_path):
    (tmp_path / "file").write_text("")
    line = refused("hydra.run.dir=file/run")
    assert "file/run" in line
    assert "hydra.run.dir=FOLDER" in line
    assert "hydra.run.dir=FOLDER" in refused("hydra.run.dir=/proc", "data.n_clusters=1")


SMALL = ["data=synthetic", "data.n_samples=90", "data.dims=[4,3]", "data.n_clusters=3", "trainer.accelerator=cpu"]
SMALL += ["method=dmim", "method.restarts=1", "max_phase_epochs=2", "~callbacks.figures"]


def test_a_key_of_one_choice_in_a_sweep_over_choices_says_how_to_write_it(refused):
    line = refused("-m", "data=nuswide,espgame", "data.surrogate=true")
    assert line.startswith("data.surrogate: where data is swept over, write ++data.surrogate=")


def test_any_phase_may_have_a_batch_size_of_its_own(refused, tmp_path):
    line = refused("+method.phases.contrast.batch_size=0", "hydra.run.dir=out")
    assert line.startswith(
        "method.phases.contrast.batch_size: 0 given; it must be a whole number of at least 1, or full"
    )
    line = refused("+method.phases.contrasts.batch_size=64", "hydra.run.dir=out")
    assert line.startswith("method.phases.contrasts.batch_size: no such key")


def test_a_schedule_by_name_alone_is_refused(refused):
    line = refused("method=dmim", "method.scheduler=cosine", "hydra.run.dir=out")
    assert line.startswith("method.scheduler: 'cosine' given; it must be null, or a mapping with the _target_")


def test_umap_that_is_missing_is_told_before_anything_is_read(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(requirements, "find_spec", lambda package: None)
    line = refused("callbacks.figures.projection=umap", "hydra.run.dir=out", "data=files", "data.root=nowhere.npz")
    assert line.startswith("callbacks.figures.projection: umap given, but umap-learn is not installed")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"run.log"}


def test_a_sweep_goes_on_after_a_job_that_fails(refused, tmp_path):
    line = refused(
        "-m", *SMALL, "data.n_clusters=200,3", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=${hydra.job.num}"
    )
    assert "data.n_clusters" in line
    assert not (tmp_path / "sweep" / "0" / "metrics.json").exists()
    assert (tmp_path / "sweep" / "1" / "metrics.json").exists()
    assert "data.n_clusters" in (tmp_path / "sweep" / "0" / "run.log").read_text()


def test_a_folder_that_holds_a_run_is_not_overwritten(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cmc", *SMALL, "hydra.run.dir=run"])
    run.main()
    before = (tmp_path / "run" / "metrics.json").read_bytes()
    assert "holds a run already" in refused(*SMALL, "seed=1", "hydra.run.dir=run")
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before


def test_ctrl_c_and_resume_through_the_command(tmp_path):
    many = [word.replace("max_phase_epochs=2", "max_phase_epochs=100000") for word in SMALL]
    many += ["method.phases.train.epochs=100000", "hydra.run.dir=run"]
    start = [interpreter(), "-m", "cmc.run"]
    process = subprocess.Popen([*start, *many], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    history = tmp_path / "run" / "history.csv"
    deadline = time.monotonic() + 120
    while not (history.exists() and len(history.read_text().splitlines()) > 3):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    onward = re.search(r"go on with: python -m cmc\.run (resume=\S+)", errors)
    config = tmp_path / "run" / "config.yaml"
    config.write_text(
        re.sub(r"epochs: 100000", f"epochs: {len(history.read_text().splitlines()) + 1}", config.read_text())
    )
    done = subprocess.run([*start, onward[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "metrics.json").exists()


def command(*arguments, start=("-m", "cmc.run"), **settings):
    """The finished process, and the processor seconds that it took (others on the machine do not count)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *start, *arguments], capture_output=True, text=True, check=False, **settings)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


LIST_MODULES = """
import sys
from cmc.run import main

sys.argv = ["cmc", *{!r}]
try:
    main()
finally:
    print(*sorted({{name.split(".")[0] for name in sys.modules}}), file=sys.stderr)
"""


BARE = """
import hydra


@hydra.main(version_base="1.3", config_path=None)
def main(config): ...


main()
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Processor seconds of a Hydra application that does nothing."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "bare.py").write_text(BARE)
    return min(command("--help", start=["bare.py"], cwd=folder)[1] for _ in range(2))


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["metod=cmmc"], 2), (["seed=x"], 2)])
def test_help_and_mistakes_answer_quickly_and_load_nothing_heavy(arguments, status, bare, tmp_path):
    script = tmp_path / "list_modules.py"
    script.write_text(LIST_MODULES.format(arguments))
    done, seconds = command(start=[str(script)], cwd=tmp_path)
    assert done.returncode == status
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "omegaconf" in loaded
    assert not loaded & {"torch", "pytorch_lightning", "sklearn", "matplotlib", "wandb", "scipy"}
    if seconds >= 2.5 * bare:  # once more: others on the machine slow it down
        seconds = command(*arguments, cwd=tmp_path)[1]
    assert seconds < 2.5 * bare, "torch alone would be more"


def test_the_runs_log_keeps_the_line(refused, tmp_path):
    line = refused("data.n_clusters=2000", "hydra.run.dir=run")
    assert (tmp_path / "run" / "run.log").read_text().splitlines()[-1].endswith(f"error: {line}")


def test_full_error_shows_the_traceback(tmp_path):
    done, _ = command("seed=x", cwd=tmp_path, env={**os.environ, "HYDRA_FULL_ERROR": "1"})
    assert "Traceback" in done.stderr
    assert done.returncode == 1
