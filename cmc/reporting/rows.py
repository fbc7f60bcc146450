"""Which runs belong together: a row of a table is one method with one setting on one data set, over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from cmc.reporting.runs import Run, noting
from cmc.runs.assignments import Assignments
from cmc.runs.report import scored_text
from cmc.utils.progress import Step

ABSENT = "absent"  # of a key that other runs have
_SILENT = (  # keys that change nothing in what a run computes, or that the data's fingerprint answers for
    "callbacks.",
    "data.in_memory",
    "data.incomplete",
    "data.missing",
    "data.missing_seed",
    "data.raw",
    "data.root",
    "evaluate_every",
    "logger.",
    "max_phase_epochs",
    "names.",
    "objective",
    "resume",
    "resume_sweep",
    "resumed_with",  # the setting itself differs; a line says the rest
    "seed",
    "trust",
)


@dataclass(frozen=True)
class Row:
    """Runs that differ in their seed alone.

    Attributes:
        data: the data's name, with the beginning of their fingerprint where several data share the name.
        method: the method's name.
        setting: the swept hyper-parameters and their values, in the order of the configuration.
        runs: ordered by seed.
        pairs: ARI between the clusterings of any two seeds, over the samples that both assign.
    """

    data: str
    method: str
    setting: Mapping[str, Any]
    runs: tuple[Run, ...]
    pairs: tuple[float, ...]

    @property
    def label(self) -> str:
        """The setting in words: ``gamma=0.2, data.scaling=l2``; empty where nothing was swept."""
        return ", ".join(f"{short(key)}={shown(value)}" for key, value in self.setting.items())

    def values(self, figure: str) -> list[float]:
        """One number a run that has this figure; of ``pairs``, one a pair of runs."""
        if figure == "pairs":
            return list(self.pairs)
        return [run.figures[figure] for run in self.runs if figure in run.figures]


def short(key: str) -> str:
    """A configuration key as a reader of a table needs it."""
    return key.removeprefix("method.")


def shown(value: Any) -> str:
    """A configuration value as one would type it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())


def names(runs: Sequence[Run]) -> tuple[dict[tuple[str, str], str], list[str]]:
    """What data are called: (name, fingerprint) -> name; data that share a name are told apart.

    Returns:
        The names, and a line for every name that several data share.
    """
    prints: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for run in runs:
        prints[run.data][run.fingerprint] = None
    called: dict[tuple[str, str], str] = {}
    lines = []
    for name, several in prints.items():
        apart = {fingerprint: f"{name} (data {fingerprint[:8]})" for fingerprint in several}
        called |= {(name, f): apart[f] if len(several) > 1 else name for f in several}
        if len(several) > 1:
            lines.append(f"{name}: runs of {len(several)} different data; kept apart as {', '.join(apart.values())}")
    return called, lines


def swept(runs: Sequence[Run]) -> list[str]:
    """Configuration keys that differ between runs of one method on one data set, in the configuration's order.

    Left out are the seed and what follows it, what does not touch the result, and all but the last of several keys
    that have equal values in every run, such as a phase's epochs and the learning rate's schedule over them.
    """
    columns: dict[tuple[str, ...], str] = {}
    for key in dict.fromkeys(key for run in runs for key in run.config if not _is_silent(key)):
        if all(run.config.get(key, ABSENT) in (run.seed, ABSENT) for run in runs):
            continue
        column = tuple(_value(run, key) for run in runs)
        if len(set(column)) > 1:
            columns.pop(column, None)
            columns[column] = key
    return list(columns.values())


def _is_silent(key: str) -> bool:
    return any(key.startswith(name) if name.endswith(".") else key == name for name in _SILENT)


def _value(run: Run, key: str) -> str:
    """What tells two values apart: 1 and 1.0 are the same, 1 and true are not."""
    value = run.config.get(key, ABSENT)
    return repr(float(value)) if _is_number(value) else repr(value)


def gather(runs: Sequence[Run], advance: Step, begin: Step) -> tuple[list[Row], list[str]]:
    """Sort runs into rows.

    Args:
        runs: in any order.
        advance: called with a bar's name and the number of runs that are done.
        begin: called with a bar's name and the number of runs.

    Returns:
        The rows, ordered by data, method and setting, and a line for everything that a reader should know: data that
        share a name, runs left out because a newer one repeats them, assignments that cannot be read, runs that went on
        with another setting than they began with.
    """
    begin("clusterings", len(runs))
    called, lines = names(runs)
    groups: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.data, run.method].append(run)
    rows = []
    for (data, method), group in sorted(groups.items()):
        keys = swept(group)
        settings: defaultdict[tuple[str, ...], list[Run]] = defaultdict(list)
        for run in group:
            same = (run.fingerprint, *(_value(run, key) for key in keys))
            settings[same].append(run)
        for repeated in settings.values():
            kept, left_out = _newest(repeated)
            clusters, unread = _clusters(kept)
            lines += [*left_out, *unread, *_changed(kept), *_doubted(kept)]
            setting = {key: kept[0].config.get(key, ABSENT) for key in keys}
            rows.append(Row(called[data, kept[0].fingerprint], method, setting, kept, _pairs(clusters)))
            advance("clusterings", len(repeated))
    return sorted(rows, key=_order), lines


def _order(row: Row) -> tuple[Any, ...]:
    values = [(0, value, "") if _is_number(value) else (1, 0, shown(value)) for value in row.setting.values()]
    return row.data, row.method, values


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _newest(runs: list[Run]) -> tuple[tuple[Run, ...], list[str]]:
    """The newest run of every seed, ordered by seed, and a line for each of the others."""
    kept: dict[int, Run] = {}
    lines = []
    for run in sorted(runs, key=lambda run: (run.seed, run.written)):
        if earlier := kept.get(run.seed):
            lines.append(f"{earlier.folder}: left out: {run.folder} repeats it (seed {run.seed}) and is newer")
        kept[run.seed] = run
    return tuple(kept.values()), lines


def _changed(runs: Iterable[Run]) -> list[str]:
    """A line for every run whose setting is not what it began with."""
    changed = [(run.folder, run.config["resumed_with"]) for run in runs if run.config.get("resumed_with")]
    return [f"{folder}: resumed with {shown(changes)}; it began otherwise" for folder, changes in changed]


def _doubted(runs: Iterable[Run]) -> list[str]:
    """A line for everything that is in doubt about a run's scores, and for scores of a part of the samples."""
    lines = []
    for run in runs:
        found = run.facts.get("doubts")
        lines += [f"{run.folder}: {shown(doubt)}" for doubt in (found if isinstance(found, list) else ())]
        lines += [f"{run.folder}: {told}"] if (told := scored_text(run.report)) else []
    return lines


def _clusters(runs: Iterable[Run]) -> tuple[list[Assignments], list[str]]:
    found: list[Assignments] = []
    lines: list[str] = []
    for run in runs:
        with noting(lines, run.folder):
            if assignments := run.assignments():
                found.append(assignments)
    return found, lines


def _pairs(assignments: Iterable[Assignments]) -> tuple[float, ...]:
    """ARI between any two clusterings, over the samples that are in both."""
    from sklearn.metrics import adjusted_rand_score

    values = []
    for a, b in combinations(assignments, 2):
        _, in_a, in_b = np.intersect1d(a.index, b.index, return_indices=True)
        if len(in_a):
            values.append(float(adjusted_rand_score(a.cluster[in_a], b.cluster[in_b])))
    return tuple(values)
