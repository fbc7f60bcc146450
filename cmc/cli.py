"""What the commands share: where conf/ is, and how a mistake is told: one line, exit status 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from omegaconf import OmegaConf

from cmc.errors import Interrupted, UserError


def conf_dir() -> Path:
    """The shipped configuration: inside the package where it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def register_resolvers() -> None:
    """Make ``cmc.run_dir`` known: the folder of a resumed run is the run's own."""
    OmegaConf.register_new_resolver(
        "cmc.run_dir", lambda resume, default: str(resume or default).rstrip("/"), replace=True
    )


def command(hydra_main: Callable[[], object]) -> None:
    """Run a Hydra application; turn a user's mistake into one line on standard error and exit status 2.

    ``HYDRA_FULL_ERROR=1`` shows the traceback instead.
    """
    show_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra_main()
    except KeyboardInterrupt:
        _leave("stopped", 130)
    except Interrupted as stop:
        _leave(str(stop), 130)
    except Exception as error:
        message = _message(error)
        if message is None or show_traceback:
            raise
        _leave(f"error: {message}", 2)


def _message(error: Exception) -> str | None:
    """The one line for a mistake of the user's; None for a defect of ours."""
    from hydra.errors import HydraException, InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    from cmc.config import explain

    while isinstance(error, InstantiationException) and isinstance(error.__cause__, Exception):
        key = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else None
        if isinstance(error.__cause__, TypeError | ImportError | AttributeError):
            return f"{key or 'configuration'}: {' '.join(str(error.__cause__).split())}"
        error = error.__cause__
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explain(error, conf_dir(), sys.argv[1:])
    if isinstance(error, OSError):
        return f"{error.filename or 'file'}: {error.strerror or error}; a run is written to hydra.run.dir=FOLDER"
    return None


def _leave(line: str, status: int) -> NoReturn:
    print(f"cmc: {line}", file=sys.stderr)
    sys.exit(status)
