"""What Hydra and OmegaConf parse, parsed once: half of what a composition takes, and most tests compose.

A test process composes a thousand times, from the same files and much the same overrides. Texts that cannot be parsed
are parsed anew each time, so that errors are what they are without this room.
"""

import copy
import functools
import types

import omegaconf.base
import omegaconf.omegaconf
import yaml
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser


def parse_once():
    """From now on, in this process."""
    omegaconf.omegaconf.yaml = types.SimpleNamespace(**vars(yaml) | {"load": _load})
    omegaconf.base.parse = functools.cache(omegaconf.base.parse)
    OverridesParser.parse_rule = _rule(OverridesParser.parse_rule)
    Hydra.get_mode = _mode(Hydra.get_mode)


def _load(stream, Loader):
    if isinstance(stream, str):
        return copy.deepcopy(_parsed(stream, Loader)[0])
    text = stream.read()
    try:
        return copy.deepcopy(_parsed(text, Loader)[0])
    except yaml.YAMLError:
        stream.seek(0)
        return yaml.load(stream, Loader=Loader)  # whose error names the file


_texts = {}


def _parsed(text, loader):
    """In a list: OmegaConf makes a loader a call, all of them alike."""
    if text not in _texts:
        _texts[text] = [yaml.load(text, Loader=loader)]
    return _texts[text]


def _rule(parse):
    """`OverridesParser.parse_rule`, which depends on the text alone."""
    known = {}

    @functools.wraps(parse)
    def once(self, text, rule):
        if (text, rule) not in known:
            known[text, rule] = parse(self, text, rule)
        return copy.deepcopy(known[text, rule])

    return once


def _mode(compose):
    """`Hydra.get_mode`, which composes everything for ``hydra.mode``, set by choose.yaml and overrides alone."""

    @functools.wraps(compose)
    def mode(self, config_name, overrides):
        told = config_name == "choose" or any("hydra.mode" in text or "searchpath" in text for text in overrides)
        return compose(self, config_name, overrides) if told else None

    return mode
