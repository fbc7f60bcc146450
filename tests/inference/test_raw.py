"""New pictures and texts through the run's own extractors: an item of the training gets the cluster that it had."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from cmc import evaluate, predict, prepare
from cmc.data.datasets import Files, Folder
from cmc.data.preparation.extractors import of_run
from cmc.data.preparation.text import TfIdf
from cmc.errors import UserError
from tests.data.trees import picture

N = 60
WORDS = ["sea", "boat", "wave"], ["hill", "snow", "peak"], ["road", "car", "lamp"]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def items(folder, chosen, seed=0, labelled=True):
    """Pictures and captions of chosen ones of a fixed collection; returns their names."""
    folder.mkdir(parents=True)
    lines = [["image", "caption", *(["label"] if labelled else [])]]
    for i in chosen:
        rng = np.random.default_rng([seed, i])
        words = [*rng.choice(WORDS[i % 3], 3), *rng.choice([word for words in WORDS for word in words], 2)]
        picture(folder / f"{i:03d}.png", 100 * seed + i, size=(24, 20))
        lines.append([f"{i:03d}.png", " ".join(words), *([str(i % 3)] if labelled else [])])
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return [f"{i:03d}.png" for i in chosen]


def extraction(**more):
    return [f"features.{key}={value}" for key, value in {"image": "histograms", "text_width": 5, **more}.items()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on pictures and captions: (its folder, the raw files, the features)."""
    from cmc.training.fit import train
    from tests.conftest import SMALL, compose_with

    place = tmp_path_factory.mktemp("raw")
    items(place / "raw", range(N))
    (place / "run").mkdir()
    small = [
        *SMALL["dmim"],
        "method=dmim",
        "data=folder",
        f"data.raw={place / 'raw'}",
        *extraction(),
        "max_phase_epochs=4",
    ]
    train(compose_with(*small, "callbacks.figures=null", "trainer.accelerator=cpu"), str(place / "run"))
    return place / "run", place / "raw", place / "raw" / "cmc_features"


@pytest.fixture
def labelled(commanded, trained, tmp_path):
    """Run cmc.predict; returns (the table, what was printed), or the line of a refusal."""

    def call(*arguments):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
        status, printed, line = commanded(predict, f"run={trained[0]}", f"out={out}", *arguments)
        return line if status else (rows(out), printed)

    return call


def test_items_of_the_training_prepared_anew_get_the_clusters_of_the_run(trained, labelled, tmp_path):
    chosen = list(range(5, N, 2))
    names = items(tmp_path / "new", chosen)
    table, _ = labelled(f"data.raw={tmp_path / 'new'}", "probabilities=true")
    own = rows(trained[0] / "assignments.csv")
    assert [row["id"] for row in table] == names
    for key in ("cluster", "confidence", "label"):
        assert [row[key] for row in table] == [own[i][key] for i in chosen], key
    assert all(abs(sum(float(row[f"probability_{k}"]) for k in range(3)) - 1) < 1e-5 for row in table)


def test_one_item_without_a_label_is_labelled_too(trained, labelled, tmp_path):
    items(tmp_path / "new", [7], labelled=False)
    ((row,), _) = labelled(f"data.raw={tmp_path / 'new'}")
    assert row["cluster"] == rows(trained[0] / "assignments.csv")[7]["cluster"]
    assert "label" not in row


def test_a_picture_that_cannot_be_read_is_said_by_number_and_name(trained, labelled, commanded, tmp_path):
    items(tmp_path / "new", range(8))
    (tmp_path / "new" / "003.png").write_bytes(b"no picture")
    table, printed = labelled(f"data.raw={tmp_path / 'new'}")
    assert [row["id"] for row in table] == [f"{i:03d}.png" for i in range(8) if i != 3]
    assert "1 sample left out: 003.png (no image)" in printed
    arguments = ["data=folder", f"data.raw={tmp_path / 'new'}", *extraction()]
    _, printed, _ = commanded(prepare, *arguments)
    assert "7 samples" in printed
    assert "1 sample left out: 003.png (no image): see skipped.csv" in printed


def test_what_was_skipped_is_said_whenever_the_features_are_read(caplog, tmp_path):
    items(tmp_path / "new", range(9))
    for i in (1, 3, 5, 7):
        (tmp_path / "new" / f"{i:03d}.png").write_bytes(b"")
    settings = {"raw": str(tmp_path / "new"), "extract": {"image": "histograms"}}
    Folder(**settings).prepare(lambda *_: None, lambda *_: None)
    for data in (Folder(**settings), Files(root=str(tmp_path / "new" / "cmc_features"))):
        caplog.clear()
        with caplog.at_level("WARNING"):
            data.read()
        said = "5 samples; 4 samples left out: 001.png (empty), 003.png (empty), 005.png (empty) and 1 more"
        assert said in caplog.text


def test_features_of_the_same_extractor_fitted_elsewhere_are_refused(trained, labelled, commanded, tmp_path):
    items(tmp_path / "new", range(0, N, 2))
    status, _, line = commanded(prepare, "data=folder", f"data.raw={tmp_path / 'new'}", *extraction())
    assert status == 0, line
    store = tmp_path / "new" / "cmc_features"
    line = labelled(f"data.root={store}")
    assert "its text vectors were made by TF-IDF" in line
    assert "fitted to other data than those of the run" in line
    assert line.endswith(f"give the raw files: python -m cmc.predict run={trained[0]} data.raw=FOLDER")
    table, _ = labelled(f"data.root={store}", "missing=[text]")
    assert len(table) == N // 2, "the pictures' histograms are the same"


def test_features_of_another_extractor_are_refused(trained, labelled, commanded, tmp_path):
    shutil.copytree(trained[2], tmp_path / "store")
    meta = json.loads((tmp_path / "store" / "meta.json").read_text())
    meta["modalities"]["image"] |= {"extractor": "a model", "fingerprint": "0" * 32}
    (tmp_path / "store" / "meta.json").write_text(json.dumps(meta))
    assert "its image vectors were made by a model, not by colour and gradient" in labelled(
        f"data.root={tmp_path / 'store'}"
    )
    status, _, line = commanded(evaluate, f"run={trained[0]}", "data=files", f"data.root={tmp_path / 'store'}")
    assert (status, "made by a model" in line) == (2, True)


def test_the_runs_own_features_are_taken_wherever_they_lie(trained, labelled, tmp_path):
    shutil.copytree(trained[2], tmp_path / "moved")
    table, _ = labelled(f"data.root={tmp_path / 'moved'}")
    assert [row["cluster"] for row in table] == [row["cluster"] for row in rows(trained[0] / "assignments.csv")]


def test_new_raw_data_with_labels_are_scored(trained, commanded, tmp_path):
    items(tmp_path / "new", range(0, N, 3))
    status, _, line = commanded(evaluate, f"run={trained[0]}", f"data.raw={tmp_path / 'new'}", f"out={tmp_path}")
    assert status == 0, line
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert (report["n_samples"], report["own_data"]) == (N // 3, False)
    assert not (tmp_path / "new" / "cmc_features").exists(), "nothing is fitted to them, nor written beside them"


def test_a_run_on_features_says_that_nothing_tells_how_to_make_others(finished_runs, commanded, tmp_path):
    items(tmp_path / "new", range(4))
    _, _, line = commanded(predict, f"run={finished_runs['dmim']}", f"data.raw={tmp_path / 'new'}", "out=x.csv")
    assert "were not made by cmc.prepare" in line


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("text.extractor.npz", lambda b: b[: len(b) // 2], "cannot be read as a NumPy archive"),
        ("text.extractor.npz", lambda b: b"", "cannot be read as a NumPy archive"),
        ("extractors.json", lambda b: b[:-30], r"extractors\.json: damaged"),
        ("extractors.json", lambda b: b.replace(b'"modalities"', b'"x"'), r"extractors\.json: damaged"),
    ],
)
def test_damaged_extractors_are_one_line(trained, tmp_path, commanded, file, damage, said):
    shutil.copytree(trained[0], tmp_path / "run")
    path = tmp_path / "run" / "extractors" / file
    path.write_bytes(damage(path.read_bytes()))
    items(tmp_path / "new", range(4))
    status, _, line = commanded(predict, f"run={tmp_path / 'run'}", f"data.raw={tmp_path / 'new'}", "out=x.csv")
    assert status == 2
    assert re.search(said, line), line


def test_arrays_that_do_not_belong_together_are_refused():
    model = TfIdf(2)
    model.fit_transform(["a b", "a b c", "c a"])
    good = model.arrays()
    for name, other in (
        ("idf", good["idf"][:-1]),
        ("components", good["components"][:, :-1]),
        ("idf", good["idf"] * np.nan),
    ):
        with pytest.raises(UserError, match="do not belong together"):
            TfIdf.fitted({**good, name: other}, 2)
    with pytest.raises(UserError, match="holds no fitted TF-IDF"):
        TfIdf.fitted({"idf": good["idf"]}, 2)


def test_a_run_keeps_what_its_features_were_made_with(trained):
    run, _, store = trained
    kept = of_run(run)
    assert (kept.key, kept.classes, kept.extraction.text_width) == ("folder", ("0", "1", "2"), 5)
    assert (run / "extractors" / "text.extractor.npz").read_bytes() == (store / "text.extractor.npz").read_bytes()
    report = json.loads((run / "metrics.json").read_text())
    assert report["features"]["extractors"] == dict(kept.made)


def test_an_estimator_hands_the_extractors_on(trained, commanded, tmp_path):
    from cmc import CrossModalClustering

    CrossModalClustering.load(trained[0]).save(tmp_path / "saved")
    items(tmp_path / "new", [4, 9])
    arguments = [f"run={tmp_path / 'saved'}", f"data.raw={tmp_path / 'new'}", "out=x.csv"]
    status, _, line = commanded(predict, *arguments)
    assert status == 0, line
    own = rows(trained[0] / "assignments.csv")
    assert [row["cluster"] for row in rows(tmp_path / "x.csv")] == [own[i]["cluster"] for i in (4, 9)]
