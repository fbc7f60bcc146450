"""``python -m cmc.evaluate``: score a finished run again, on its own data or on others."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from cmc.cli import command, conf_dir, register_resolvers, shipped, task
from cmc.config import check
from cmc.errors import UserError
from cmc.runs import finished, read_config
from cmc.storage import replacing

if TYPE_CHECKING:
    from cmc.callbacks.evaluation import Tally
    from cmc.data.incoming import Incoming
    from cmc.trained import Trained

NAME = "evaluation.json"
register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="evaluate")
@task
def _evaluate(config: DictConfig) -> None:
    check(config, shipped("evaluate"))
    run = finished(config.run)

    from hydra.core.hydra_config import HydraConfig

    from cmc.summary import show
    from cmc.trained import load

    trained = load(run, config.trust, config.device)
    chosen = HydraConfig.get().runtime.choices["data"]
    report = evaluate(trained, config, trained.report["data"] if chosen == "saved" else chosen)
    out = Path(config.out).expanduser() if config.out else run
    with replacing(out / NAME) as path:
        path.write_text(json.dumps(report, indent=2) + "\n")
    without = f" without {', '.join(config.missing)}" if config.missing else ""
    show(report, f"see {out / NAME}", ("all samples" if report["own_data"] else "other samples") + without)
    print(f"written: {out / NAME}")


def evaluate(trained: Trained, config: DictConfig, name: str) -> dict[str, Any]:
    """Score a trained model on a data set, under the scaling of its training data.

    Args:
        trained: the model.
        config: ``data``, the data set; ``missing``, modalities to do without; ``trust``.
        name: of the data.

    Returns:
        ``scores`` and ``label_free`` as in ``metrics.json``, and ``holdout``, where the data are those that the run
        held samples out of; what the data were.

    Raises:
        UserError: the data cannot be read, or do not fit the model.
    """
    from hydra.utils import instantiate

    from cmc.data import incoming
    from cmc.data.module import DataModule, split
    from cmc.trust import check_classes

    settings = OmegaConf.to_container(config.data, resolve=True)
    check_classes("data", settings, DataModule, config.trust)
    module: DataModule = instantiate(settings)
    data = incoming.read(module, trained.dims, config.missing)
    own = data.fingerprint == trained.report["features"]["fingerprint"]
    saved = trained.config.data
    kept, held = split(data.n_samples, saved.holdout, saved.seed) if own else (None, None)
    whole = _tally(trained, data, kept)
    return {
        "run": str(trained.folder.resolve()),
        "method": trained.report["method"],
        "data": f"{name} (surrogate)" if module.surrogate and "(surrogate)" not in name else name,
        "seed": trained.report["seed"],
        "scores": whole.scores(),
        **({"holdout": _tally(trained, data, held).scores()} if held is not None else {}),
        "label_free": whole.label_free() if data.missing.keys().isdisjoint(trained.method.inputs) else None,
        "own_data": own,
        "source": data.source,
        "fingerprint": data.fingerprint,
        "n_samples": data.n_samples if kept is None else len(kept),
        "missing": data.missing,
    }


def _tally(trained: Trained, data: Incoming, rows: Any) -> Tally:
    """Count the assignments of the given rows; None for all."""
    import torch

    from cmc.callbacks.evaluation import Tally

    tally = Tally(trained.method, data.n_classes, partial(trained.spaced, data.features, rows))
    labels = None if data.labels is None else torch.from_numpy(data.labels if rows is None else data.labels[rows])
    for batch, assignment in trained.assign(data.features, rows):
        with torch.no_grad():
            tally.add(batch, assignment, trained.method.assign_each(batch), labels)
    return tally


def _offer_saved(arguments: list[str]) -> None:
    """Make the run's own data the choice ``data=saved``, so that overrides of ``data`` apply to it."""
    folder = next((word.partition("=")[2] for word in arguments if word.startswith("run=")), None)
    try:
        node = read_config(Path(folder).expanduser()).data if folder else None
    except UserError:  # told when the command runs
        node = None
    ConfigStore.instance().store(name="saved", group="data", node=node if node is not None else {"_target_": ""})


def main() -> None:
    """Run the command; like ``python -m`` it finds classes in the folder that it is called from."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    _offer_saved(sys.argv[1:])
    command(_evaluate, "evaluate")


if __name__ == "__main__":
    main()
