"""Every row can be traced: ids and captions in what runs, predictions and the estimator leave; how many are scored."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from cmc import CrossModalClustering, evaluate, predict, run
from cmc.data.datasets.files import load
from cmc.data.formats.assemble import Told
from cmc.reporting.details import embedding, facts
from cmc.reporting.rows import gather
from cmc.reporting.runs import read_run
from cmc.runs.rows import read_rows

N = 60
RNG = np.random.default_rng(0)
CODES = np.arange(N) % 3
IMG, TXT = (np.eye(3)[CODES] @ RNG.normal(size=(3, d)) * 3 + 0.3 * RNG.normal(size=(N, d)) for d in (6, 5))
IDS = [f"TCGA-{i:04d}" for i in range(N)]
ORDER = RNG.permutation(N)


def table(path, ids, columns, heading):
    rows = zip(ids, np.asarray(columns).tolist(), strict=True)
    path.write_text("\n".join([heading, *(",".join([each, *map(str, row)]) for each, row in rows)]) + "\n")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    table(tmp_path / "data" / "img.csv", IDS, IMG, "id,a,b,c,d,e,f")
    table(tmp_path / "data" / "txt.csv", [IDS[i] for i in ORDER], TXT[ORDER], "id,a,b,c,d,e")
    table(tmp_path / "data" / "labels.csv", IDS[:40], CODES[:40, None], "id,label")
    return tmp_path / "data"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


KMEANS = ("method=kmeans", "data=files", "callbacks.figures=null")


def test_ids_and_what_was_scored_reach_every_file(commanded, folder, tmp_path):
    out = tmp_path / "run"
    status, _, error = commanded(run, *KMEANS, f"data.root={folder}", "data.holdout=0.2", f"hydra.run.dir={out}")
    assert status == 0, error
    assigned, held = rows(out / "assignments.csv"), rows(out / "assignments_holdout.csv")
    assert {int(row["index"]): row["id"] for row in [*assigned, *held]} == dict(enumerate(IDS))
    for row in assigned:
        assert row["label"] == (str(CODES[int(row["index"])]) if int(row["index"]) < 40 else "")
    for part, table_of in (("", assigned), ("_holdout", held)):
        assert (out / f"ids{part}.txt").read_text().splitlines() == [row["id"] for row in table_of]
    report = json.loads((out / "metrics.json").read_text())
    counted = {"labelled": sum(row["label"] != "" for row in assigned), "samples": len(assigned)}
    assert report["scored"]["scores"] == counted
    assert report["n_clusters"] == 3
    assert report["scores"]["acc"] > 0.9
    assert "txt: its rows are brought into the order of img, by id" in report["features"]["remarks"]
    again = read_rows(out)
    assert again.ids is not None
    assert again.ids.tolist() == IDS
    finished = read_run(out)
    _, lines = gather([finished], lambda name, done: None, lambda name, total: None)
    assert any(
        f"scores of the {counted['labelled']} of {counted['samples']} samples that have a label" in x for x in lines
    )
    assert "that have a label" in facts(finished)["scored"]
    points = embedding(finished, "pca")
    assert points is not None
    assert points["name"] == [row["id"] for row in assigned]


def test_predictions_carry_ids_and_a_run_of_part_labels_is_scored_again(commanded, folder, tmp_path):
    out = tmp_path / "run"
    assert commanded(run, *KMEANS, f"data.root={folder}", f"hydra.run.dir={out}")[0] == 0
    status, _, error = commanded(predict, f"run={out}", f"data.root={folder}", f"out={tmp_path / 'p.csv'}")
    assert status == 0, error
    predicted = rows(tmp_path / "p.csv")
    assert [row["id"] for row in predicted] == IDS
    assert [row["cluster"] for row in predicted] == [row["cluster"] for row in rows(out / "assignments.csv")]
    status, text, error = commanded(evaluate, f"run={out}", f"out={tmp_path}")
    assert status == 0, error
    assert "scores of the 40 of 60 samples that have a label" in text
    first, again = (json.loads(path.read_text()) for path in (out / "metrics.json", tmp_path / "evaluation.json"))
    assert (again["scores"], again["scored"]) == (first["scores"], first["scored"])


def test_a_doubt_reaches_the_log_metrics_and_the_report(commanded, tmp_path):
    np.savez(tmp_path / "x.npz", img=IMG, txt=np.column_stack([TXT, CODES * 2.5]), labels=CODES)
    out = tmp_path / "run"
    assert commanded(run, *KMEANS, f"data.root={tmp_path / 'x.npz'}", f"hydra.run.dir={out}")[0] == 0
    (doubt,) = json.loads((out / "metrics.json").read_text())["features"]["doubts"]
    assert doubt.startswith("txt: the labels can be read off column 6 exactly")
    _, lines = gather([read_run(out)], lambda name, done: None, lambda name, total: None)
    assert f"{out}: {doubt}" in lines


def test_a_split_is_scored_as_held_out_and_again_so(commanded, tmp_path):
    parts = {
        "I_tr": IMG[:40],
        "T_tr": TXT[:40],
        "L_tr": CODES[:40],
        "I_te": IMG[40:],
        "T_te": TXT[40:],
        "L_te": CODES[40:],
    }
    np.savez(tmp_path / "w.npz", **parts)
    out = tmp_path / "run"
    assert commanded(run, *KMEANS, f"data.root={tmp_path / 'w.npz'}", f"hydra.run.dir={out}")[0] == 0
    report = json.loads((out / "metrics.json").read_text())
    assert report["features"]["dims"] == {"I": 6, "T": 5}
    assert (len(rows(out / "assignments.csv")), len(rows(out / "assignments_holdout.csv"))) == (40, 20)
    assert report["holdout"]["acc"] > 0.9
    assert commanded(evaluate, f"run={out}", f"out={tmp_path}")[0] == 0
    again = json.loads((tmp_path / "evaluation.json").read_text())
    assert (again["scores"], again["holdout"]) == (report["scores"], report["holdout"])


def frame(values, index):
    """A data frame, or a series."""
    return pd.DataFrame(values, index=index) if np.ndim(values) == 2 else pd.Series(values, index=index)


def model():
    return CrossModalClustering("kmeans", n_clusters=3)


def test_frames_are_joined_by_their_index():
    a, b = frame(IMG, IDS), frame(TXT, IDS)
    aligned = model().fit([a, b])
    with pytest.warns(UserWarning, match="view_1: its rows are brought into the order of view_0, by id"):
        turned = model().fit([a, b.iloc[ORDER]])
    assert turned.labels_.tolist() == aligned.labels_.tolist()
    assert turned.ids_.tolist() == IDS
    labels = frame(CODES, IDS).iloc[ORDER[::-1]]
    assert turned.score([a, b.iloc[ORDER]], labels) == turned.score([IMG, TXT], CODES) > 0.9


def test_an_index_that_only_counts_joins_where_another_is_turned():
    a, b = frame(IMG, range(N)), frame(TXT, range(N))
    assert model().fit([a, b]).ids_ is None
    with pytest.warns(UserWarning, match="brought into the order"):
        turned = model().fit([a, b.iloc[ORDER]])
    assert turned.labels_.tolist() == model().fit([IMG, TXT]).labels_.tolist()
    named = frame(TXT, IDS)
    assert model().fit([a, named]).ids_.tolist() == IDS


def test_frames_of_other_samples_are_refused():
    a, b = frame(IMG, IDS), frame(TXT, IDS)
    with pytest.raises(ValueError, match=r"50 ids are in all of 'view_0' 60, 'view_1' 50 .*A\.index\.intersection"):
        model().fit([a, b.iloc[:50]])
    with pytest.raises(ValueError, match="no id is in all of"):
        model().fit([a, frame(TXT, [f"x{each}" for each in IDS])])
    with pytest.raises(ValueError, match="y: has no label for 'TCGA-0050'"):
        model().fit([a, b]).score([a, b], frame(CODES, IDS).iloc[:50])


@pytest.mark.filterwarnings("ignore:From 0.4 .update:FutureWarning", "ignore:Cannot join columns:UserWarning")
def test_mudata_and_lists_of_anndata_are_taken_by_their_parts():
    from anndata import AnnData
    from mudata import MuData
    from scipy.sparse import csr_matrix

    rna = AnnData(csr_matrix(IMG), obs=pd.DataFrame(index=IDS))
    prot = AnnData(TXT[ORDER], obs=pd.DataFrame(index=[IDS[i] for i in ORDER]))
    plain = model().fit([IMG, TXT]).labels_.tolist()
    with pytest.warns(UserWarning, match="prot: its rows"):
        together = model().fit(MuData({"rna": rna, "prot": prot}))
    assert (together.labels_.tolist(), together.ids_.tolist()) == (plain, IDS)
    with pytest.warns(UserWarning, match="view_1: its rows"):
        assert model().fit([rna, prot]).labels_.tolist() == plain


def test_saved_estimators_keep_ids(tmp_path):
    model().fit([frame(IMG, IDS), frame(TXT, IDS)]).save(tmp_path / "saved")
    assert CrossModalClustering.load(tmp_path / "saved").ids_.tolist() == IDS


def test_captions_and_names_of_a_folder_of_images(tmp_path):
    from PIL import Image

    from cmc.data.datasets.folder import Folder

    raw = tmp_path / "raw"
    raw.mkdir()
    for i in range(6):
        Image.new("RGB", (8, 8), (40 * i, 9, 200 - 30 * i)).save(raw / f"{i}.jpg")
        (raw / f"{i}.txt").write_text(f"a red thing number {i} on a table" if i % 2 else f"blue water {i}")
    data = Folder(raw=str(raw), n_clusters=2, extract={"image": "histograms", "text": "tfidf"}).read()
    assert data.ids is not None
    assert data.captions is not None
    assert dict(zip(data.ids.tolist(), data.captions, strict=True))["0.jpg"] == "blue water 0"


def test_options_are_checked():
    from cmc.errors import UserError

    for key, value in {"incomplete": "keep", "split": "valid", "ids": 3.5}.items():
        with pytest.raises(UserError, match=rf"data\.{key}: "):
            load("x.npz", Told(**{key: value}))
