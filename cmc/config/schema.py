"""The typed schema of conf/, its checks and their messages. Light: imports no torch.

The shipped yaml is the schema: its keys, and the types of its values. This room adds ranges and the cross-checks that
need no data; ranges that only a method knows are raised by its constructor, and what needs N or K right after reading.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from cmc.errors import UserError
from cmc.utils.mappings import leaves

GROUPS = ("method", "data", "features", "trainer", "logger", "callbacks")
_NULLABLE = (  # mappings that null takes the place of
    "method.scheduler",
    "callbacks.evaluation",
    "callbacks.progress",
    "callbacks.figures",
    "callbacks.checkpoints",
    "callbacks.tracking",
)
_OPTIONAL = (*_NULLABLE, "logger.")
_PHASE = ("method.phases.*.batch_size", "method.phases.*.chunk_size")  # that any phase may have
_OWN = (
    "accumulate_grad_batches",
    "callbacks",
    "default_root_dir",
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
    "log_every_n_steps",
    "logger",
    "max_epochs",
    "max_steps",
    "max_time",
    "num_sanity_val_steps",
    "reload_dataloaders_every_n_epochs",
)
ELSEWHERE = {  # keys of Lightning's Trainer that stand elsewhere here
    "trainer.gradient_clip_val": "method.gradient_clip bounds the gradient's norm",
    "trainer.gradient_clip_algorithm": "method.gradient_clip bounds the gradient's norm; there is no other way",
}
_PRECISIONS = ("auto", 32, "32", "32-true", "16-mixed", "bf16-mixed")
_SCALINGS = ("auto", "none", "l2", "standard", "minmax")
_PROJECTIONS = ("pca", "tsne", "umap")
_FORMATS = ("png", "pdf", "svg")
_ORIENTATIONS = ("auto", "rows", "columns")


class Rule(NamedTuple):
    """What a value must be."""

    accepts: Callable[[Any], bool]
    says: str


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _names(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(name, str | int) for name in value)


_SIZE = Rule(lambda v: v == "full" or _whole(v, 1), "a whole number of at least 1, or full")
_SEED = Rule(lambda v: _whole(v, 0) and v < 2**32, "a whole number from 0 to 4294967295")
_TYPES: dict[type, Rule] = {
    bool: Rule(lambda v: isinstance(v, bool), "true or false"),
    int: Rule(lambda v: _whole(v, -(10**18)), "a whole number"),
    float: Rule(_number, "a number"),
    str: Rule(lambda v: isinstance(v, str), "text"),
    list: Rule(lambda v: isinstance(v, list), "a list, such as [500,500,2000]"),
    dict: Rule(lambda v: isinstance(v, dict), "a mapping of keys"),
}
_RULES: dict[str, Rule] = {
    "seed": _SEED,
    "data.seed": _SEED,
    "method.seed": _SEED,
    "evaluate_every": Rule(lambda v: _whole(v, 0), "a whole number of at least 0"),
    "max_phase_epochs": Rule(lambda v: v is None or _whole(v, 1), "a whole number of at least 1, or null"),
    "resume": Rule(lambda v: v is None or isinstance(v, str), "the path of a run folder, or auto"),
    "data.scaling": Rule(lambda v: v in _SCALINGS, f"one of {', '.join(_SCALINGS)}"),
    "data.holdout": Rule(lambda v: _number(v) and 0 <= v < 1, "a share of at least 0 and below 1"),
    "data.n_clusters": Rule(lambda v: v is None or _whole(v, 2), "a whole number of at least 2, or null"),
    "data.in_memory": Rule(lambda v: v is None or isinstance(v, bool), "true, false or null"),
    "data.concepts": Rule(
        lambda v: _whole(v, 2) or _names(v),
        "a number of concepts of at least 2, or a list of their names",
    ),
    "data.per_class": Rule(
        lambda v: v is None or _whole(v, 1) or (isinstance(v, list) and all(_whole(x, 1) for x in v)),
        "a whole number of at least 1, a list of one number a class, or null",
    ),
    "data.subset": Rule(lambda v: v in ("exclusive", "full"), "exclusive or full"),
    "data.subset_seed": _SEED,
    "data.raw": Rule(lambda v: v is None or isinstance(v, str), "the path of the folder of raw files"),
    "features.tables": Rule(
        lambda v: v is None or (isinstance(v, list) and all(isinstance(x, str) for x in v)),
        "a list of names of low-level features, or null",
    ),
    "features.text_width": Rule(lambda v: _whole(v, 1), "a whole number of at least 1"),
    "features.batch_size": Rule(lambda v: _whole(v, 1), "a whole number of at least 1"),
    "features.precision": Rule(lambda v: str(v) in ("32", "16", "bf16"), "one of 32, 16, bf16"),
    "data.features": Rule(lambda v: v is None or _names(v), "a list of names, such as [img,txt], or null"),
    "data.labels": Rule(lambda v: v is None or isinstance(v, str), "the name of an array or file, or null"),
    "data.orientation": Rule(lambda v: v in _ORIENTATIONS, f"one of {', '.join(_ORIENTATIONS)}"),
    "data.root": Rule(lambda v: v is None or isinstance(v, str), "the path of a file or folder"),
    "run": Rule(lambda v: v is None or isinstance(v, str), "the path of a run folder"),
    "out": Rule(lambda v: v is None or isinstance(v, str), "a path"),
    "missing": Rule(lambda v: v == [] or _names(v), "a list of names of modalities, such as [txt]"),
    "trust": Rule(lambda v: v == [] or _names(v), "a list of names of packages, such as [my_methods]"),
    "trainer.devices": Rule(
        lambda v: _whole(v, 1) or (isinstance(v, list) and len(v) > 0 and all(_whole(x, 0) for x in v)),
        "a number of at least 1, or a list of devices' numbers",
    ),
    "trainer.num_nodes": Rule(lambda v: _whole(v, 1), "a whole number of at least 1"),
    "objective": Rule(lambda v: isinstance(v, str), "a key of metrics.json, such as label_free.quality"),
    "trainer.precision": Rule(lambda v: v in _PRECISIONS, "one of auto, 32-true, 16-mixed, bf16-mixed"),
    "method.scheduler": Rule(
        lambda v: v is None, "null, or a mapping with the _target_ of a schedule and _partial_: true"
    ),
    "method.batch_size": _SIZE,
    "method.gradient_clip": Rule(
        lambda v: v is None or (_number(v) and 0 < v < float("inf")), "a number above 0, or null"
    ),
    "method.width": Rule(lambda v: v is None or _whole(v, 1), "a whole number of at least 1, or null"),
    "method.components": Rule(lambda v: v is None or _whole(v, 1), "a whole number of at least 1, or null"),
    "method.phases.*.batch_size": _SIZE,
    "method.phases.*.chunk_size": _SIZE,
    "method.phases.*.epochs": Rule(lambda v: _whole(v, 0), "a whole number of at least 0"),
    "logger.wandb.entity": Rule(lambda v: v is None or isinstance(v, str), "a user's or team's name, or null"),
    "callbacks.tracking.max_rows": Rule(lambda v: _whole(v, 1), "a whole number of at least 1"),
    "callbacks.tracking.max_points": Rule(lambda v: _whole(v, 1), "a whole number of at least 1"),
    "callbacks.figures.max_points": Rule(lambda v: _whole(v, 2), "a whole number of at least 2"),
    "callbacks.figures.projection": Rule(lambda v: v in _PROJECTIONS, f"one of {', '.join(_PROJECTIONS)}"),
    "callbacks.figures.formats": Rule(
        lambda v: isinstance(v, list) and len(v) > 0 and all(x in _FORMATS for x in v),
        f"a list of {', '.join(_FORMATS)}",
    ),
    "callbacks.checkpoints.minutes": Rule(lambda v: _number(v) and v >= 0, "a number of at least 0"),
    "callbacks.progress.refresh_per_second": Rule(lambda v: _number(v) and v > 0, "a number above 0"),
}


def conf_dir() -> Path:
    """The shipped configuration: inside the package where it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def check(config: DictConfig, schema: DictConfig) -> None:
    """Hold a composed configuration against the shipped yaml of the same choices.

    Args:
        config: what is to be run.
        schema: the same groups, without any override.

    Raises:
        UserError: the first key that is unknown, missing, of another type or out of its range.
    """
    given, shipped = container(config), container(schema)
    known = dict(leaves(shipped))
    for key, value in leaves(given):
        general = re.sub(r"^(method\.phases)\.[^.]+\.", r"\1.*.", key)
        if key not in known and not (general in _PHASE and f"{key.rpartition('.')[0]}.epochs" in known):
            _check_unknown(key, value, known, shipped)
            continue
        rule = _RULES.get(general) or _type_rule(known[key])
        if rule and not _is_reference(value) and not rule.accepts(value):
            raise UserError(f"{key}: {value!r} given; it must be {rule.says}")
    for group in ("method", "data"):
        if group in shipped and f"{group}._target_" not in known:
            raise UserError(f"{group}: the chosen yaml names no class (_target_); it is one that others build on")
    present = dict(leaves(given))
    missing = [key for key in known if key not in present and not key.startswith(_OPTIONAL)]
    if missing:
        raise UserError(f"{missing[0]}: taken out; a run needs it: leave out the override that begins with ~")


def shorten(config: DictConfig) -> None:
    """Make no phase longer than ``max_phase_epochs``."""
    if config.max_phase_epochs is not None:
        for phase in config.method.phases.values():
            phase.epochs = min(phase.epochs, config.max_phase_epochs)


def _check_unknown(key: str, value: Any, known: Mapping[str, Any], shipped: Mapping[str, Any]) -> None:
    """Refuse a key that no yaml has, but for the places where keys are free.

    They are arguments of Lightning's Trainer and of the optimiser and its schedule, which refuse wrong ones themselves,
    and whole new loggers and callbacks.
    """
    group, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    if key in ELSEWHERE:
        raise UserError(f"{key}: is not taken; {ELSEWHERE[key]}")
    if group == "trainer" and name in _OWN:
        raise UserError(f"{key}: is set by CMC itself; phases and their lengths are method.phases.*.epochs")
    if group == "trainer" or key.startswith(("method.optimizer.", "method.scheduler.")):
        return
    if group in ("logger", "callbacks") and name and name not in shipped[group]:
        return
    if value is None and key in _NULLABLE:
        return
    if any(k.startswith(f"{key}.") for k in known):
        raise UserError(f"{key}: {value!r} given; it must be {_TYPES[dict].says}")
    raise UserError(f"{key}: no such key{nearest(key, known)}")


def nearest(key: str, known: Iterable[str]) -> str:
    """``; did you mean ...?``, or the keys beside it."""
    known = list(known)
    if close := difflib.get_close_matches(key, known, n=1, cutoff=0.75):
        return f"; did you mean {close[0]}?"
    parent = key.rpartition(".")[0]
    prefix = f"{parent}." if parent else ""
    beside = sorted({k.removeprefix(prefix).split(".")[0] for k in known if k.startswith(prefix)})
    return f"; known{f' under {parent}' if parent else ''}: {', '.join(beside)}" if beside else ""


def _type_rule(shipped: Any) -> Rule | None:
    return None if shipped is None or _is_reference(shipped) else _TYPES.get(type(shipped))


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def container(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain mappings, without what is Hydra's own."""
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key != "hydra"}
