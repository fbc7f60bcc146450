"""What a sweep says of its jobs' objectives."""

import logging
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from cmc.training.sweep import OneMeasure
from tests.reporting.made import make_run

SEEN, UNSEEN = {"agreement": 0.9, "quality": 0.9}, {"agreement": 0.9, "agreement_held_out": 0.2, "quality": 0.2}


def after(callback, folder, objective="label_free.quality"):
    config = OmegaConf.create({"objective": objective, "hydra": {"runtime": {"output_dir": str(folder)}}})
    callback.on_job_end(config, SimpleNamespace())


@pytest.mark.parametrize(
    ("measured", "objective", "n_told"),
    [
        ([SEEN, UNSEEN, UNSEEN, SEEN], "label_free.quality", 1),
        ([UNSEEN, UNSEEN], "label_free.quality", 0),
        ([SEEN, SEEN], "label_free.quality", 0),
        ([SEEN, UNSEEN], "scores.acc", 0),
    ],
)
def test_objectives_on_seen_and_unseen_samples_are_told_apart_once(tmp_path, caplog, measured, objective, n_told):
    callback = OneMeasure()
    after(callback, tmp_path / "not-finished", objective)
    with caplog.at_level(logging.WARNING):
        for number, measures in enumerate(measured):
            make_run(tmp_path / str(number), number, label_free=measures)
            after(callback, tmp_path / str(number), objective)
    assert len(caplog.records) == n_told
    if n_told:
        assert "of this job is of held-out samples, of earlier ones of training samples" in caplog.text
