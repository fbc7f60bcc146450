"""Training and test parts of the same modalities, told by their names: ``I_tr``, ``I_te``, ``test_img``."""

from __future__ import annotations

import re

from cmc.data.formats.arrays import Contents

SPLITS = ("train", "test", "all")
_PARTS = {"train": "train", "training": "train", "tr": "train", "trn": "train", "test": "test", "te": "test"} | {
    "tst": "test",
    "testing": "test",
}
_WORDS = "|".join(sorted(_PARTS, key=len, reverse=True))
_LAST = re.compile(rf"(?P<stem>.*?)[_.\- ]?(?P<part>{_WORDS})", re.IGNORECASE)
_FIRST = re.compile(rf"(?P<part>{_WORDS})(?:[_.\- ](?P<stem>.+)|(?P<one>[A-Z]\w*))", re.IGNORECASE)


def split_up(held: Contents) -> dict[str, Contents]:
    """``train`` and ``test``, each under the names that both share; nothing where no array comes in both."""
    named: dict[str, dict[str, str]] = {}
    for name in held.arrays:
        if (match := _FIRST.fullmatch(name) or _LAST.fullmatch(name)) is not None:
            found = match.groupdict()
            stem = (found.get("stem") or found.get("one") or "").strip("_.- ")
            named.setdefault(stem, {}).setdefault(_PARTS[found["part"].lower()], name)
    both = {
        stem: parts
        for stem, parts in named.items()
        if len(parts) == 2
        and all(held.arrays[name].ndim == held.arrays[parts["train"]].ndim for name in parts.values())
    }
    if not any(held.arrays[parts["train"]].ndim > 1 for parts in both.values()):
        return {}
    names = {part: {named[stem][part]: stem or "data" for stem in named if part in named[stem]} for part in SPLITS[:2]}
    return {part: held.only(taken) for part, taken in names.items()}
