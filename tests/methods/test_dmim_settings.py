"""DMIM's settings: what is impossible is refused by its key, what is doubtful is said."""

import pytest

from cmc.errors import UserError
from tests.methods.test_dmim import build, released


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dims": (6,)}, "at least 2"),
        ({"power": 0.0}, r"method\.power: 0\.0 given; it must be a number of at least 1"),
        ({"beta_warmup": -0.2}, r"method\.beta_warmup: -0\.2 given"),
        ({"beta_warmup": 1.5}, r"method\.beta_warmup: 1\.5 given; it is a share of the run, from 0 to 1"),
        ({"gamma": float("nan")}, r"method\.gamma: nan given"),
        ({"beta": float("inf")}, r"method\.beta: inf given"),
        ({"overcluster_factor": 0}, r"method\.overcluster_factor: 0 given; it must be a number of at least 1"),
        ({"refresh_every": 0}, r"method\.refresh_every: 0 given"),
        ({"beta": -0.1}, r"method\.beta: -0\.1 given"),
        ({"halvings": 0.5}, r"method\.halvings: 0\.5 given; it must be a list of shares"),
        ({"halvings": (0.2, 1)}, r"method\.halvings: \(0\.2, 1\) given"),
        ({"batch_size": 2}, r"method\.batch_size: 2 given; a batch must hold at least as many samples"),
        ({"width": None}, r"method\.width: null given"),
        ({"phases": {"align": {"epochs": 1}}}, r"method\.phases\.align: DMIM's phases are train and finish"),
        ({"phases": {"finish": {"epochs": 1}}}, r"method\.phases\.train\.epochs: 0 given; give at least 1"),
        ({"validation": 1.0}, r"method\.validation: 1\.0 given"),
    ],
)
def test_impossible_settings_name_their_key(settings, message):
    with pytest.raises(UserError, match=message):
        build(**settings)


def test_a_beta_of_one_is_allowed_and_warned_of(caplog):
    with caplog.at_level("WARNING"):
        build(beta=1.0)
    assert "collapsed solution" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING"):
        released()
    assert not caplog.text, "a mean over elements"
