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
    OmegaConf.register_new_resolver("cmc.run_dir", _run_dir, replace=True)


def _run_dir(resume: object, default: str) -> str:
    if not resume:
        return default
    if not Path(str(resume), "config.yaml").is_file():
        raise UserError(f"resume: {resume} is no run folder: it has no config.yaml")
    return str(resume)


def command(hydra_main: Callable[[], object]) -> None:
    """Run a Hydra application; turn a user's mistake into one line on standard error and exit status 2.

    ``HYDRA_FULL_ERROR=1`` shows the traceback instead.
    """
    asked = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands errors on instead of printing them
    try:
        hydra_main()
    except KeyboardInterrupt:
        _leave("stopped", 130)
    except Interrupted as stop:
        _leave(str(stop), 130)
    except Exception as error:
        message = _message(error)
        if message is None or asked == "1":
            raise
        _leave(f"error: {message}", 2)
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if asked is not None:
            os.environ["HYDRA_FULL_ERROR"] = asked


def _message(error: Exception) -> str | None:
    """The one line for a mistake of the user's; None for a defect of ours."""
    from hydra.errors import HydraException, InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    from cmc.config import explain

    root: BaseException | None = error
    while root is not None:
        if isinstance(root, UserError):
            return str(root)
        root = root.__cause__ or root.__context__
    cause = error.__cause__
    if isinstance(error, InstantiationException) and cause is not None:
        if not isinstance(cause, TypeError | ImportError | AttributeError | InstantiationException):
            return None
        key = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else "configuration"
        return f"{key}: {' '.join(str(cause).split())}"
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explain(error, conf_dir(), sys.argv[1:])
    if isinstance(error, OSError):
        return f"{error.filename or 'file'}: {error.strerror or error}; a run is written to hydra.run.dir=FOLDER"
    return None


def _leave(line: str, status: int) -> NoReturn:
    print(f"cmc: {line}", file=sys.stderr)
    sys.exit(status)
