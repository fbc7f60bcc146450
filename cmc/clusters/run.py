"""A run folder's clusters, read back from its files: nothing of the data has to be at hand but the pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmc.clusters.described import TYPICAL, Described, cluster_columns
from cmc.clusters.page import Told, sheets_folder
from cmc.clusters.samples import samples_of
from cmc.runs.folder import GALLERY
from cmc.runs.names import kept
from cmc.runs.outcome import Outcome, Table
from cmc.runs.pictures import moved, read_pictures
from cmc.runs.report import scored_text
from cmc.runs.rows import read_rows

CLUSTERS = "clusters.csv"
_CREDITS = ("SOURCES.md", "CREDITS.md", "CREDITS.txt", "LICENSE", "LICENSE.txt")  # beside pictures
_LETTERS = 2000  # of them
_SCORES = {"acc": "ACC", "nmi": "NMI", "ari": "ARI"}


def describe_run(run: Path, report: Mapping[str, Any], pictures: Path | None = None) -> Described:
    """The clusters of a finished run.

    Args:
        run: its folder.
        report: what its ``metrics.json`` holds.
        pictures: where the folder of the pictures is now; None for where it was when the run was trained.

    Raises:
        UserError: a file of it cannot be read.
    """
    rows = read_rows(run)
    return Described(samples_of(rows, report["n_clusters"], pictures_of(run, report, len(rows), pictures)), kept(run))


def pictures_of(
    run: Path, report: Mapping[str, Any], n_samples: int, folder: Path | None = None
) -> Path | list[Path | None] | None:
    """Where a run's pictures lie: a path a sample, or the folder in which ids are their names; None without any.

    Args:
        run: its folder.
        report: what its ``metrics.json`` holds.
        n_samples: N.
        folder: where the folder of the pictures is now; None for where it was.

    Raises:
        UserError: ``pictures.csv`` is damaged.
    """
    if (paths := read_pictures(run, n_samples)) is None:
        return picture_folder(report, folder)
    return paths if folder is None else moved(paths, folder)


def with_clusters(outcome: Outcome, at_most: int) -> Outcome:
    """An outcome with the largest clusters, as the run's ``clusters.csv`` has them, and the gallery's files.

    Args:
        outcome: of a finished run; as it is where the run has no such table.
        at_most: clusters.
    """
    run = outcome.folder
    if not (run / CLUSTERS).exists():
        return outcome
    described = describe_run(run, outcome.report)
    order = (-described.size).argsort(kind="stable")[:at_most].tolist()
    columns = cluster_columns(described)
    table = Table(list(columns), [[column[k] for column in columns.values()] for k in order], len(described.size))
    page = run / GALLERY
    files = [path for path in (run / CLUSTERS, page, sheets_folder(page)) if path.exists()]
    return outcome._replace(clusters=table, typical=_typical(described, order), gallery=files)


def _typical(described: Described, clusters: list[int]) -> list[list[Path]]:
    """Of each cluster the pictures of its most typical members."""
    if (paths := described.samples.pictures) is None:
        return []
    members = described.most_typical(TYPICAL)
    return [[path for i in members[k] if (path := paths[i]) is not None] for k in clusters]


def picture_folder(report: Mapping[str, Any], given: Path | None = None) -> Path | None:
    """The folder of the pictures: the given one, else that of the training; None where there is none."""
    told = report["features"].get("pictures") if given is None else given
    return Path(told) if told and os.path.isdir(str(told)) else None


def told_of(run: Path, report: Mapping[str, Any], pictures: Path | None = None) -> Told:
    """What the page says of the run."""
    features = report["features"]
    facts = {"data": str(features.get("source", "")), "run": str(run.resolve())}
    if isinstance(scores := report.get("scores"), Mapping):
        facts["scores"] = ", ".join(
            f"{name.upper() if len(name) == 3 else name} {value:.3f}" for name, value in scores.items()
        )
    if scored := scored_text(report):
        facts["scored"] = scored
    for name, about in features.get("extractors", {}).items():
        facts[f"{name} by"] = str(about.get("extractor"))
    facts |= {key.replace("_", " "): str(report[key]) for key in ("protocol", "git_commit") if report.get(key)}
    title = f"{report['method']} on {report['data']}, seed {report['seed']}"
    return Told(title, facts, _credits(picture_folder(report, pictures)))


def _credits(folder: Path | None) -> str:
    """Whose pictures these are, where a file beside them says so."""
    for name in _CREDITS:
        if folder is not None and (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8", errors="replace")[:_LETTERS].strip()
    return ""
