"""``python -m cmc.evaluate``: score a finished run again, on its own data or on others."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from cmc.cli import command, register_resolvers, shipped, task
from cmc.config.schema import check, conf_dir
from cmc.errors import UserError
from cmc.runs.config import read_config
from cmc.runs.folder import finished
from cmc.utils.atomic import atomic_write

NAME = "evaluation.json"
register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="evaluate")
@task
def _evaluate(config: DictConfig) -> None:
    check(config, shipped("evaluate"))
    run = finished(config.run)

    from hydra.core.hydra_config import HydraConfig

    from cmc.inference.evaluate import evaluate
    from cmc.inference.trained import load
    from cmc.runs.report import scored_text
    from cmc.runs.summary import show

    trained = load(run, config.trust, config.device)
    chosen = HydraConfig.get().runtime.choices["data"]
    report = evaluate(trained, config, trained.report["data"] if chosen == "saved" else chosen)
    out = Path(config.out).expanduser() if config.out else run
    with atomic_write(out / NAME) as path:
        path.write_text(json.dumps(report, indent=2) + "\n")
    without = f" without {', '.join(config.missing)}" if config.missing else ""
    show(report, f"see {out / NAME}", ("all samples" if report["own_data"] else "other samples") + without)
    if told := scored_text(report):
        print(told)
    print(f"written: {out / NAME}")


def _offer_saved(arguments: list[str]) -> None:
    """Make the run's own data the choice ``data=saved``, so that overrides of ``data`` apply to it."""
    folder = next((word.partition("=")[2] for word in arguments if word.startswith("run=")), None)
    try:
        node = read_config(Path(folder).expanduser()).data if folder else None
    except UserError:  # told when the command runs
        node = None
    ConfigStore.instance().store(name="saved", group="data", node=node if node is not None else {"_target_": ""})


def main() -> None:
    """Run the command."""
    _offer_saved(sys.argv[1:])
    command(_evaluate, "evaluate")


if __name__ == "__main__":
    main()
