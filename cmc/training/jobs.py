"""What a command is to train: one run, or one for each of several seeds, side by side. Light: imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from cmc.config.trust import check_run
from cmc.errors import UserError
from cmc.runs.config import read_config


class Job(NamedTuple):
    """A run that is to be begun, or gone on with.

    Attributes:
        config: composed and checked.
        folder: the run folder.
        overrides: what the command line said.
    """

    config: DictConfig
    folder: Path
    overrides: list[str]


def jobs_of(config: DictConfig, folder: Path, overrides: list[str]) -> list[Job]:
    """The runs of a command, in the order of their seeds.

    Args:
        config: composed and checked.
        folder: of the run; of several, the folder of their folders.
        overrides: what the command line said.

    Raises:
        UserError: ``seeds`` beside ``seed``, or beside what a resumed run does not take.
    """
    if config.resume and config.resume != "auto" and (several := folders_of(folder)):
        return list(_begun(several, config, overrides))
    if not config.get("seeds"):
        return [Job(config, folder, overrides)]
    if any(override.partition("=")[0].lstrip("+") == "seed" for override in overrides):
        raise UserError("seeds: given beside seed; leave one of them out")
    if config.resume and config.resume != "auto":
        raise UserError("seeds: given beside resume; a run goes on with the seed that it has")
    return [
        Job(config_of(config, seed), folder / name_of(seed), [o for o in overrides if not o.startswith("seeds=")])
        for seed in config.seeds
    ]


def config_of(config: DictConfig, seed: int) -> DictConfig:
    """The configuration of the run of one seed."""
    own = config.copy()
    own.seed, own.seeds = seed, None
    return own


def name_of(seed: int) -> str:
    """The name of the folder of a seed's run."""
    return f"seed{seed}"


def folders_of(folder: Path) -> list[Path]:
    """The run folders of several seeds in a folder that is no run folder itself, in the order of their seeds."""
    if (folder / "config.yaml").is_file():
        return []
    found = [path.parent for path in folder.glob("seed*/config.yaml") if path.parent.name[4:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[4:]))


def seeds_text(seed: int, seeds: Sequence[int] | None) -> str:
    """What a folder is named by: ``seed0``, ``seeds0-4`` or ``seeds0,2,7``; of many, the first and the number."""
    if not seeds or not isinstance(seeds, Sequence) or isinstance(seeds, str):  # which is refused later
        return name_of(seed)
    first, last = seeds[0], seeds[-1]
    if list(seeds) == list(range(first, last + 1)):
        return f"seeds{first}-{last}"
    return f"seeds{','.join(map(str, seeds))}" if len(seeds) <= 6 else f"seeds{first}-and-{len(seeds) - 1}-more"


def _begun(folders: Sequence[Path], given: DictConfig, overrides: list[str]) -> Iterator[Job]:
    """Runs that were begun by one command, each as its folder says."""
    if others := [o for o in overrides if not o.startswith(("resume=", "trust="))]:
        raise UserError(f"resume: runs go on as they were configured; leave out {' '.join(others)}")
    for folder in folders:
        config = read_config(folder)
        content: Any = OmegaConf.to_container(config)
        check_run(str(folder / "config.yaml"), content, given.get("trust") or ())
        yield Job(config, folder, [])
