"""What tests share: small data, and runs as small as a run can be."""

import os
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from cmc.cli import conf_dir, register_resolvers

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
register_resolvers()

SMALL = {
    "cmmc": ["method.hidden=[16]", "method.latent_dim=8", "method.feature_dim=4", "method.kmeans_restarts=2"],
    "dmim": ["method.width=8", "method.restarts=2", "method.overcluster_factor=2", "method.refresh_every=1"],
}
SMALL |= {name: [] for name in ("kmeans", "spectral", "cca", "agglomerative", "gmm")}
SMALL |= {"cmmc_released": SMALL["cmmc"], "dmim_released": ["method.overcluster_factor=2"]}
TINY = [
    "method.batch_size=64",
    "data=synthetic",
    "data.n_samples=150",
    "data.dims=[6,5]",
    "data.n_clusters=3",
    "experiment=smoke",
    "trainer.accelerator=cpu",
]


@pytest.fixture
def composed():
    """Compose conf/ with overrides, as the command line would."""

    def compose_with(*overrides, searchpath=None):
        extra = [f"hydra.searchpath=[file://{searchpath}]"] if searchpath else []
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = compose("config", overrides=[*overrides, *extra], return_hydra_config=True)
        OmegaConf.resolve(config.hydra.runtime.choices)
        config.names.method = config.hydra.runtime.choices.method
        config.names.data = config.hydra.runtime.choices.data
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        return config

    return compose_with


@pytest.fixture
def tiny_run(composed, tmp_path):
    """Train a very small run into a folder, without pictures unless asked for; returns what metrics.json holds."""
    from cmc.train import train

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
