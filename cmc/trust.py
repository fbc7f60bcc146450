"""Which classes a run's files may name: those of packages that the user trusts. A file then runs no code of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hydra.utils import get_class

from cmc.errors import UserError

OWN = "cmc"


def check_classes(where: str, settings: Any, base: type, trust: Sequence[str] = ()) -> None:
    """Refuse settings that would make anything but objects of trusted packages.

    Args:
        where: the file; opens the message.
        settings: a mapping that ``hydra.utils.instantiate`` is to be given.
        base: what the mapping itself must make.
        trust: packages whose classes may be named besides those of CMC.

    Raises:
        UserError: a ``_target_`` within that is no class, or one of another package; or the outermost is no ``base``.
    """
    for depth, target in _targets(settings):
        found = _class(where, target, (OWN, *trust))
        if depth == 0 and not issubclass(found, base):
            raise UserError(f"{where}: {target} is no {base.__name__}")
    if not (isinstance(settings, dict) and "_target_" in settings):
        raise UserError(f"{where}: names no {base.__name__} (_target_)")


def _targets(tree: Any, depth: int = 0) -> Iterator[tuple[int, Any]]:
    """Every ``_target_`` with its depth."""
    if isinstance(tree, dict):
        if "_target_" in tree:
            yield depth, tree["_target_"]
        for value in tree.values():
            yield from _targets(value, depth + 1)
    elif isinstance(tree, list):
        for value in tree:
            yield from _targets(value, depth + 1)


def _class(where: str, target: Any, packages: Sequence[str]) -> type:
    """The class, imported from a trusted package and defined in one: not what such a package imports itself."""
    package = str(target).partition(".")[0]
    refusal = UserError(f"{where}: names {target}, and files may name classes of {', '.join(packages)} alone")
    if package not in packages:
        raise UserError(f"{refusal}; if you know what it does, add trust=[{package}]")
    try:
        found = get_class(target)
    except Exception as error:
        raise UserError(f"{where}: {target} cannot be had: {' '.join(str(error).split())[:160]}") from None
    if found.__module__.partition(".")[0] not in packages:
        raise refusal
    return found
