"""An ending travels whole: between processes, through pickle, with its line, its way on and its status."""

import json
import pickle

import pytest

from cmc.errors import Diverged, Failed, Interrupted, Preempted, UserError, ending_of

STATUS = {UserError: 2, Diverged: 2, Failed: 1, Interrupted: 130, Preempted: 75}


@pytest.mark.parametrize("kind", STATUS)
def test_an_ending_told_by_another_process_is_the_same(kind):
    end = kind("x.npz: damaged\nin two lines")
    end.way_on = "copy it again"
    for again in (ending_of(json.loads(json.dumps(end.told()))), pickle.loads(pickle.dumps(end))):
        assert type(again) is kind
        assert str(again) == "x.npz: damaged in two lines; copy it again"
        assert again.status == STATUS[kind]
