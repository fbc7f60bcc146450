"""Which classes a run's files may name: those of packages that the user trusts. A file then runs no code of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hydra.utils import get_class

from cmc.errors import UserError

OWN = "cmc"


class Place(NamedTuple):
    """What may stand at a place of a run's configuration.

    Attributes:
        base: the class of which an object is to be made there.
        known: beginnings of dotted names that need no trust there.
        partial: whether it may be a function that makes the object later.
    """

    base: type
    known: tuple[str, ...] = ()
    partial: bool = False


def check_run(where: str, config: Mapping[str, Any], trust: Sequence[str] = (), parts: Sequence[str] = ()) -> None:
    """Refuse a run's configuration that would make anything but objects of trusted packages, each in its place.

    Besides the trusted packages, optimisers and schedules are those of ``torch.optim``, the trainer is Lightning's.

    Args:
        where: the file; opens the message.
        config: what it holds, as plain mappings, lists and values.
        trust: packages whose classes may be named besides those of CMC.
        parts: top-level keys to look at; none for all that a run makes objects of.

    Raises:
        UserError: see `check_classes`.
    """
    for key, place in _places().items():
        if not parts or key.partition(".")[0] in parts:
            for name, settings in _found(where, config, key):
                check_classes(f"{where}: {name}", settings, place.base, trust, place.known, place.partial)


def _found(where: str, config: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    """What stands at a place, by its dotted key; of a place within another, what is there and not null."""
    group, _, rest = key.partition(".")
    node: Any = config.get(group)
    if not rest:  # parts of a method that have a place of their own are looked at there
        parted = isinstance(node, Mapping) and group == "method"
        yield group, {k: v for k, v in node.items() if k not in ("optimizer", "scheduler")} if parted else node
        return
    if node is not None and not isinstance(node, Mapping):
        raise UserError(f"{where}: {group} is no mapping of keys")
    for name, settings in (node or {}).items():
        if rest in ("*", name) and settings is not None:
            yield f"{group}.{name}", settings


def _places() -> dict[str, Place]:
    """By dotted keys; ``*`` is any."""
    from pytorch_lightning import Callback, Trainer
    from pytorch_lightning.loggers import Logger
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from cmc.data.module import DataModule
    from cmc.methods.base import Method

    return {
        "method": Place(Method),
        "method.optimizer": Place(Optimizer, ("torch.optim.",), partial=True),
        "method.scheduler": Place(LRScheduler, ("torch.optim.",), partial=True),
        "data": Place(DataModule),
        "trainer": Place(Trainer, ("pytorch_lightning.Trainer", "pytorch_lightning.trainer.")),
        "callbacks.*": Place(Callback),
        "logger.*": Place(Logger),
    }


def check_classes(
    where: str,
    settings: Any,
    base: type,
    trust: Sequence[str] = (),
    known: Sequence[str] = (),
    partial: bool = False,
) -> None:
    """Refuse settings that would make anything but objects of trusted packages.

    Args:
        where: the file; opens the message.
        settings: a mapping that ``hydra.utils.instantiate`` is to be given.
        base: what the mapping itself must make.
        trust: packages whose classes may be named besides those of CMC.
        known: beginnings of dotted names that may be named, too.
        partial: whether the mapping may make a function that makes the object later.

    Raises:
        UserError: a ``_target_`` within that is no class, or one of another package; or the outermost is no ``base``;
            an interpolation, which could become anything.
    """
    _check_literal(where, settings)
    packages = (OWN, *map(str, trust))
    for depth, target in _targets(settings):
        found = _class(where, target, packages, tuple(known))
        if depth == 0 and not issubclass(found, base):
            raise UserError(f"{where}: {target} is no {base.__name__}")
    if not (isinstance(settings, dict) and "_target_" in settings) or (settings.get("_partial_") and not partial):
        raise UserError(f"{where}: names no {base.__name__} (_target_)")


def _check_literal(where: str, tree: Any) -> None:
    """``instantiate`` resolves interpolations, those that an earlier resolution left behind included."""
    for part in _parts(tree):
        if isinstance(part, str) and "${" in part:
            raise UserError(f"{where}: holds {part[:80]!r}; a run's files hold plain values, no interpolations")


def _parts(tree: Any) -> Iterator[Any]:
    """Everything in a tree, keys and values."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield key
            yield from _parts(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _parts(value)
    else:
        yield tree


def _targets(tree: Any, depth: int = 0) -> Iterator[tuple[int, Any]]:
    """Every ``_target_`` with its depth."""
    if isinstance(tree, Mapping):
        if "_target_" in tree:
            yield depth, tree["_target_"]
        for value in tree.values():
            yield from _targets(value, depth + 1)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _targets(value, depth + 1)


def _class(where: str, target: Any, packages: Sequence[str], known: tuple[str, ...]) -> type:
    """The class, imported from a trusted package and defined in one: not what such a package imports itself."""
    if not isinstance(target, str):
        raise UserError(f"{where}: _target_ is {str(target)[:80]!r}; it must be the dotted name of a class")
    package = target.partition(".")[0]
    refusal = UserError(f"{where}: names {target}, and files may name classes of {', '.join(packages)} alone")
    if package not in packages and not target.startswith(known):
        raise UserError(f"{refusal}; if you know what it does, add trust=[{package}]")
    try:
        found = get_class(target)
    except Exception as error:
        reason = "it is of another version of CMC: go on with that one, or train anew"
        if package != OWN:
            reason = " ".join(str(error).split())[:160]
        raise UserError(f"{where}: {target} cannot be had: {reason}") from None
    home = f"{found.__module__}."
    if home.partition(".")[0] not in packages and not home.startswith(known):
        raise refusal
    return found


def named_packages(config: Any) -> list[str]:
    """The packages whose classes a configuration of the user's own names."""
    return sorted({str(target).partition(".")[0] for _, target in _targets(config)})
