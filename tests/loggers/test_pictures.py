"""Trackers get the gallery, and the pictures of its most typical members."""

import json
import os

import pytest

from cmc.clusters.described import TYPICAL, write_clusters
from cmc.clusters.run import CLUSTERS, describe_run, with_clusters
from cmc.loggers.wandb import WandbLogger
from cmc.runs.outcome import read_outcome
from tests.clusters.made import Made
from tests.loggers.wandb_file import ended


@pytest.fixture
def run(tmp_path):
    """A finished run of 60 pictures in 4 clusters, one of whose pictures is gone."""
    made = Made(n=60)
    raw = tmp_path / "raw"
    made.write_pictures(raw)
    folder = made.write(tmp_path / "run", raw)
    report = json.loads((folder / "metrics.json").read_text())
    write_clusters(folder / CLUSTERS, described := describe_run(folder, report))
    (folder / "gallery.html").write_text("<p>the page")
    (folder / "gallery_files").mkdir()
    (folder / "gallery_files" / "sheet-0000.webp").write_bytes(b"pictures")
    os.remove(described.samples.pictures[described.most_typical(1)[0][0]])
    return folder


def test_wandb_shows_typical_pictures_and_keeps_the_gallery(run, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    outcome = with_clusters(read_outcome(run, 1000, 100), at_most=3)
    logger = WandbLogger(str(run), mode="offline", project="cmc")
    logger.publish(outcome)
    logger.finalize("success")
    one = ended(run)
    where = next(value for name, value in one.history[-1].items() if name == "clusters/path")
    (path,) = run.rglob(where)
    table = json.loads(path.read_text())
    assert table["columns"][-TYPICAL:] == [f"typical_{i + 1}" for i in range(TYPICAL)]
    assert len(table["data"]) == 3
    kept = {artifact.name: {entry.path for entry in artifact.manifest.contents} for artifact in one.artifacts}
    pictures = [path for path in kept[f"run-{one.info.run_id}-clusters"] if path.endswith(".png")]
    assert len(pictures) == 3 * TYPICAL - sum(row[0] == 0 for row in outcome.clusters.rows)
    assert kept[f"gallery-{one.info.run_id}"] == {"clusters.csv", "gallery.html", "gallery_files/sheet-0000.webp"}
