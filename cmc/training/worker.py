"""``python -m cmc.training.worker NOTES``: one process of several that `cmc.training.launcher` started."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cmc.config.messages import as_ending
from cmc.errors import Failed
from cmc.training.jobs import Job
from cmc.training.launcher import REQUEST, ending_file
from cmc.training.loading import load_training
from cmc.utils.safe_read import line
from cmc.utils.signals import preemptible


def main() -> None:
    """Train or prepare; leave a note of how it ended where it did not end well."""
    notes, rank = Path(sys.argv[1]), int(os.environ["LOCAL_RANK"])
    _watch_parent()
    request = json.loads((notes / REQUEST).read_text())
    run = Path(request["folder"]) if "folder" in request else None
    _log_to(run, rank)
    try:
        with preemptible():
            _work(request)
    except (Exception, KeyboardInterrupt) as error:
        if (end := as_ending(error, "prepare" if run is None else "config")) is None:
            end = Failed(line(error))
            _tell(f"rank {rank}:\n{traceback.format_exc()}", run)
        ending_file(notes, rank).write_text(json.dumps(end.told()))
        sys.stdout.flush()
        os._exit(end.status)  # not by way of the interpreter's end: a thread may hang in a collective


def _work(request: Mapping[str, Any]) -> None:
    if "folder" in request:
        jobs = [Job(OmegaConf.create(config), Path(folder), said) for config, folder, said in request["jobs"]]
        load_training().train_all(jobs, Path(request["folder"]), told=True)
    else:
        from cmc.training.preparation import prepare

        prepare(OmegaConf.create(request["config"]))


def _log_to(run: Path | None, rank: int) -> None:
    """The first process writes the run's log and the terminal, the others warn of what they alone see."""
    form = "[%(asctime)s] %(message)s"
    logging.raiseExceptions = False  # see `cmc.cli.command`
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if rank == 0 and run is not None:
        handlers.append(logging.FileHandler(run / "run.log"))
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format=form, handlers=handlers)


def _tell(defect: str, run: Path | None) -> None:
    """Keep the traceback of a defect of ours."""
    if run is None:
        print(defect, file=sys.stderr)
        return
    with suppress(OSError), (run / "run.log").open("a") as log:
        log.write(defect)


def _watch_parent() -> None:
    """End with the parent, however it ends."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
