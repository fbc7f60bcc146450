"""From a checked configuration to a finished run folder; knows nothing of Hydra's command line."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import Callback, Checkpoint
from rich.console import Console

from cmc.callbacks.closing import Closing
from cmc.callbacks.stopping import refuse_others
from cmc.config.messages import make
from cmc.config.schema import shorten
from cmc.config.trust import check_run
from cmc.data.module import DataModule
from cmc.data.preparation.extraction import Extraction
from cmc.data.preparation.extractors import keep
from cmc.data.sharing import tell
from cmc.distributed import is_rank_zero
from cmc.distributed.strategy import quiet
from cmc.errors import Diverged, Interrupted, Preempted, UserError
from cmc.methods.base import Method
from cmc.methods.encoders import resolved
from cmc.runs.checkpoint import find, restore
from cmc.runs.config import read_config, write_config
from cmc.runs.folder import GALLERY, LAST, PREVIOUS, has_checkpoint, how_to_resume
from cmc.runs.report import read_report
from cmc.training.hardware import computing_on, pick
from cmc.training.rehearsal import rehearse
from cmc.training.trainer import make_trainer
from cmc.utils.allocator import keep_freed_memory
from cmc.utils.atomic import FULL
from cmc.utils.signals import StoppedAtOnce

log = logging.getLogger(__name__)

CLIP = "method.gradient_clip"  # which a resumed run may change


def train(config: DictConfig, folder: str, overrides: list[str] | None = None) -> dict[str, Any]:
    """`fit`, and print the closing table, before the pictures are drawn."""
    report = fit(config, folder, overrides, closing=Closing())
    if report:
        seconds = report["seconds"]["total"]
        Console().print(f"{seconds:.0f} s; the run's folder, pictures and all: {folder}", soft_wrap=True)
        if (page := Path(folder, GALLERY)).exists():
            Console().print(f"what is in the clusters: {page}", soft_wrap=True)
    return report


def fit(
    config: DictConfig,
    folder: str,
    overrides: list[str] | None = None,
    data: DataModule | None = None,
    closing: Callback | None = None,
    shown: bool = True,
    accepted: Callable[[Method], None] | None = None,
) -> dict[str, Any]:
    """Train as ``config`` says, or go on with the run that ``config.resume`` names.

    Args:
        config: composed and checked.
        folder: the run folder; of a resumed run, its own.
        overrides: what the command line said, which a resumed run takes no more of.
        data: what to train on; None for what ``config.data`` says.
        closing: called right after the callback ``results``.
        shown: whether a bar shows how far the run is.
        accepted: called with the method, once it has accepted the data.

    Returns:
        What ``metrics.json`` holds; nothing on processes other than the first.

    Raises:
        UserError: what is wrong with the data, the method's settings or the run to go on with.
        Diverged: a loss or a parameter is no finite number; the line names it and the last good checkpoint.
        Interrupted: the user stopped the run; the message says how to go on.
    """
    quiet()
    run = Path(folder)
    checkpoint = None
    first = is_rank_zero()
    if config.resume:
        config, checkpoint = _resumed(run, overrides or [], config)
    elif first and (run / "config.yaml").exists():
        raise UserError(f"{run}: holds a run already; give another hydra.run.dir, or resume={run} to go on with it")
    rehearse(config.method)
    Extraction(**config.features)  # which not all data sets look at
    callbacks = _callbacks(config, closing, () if shown else ("progress",))
    data = data if data is not None else make("data", config.data)
    assert isinstance(data, DataModule)
    shorten(config)
    seed_everything(config.seed, verbose=False)
    os.environ.pop("PL_GLOBAL_SEED", None)  # by which Lightning would seed anew where there are several processes
    data.load()
    if config.method.get("encoder"):
        config.method.encoder = resolved(OmegaConf.to_container(config.method.encoder), data.shapes)  # type: ignore[arg-type]
    method: Method = make("method", config.method, dims=data.dims, n_clusters=data.n_clusters)
    method.admit(data)
    if accepted is not None:
        accepted(method)
    pick(config, method, data)
    trainer = make_trainer(
        config,
        max_epochs=method.schedule.n_epochs,
        logger=[make(f"logger.{k}", x, save_dir=str(run)) for k, x in (config.get("logger") or {}).items()],
        callbacks=callbacks,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        default_root_dir=str(run),
    )
    computing = computing_on(config.trainer.threads)
    with _way_on(run, method, "gradient_clip" in config.method), keep_freed_memory(), computing:
        if first:
            (run / "metrics.json").unlink(missing_ok=True)
            write_config(run, config)
            if data.prepared is not None:
                keep(data.prepared, run)
        log.info("run folder: %s", run)
        if first:
            tell(data.shared)
        trainer.fit(method, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    if not trainer.is_global_zero:
        return {}
    return read_report(run)


def _callbacks(config: DictConfig, closing: Callback | None, without: Sequence[str]) -> list[Callback]:
    """Those of the configuration in its order, but for some; ``closing`` right after ``results``."""
    asked = {str(name): settings for name, settings in config.callbacks.items() if name not in without}
    callbacks = {name: make(f"callbacks.{name}", settings) for name, settings in asked.items() if settings is not None}
    refuse_others(callbacks)
    listed: list[Callback] = list(callbacks.values())
    if closing is not None and "results" in callbacks:
        listed.insert(list(callbacks).index("results") + 1, closing)
    return listed


@contextmanager
def _way_on(run: Path, method: Method, clips: bool) -> Iterator[None]:
    """Where a run ends early, say how to go on with it; ``clips``: whether its gradients can be bounded.

    Raises:
        Interrupted: it was asked to stop.
        Diverged: its numbers are none.
        UserError: the disk is full.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except StoppedAtOnce as stop:
        raise Preempted(stop, how_to_resume(run)) from None
    except SystemExit:  # what Lightning makes of a Ctrl-C that `Checkpoints` has not caught
        signal.signal(signal.SIGINT, handler)  # Lightning has it ignored from then on
        raise Interrupted("stopped at once", how_to_resume(run)) from None
    except Interrupted as stop:
        stop.way_on = how_to_resume(run)
        raise
    except Diverged as error:
        error.way_on = _after_divergence(run, method, clips)
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        line = f"{error.filename or run}: {error.strerror}"
        raise UserError(line, f"make room, and {how_to_resume(run)}") from None


def _after_divergence(run: Path, method: Method, clips: bool) -> str:
    """What is left of a run whose numbers are none, and what its user may do."""
    clip = f"{CLIP}={1 if method.gradient_clip is None else method.gradient_clip / 10:g}"
    anew = "start again with another data.scaling"
    if method.is_trained:
        anew = f"{anew}, or with a smaller method.optimizer.lr{f' or {clip}' if clips else ''}"
    if not has_checkpoint(run):
        return f"no checkpoint was written before; {anew}"
    saved = find(run)
    phase, epoch = method.schedule.at(saved.content["epoch"])
    good = f"the last good checkpoint, {saved.path}, is of {phase.name}, epoch {epoch + 1}"
    return (
        f"{good}: go on from there with python -m cmc.run resume={run} {clip}, or {anew}"
        if clips
        else f"{good}; {anew}"
    )


def _resumed(run: Path, overrides: list[str], given: DictConfig) -> tuple[DictConfig, Path]:
    """The configuration and the checkpoint of a run to go on with."""
    if not has_checkpoint(run):
        raise UserError(f"resume: {run} has no {LAST} to go on from; start the run again")
    if others := [o for o in overrides if not o.startswith(("resume=", "data.root=", "trust=", f"{CLIP}="))]:
        raise UserError(f"resume: a run goes on as it was configured; leave out {' '.join(others)}")
    config = read_config(run)
    check_run(str(run / "config.yaml"), OmegaConf.to_container(config), given.get("trust") or ())  # type: ignore[arg-type]
    path, content = find(run)
    if "optimizer_states" not in content:
        raise UserError(f"resume: {run} holds a trained model alone, no state of its training; train again")
    if path == run / PREVIOUS and is_rank_zero():
        restore(run)
    for moved in (o for o in overrides if o.startswith("data.root=")):
        OmegaConf.update(config, "data.root", moved.partition("=")[2])
    if any(o.startswith(f"{CLIP}=") for o in overrides):
        _clip_from_here(config, OmegaConf.select(given, CLIP))
    return config, path


def _clip_from_here(config: DictConfig, longest: float | None) -> None:
    """Bound the gradients of a run that goes on; its configuration keeps that it began otherwise."""
    if "optimizer" not in config.method:
        raise UserError(f"{CLIP}: {longest} given, but the method of this run has no gradients")
    OmegaConf.update(config, CLIP, longest, force_add=True)
    changes = [*(config.get("resumed_with") or []), f"{CLIP}={longest}"]
    OmegaConf.update(config, "resumed_with", changes, force_add=True)
    log.info("resume: %s from here on", changes[-1])
