"""Build the project's W&B workspace: leaderboard, loss terms by phase, quality without labels, confusion, speed.

    python experiments/wandb_dashboard.py --entity TEAM             # saves it, prints its address
    python experiments/wandb_dashboard.py --dry-run workspace.json  # writes what would be sent; no network

Runs are grouped by what their data were read from, which names surrogates, and by method; figures of a group are means.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cmc.config.requirements import check_login
from cmc.errors import UserError
from cmc.runs.report import LABEL_FREE, SCORES
from cmc.utils.atomic import atomic_write

SHOWN = tuple(f"scores/{name}" for name in SCORES)
QUALITY = "label_free/quality"
MEASURES = tuple(f"label_free/{name}" for name in LABEL_FREE)
SPEED = ("training/samples_per_second", "training/learning_rate")
LOSSES = {  # method, and a phase if they differ -> its terms
    "CMMC, reconstruct": ("reconstruction",),
    "CMMC, contrast": ("reconstruction", "feature_contrast", "label_contrast", "imbalance"),
    "CMMC, align": ("alignment",),
    "DMIM": ("shared_information", "superfluous_information", "uniform_distribution"),
}


def workspace(entity: str, project: str, name: str) -> Any:
    """The workspace, not saved yet."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    def section(title: str, panels: list[Any], is_open: bool = False) -> ws.Section:
        return ws.Section(name=title, panels=panels, is_open=is_open)

    leaderboard = [wr.BarPlot(title=key, metrics=[wr.SummaryMetric(key)], range_x=(0, 1)) for key in SHOWN]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            section("Leaderboard (last epoch; means of groups)", leaderboard, is_open=True),
            section("Quality without labels", _lines(MEASURES), is_open=True),
            section("Scores over epochs", _lines(SHOWN)),
            section("Loss", _lines(("loss/total",))),
            *(section(f"Loss terms: {k}", _lines(f"loss/{term}" for term in terms)) for k, terms in LOSSES.items()),
            section("Confusion and embedding", _pictures()),
            section(
                "Speed", [*_lines(SPEED), wr.BarPlot(title="seconds", metrics=[wr.SummaryMetric("seconds/total")])]
            ),
        ],
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=50),
        runset_settings=ws.RunsetSettings(
            groupby=[expr.Config("dataset"), expr.Config("names.method")],
            order=[expr.Ordering(expr.Summary(QUALITY), ascending=False)],
            pinned_columns=[f"summary:{key}" for key in (*SHOWN[:3], QUALITY)],
        ),
    )


def _lines(keys: Any) -> list[Any]:
    """A panel a key, over epochs."""
    import wandb_workspaces.reports.v2 as wr

    return [wr.LinePlot(title=key, x="epoch", y=[key]) for key in keys]


def _pictures() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    names = ("Actual", "Predicted", "nPredictions")
    return [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": "confusion_table"}},
            chart_name="wandb/confusion_matrix/v1",
            chart_fields={name: name for name in names},
        ),
        wr.MediaBrowser(title="confusion", media_keys=["figures/confusion"]),
        wr.MediaBrowser(title="embedding", media_keys=["figures/embedding"]),
    ]


def main() -> None:
    """Save the workspace, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entity", help="a user or a team; by default the account's own")
    parser.add_argument("--project", default="cmc")
    parser.add_argument("--name", default="CMC")
    parser.add_argument("--dry-run", metavar="FILE", type=Path, help="write the workspace as JSON instead of saving it")
    given = parser.parse_args()
    try:
        _run(given)
    except UserError as error:
        print(f"wandb_dashboard: error: {error}", file=sys.stderr)
        sys.exit(2)


def _run(given: argparse.Namespace) -> None:
    if find_spec("wandb_workspaces") is None:
        raise UserError("wandb-workspaces is not installed; pip install 'cmc[dashboard]'")
    if given.dry_run is not None:
        model = workspace(given.entity or "entity", given.project, given.name)._to_model()  # what save() would send
        with atomic_write(given.dry_run) as path:
            path.write_text(model.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")
        return
    check_login()
    import wandb

    try:
        entity = given.entity or wandb.Api().default_entity
        print(workspace(entity, given.project, given.name).save().url)
    except Exception as error:  # whatever the network, the account or W&B's server has to say
        raise UserError(" ".join(f"{type(error).__name__}: {error}".split())[:300]) from None


if __name__ == "__main__":
    main()
