"""``python -m cmc.training.worker FOLDER NOTES``: one process of a run that `cmc.training.launcher` started."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

from omegaconf import OmegaConf

from cmc.config.messages import as_ending
from cmc.errors import Failed
from cmc.training.launcher import REQUEST, ending_file
from cmc.utils.safe_read import line
from cmc.utils.signals import preemptible


def main() -> None:
    """Train; leave a note of how it ended where it did not end well."""
    run, notes, rank = Path(sys.argv[1]), Path(sys.argv[2]), int(os.environ["LOCAL_RANK"])
    _watch_parent()
    _log_to(run, rank)
    request = json.loads((notes / REQUEST).read_text())
    from cmc.training.fit import train

    try:
        with preemptible():
            train(OmegaConf.create(request["config"]), str(run), request["overrides"])
    except (Exception, KeyboardInterrupt) as error:
        if (end := as_ending(error)) is None:
            end = Failed(line(error))
            with suppress(OSError), (run / "run.log").open("a") as log:
                log.write(f"rank {rank}:\n{traceback.format_exc()}")
        ending_file(notes, rank).write_text(json.dumps(end.told()))
        sys.stdout.flush()
        os._exit(end.status)  # not by way of the interpreter's end: a thread may hang in a collective


def _log_to(run: Path, rank: int) -> None:
    """The first process writes the run's log and the terminal, the others warn of what they alone see."""
    form = "[%(asctime)s] %(message)s"
    logging.raiseExceptions = False  # see `cmc.cli.command`
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if rank == 0:
        handlers.append(logging.FileHandler(run / "run.log"))
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format=form, handlers=handlers)


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
