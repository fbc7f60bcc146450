"""What the chosen loggers and pictures need is there, or a run does not begin. Light: asked before torch is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from cmc.errors import UserError
from cmc.utils.validate import one_of, text

_MODES = ("online", "offline", "disabled")
_NEEDS = {"wandb": ("wandb",), "tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy")}


def check_loggers(loggers: Mapping[str, Any] | None) -> None:
    """Refuse a logger that could not log.

    Args:
        loggers: name -> settings, resolved.

    Raises:
        UserError: a package is not installed; W&B has no such mode or entity; W&B is online and nobody is logged in.
    """
    for name in loggers or ():
        if missing := [package for package in _NEEDS.get(name, ()) if find_spec(package) is None]:
            raise UserError(f"logger={name}: {missing[0]} is not installed; pip install 'cmc[{name}]'")
    if loggers and "wandb" in loggers:
        mode = one_of("logger.wandb.mode", loggers["wandb"]["mode"], _MODES)
        text("logger.wandb.entity", loggers["wandb"].get("entity"), "a user's or team's name, or null", or_null=True)
        if mode == "online":
            check_login(", or give logger.wandb.mode=offline")


def check_projection(key: str, projection: object) -> None:
    """Refuse a projection that could not be made.

    Args:
        key: the setting that names it, for the message.
        projection: such as ``umap``.

    Raises:
        UserError: umap-learn is asked for and not installed.
    """
    if projection == "umap" and find_spec("umap") is None:
        raise UserError(
            f"{key}: umap given, but umap-learn is not installed; pip install 'cmc[umap]', or give tsne or pca"
        )


def check_login(otherwise: str = "") -> None:
    """Refuse to go on where nobody is logged in to W&B; never asks.

    Args:
        otherwise: what else the user may do, for the message.

    Raises:
        UserError: there is no key, or none that could be one.
    """
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True))
        is_logged_in = wandb.login(prompt=False, verify=False)
    except (wandb.errors.Error, ValueError) as error:
        raise UserError(f"W&B: {' '.join(str(error).split())}") from None
    if not is_logged_in:
        raise UserError(f"W&B: nobody is logged in; type wandb login, or set WANDB_API_KEY{otherwise}")
