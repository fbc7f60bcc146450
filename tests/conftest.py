"""What tests share: small data, and runs as small as a run can be."""

import copy
import functools
import gc
import os
import signal
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from cmc.cli import register_resolvers
from cmc.config.schema import conf_dir
from tests.parsing import parse_once

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
register_resolvers()
parse_once()
gc.set_threshold(50_000, 50, 100)  # what is imported is a million objects, and looking through them is slow

COSINE = "method.scheduler={_target_: torch.optim.lr_scheduler.CosineAnnealingLR, _partial_: true, T_max: 8}"
SMALL = {
    "cmmc": ["method.hidden=[16]", "method.latent_dim=8", "method.feature_dim=4", "method.kmeans_restarts=2"],
    "dmim": ["method.width=8", "method.restarts=1", "method.overcluster_factor=2", "method.refresh_every=1", COSINE],
}
SMALL |= {name: [] for name in ("kmeans", "spectral", "cca", "agglomerative", "gmm")}
SMALL |= {"cmmc_released": SMALL["cmmc"], "cmmc_stable": [*SMALL["cmmc"], "method.restarts=3"]}
SMALL |= {"dmim_released": ["method.overcluster_factor=2"]}
SMALL["dmim_paper"] = ["method.width=8", "method.overcluster_factor=2"]
SMALL["autoencoder"] = ["method.hidden=[16]", "method.latent_dim=4", "method.kmeans_restarts=2"]
SMALL["simvc"] = ["method.hidden=[16]", "method.latent_dim=8", "method.head_dim=6"]
SMALL |= {"comvc": SMALL["simvc"], "comvc_released": SMALL["simvc"]}
SMALL["completer"] = ["method.hidden=[16]", "method.latent_dim=6", "method.predictor=[8]", "method.kmeans_restarts=2"]
SMALL["completer_released"] = SMALL["completer"]
SMALL["cvcl"] = ["method.hidden=[16]", "method.latent_dim=8", "method.head_dim=6"]
SMALL["sem"] = [*SMALL["cmmc"], "method.refresh_every=1"]
SMALL["sem_released"] = SMALL["sem"]
SMALL["idec"] = [*SMALL["autoencoder"], "method.refresh_every=1"]
SMALL |= dict.fromkeys(("demvc", "sdmvc", "mvcan"), SMALL["idec"])
SMALL["divide"] = ["method.hidden=[16,12]", "method.latent_dim=6", "method.predictor=[8]", "method.kmeans_restarts=2"]
SMALL["divide_released"] = SMALL["divide"]
SMALL["gcfagg"] = [*SMALL["cmmc"], "method.attention_hidden=8", "method.bank_size=40"]
SMALL["rml"] = ["method.token_dim=8", "method.attention_hidden=8", "method.kmeans_restarts=2"]
TINY = [
    "method.batch_size=64",
    "data=synthetic",
    "data.n_samples=150",
    "data.dims=[6,5]",
    "data.n_clusters=3",
    "experiment=smoke",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
]


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """Ctrl-C is what it is on a terminal, for tests and what they start, also where the shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def own_trackers(tmp_path_factory):
    """W&B and MLflow stay offline, know no account, and leave nothing outside the tests' folder."""
    place = tmp_path_factory.mktemp("trackers")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_ENTITY", "WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_DIR"):
            patch.delenv(name, raising=False)
        for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
            patch.setenv(name, str(place))
        patch.setenv("NETRC", str(place / "netrc"))
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
        yield place


def compose_with(*overrides, searchpath=None):
    """Compose conf/ with overrides, as the command line would."""
    if searchpath:
        return _composed(*overrides, f"hydra.searchpath=[file://{searchpath}]")
    return copy.deepcopy(_composed_once(*overrides))


def _composed(*overrides):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
    OmegaConf.resolve(config.hydra.runtime.choices)
    config.names.method = config.hydra.runtime.choices.method
    config.names.data = config.hydra.runtime.choices.data
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    return config


_composed_once = functools.cache(_composed)


@pytest.fixture
def composed():
    """See `compose_with`."""
    return compose_with


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    """Method -> the folder of a very small finished run with held-out samples; to be read alone."""
    from cmc.training.fit import train

    folders = {}
    for method in ("cmmc", "dmim"):
        folders[method] = tmp_path_factory.mktemp("finished") / method
        folders[method].mkdir()
        small = [*SMALL[method], *TINY, "data.holdout=0.2", "data.scaling=standard", "~callbacks.figures"]
        train(compose_with(f"method={method}", *small), str(folders[method]))
    return folders


@pytest.fixture
def commanded(monkeypatch, capsys, tmp_path):
    """Run a command in this process and an empty folder: (exit status, what it printed, its last line of errors)."""
    monkeypatch.chdir(tmp_path)

    def call(module, *arguments):
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        status = 0
        capsys.readouterr()
        try:
            module.main()
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err, printed.err
        return status, printed.out, (printed.err.splitlines() or [""])[-1].removeprefix("cmc: error: ")

    return call


@pytest.fixture
def tiny_run(composed, tmp_path):
    """Train a very small run into a folder, without pictures unless asked for; returns what metrics.json holds."""
    from cmc.training.fit import train

    def run(*overrides, method="cmmc", folder: Path | None = None, figures=False):
        pictures = "callbacks.figures.projection=pca" if figures else "callbacks.figures=null"
        folder = folder or tmp_path / "run"
        folder.mkdir(parents=True, exist_ok=True)
        return train(composed(f"method={method}", *SMALL[method], *TINY, pictures, *overrides), str(folder))

    return run


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets, where there is one."""
    if not (folder := os.environ.get("CMC_REAL_DATA")):
        pytest.skip("CMC_REAL_DATA names no folder of real data")
    return Path(folder)
