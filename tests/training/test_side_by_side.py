"""Runs of several seeds in one process: each is, to the bit, the run of its seed alone."""

import os
import signal
from pathlib import Path

import pytest

import cmc.run
from cmc.callbacks import Results
from cmc.methods.loop import TrainingLoop
from tests.conftest import SMALL, TINY

LEAN = ["callbacks.figures=null", "callbacks.gallery=null"]
WRITTEN = ("assignments.csv", "embeddings.npy", "history.csv")


def arguments(method, *more):
    small = [*SMALL[method], *TINY] if SMALL[method] else [part for part in TINY if not part.startswith("method.")]
    return [f"method={method}", *small, *LEAN, *more]


def alone(commanded, method, seed, *more):
    folder = Path(f"alone-{method}-{seed}")
    assert commanded(cmc.run, *arguments(method, *more, f"seed={seed}", f"hydra.run.dir={folder}"))[0] == 0
    return folder


def assert_same(folder, other):
    for name in WRITTEN:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), f"{folder}: {name}"
    assert (folder / "config.yaml").read_text() == (other / "config.yaml").read_text()


@pytest.mark.parametrize(
    "method", ["cmmc", "cmmc_stable", "cmmc_released", "dmim", "dmim_paper", "dmim_released", "gmm"]
)
def test_each_run_is_what_it_is_alone(commanded, method):
    status, printed, _ = commanded(cmc.run, *arguments(method, "seeds=[3,0]", "hydra.run.dir=both"))
    assert status == 0
    assert [word for word in printed.split() if word in ("seed", "3", "0", "mean", "deviation")] == (
        ["seed", "3", "seed", "0", "mean", "deviation"]
    )
    for seed in (3, 0):
        assert_same(Path("both", f"seed{seed}"), alone(commanded, method, seed))
    assert {path.name for path in Path("both").iterdir()} == {"run.log", "seed3", "seed0"}
    own, both = Path("both/seed0/run.log").read_text(), Path("both/run.log").read_text()
    assert own.count("run folder: ") == both.count("run folder: ") == 1
    assert "seed0" in own
    assert "seed3" in both


def test_samples_that_a_seed_holds_out_and_data_that_a_seed_draws_are_each_run_s_own(commanded):
    more = ["data.holdout=0.2", "data.generator_seed=${seed}"]
    assert commanded(cmc.run, *arguments("dmim", *more, "seeds=[0,1]", "hydra.run.dir=both"))[0] == 0
    for seed in (0, 1):
        assert_same(Path("both", f"seed{seed}"), alone(commanded, "dmim", seed, *more))


def test_each_has_a_run_of_its_own_in_a_dashboard(commanded):
    assert commanded(cmc.run, *arguments("kmeans", "logger=wandb", "seeds=[0,1]", "hydra.run.dir=both"))[0] == 0
    written = [next(Path("both", f"seed{seed}").glob("wandb/*/run-*.wandb")) for seed in (0, 1)]
    assert len({path.name for path in written}) == 2
    assert all(b"kmeans-synthetic-seed%d" % seed in path.read_bytes() for seed, path in enumerate(written))


def signalled(number, phase, epoch=0):
    def send(self, trainer, pl_module, batch, batch_idx):
        if (pl_module.phase.name, trainer.current_epoch % 2) == (phase, epoch) and trainer.default_root_dir[-1] == "1":
            os.kill(os.getpid(), number)

    return send


@pytest.mark.parametrize(("method", "phase"), [("cmmc", "contrast"), ("dmim", "train"), ("dmim", "finish")])
def test_all_stop_and_go_on_in_mid_phase(commanded, monkeypatch, method, phase):
    with monkeypatch.context() as patch:
        patch.setattr(Results, "on_train_batch_start", signalled(signal.SIGTERM, phase), raising=False)
        status, _, line = commanded(cmc.run, *arguments(method, "seeds=[0,1]", "hydra.run.dir=both"))
    assert status == 75
    assert line.endswith(f"; go on with: python -m cmc.run resume={Path('both').resolve()}")
    assert not list(Path("both").glob("*/metrics.json"))
    assert commanded(cmc.run, "resume=both")[0] == 0
    for seed in (0, 1):
        assert_same(Path("both", f"seed{seed}"), alone(commanded, method, seed))


def test_the_same_command_goes_on_with_what_stopped_and_leaves_what_is_finished(commanded, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Results, "on_train_batch_start", signalled(signal.SIGTERM, "contrast"), raising=False)
        assert commanded(cmc.run, *arguments("cmmc", "seeds=[0,1]", "resume=auto"))[0] == 75
    (folder,) = Path("outputs").glob("*/*")
    assert folder.name.endswith("-cmmc-synthetic-seeds0-1")
    assert commanded(cmc.run, f"resume={folder / 'seed0'}")[0] == 0, "one of them alone"
    before = (folder / "seed0" / "metrics.json").read_bytes()
    assert commanded(cmc.run, *arguments("cmmc", "seeds=[0,1]", "resume=auto"))[0] == 0
    assert list(Path("outputs").glob("*/*")) == [folder]
    assert (folder / "seed0" / "metrics.json").read_bytes() == before
    assert_same(folder / "seed1", alone(commanded, "cmmc", 1))


def test_where_one_diverges_the_others_go_on_and_its_folder_says_why(commanded, monkeypatch):
    whole = TrainingLoop.training_step

    def diverging(self, batch, batch_idx):
        whole(self, batch, batch_idx)
        if self.trainer.default_root_dir.endswith("seed1"):
            next(iter(self.parameters())).data.fill_(float("nan"))

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "training_step", diverging)
        status, printed, line = commanded(cmc.run, *arguments("cmmc", "seeds=[0,1,2]", "hydra.run.dir=three"))
    assert status == 2
    assert line.startswith("seed 1: training: ")
    assert "; the other 2 are finished; " in line
    assert "seed 0" in printed
    assert "seed 1" not in printed
    assert "nan" in Path("three/seed1/run.log").read_text()
    assert not Path("three/seed1/metrics.json").exists()
    for seed in (0, 2):
        assert_same(Path("three", f"seed{seed}"), alone(commanded, "cmmc", seed))


@pytest.mark.parametrize("method", [pytest.param("cmmc", marks=pytest.mark.slow), "dmim"])
def test_two_processes_train_them_as_they_train_each_alone(commanded, method):
    more = ["trainer.devices=2", "callbacks.results.embeddings=true"]
    assert commanded(cmc.run, *arguments(method, *more, "seeds=[0,1]", "hydra.run.dir=both"))[0] == 0
    assert_same(Path("both", "seed1"), alone(commanded, method, 1, *more))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["seeds=[0,1,0]"], "seeds: [0, 1, 0] given; it must be a list of different seeds"),
        (["seeds=[]"], "seeds: [] given; it must be null, or a list of seeds, such as [0,1,2]"),
        (["seeds=3"], "seeds: 3 given; it must be null, or a list of seeds, such as [0,1,2]"),
        (["seeds=[0,-1]"], "seeds: -1 given"),
        (["seeds=[0,1]", "seed=2"], "seeds: given beside seed; leave one of them out"),
        (["-m", "seeds=[0,1]", "seed=0,1"], "seeds: given beside seed; leave one of them out"),
    ],
)
def test_what_no_list_of_seeds_is(commanded, given, said):
    status, _, line = commanded(cmc.run, *arguments("kmeans"), *given)
    assert status == 2
    assert said in line
    assert not list(Path().glob("**/metrics.json"))


def test_more_than_the_memory_holds_is_said_before_training(commanded, monkeypatch):
    monkeypatch.setattr("cmc.training.side_by_side.free_memory", lambda: 100_000)
    status, _, line = commanded(cmc.run, *arguments("cmmc", "seeds=[0,1,2,3,4,5,6,7,8,9]", "hydra.run.dir=ten"))
    assert status == 2
    assert line.startswith("seeds: 10 given; what their networks and optimisers take")
    most = int(line.rpartition("at most ")[2].split()[0])
    assert 0 < most < 10
    assert not list(Path("ten").glob("*/history.csv"))
    assert (
        commanded(cmc.run, *arguments("cmmc", f"seeds={list(range(most))}".replace(" ", ""), "hydra.run.dir=n"))[0] == 0
    )


def test_a_resumed_folder_takes_no_other_settings(commanded):
    assert commanded(cmc.run, *arguments("kmeans", "seeds=[0,1]", "hydra.run.dir=two"))[0] == 0
    assert "leave out data.n_clusters=3" in commanded(cmc.run, "resume=two", "data.n_clusters=3")[2]
    status, printed, line = commanded(cmc.run, "resume=two")
    assert (status, printed) == (0, "")
    assert line.endswith("finished before")


def test_a_search_maximises_the_mean_over_seeds():
    reports = [{"label_free": {"quality": 0.25}}, {"label_free": {"quality": 0.75}}]
    assert cmc.run.objective(reports, "label_free.quality") == 0.5
    assert cmc.run.objective([*reports, {}], "label_free.quality") is None
    assert cmc.run.objective([{}], "label_free.quality") is None
    assert cmc.run.objective([], "label_free.quality") is None
