"""``logger=tensorboard``: event files read back by TensorBoard's own reader."""

import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cmc.runs.history import read_history
from tests.loggers.conftest import PICTURES
from tests.loggers.test_wandb import NAMES


@pytest.fixture(scope="module")
def job(sweep):
    return min(path.parent for path in sweep[0].rglob("metrics.json"))


@pytest.fixture(scope="module")
def events(job):
    held = EventAccumulator(str(job / "tensorboard"), size_guidance={"images": 0, "tensors": 0})
    held.Reload()
    return held


def test_scalars_are_the_historys(job, events):
    history = read_history(job)
    for column in set(history[0]) - {"epoch", "phase"}:
        said = sorted({(e.step, e.value) for e in events.Scalars(NAMES.get(column, f"loss/{column}"))})
        there = [(int(row["epoch"]), float(row[column])) for row in history if row[column]]
        assert [step for step, _ in said] == [epoch for epoch, _ in there]
        assert np.allclose([x for _, x in said], [x for _, x in there], rtol=1e-6), column
    named = {NAMES.get(column, f"loss/{column}") for column in set(history[0]) - {"phase", "epoch"}}
    rates = {f"training/{name}" for name in ("phase", "learning_rate", "samples_per_second")}
    assert set(events.Tags()["scalars"]) == named | rates | {"epoch"}
    assert len(events.Scalars("training/learning_rate")) == len(history)


def test_pictures_the_embedding_and_the_report_are_there(job, events):
    assert set(events.Tags()["images"]) == {f"figures/{name}" for name in PICTURES}
    (image,) = events.Images("figures/confusion")
    assert image.encoded_image_string[:4] == b"\x89PNG"
    (path,) = (job / "tensorboard").rglob("tensors.tsv")
    said = np.loadtxt(path, delimiter="\t")
    rows = np.linspace(0, 1299, 70).astype(int)
    assert np.allclose(said, np.load(job / "embeddings.npy")[rows], atol=1e-5)
    metadata = (path.parent / "metadata.tsv").read_text().splitlines()
    assert metadata[0].split("\t") == ["cluster", "confidence", "label"]
    assert len(metadata) == 71
    (text,) = events.Tensors("report/text_summary")
    fingerprint = json.loads((job / "metrics.json").read_text())["features"]["fingerprint"]
    assert f"| features/fingerprint | {fingerprint} |".encode() in text.tensor_proto.string_val[0]


def test_hparams_show_settings_beside_scores(job):
    held = EventAccumulator(str(job / "tensorboard"))
    held.Reload()
    assert held.Scalars("scores/acc")[-1].value == pytest.approx(
        json.loads((job / "metrics.json").read_text())["scores"]["acc"]
    )
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = held.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    said = HParamsPluginData.FromString(content).session_start_info.hparams
    assert said["method/optimizer/lr"].number_value == pytest.approx(0.002)
    assert said["names/method"].string_value == "dmim"
