"""The one place where what a library raises on a damaged or hostile file becomes one line."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmc.errors import UserError
from cmc.utils.memory import check_size, too_large

if TYPE_CHECKING:
    import numpy as np
    from omegaconf import DictConfig, ListConfig

_GROWN = 40  # bytes of memory that a byte of text takes at most: a row of one character is a list of one text
AGAIN = "copy or download it again"
_NO_ROOM = re.compile("memory allocation|[Uu]nable to allocate|[Cc]an't allocate|Cannot allocate memory")
_OBJECTS = re.compile("Object arrays cannot be loaded|Python objects in dtype")


@contextmanager
def reading(where: str | Path, form: str, advice: str = AGAIN) -> Iterator[None]:
    """`read_errors` for a file of data.

    Args:
        where: The file, and where known the array in it; opens the line.
        form: What it was read as, with its article.
        advice: What to do about a damaged one.
    """
    with read_errors(f"{where}: cannot be read as {form}; cut short or damaged? {advice}", where):
        yield


@contextmanager
def read_errors(what: str, where: str | Path) -> Iterator[None]:
    """Turn whatever is raised on a damaged file into one line.

    Args:
        what: Opens the line; the reason follows in brackets.
        where: The file.

    Raises:
        UserError: In place of anything else raised within.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise too_large(str(where)) from None
    except Exception as error:
        reason = line(error)
        if _OBJECTS.search(reason):
            raise UserError(
                f"{where}: holds Python objects, and loading these could run any code; save it as plain numbers (where "
                "you trust it: numpy.load(FILE, allow_pickle=True), and each of its arrays by numpy.savez)"
            ) from None
        if getattr(error, "errno", None) == errno.ENOMEM or _NO_ROOM.search(reason):
            raise too_large(str(where)) from None
        raise UserError(f"{what} ({reason})") from None


def line(error: BaseException) -> str:
    """An exception in one line of a readable length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def check_text(path: Path) -> None:
    """Refuse a file of json or csv, of which Python makes lists and texts, that may take too much memory.

    Raises:
        UserError: it takes more than reading may.
    """
    check_size(str(path), _GROWN * path.stat().st_size)


def parse_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds.

    Raises:
        ValueError, OSError, RecursionError: it cannot be read, or holds none; to be told by `read_errors`.
        UserError: it takes more memory than reading may.
    """
    check_text(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("it holds no mapping")
    return found


def parse_yaml(path: Path) -> DictConfig | ListConfig:
    """What a yaml file holds; a few bytes of aliases may stand for gigabytes, and no file of ours has any.

    Raises:
        ValueError, OSError, YAMLError, OmegaConfBaseException, RecursionError: it cannot be read; see `read_errors`.
    """
    import io

    from omegaconf import OmegaConf
    from yaml import AliasToken, scan

    text = path.read_text(encoding="utf-8")
    if "*" in text and any(isinstance(token, AliasToken) for token in scan(text)):
        raise ValueError("it holds an alias of yaml (*name); a run's files hold plain values")
    return OmegaConf.load(io.StringIO(text))


def text_array(where: str | Path, cells: Sequence[str]) -> np.ndarray:
    """An array of texts, which takes for each as much as for the longest.

    Raises:
        UserError: That is more than reading may take.
    """
    import numpy as np

    check_size(str(where), 4.0 * len(cells) * max(map(len, cells), default=0))
    return np.array(cells, dtype=str)
