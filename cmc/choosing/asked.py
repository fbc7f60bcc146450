"""What a command line asks for: which K, which seeds, where. Light: imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cmc.config.schema import conf_dir
from cmc.errors import UserError
from cmc.runs.config import read_yaml

K, SEED, FOLDER = "data.n_clusters", "seed", "hydra.sweep.dir"
_SWEPT = (K, SEED)


class Asked(NamedTuple):
    """A choice.

    Attributes:
        clusters: K, ascending.
        seeds: in the order that was given.
        data: what the data are called in the command.
        folder: where to; None where the command does not say.
        told: lines for the user.
    """

    clusters: list[int]
    seeds: list[int]
    data: str
    folder: Path | None
    told: list[str]


def asked(arguments: Sequence[str]) -> Asked:
    """Read a command line.

    Raises:
        UserError: a sweep over anything else, no several K, or values that are none.
    """
    values = dict(_default())
    names = {"data": "digits"}
    for key, given in _overrides(arguments):
        if len(given) > 1 and key not in _SWEPT:
            raise UserError(
                f"{key}: {len(given)} values given; a choice sweeps over {K} and {SEED} alone: run it once for each"
            )
        if key.startswith("hydra/") and key.endswith("sweeper"):
            raise UserError(f"{key}: {given[0]} given; a choice tries every K of {K}: leave it out")
        if key in values:
            values[key] = given
        elif key in ("data", FOLDER):
            names[key] = given[0]
    clusters, seeds = (_numbers(key, values[key]) for key in _SWEPT)
    if len(clusters) < 2:
        raise UserError(f"{K}: {values[K][0]} alone given; there is nothing to choose from: give '{K}=range(2,21)'")
    told = []
    if not any(key == K for key, _ in _overrides(arguments)):
        told.append(f"{K}: no range given: K = {clusters[0]} to {clusters[-1]}; '{K}=range(2,21)' tries others")
    folder = Path(names[FOLDER]) if FOLDER in names else None
    return Asked(sorted(clusters), seeds, names["data"], folder, told)


def _default() -> dict[str, list[str]]:
    """What conf/choose.yaml sweeps over."""
    params = read_yaml(conf_dir() / "choose.yaml", interpolations=True)["hydra"]["sweeper"]["params"]
    return dict(_overrides([f"{key}={params[key]}" for key in _SWEPT]))


def _overrides(arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each override's key and values; what cannot be read is left to Hydra, which says what is wrong with it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    found = []
    for word in arguments:
        if word.startswith("-") or "=" not in word:
            continue
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException:
            continue
        if override.is_discrete_sweep():
            given = [str(value) for value in override.sweep_string_iterator()]
        else:
            given = ["a range"] * 2 if override.is_sweep_override() else [str(override.get_value_string())]
        found.append((override.key_or_group, given))
    return found


def _numbers(key: str, values: Sequence[str]) -> list[int]:
    least = 2 if key == K else 0
    for value in values:
        if not value.isdecimal() or int(value) < least:
            raise UserError(
                f"{key}: {value} given; it must be whole numbers of at least {least}, such as {key}="
                f"{'range(2,21)' if key == K else '0,1,2'}"
            )
    return list(dict.fromkeys(map(int, values)))
