"""Mistakes in settings are told before the data are read, and leave the run folder as it was."""

import pytest
from omegaconf import OmegaConf

from cmc.data.datasets.synthetic import Synthetic
from cmc.errors import UserError
from cmc.methods.base import Method
from cmc.training.fit import train
from cmc.training.rehearsal import rehearse
from tests.conftest import SMALL, TINY

HERE = f"{__name__}."


@pytest.fixture
def unread(monkeypatch):
    """Fail where data are read."""
    monkeypatch.setattr(Synthetic, "read", lambda self: pytest.fail("the data were read"))


@pytest.mark.parametrize(
    ("choice", "override", "message"),
    [
        ("method=dmim", "method.width=0", "method.width: 0 given; it must be a whole number of at least 1"),
        ("method=dmim", "method.gamma=-1", "method.gamma: -1 given; it must be a number of at least 0"),
        ("method=dmim", "method.phases.train.epochs=-1", "method.phases.train.epochs: -1 given; it must be a whole"),
        ("method=dmim", "method.scheduler=cosine", "method.scheduler: 'cosine' given; it must be null, or a mapping"),
        (
            "method=cmmc",
            "method.batch_size=0",
            "method.batch_size: 0 given; it must be a whole number of at least 1, or",
        ),
        ("method=cmmc", "method.hidden=[0]", "method.hidden[0]: 0 given; it must be a number of at least 1"),
        ("method=cmmc", "method.seed=-1", "method.seed: -1 given; it must be a whole number from 0 to 4294967295"),
        (
            "method=cmmc",
            "method.gradient_clip=0",
            "method.gradient_clip: 0 given; it must be a number above 0, or null",
        ),
        ("method=cca", "method.components=0", "method.components: 0 given; it must be a whole number of at least 1"),
        ("method=cmmc", "data.holdout=1.0", "data.holdout: 1.0 given; it must be a share of at least 0 and below 1"),
        ("method=cmmc", "features.precision=64", "features.precision: 64 given; it must be one of 32, 16, bf16"),
        ("method=cmmc", "callbacks.checkpoints.minutes=-1", "callbacks.checkpoints.minutes: -1 given; it must be a"),
        ("method=cmmc", "callbacks.results.embeddings=3", "callbacks.results.embeddings: 3 given; it must be true or"),
    ],
)
def test_a_value_out_of_its_range_is_refused_before_the_data_are_read(
    composed, unread, tmp_path, choice, override, message
):
    with pytest.raises(UserError) as caught:
        train(composed(choice, *TINY[1:], override), str(tmp_path))
    assert str(caught.value).startswith(message)
    assert not list(tmp_path.iterdir())


def test_a_mistake_on_resuming_leaves_the_finished_run(tiny_run, composed, tmp_path):
    folder = tmp_path / "run"
    tiny_run(folder=folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    words = [f"resume={folder}", "method.gradient_clip=-1"]
    with pytest.raises(UserError, match=r"^method\.gradient_clip: -1 given"):
        train(composed(*SMALL["cmmc"], *words), str(folder), words)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


class Asking(Method):
    """Looks at K and the widths in every way, and refuses whatever it sees."""

    losses = assign = None

    def __init__(self, look, dims, n_clusters):
        looks = {
            "compares": lambda: n_clusters != 2,
            "orders": lambda: n_clusters > 1,
            "counts": lambda: len(dims) != 2,
            "names": lambda: "text" not in dims,
            "writes": lambda: f"{n_clusters!r}{dims}",
            "fails": lambda: 1 / 0,
        }
        if looks[look]():
            raise UserError("refused")


@pytest.mark.parametrize("look", ["compares", "orders", "counts", "names", "writes", "fails"])
def test_nothing_is_refused_for_data_that_are_not_read_yet(look):
    rehearse(OmegaConf.create({"_target_": f"{HERE}Asking", "look": look}))
