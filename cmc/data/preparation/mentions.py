"""Texts without the words that are their labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from cmc.data.preparation.distribution import Rows


def leaving_out(texts: Callable[[Rows], list[Any]], words: Sequence[str]) -> Callable[[Rows], list[Any]]:
    """Leave out the tags that hold one of the words; of captions, the words."""
    if not words:
        return texts
    taboo = mention(words)

    def rest(text: str | list[str]) -> str | list[str]:
        return taboo.sub(" ", text) if isinstance(text, str) else [tag for tag in text if not taboo.search(tag)]

    return lambda rows: [rest(text) for text in texts(rows)]


def mention(words: Sequence[str]) -> re.Pattern[str]:
    """Any of the words, alone or among others, in any case, in the singular or a regular plural."""
    forms = (r"\s+".join(map(re.escape, word.split())) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?:e?s)?(?!\w)", re.IGNORECASE)
