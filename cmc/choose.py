"""``python -m cmc.choose``: how many clusters? One method over a range of K and several seeds, and one answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import hydra
from omegaconf import DictConfig

from cmc.choosing.asked import Asked, asked
from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.messages import as_ending
from cmc.config.schema import check, conf_dir
from cmc.errors import Interrupted
from cmc.runs.folder import finished
from cmc.training.job import run
from cmc.utils.progress import Step, bars
from cmc.utils.safe_read import line
from cmc.utils.signals import preemptible

register_resolvers()
_ASIDE = ("--help", "-h", "--cfg", "-c", "--info", "-i", "--hydra-help", "--version", "--shell-completion", "-sc")
_failed: dict[str, str] = {}  # name of a run folder -> why
_advance: list[Step] = []  # of the bar that is shown


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="choose")
@task
def _run(config: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    state = HydraConfig.get()
    folder = Path(state.runtime.output_dir)
    try:
        check(config, shipped("choose"))
        run(config, folder, list(state.overrides.task), look=True, told=False)
    except Exception as error:
        if not isinstance(error, Interrupted):
            _failed[folder.name] = str(as_ending(error, "choose") or line(error))
        raise
    finally:
        for advance in _advance:
            advance("runs", 1)


def _choose(arguments: Sequence[str]) -> None:
    if any(word.partition("=")[0] in _ASIDE for word in arguments):
        _run()
        return
    wanted = asked(arguments)
    if wanted.folder is None:
        moment = f"{datetime.now():%Y-%m-%d/%H-%M-%S}-{wanted.data}"
        sys.argv.append(f"hydra.sweep.dir=choose/{moment}")
        folder = Path("choose", moment)
    else:
        folder = wanted.folder
    for text in wanted.told:
        print(text, file=sys.stderr)
    _failed.clear()
    error = _swept(wanted)
    runs = {
        (k, seed): run for k in wanted.clusters for seed in wanted.seeds if (run := _done(folder, k, seed)) is not None
    }
    if error is not None and (not _failed or not runs):
        raise error
    from cmc.choosing.choice import choose

    print(choose(folder, runs, wanted, dict(_failed)), flush=True)
    if error is not None and as_ending(error, "choose") is None:  # a defect deserves its traceback
        raise error


def _swept(wanted: Asked) -> Exception | None:
    """Run all; the first failure, after which the others went on."""
    with bars() as (advance, begin):
        begin("runs", len(wanted.clusters) * len(wanted.seeds))
        _advance[:] = [advance]
        try:
            with preemptible():
                _run()
        except Interrupted:
            raise
        except Exception as error:
            return error
        finally:
            _advance.clear()
    return None


def _done(folder: Path, k: int, seed: int) -> Path | None:
    name = f"k{k}-seed{seed}"
    if name in _failed or not (folder / name / "metrics.json").is_file():
        return None
    return finished(folder / name)


def main() -> None:
    """Run the command."""
    command(lambda: _choose(sys.argv[1:]), "choose")


if __name__ == "__main__":
    main()
