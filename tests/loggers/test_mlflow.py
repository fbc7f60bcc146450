"""``logger=mlflow``: a run read back through MLflow's client."""

import json
import os
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from omegaconf import OmegaConf

from cmc.errors import UserError
from cmc.runs.history import read_history
from cmc.training.fit import train
from tests.loggers.conftest import DMIM, PICTURES
from tests.loggers.test_wandb import NAMES, flat


@pytest.fixture(scope="module")
def client():
    return MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


def test_a_run_is_its_folders(composed, tmp_path, client, own_trackers):
    train(composed(*DMIM, "logger=mlflow", "callbacks.figures.max_points=60"), str(tmp_path))
    run_id = json.loads((tmp_path / "trackers.json").read_text())["mlflow"]
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "dmim-synthetic-seed0"
    assert client.get_experiment(found.info.experiment_id).name == "cmc"

    for column in set(read_history(tmp_path)[0]) - {"epoch", "phase"}:
        points = client.get_metric_history(run_id, NAMES.get(column, f"loss/{column}"))
        there = [(int(row["epoch"]), float(row[column])) for row in read_history(tmp_path) if row[column]]
        assert sorted({(p.step, p.value) for p in points}) == there, column

    report = dict(flat(json.loads((tmp_path / "metrics.json").read_text())))
    numbers = {k: v for k, v in report.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    assert {key: found.data.metrics[key] for key in numbers} == numbers
    assert {key: found.data.tags[key] for key in report.keys() - numbers.keys()} == {
        key: str(report[key]) for key in report.keys() - numbers.keys()
    }
    assert (found.data.tags["group"], found.data.tags["scaling"]) == ("dmim-synthetic", "minmax")
    config = OmegaConf.load(tmp_path / "config.yaml")
    assert found.data.params["method/optimizer/lr"] == str(config.method.optimizer.lr)

    assert found.info.artifact_uri.startswith((own_trackers / "mlruns").as_uri())
    artifacts = {item.path for item in client.list_artifacts(run_id)}
    assert artifacts == {"config.yaml", "metrics.json", "history.csv", "assignments.csv", "clusters.csv", "figures"}
    assert {item.path for item in client.list_artifacts(run_id, "figures")} == {
        f"figures/{name}.png" for name in PICTURES
    }
    got = client.download_artifacts(run_id, "assignments.csv", str(tmp_path))
    assert Path(got).read_bytes() == (tmp_path / "assignments.csv").read_bytes()


def test_a_run_that_mlflow_has_lost_is_one_line(composed, tmp_path):
    (tmp_path / "trackers.json").write_text('{"mlflow": "0123456789abcdef"}')
    with pytest.raises(UserError, match=r"^logger\.mlflow: .*0123456789abcdef.*not found"):
        train(composed(*DMIM, "logger=mlflow", "~callbacks.figures"), str(tmp_path))
