"""Configurations composed within a program, as the command line composes them: the same yaml, the same checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from sklearn.utils import check_random_state

from cmc.cli import register_resolvers
from cmc.config.messages import explain
from cmc.config.schema import GROUPS, check, conf_dir
from cmc.errors import UserError
from cmc.utils.mappings import leaves

_TOP = (*GROUPS, "evaluate_every", "max_phase_epochs")  # a keyword that begins otherwise is the method's
_CHOICES = ("trainer", "logger", "callbacks", "features")


def compose_config(method: str, settings: Mapping[str, Any], data: str = "_arrays") -> DictConfig:
    """What ``python -m cmc.run`` would compose, checked.

    Args:
        method: its name.
        settings: keyword -> value. A keyword is a key of the configuration with ``__`` for the dots:
            ``trainer__precision``, ``data__scaling``; ``method__`` may be left out: ``gamma``,
            ``phases__train__epochs``. A group's own name chooses one of its yaml files: ``trainer="cpu"``.
        data: the name of the data set.

    Raises:
        UserError: a method that there is not; a keyword that is no key, with the nearest one; an impossible value.
    """
    if not isinstance(method, str) or not re.fullmatch(r"[\w-]+", method):
        raise UserError(f"method: {method!r} given; it must be the name of one")
    chosen = {name: value for name, value in settings.items() if name in _CHOICES and isinstance(value, str)}
    schema = _shipped(f"method={method}", f"data={data}", *(f"{group}={choice}" for group, choice in chosen.items()))
    config = deepcopy(schema)
    for name, value in settings.items():
        if name not in chosen:
            OmegaConf.update(config, _key(name), _plain(value), force_add=True)
    check(config, schema)
    return config


def changed_settings(config: DictConfig) -> dict[str, Any]:
    """The settings, as keywords, in which a run's configuration differs from the shipped one of its method."""
    shipped = compose_config(config.names.method, {})
    shipped.seed = config.seed
    settings: dict[str, Any] = {}
    for literal in (True, False):  # what is taken over from elsewhere in the yaml comes after that
        for key, value in leaves(OmegaConf.to_container(shipped, resolve=False)):  # type: ignore[arg-type]
            group = key.partition(".")[0]
            is_literal = not (isinstance(value, str) and value.startswith("${"))
            if group not in ("method", "data", "trainer", "max_phase_epochs") or key in (
                "data._target_",
                "data.n_clusters",
            ):
                continue
            present = OmegaConf.select(config, key)
            if is_literal == literal and present != OmegaConf.select(shipped, key):
                settings[key.removeprefix("method.").replace(".", "__")] = _plain(present)
                OmegaConf.update(shipped, key, present)
    return settings


@lru_cache
def _shipped(*overrides: str) -> DictConfig:
    """The configuration of these choices; it is the schema that settings are held against, not to be changed."""
    register_resolvers()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = compose("config", overrides=list(overrides))
    except HydraException as error:
        raise UserError(explain(error, overrides)) from None
    OmegaConf.set_struct(config, False)
    names = dict(override.split("=", 1) for override in overrides)
    config.names = {"method": names["method"], "data": names["data"].lstrip("_")}
    return config


def _key(keyword: str) -> str:
    """The dotted key that a keyword names."""
    parts = keyword.split("__")
    return ".".join(parts if parts[0] in _TOP else ["method", *parts])


def _plain(value: Any) -> Any:
    """A value as yaml would hold it."""
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a scalar of NumPy's
        return value.item()
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def seed_of(random_state: Any) -> int:
    """A seed: the given one, or drawn from what scikit-learn takes in its place."""
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))
