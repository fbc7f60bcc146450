"""What goes wrong between a command line and its task, in one line: from any exception to an `Ending`.

Hydra's own messages are never read: their wording is Hydra's. What an exception says by its type and attributes is
used, and the command line is looked at anew for the argument that is at fault.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from cmc.config.schema import ELSEWHERE, GROUPS, conf_dir, container, nearest
from cmc.errors import Ending, Interrupted, UserError
from cmc.utils.mappings import leaves

_OTHER_PLACE = {
    "config": "hydra.run.dir=FOLDER puts the run elsewhere",
    "choose": "hydra.sweep.dir=FOLDER puts the choice elsewhere",
    "prepare": "data.root=FOLDER puts the features elsewhere",
    "predict": "out=FILE writes elsewhere",
    "evaluate": "out=FOLDER writes elsewhere",
}
_FULL = "(HYDRA_FULL_ERROR=1 shows where)"


def as_ending(error: BaseException, name: str = "config") -> Ending | None:
    """How a command ends by an exception; None for a defect of ours.

    Args:
        error: what was raised.
        name: of the command's configuration in conf/.
    """
    from hydra.errors import HydraException, InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, KeyboardInterrupt):
        return Interrupted("stopped")
    for cause in _chain(error):
        if isinstance(cause, Ending):
            return cause
        if isinstance(cause, OSError) and not isinstance(cause, HydraException):
            file, place = str(cause.filename or "file"), _OTHER_PLACE.get(name, _OTHER_PLACE["config"])
            return UserError(f"{file}: {cause.strerror or cause}", place)
    if isinstance(error, InstantiationException):
        return UserError(f"configuration: {_joined(error.__cause__ or error)} {_FULL}")
    if isinstance(error, HydraException | OmegaConfBaseException):
        return UserError(explain(error, sys.argv[1:], name))
    return None


def make(key: str, settings: Any, **more: Any) -> Any:
    """``hydra.utils.instantiate`` of a part of a configuration.

    Args:
        key: its own, which opens messages.
        settings: with a ``_target_``.
        more: arguments besides.

    Raises:
        Ending, OSError: as what is made does.
        UserError: anything else that is raised on the way.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(settings, **more)
    except InstantiationException as error:
        for cause in _chain(error):
            if isinstance(cause, Ending | OSError):
                raise cause from None
        where = _missing_target(key, settings) or key
        raise UserError(f"{where}: {_joined(error.__cause__ or error)} {_FULL}") from error


def _missing_target(key: str, settings: Any) -> str | None:
    """The dotted key of the first ``_target_`` within that cannot be had, the innermost first."""
    from pydoc import ErrorDuringImport, locate

    from omegaconf import DictConfig

    if not isinstance(settings, DictConfig | dict):
        return None
    for name, value in settings.items():
        if (found := _missing_target(f"{key}.{name!s}", value)) is not None:
            return found
    try:
        return key if "_target_" in settings and locate(str(settings["_target_"])) is None else None
    except ErrorDuringImport:
        return key


def explain(error: BaseException, arguments: Sequence[str], name: str = "config") -> str:
    """Say in one line what is wrong with a command line that Hydra could not compose.

    Args:
        error: what was raised while the configuration was composed.
        arguments: of the command line.
        name: of the configuration in conf/.
    """
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, MissingConfigException) and "/" in (error.missing_cfg_file or ""):
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        stems = [path.stem for path in (conf_dir() / group).glob("*.yaml")]  # of a list of choices Hydra gives none
        options = sorted(option for option in error.options or stems if not option.startswith("_"))
        close = difflib.get_close_matches(choice, options, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"{group}={choice}: no such {group}; there are {', '.join(options)}{hint}"
    if isinstance(error, OverrideParseException):
        wrong = next((a for a in _overrides(arguments) if _parsed(a) is None), error.override)
        return f"{wrong}: not understood; {_way_to_write(wrong)}"
    return _unknown_key(arguments, name) or _joined(error)


def _way_to_write(argument: str) -> str:
    """How an override may be written that could not be read."""
    key, _, value = argument.partition("=")
    quoted = f'{key}="{value}"'
    if value and '"' not in value and _parsed(quoted) is not None:
        return f"put the value into quotes, for the shell and for Hydra: '{quoted}'"
    return "overrides are written key=value, quoted where they hold blanks or braces"


def _unknown_key(arguments: Sequence[str], name: str) -> str | None:
    """The first override of a key that there is not."""
    keys: list[str] = []
    for argument in _overrides(arguments):
        override = _parsed(argument)
        if override is None or override.is_add() or override.is_force_add():
            continue
        key, group = override.key_or_group, override.key_or_group.partition(".")[0]
        keys = keys or _known_keys(arguments, name)
        if group == "hydra" or "@" in key or key in keys or any(k.startswith(f"{key}.") for k in keys):
            continue
        if key in ELSEWHERE:
            return f"{key}: is not taken; {ELSEWHERE[key]}"
        if any(re.match(rf"{group}=[^\[].*,", other) for other in arguments):
            return (
                f"{key}: where {group} is swept over, write ++{key}=...; jobs whose {group} has no such key refuse it"
            )
        return f"{key}: no such key{nearest(key, keys)}"
    return None


def _overrides(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments that are overrides: options, and the values of options, are not."""
    after_option = False
    for argument in arguments:
        if not argument.startswith("-") and ("=" in argument or not after_option):
            yield argument
        after_option = argument.startswith("--")


def _parsed(argument: str) -> Any:
    """An argument as Hydra's ``Override``; None where it is none."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def _known_keys(arguments: Sequence[str], name: str) -> list[str]:
    """Keys of the default configuration, with the chosen groups in place of its own where they exist."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    chosen = [a for a in arguments if a.partition("=")[0] in (*GROUPS, "hydra.searchpath")]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            composed = compose(name, overrides=chosen)
        except HydraException:
            composed = compose(name)
    groups = (*GROUPS, "experiment") if name in ("config", "choose") else ()
    return [*groups, *(key for key, _ in leaves(container(composed)))]


def _joined(error: BaseException) -> str:
    return " ".join(str(error).split())


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it came from."""
    root: BaseException | None = error
    while root is not None:
        yield root
        root = root.__cause__ or root.__context__
