"""What is asked of loggers and pictures before anything heavy is loaded."""

import importlib.util
import time

import pytest

from cmc.config import requirements
from cmc.config.requirements import check_loggers, check_projection
from cmc.errors import UserError

CSV = {"csv": {}}


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_an_extra_that_is_missing_is_named(monkeypatch, name):
    there = importlib.util.find_spec
    monkeypatch.setattr(requirements, "find_spec", lambda package: None if package == name else there(package))
    with pytest.raises(UserError, match=rf"^logger={name}: {name} is not installed; pip install 'cmc\[{name}\]'$"):
        check_loggers({**CSV, name: {}})
    check_loggers(CSV)
    check_loggers({})
    check_loggers(None)
    check_loggers({"mine": {}})


def test_a_mode_is_one_of_wandbs():
    with pytest.raises(UserError, match=r"^logger\.wandb\.mode: 'onlin' given; .* online, offline, disabled$"):
        check_loggers({"wandb": {"mode": "onlin"}})
    began = time.monotonic()
    check_loggers({"wandb": {"mode": "offline"}})
    check_loggers({"wandb": {"mode": "disabled"}})
    assert time.monotonic() - began < 0.1, "nobody is asked"


def test_umap_that_is_missing_is_named(monkeypatch):
    check_projection("callbacks.figures.projection", "umap")
    monkeypatch.setattr(requirements, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=r"^callbacks\.figures\.projection: umap .*cmc\[umap\]', or give tsne"):
        check_projection("callbacks.figures.projection", "umap")
    check_projection("callbacks.figures.projection", "tsne")
    check_projection("callbacks.figures.projection", None)
