"""Packages that an extra installs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from cmc.errors import UserError


def version_of(package: str, module: str, asked: str, extra: str) -> str:
    """An optional package's version.

    Args:
        package: its name on PyPI.
        module: what is imported of it.
        asked: the option and its value that ask for it.
        extra: of CMC, which installs it.

    Raises:
        UserError: it is not installed.
    """
    try:
        if find_spec(module) is not None:
            return version(package)
    except PackageNotFoundError:
        pass
    raise UserError(f"{asked}: {package} is not installed: pip install 'cmc[{extra}]'")
