"""The typed schema of conf/, its checks and their messages. Light: imports no torch.

The shipped yaml is the schema: its keys, and the types of its values. A range is raised by the constructor of the class
that takes the setting (`cmc.utils.validate`), before the data are read; this room has those that no class takes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cmc.errors import UserError
from cmc.utils.cores import available
from cmc.utils.mappings import leaves
from cmc.utils.validate import is_list, is_names, is_number, is_whole, require, seed, text, whole

GROUPS = ("method", "data", "features", "trainer", "logger", "callbacks")
_NULLABLE = (  # mappings that null takes the place of
    "method.scheduler",
    "callbacks.evaluation",
    "callbacks.stopping",
    "callbacks.progress",
    "callbacks.figures",
    "callbacks.gallery",
    "callbacks.checkpoints",
    "callbacks.tracking",
)
_ENCODER = "method.encoder."  # of whose keys there is one a modality
_CANDIDATES = "method.candidates."  # of which there may be any, under any name
_OPTIONAL = (*_NULLABLE, "logger.", _CANDIDATES)
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
    "num_sanity_val_steps",
    "reload_dataloaders_every_n_epochs",
)
_LENGTH = "method.phases.*.epochs say how long phases last, and max_phase_epochs=N bounds each"
_WHOLE = "an epoch passes over all samples; max_phase_epochs=N makes a run short, and fewer samples in data an epoch"
ELSEWHERE = {  # keys that stand elsewhere here, most of them of Lightning's Trainer
    "probabilities": "python -m cmc.predict run=FOLDER probabilities=true writes them",
    "trainer.gradient_clip_val": "method.gradient_clip bounds the gradient's norm",
    "trainer.gradient_clip_algorithm": "method.gradient_clip bounds the gradient's norm; there is no other way",
    "trainer.fast_dev_run": "experiment=smoke trains every phase for 2 epochs, and finishes",
    "trainer.limit_train_batches": _WHOLE,
    "trainer.overfit_batches": _WHOLE,
    "trainer.max_time": "timeout SECONDS before the command stops it with a checkpoint, and resume=auto goes on",
    **dict.fromkeys((f"trainer.{bound}_{unit}" for bound in ("min", "max") for unit in ("epochs", "steps")), _LENGTH),
}
_OWNED = (  # keys whose class says of what type they are, too: some take values of several types
    "callbacks.",
    "data.concepts",
    "data.holdout",
    "data.n_clusters",
    "data.orientation",
    "data.per_class",
    "data.scaling",
    "data.subset",
    "features.",
    "method.batch_size",
    "method.candidates.",
    "method.components",
    "method.phases.",
    "method.width",
)
_PRECISIONS = ("auto", 32, "32", "32-true", "16-mixed", "bf16-mixed")

Check = Callable[[str, Any], Any]  # of a key and its value; see `cmc.utils.validate`


def _kind(accepts: Callable[[Any], bool], what: str) -> Check:
    return lambda key, value: require(key, value, accepts(value), what)


_TYPES: dict[type, Check] = {
    bool: _kind(lambda v: isinstance(v, bool), "true or false"),
    int: _kind(is_whole, "a whole number"),
    float: _kind(is_number, "a number"),
    str: text,
    list: _kind(is_list, "a list, such as [500,500,2000]"),
    dict: _kind(lambda v: isinstance(v, dict), "a mapping of keys"),
}


def _threads(key: str, value: Any) -> Any:
    cores = available()
    what = f"auto, or a whole number from 1 to {cores}, the cores that this command may use"
    return require(key, value, value in ("auto", None) or is_whole(value, 1, cores), what)


def _seeds(key: str, value: Any) -> Any:
    what = "null, or a list of seeds, such as [0,1,2]"
    require(key, value, value is None or (is_list(value) and len(value) > 0), what)
    for each in value or ():
        seed(key, each)
        require(key, value, value.count(each) == 1, "a list of different seeds")
    return value


_RANGES: dict[str, Check] = {
    "seed": seed,
    "seeds": _seeds,
    "evaluate_every": partial(whole, least=0),
    "max_phase_epochs": partial(whole, least=1, or_null=True),
    "resume": partial(text, what="the path of a run folder, or auto", or_null=True),
    "run": partial(text, what="the path of a run folder", or_null=True),
    "out": partial(text, what="a path", or_null=True),
    "objective": partial(text, what="a key of metrics.json, such as label_free.quality"),
    "missing": _kind(lambda v: v == [] or is_names(v), "a list of names of modalities, such as [txt]"),
    "trust": _kind(lambda v: v == [] or is_names(v), "a list of names of packages, such as [my_methods]"),
    "trainer.devices": _kind(
        lambda v: is_whole(v, 1) or (is_list(v) and len(v) > 0 and all(is_whole(x, 0) for x in v)),
        "a number of at least 1, or a list of devices' numbers",
    ),
    "trainer.num_nodes": partial(whole, least=1),
    "trainer.threads": _threads,
    "trainer.precision": _kind(lambda v: v in _PRECISIONS, "one of auto, 32-true, 16-mixed, bf16-mixed"),
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
        UserError: the first key that is unknown, missing, of another type, or out of a range that no class owns.
    """
    given, shipped = container(config), container(schema)
    known = dict(leaves(shipped))
    for key, value in leaves(given):
        general = re.sub(r"^(method\.phases)\.[^.]+\.", r"\1.*.", key)
        if key not in known and not (general in _PHASE and f"{key.rpartition('.')[0]}.epochs" in known):
            _check_unknown(key, value, known, shipped)
            continue
        if not _is_reference(value) and (found := _RANGES.get(key) or _type_of(key, known.get(key))):
            found(key, value)
    for group in ("method", "data"):
        if group in shipped and f"{group}._target_" not in known:
            raise UserError(f"{group}: the chosen yaml names no class (_target_); it is one that others build on")
    present = dict(leaves(given))
    missing = [key for key in known if key not in present and not key.startswith((*_OPTIONAL, _ENCODER[:-1]))]
    if missing:
        raise UserError(f"{missing[0]}: taken out; a run needs it: leave out the override that begins with ~")


def shorten(config: DictConfig) -> None:
    """Make no phase longer than ``max_phase_epochs``."""
    if config.max_phase_epochs is not None:
        for name, phase in config.method.phases.items():
            epochs = whole(f"method.phases.{name}.epochs", phase.epochs, least=0)
            phase.epochs = min(epochs, config.max_phase_epochs)


def _check_unknown(key: str, value: Any, known: Mapping[str, Any], shipped: Mapping[str, Any]) -> None:
    """Refuse a key that no yaml has, but for the places where keys are free.

    They are arguments of Lightning's Trainer, of the optimiser and its schedule, and candidates of a method that has
    any, which refuse wrong ones themselves, and whole new loggers and callbacks.
    """
    group, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    if key in ELSEWHERE:
        raise UserError(f"{key}: is not taken; {ELSEWHERE[key]}")
    if group == "trainer" and name in _OWN:
        raise UserError(f"{key}: is set by CMC itself; phases and their lengths are method.phases.*.epochs")
    if group == "trainer" or key.startswith(("method.optimizer.", "method.scheduler.")):
        return
    if key.startswith(_CANDIDATES) and any(k.startswith(_CANDIDATES) for k in known):
        return
    if key.startswith(_ENCODER) and _ENCODER[:-1] in known:
        return
    if group in ("logger", "callbacks") and name and name not in shipped[group]:
        return
    if value is None and key in _NULLABLE:
        return
    if any(k.startswith(f"{key}.") for k in known):
        raise UserError(f"{key}: {value!r} given; it must be a mapping of keys")
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


def _type_of(key: str, shipped: Any) -> Check | None:
    """What checks the type; None where nothing tells it, or the key's class does."""
    if shipped is None or _is_reference(shipped) or (key.startswith(_OWNED) and not key.endswith("._target_")):
        return None
    return _TYPES.get(type(shipped))


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def container(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain mappings, without what is Hydra's own."""
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key != "hydra"}
