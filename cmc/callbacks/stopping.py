"""How a run ends: after its last phase, or where a label-free measure no longer grows; any other is not finished."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import inf, isfinite
from typing import Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping, Timer

from cmc.callbacks.evaluation import Evaluation
from cmc.data.module import DataModule
from cmc.distributed import any_rank
from cmc.errors import UserError
from cmc.methods.base import Method
from cmc.methods.phases import Schedule
from cmc.utils import validate

log = logging.getLogger(__name__)
MEASURES = ("agreement", "agreement_held_out", "quality", "silhouette")  # of `Tally.label_free`: the more, the better
_OF_EACH = MEASURES[:3]  # what needs every modality's own assignment
_OTHERS: dict[type[Callback], str] = {
    EarlyStopping: "callbacks.stopping.measure=quality stops by a label-free measure and says so in metrics.json",
    Timer: "timeout SECONDS before the command stops it with a checkpoint, and resume=auto goes on",
}


class Stopping(Callback):
    """End the last phase when a label-free measure has not grown over several evaluations.

    The measure is what `Evaluation` notes in the history; labels stop nothing. Earlier phases, on which later ones
    build, run to their end. The results are those of the last epoch that ran, and ``metrics.json`` says so.

    Args:
        measure: ``quality``, ``agreement``, ``agreement_held_out`` or ``silhouette``; None for no early end.
        patience: evaluations in a row without growth that end the run.
        min_delta: what counts as growth is more than this.
    """

    def __init__(self, measure: str | None = None, patience: int = 5, min_delta: float = 0.0) -> None:
        known = f"one of {', '.join(MEASURES)}, or null; labels stop nothing"
        self.measure = validate.require(
            "callbacks.stopping.measure", measure, measure is None or measure in MEASURES, known
        )
        self._patience = validate.whole("callbacks.stopping.patience", patience, least=1)
        self._min_delta = validate.number("callbacks.stopping.min_delta", min_delta, least=0)
        self.best, self.best_epoch, self._stale, self.stopped = -inf, 0, 0, False

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Refuse a measure that would never be taken.

        Raises:
            UserError: nothing is evaluated along the way, or this measure is none of the method or the data, or one of
                samples set aside that the last phase trains on.
        """
        if self.measure is None or not pl_module.is_trained:
            return
        given = f"callbacks.stopping.measure: {self.measure} given, but"
        evaluation = next((c for c in trainer.callbacks if isinstance(c, Evaluation)), None)  # type: ignore[attr-defined]
        if evaluation is None or not evaluation.every:
            raise UserError(f"{given} nothing is measured before the end; give evaluate_every=1, or another number")
        if self.measure in _OF_EACH and type(pl_module).assign_each is Method.assign_each:
            raise UserError(f"{given} the method has no assignment of each modality; give silhouette")
        self._refuse_seen(pl_module, trainer.datamodule, given)  # type: ignore[attr-defined]

    def _refuse_seen(self, method: Method, data: DataModule, given: str) -> None:
        """Refuse a measure of unseen samples where the last phase, the one that is stopped, has seen them all."""
        last = method.schedule.at(method.schedule.n_epochs - 1)[0].name
        set_aside = data.fitted is not None
        if data.held_out is not None or (set_aside and last in method.comparing):
            return
        if set_aside and self.measure in ("agreement_held_out", "quality"):
            raise UserError(
                f"{given} the last phase, {last}, trains on the samples that method.validation set aside, and it stays "
                f"as it was; give data.holdout=0.2, or method.phases.{last}.epochs=0"
            )
        if self.measure == "agreement_held_out":
            raise UserError(f"{given} no samples are held out; give data.holdout=0.2, or another share")

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """A run that was stopped has nothing to go on with."""
        if self.stopped:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Look at what was measured in this epoch, if anything was."""
        last, epoch = pl_module.schedule.n_epochs, trainer.current_epoch + 1
        if self.measure is None or epoch == last or pl_module.phase is not pl_module.schedule.at(last - 1)[0]:
            return
        record = pl_module.record()
        if "entropy" not in record:  # which every evaluation notes
            return
        value = record.get(self.measure, -inf)  # there is no silhouette of one cluster
        if value > self.best + self._min_delta:
            self.best, self.best_epoch, self._stale = value, epoch, 0
        else:
            self._stale += 1
        if any_rank([self._stale >= self._patience], pl_module.device)[0]:
            self.stopped = trainer.should_stop = True
            log.info(
                "callbacks.stopping: %s has not grown over %d evaluations (%.4f after epoch %d); "
                "the run ends after epoch %d of %d",
                *(self.measure, self._patience, self.best, self.best_epoch, epoch, last),
            )

    def state_dict(self) -> dict[str, Any]:
        """The best so far, for a resumed run."""
        state = {"best": self.best, "best_epoch": self.best_epoch, "stale": self._stale, "stopped": self.stopped}
        return state if self.measure is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self._stale, self.stopped = state_dict["stale"], state_dict["stopped"]


def refuse_others(callbacks: Mapping[str, Callback]) -> None:
    """Refuse Lightning's own callbacks that end a run early: its results would look like those of a whole one.

    Args:
        callbacks: by their keys in the configuration.

    Raises:
        UserError: the line says what to give instead.
    """
    for name, callback in callbacks.items():
        for kind, instead in _OTHERS.items():
            if isinstance(callback, kind):
                raise UserError(f"callbacks.{name}: Lightning's {kind.__name__} is not taken; {instead}")


def how_it_ended(trainer: Trainer, schedule: Schedule) -> dict[str, Any]:
    """What ``metrics.json`` says of the epochs that ran.

    Returns:
        ``epochs``; ``phases``, each with its epochs; where `Stopping` ended the run ``stopped``, with the measure, its
        best value, the epoch of that, and how many epochs were scheduled.

    Raises:
        UserError: something else ended it before its last epoch: it is not finished.
    """
    ran, left, phases = trainer.current_epoch, trainer.current_epoch, {}
    for phase in schedule.phases:
        phases[phase.name] = min(left, phase.epochs)
        left -= phases[phase.name]
    told: dict[str, Any] = {"epochs": ran, "phases": phases}
    if ran == schedule.n_epochs:
        return told
    stopping = next((c for c in trainer.callbacks if isinstance(c, Stopping) and c.stopped), None)  # type: ignore[attr-defined]
    if stopping is None:
        raise UserError(
            f"training: ended after epoch {ran} of {schedule.n_epochs}, and not by callbacks.stopping; "
            "the run is not finished; start again without the callback that sets trainer.should_stop"
        )
    best = stopping.best if isfinite(stopping.best) else None
    facts = {"measure": stopping.measure, "best": best, "best_epoch": stopping.best_epoch}
    return {**told, "stopped": {**facts, "scheduled_epochs": schedule.n_epochs}}
