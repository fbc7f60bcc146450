"""A run folder: where its files lie, and whether its run is finished. Light: imports no torch.

Each of its files has a room of its own that reads it: `cmc.runs.config`, `cmc.runs.report`, `cmc.runs.history`,
`cmc.runs.assignments`, `cmc.runs.embeddings`, `cmc.runs.checkpoint`.
"""

from __future__ import annotations

from pathlib import Path

from cmc.errors import UserError

LAST = Path("checkpoints", "last.ckpt")
PREVIOUS = Path("checkpoints", "previous.ckpt")
GALLERY = "gallery.html"  # where the data have pictures or texts
PARTS = ("", "_holdout")  # in names of files: of the training samples, of those that were held out


def finished(folder: str | Path | None) -> Path:
    """The folder of a finished run.

    Raises:
        UserError: none is given, it is no run folder, or its run is not finished.
    """
    if not folder:
        raise UserError("run: not given; name the folder of a finished run, run=FOLDER")
    run = Path(folder).expanduser()
    if not (run / "config.yaml").is_file():
        raise UserError(f"run: {run} is no run folder: it has no config.yaml")
    if not (run / "metrics.json").is_file():
        raise UserError(
            f"run: {run} has no metrics.json: it is not finished; go on with it: python -m cmc.run resume={run}"
        )
    return run


def has_checkpoint(run: Path) -> bool:
    """Whether there is something that a run may go on from."""
    return (run / LAST).is_file() or (run / PREVIOUS).is_file()


def how_to_resume(run: Path) -> str:
    """How to go on with a run that stopped."""
    if has_checkpoint(run):
        return f"go on with: python -m cmc.run resume={run}"
    return "start the same command again, with resume=auto; no checkpoint is written yet"


def damaged(path: Path) -> str:
    """What is said of a result that cannot be read."""
    return f"{path}: cannot be read; damaged? train again"
