"""Exceptions in one line: which argument is at fault is found without reading anybody's wording."""

import errno

import pytest
from hydra.errors import ConfigCompositionException, InstantiationException
from omegaconf import OmegaConf

from cmc.config.messages import as_ending, explain, make
from cmc.errors import Interrupted, UserError


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["seed=1", "metod=cmmc"], "metod: no such key; did you mean method?"),
        (["+note=1", "method=dmim", "method.gama=1"], "method.gama: no such key; did you mean method.gamma?"),
        (["--multirun", "hydra.job.num=3", "~sed"], "sed: no such key; did you mean seed?"),
        (["trainer.gradient_clip_val=1"], "trainer.gradient_clip_val: is not taken; method.gradient_clip bounds"),
        (["probabilities=true"], "probabilities: is not taken; python -m cmc.predict run=FOLDER probabilities=true"),
        (["data=digits,files", "data.root=x"], "data.root: where data is swept over, write ++data.root=...; jobs"),
        (["seed=1"], "whatever Hydra says"),
    ],
)
def test_the_argument_at_fault_is_named_whatever_hydra_says(arguments, line):
    assert explain(ConfigCompositionException("whatever\nHydra says"), arguments).startswith(line)


def test_what_is_made_raises_as_it_would_by_itself():
    for kind in (UserError, OSError):
        config = OmegaConf.create({"_target_": f"{__name__}.raising_{kind.__name__.lower()}"})
        with pytest.raises(kind):
            make("data", config)


def raising_usererror():
    raise UserError("data.root: no")


def raising_oserror():
    raise OSError(errno.ENOENT, "No such file", "x")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"_target_": "cmc.data.datasets.Digits", "sed": 1}, r"^data: .*sed.*HYDRA_FULL_ERROR=1 shows where"),
        ({"_target_": "builtins.dict", "a": {"b": {"_target_": "torch.optim.Adamm"}}}, r"^data\.a\.b: .*Adamm"),
    ],
)
def test_what_cannot_be_made_is_named_by_its_key(settings, line):
    with pytest.raises(UserError, match=line):
        make("data", OmegaConf.create(settings))


def test_a_full_disk_an_interruption_and_a_defect():
    end = as_ending(OSError(errno.ENOSPC, "No space left on device", "a.csv"), "predict")
    assert str(end) == "a.csv: No space left on device; out=FILE writes elsewhere"
    assert isinstance(as_ending(KeyboardInterrupt()), Interrupted)
    assert as_ending(ZeroDivisionError()) is None
    assert str(as_ending(InstantiationException("in two\nlines"))).startswith("configuration: in two lines")
