"""The details of many runs as texts within one page's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from cmc.errors import UserError
from cmc.reporting.details import Projection, confusion, curves, embedding, facts
from cmc.reporting.rows import shown
from cmc.reporting.runs import Run
from cmc.utils.progress import Step
from cmc.webpage.document import encode

_NAMES = {"curves": "curves", "confusion": "confusion matrices", "embedding": "embeddings"}
_NONE = {
    "curves": "The run has no history.csv.",
    "confusion": "The data have no labels.",
    "embedding": "The run has no embeddings.npy.",
}
_FULL = "Left out: the page would become too large."


def collect(
    runs: Sequence[Run], projection: Projection, budget: int, advance: Step, begin: Step
) -> tuple[list[str], list[str]]:
    """Gather what the page shows of every run, in three passes: when it grows too large, embeddings go first.

    Args:
        runs: in the order in which they are served.
        projection: of the embeddings.
        budget: characters of all texts together; facts and configurations are there in any case.
        advance: called with a bar's name and the number of runs that are done.
        begin: called with a bar's name and the number of runs.

    Returns:
        A JSON text a run, and a line for everything that is left out or cannot be read.
    """
    texts = [{"facts": encode(facts(run)), "config": encode(_settings(run))} for run in runs]
    missing: list[dict[str, str]] = [{} for _ in runs]
    left = budget - sum(len(text) for each in texts for text in each.values())
    lines: list[str] = []
    kinds: dict[str, Callable[[Run], Any]] = {"curves": curves, "confusion": confusion}
    kinds["embedding"] = partial(embedding, projection=projection)
    for kind, show in kinds.items():
        begin(_NAMES[kind], len(runs))
        n_left_out = 0
        for run, text, lack in zip(runs, texts, missing, strict=True):
            found, why = (None, _FULL) if n_left_out else _shown(run, kind, show)
            if found is not None and len(found) > left:
                found, why = None, _FULL
            if found is not None:
                text[kind] = found
                left -= len(found)
            else:
                lack[kind] = why
                n_left_out += why is _FULL
                lines += [f"{run.folder}: {why}"] if why not in (_FULL, _NONE[kind]) else []
            advance(_NAMES[kind], 1)
        if n_left_out:
            lines.append(
                f"{_NAMES[kind]} left out of the page, which would grow too large: {n_left_out} of {len(runs)} runs"
            )
    return [_joined(text, lack) for text, lack in zip(texts, missing, strict=True)], list(dict.fromkeys(lines))


def _shown(run: Run, kind: str, show: Callable[[Run], Any]) -> tuple[str | None, str]:
    """The text of what a run has of this kind; or None and why there is none."""
    try:
        found = show(run)
    except UserError as error:
        return None, str(error)
    return (None, _NONE[kind]) if found is None else (encode(found), "")


def _settings(run: Run) -> dict[str, str]:
    return {key: shown(value) for key, value in run.config.items()}


def _joined(texts: Mapping[str, str], missing: Mapping[str, str]) -> str:
    parts = [f'"{kind}":{text}' for kind, text in {**texts, "missing": encode(missing)}.items()]
    return f"{{{','.join(parts)}}}"
