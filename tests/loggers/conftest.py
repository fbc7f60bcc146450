"""A sweep of two jobs that W&B and TensorBoard were told of."""

import sys

import pytest

from cmc import run
from tests.conftest import SMALL, TINY

DMIM = ["method=dmim", *SMALL["dmim"], *TINY, "max_phase_epochs=4", "method.phases.finish.epochs=0"]
PICTURES = ("confidence", "confusion", "embedding", "losses", "measures", "sharing", "sizes")


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """The folder of a sweep over two seeds in one process, and what it said on standard error."""
    folder = tmp_path_factory.mktemp("sweep")
    options = ["logger=[wandb,tensorboard]", "seed=0,1", "callbacks.figures.max_points=60", "hydra.sweep.dir=mine"]
    options += ["callbacks.figures.projection=pca"]
    options += ["data.n_samples=1300", "callbacks.tracking.max_rows=100", "callbacks.tracking.max_points=70"]
    with pytest.MonkeyPatch.context() as patch, (folder / "errors").open("w+") as errors:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["cmc", "-m", *DMIM, *options])
        patch.setattr(sys, "stderr", errors)
        run.main()
    return folder / "mine", (folder / "errors").read_text()
