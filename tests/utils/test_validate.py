"""What a setting must be: accepted values come back as they are, others are one line that names the key."""

import math

import numpy as np
import pytest
from omegaconf import OmegaConf

from cmc.errors import UserError
from cmc.utils import validate


@pytest.mark.parametrize(
    ("check", "accepted", "refused", "what"),
    [
        (
            lambda v: validate.whole("a.b", v, 1),
            [1, np.int64(7)],
            [0, 1.0, True, "1", None, [1]],
            "a whole number of at least 1",
        ),
        (lambda v: validate.whole("a.b", v, 1, or_null=True), [1, None], [0], "a whole number of at least 1, or null"),
        (lambda v: validate.whole("a.b", v, 2, 4), [2, 4], [1, 5], "a whole number from 2 to 4"),
        (lambda v: validate.seed("a.b", v), [0, 2**32 - 1], [-1, 2**32], "a whole number from 0 to 4294967295"),
        (
            lambda v: validate.number("a.b", v, least=0),
            [0, 0.5, np.float32(1)],
            [-1e-9, math.nan, math.inf, True, "0", None],
            "a number of at least 0",
        ),
        (lambda v: validate.number("a.b", v, above=0), [1e-9], [0, -1], "a number above 0"),
        (lambda v: validate.number("a.b", v, above=0, or_null=True), [None], [0], "a number above 0, or null"),
        (lambda v: validate.number("a.b", v), [-3], [math.inf], "a number"),
        (lambda v: validate.one_of("a.b", v, ("x", "y")), ["x"], ["z", None, ["x"]], "one of x, y"),
        (lambda v: validate.text("a.b", v), [""], [None, 3], "text"),
        (lambda v: validate.text("a.b", v, "a path", or_null=True), ["p", None], [3], "a path"),
    ],
)
def test_a_value_comes_back_or_is_refused_by_its_key(check, accepted, refused, what):
    for value in accepted:
        assert check(value) is value
    for value in refused:
        with pytest.raises(UserError) as caught:
            check(value)
        assert str(caught.value) == f"a.b: {value!r} given; it must be {what}"


def test_lists_of_a_configuration_are_lists_and_text_is_none():
    node = OmegaConf.create({"names": ["img", 2], "nested": [["img"]], "none": []})
    assert validate.is_names(node.names)
    assert validate.is_list(node.none)
    for other in (node.nested, node.none, "img", None, {"img": 1}):
        assert not validate.is_names(other)
    with pytest.raises(UserError, match=r"^a: \[\['img'\]\] given"):
        validate.require("a", node.nested, False, "a list of names")
