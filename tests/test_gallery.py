"""The command, what a run leaves of its clusters, and who takes the names: predictions, the report, the estimator."""

import csv
import json
import pickle
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cmc import CrossModalClustering, gallery, predict
from cmc.reporting.details import confusion, embedding
from cmc.reporting.runs import read_run
from cmc.runs.names import FORMAT, clusters_of, mark
from tests.clusters.made import Made


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def said(page, block="gallery"):
    """What the page was given."""
    begin = f'<script type="application/json" id="{block}">'
    return json.loads(page.read_text(encoding="utf-8").partition(begin)[2].partition("</script>")[0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on made pictures and captions: (its folder, what was made)."""
    from cmc.training.fit import train
    from tests.conftest import SMALL, compose_with

    place, made = tmp_path_factory.mktemp("trained"), Made(n=48)
    made.write_pictures(place / "raw")
    with (place / "raw" / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption", "label"), *zip(made.ids, made.text, made.label, strict=True)])
    (place / "run").mkdir()
    data = ["data=folder", f"data.raw={place / 'raw'}", "features.image=histograms", "features.text_width=5"]
    small = [*SMALL["dmim"], "max_phase_epochs=3", "trainer.accelerator=cpu", "callbacks.figures=null"]
    train(
        compose_with("method=dmim", *data, *small, "data.holdout=0.25", "callbacks.gallery.projection=pca"),
        str(place / "run"),
    )
    return place / "run", made


@pytest.fixture
def named(trained, tmp_path):
    """A copy of the run that keeps names: clusters 0 and 1 are one, called ``a, "b"``."""
    run = shutil.copytree(trained[0], tmp_path / "named")
    export = {"format": FORMAT, "run": mark(clusters_of(run)), "names": {"1": 'a, "b"'}, "merged": {"0": 1}}
    (tmp_path / "export.json").write_text(json.dumps(export))
    return run


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["gallery", *map(str, words)])
        gallery.main()
        return capsys.readouterr()

    return call


@pytest.fixture
def refused(command, capsys):
    def call(*words):
        with pytest.raises(SystemExit) as stop:
            command(*words)
        assert stop.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("cmc: error: ")

    return call


def test_a_run_on_pictures_ends_with_a_page_and_a_table(trained):
    run, made = trained
    page, table = said(run / "gallery.html"), rows(run / "clusters.csv")
    held = {row["index"]: row for row in rows(run / "assignments_holdout.csv")}
    written = {row["index"]: row for row in rows(run / "assignments.csv")} | held
    assert (len(written), len(held), len(page["row"])) == (48, 12, 48)
    order = sorted(range(48), key=lambda i: made.ids[i])
    for i in range(48):
        row = written[str(i)]
        assert (page["id"][i], page["caption"][i]) == (row["id"], row["caption"])
        assert row["caption"] == made.text[made.ids.index(row["id"])]
        assert page["own"]["image"][i] == int(row["cluster_image"])
        assert page["own"]["text"][i] == int(row["cluster_text"])
        assert page["margin"][i] == pytest.approx(float(row["margin"]), abs=1e-4)
    assert sorted(page["id"]) == [made.ids[i] for i in order]
    assert page["lost"] == {}
    assert len(said(run / "gallery.html", "pictures")) == 48
    assert [int(row["size"]) for row in table] == [
        sum(int(row["cluster"]) == k for row in written.values()) for k in range(4)
    ]


def test_predictions_say_the_names(trained, named, tmp_path, commanded, command):
    command(named, "--names", tmp_path / "export.json", "--projection", "pca")
    assert json.loads((named / "names.json").read_text())["names"] == {"1": 'a, "b"'}
    assert commanded(predict, f"run={named}", f"out={tmp_path / 'own.csv'}")[0] == 0
    for row in rows(tmp_path / "own.csv"):
        assert row["name"] == ('a, "b"' if row["cluster"] in "01" else "")
    words = [f"run={trained[0]}", f"names={tmp_path / 'export.json'}", f"out={tmp_path / 'other.csv'}"]
    assert commanded(predict, *words)[0] == 0
    assert rows(tmp_path / "other.csv") == rows(tmp_path / "own.csv")
    status, _, line = commanded(predict, f"run={named}", "names=nowhere.json", f"out={tmp_path / 'third.csv'}")
    assert (status, line.partition(":")[0]) == (2, "nowhere.json")


def test_the_report_says_the_names(named, tmp_path, command):
    command(named, "--names", tmp_path / "export.json", "--projection", "pca")
    run = read_run(named)
    found = confusion(run)
    names = dict(zip(found["clusters"], found["names"], strict=True))
    assert (names[0], names[1]) == ('0 a, "b"', '1 a, "b"')
    with (named / "assignments.csv").open(newline="") as file:
        here = [row["label"] for row in csv.DictReader(file) if row["cluster"] == "3"]
    kind, share = re.fullmatch(r"3: (\w+) (\d+) %", names[3]).groups()
    assert abs(int(share) - 100 * here.count(kind) / len(here)) <= 0.5
    assert re.fullmatch(r"2(: \w+ \d+ %)?", names[2])
    assert all(name == f'{k} a, "b"' for k, name in embedding(run, "pca")["named"].items())


def test_pictures_that_were_moved_are_found_and_gone_ones_are_told(trained, tmp_path, command, capsys):
    run, made = trained
    moved = shutil.copytree(run.parent / "raw", tmp_path / "elsewhere")
    (moved / made.ids[3]).unlink()
    told = command(run, "--pictures", moved, "--out", tmp_path / "page.html", "--projection", "pca")
    assert told.out == f"{tmp_path / 'page.html'}: 48 samples, K = 4\n"
    assert f"1 of 48 pictures cannot be shown, one of them: {made.ids[3]} (no such file)" in told.err
    page = said(tmp_path / "page.html")
    assert [page["id"][int(i)] for i in page["lost"]] == [made.ids[3]]
    report = json.loads((run / "metrics.json").read_text())
    report["features"]["pictures"] = "/nowhere"
    other = shutil.copytree(run, tmp_path / "other")
    (other / "metrics.json").write_text(json.dumps(report))
    told = command(other, "--projection", "pca")
    assert told.err == "without pictures: /nowhere is not there any more; --pictures DIR says where they are\n"
    assert said(other / "gallery.html")["pictures"] is None


def test_mistakes_are_told_in_a_line(trained, tmp_path, refused, monkeypatch):
    run, _ = trained
    assert refused("nowhere").startswith("run: nowhere is no run folder")
    assert refused(run, "--out", tmp_path) == f"--out: {tmp_path} given; its name must end in .html"
    assert refused(run, "--pictures", "nowhere") == "--pictures: nowhere: there is no such folder"
    assert refused(run, "--projection", "lda").startswith("argument --projection: invalid choice: 'lda'")
    assert refused(run, "--names", "nowhere.json").startswith("nowhere.json: there is no such file")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert refused(run) == "gallery.html needs jinja2: pip install 'cmc[gallery]'"


def test_a_run_on_numbers_alone_has_a_table_and_its_page_has_means(tiny_run, tmp_path, command):
    tiny_run("callbacks.gallery.projection=pca", folder=tmp_path / "run")
    assert (tmp_path / "run" / "clusters.csv").exists()
    assert not (tmp_path / "run" / "gallery.html").exists()
    command(tmp_path / "run", "--projection", "pca")
    page, means = said(tmp_path / "run" / "gallery.html"), said(tmp_path / "run" / "gallery.html", "means")
    n_clusters = len(page["clusters"])
    assert all(len(of["strips"]) == n_clusters for of in means["modalities"].values())
    for k, row in enumerate(means["prototypes"]):
        here = [i for i in range(len(page["row"])) if page["cluster"][i] == k]
        assert row in ([page["row"][i] for i in here] if here else [-1])


def test_an_estimator_shows_its_clusters(tmp_path):
    made = Made(n=60)
    made.write_pictures(tmp_path / "raw")
    rng = np.random.default_rng(0)
    views = [np.eye(4)[made.shape] @ rng.normal(size=(4, d)) + 0.1 * rng.normal(size=(60, d)) for d in (6, 5)]
    model = CrossModalClustering("kmeans", n_clusters=4)
    captions = ["<b>" + made.text[0], *made.text[1:]]
    assert "cluster_terms_" not in vars(model.fit(views))
    assert not hasattr(model, "cluster_terms_")
    with pytest.raises(ValueError, match="captions: 59 given for 60 samples"):
        model.fit(views, captions=captions[1:])
    model.fit(views, captions=captions, pictures=[tmp_path / "raw" / name for name in made.ids])
    for k, terms in enumerate(model.cluster_terms_):
        here = [text for text, cluster in zip(captions, model.labels_, strict=True) if cluster == k]
        assert terms[0].texts == sum(terms[0].word in text for text in here)
        assert terms[0].word in ("circle", "square", "triangle", "star")
    shown = model._repr_html_()
    assert shown.count("data:image/webp") >= 20
    assert "<b>" + made.text[0] not in shown
    page = said(model.gallery(tmp_path / "page.html", "pca"))
    assert (page["caption"], page["cluster"], page["lost"]) == (captions, model.labels_.tolist(), {})
    with pytest.raises(ValueError, match="projection: 'lda' given"):
        model.gallery(tmp_path / "page.html", "lda")


def test_a_saved_estimator_keeps_pictures_and_names(tmp_path, command, monkeypatch):
    """By paths that were relative when it was fitted; of three samples without one, gone since, and of another name."""
    made = Made(n=60)
    made.ids[7] = 'circle/a "name",\nin two lines\udcff.png'
    made.write_pictures(tmp_path / "raw")
    rng = np.random.default_rng(0)
    views = [np.eye(4)[made.shape] @ rng.normal(size=(4, d)) + 0.1 * rng.normal(size=(60, d)) for d in (6, 5)]
    monkeypatch.chdir(tmp_path)
    paths = [Path("raw") / name for name in made.ids]
    paths[3] = None
    CrossModalClustering("kmeans", 4).fit(views, captions=made.text, pictures=paths).save("first")
    export = {"format": FORMAT, "run": mark(clusters_of(Path("first"))), "names": {"1": "<i>boxes</i>"}}
    Path("export.json").write_text(json.dumps(export))
    command("first", "--names", "export.json", "--projection", "pca")
    model = CrossModalClustering.load("first")
    model.save("second")
    (tmp_path / "raw" / made.ids[5]).unlink()
    (other := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(other)
    models = [model, pickle.loads(pickle.dumps(model)), CrossModalClustering.load(tmp_path / "second")]
    pages = [each.gallery(other / "gallery.html", "pca").read_bytes() for each in models]
    assert pages[0] == pages[1] == pages[2]
    assert model.cluster_terms_ == models[1].cluster_terms_ == models[2].cluster_terms_
    tables = [each._repr_html_().partition("<table><thead>")[2] for each in models]
    assert tables[0] == tables[1] == tables[2] != ""
    assert "&lt;i&gt;boxes&lt;/i&gt;" in tables[0]
    told = command(tmp_path / "second", "--projection", "pca")
    assert told.err.startswith("2 of 60 pictures cannot be shown, one of them: 3 (no picture)")
    page = said(tmp_path / "second" / "gallery.html")
    assert page["lost"] == said(other / "gallery.html")["lost"] == {"3": "no picture", "5": "no such file"}
    assert page["clusters"] == said(other / "gallery.html")["clusters"]
    assert (page["clusters"][1]["called"], page["edits"]["names"]) == ("<i>boxes</i>", {"1": "<i>boxes</i>"})


def test_a_picture_that_is_gone_is_told_in_a_notebook(tmp_path):
    made = Made(n=12)
    made.write_pictures(tmp_path)
    views = [np.eye(4)[made.shape], np.eye(4)[made.shape] * 2]
    model = CrossModalClustering("kmeans", 4, random_state=1)
    model.fit(views, captions=made.text, pictures=[tmp_path / name for name in made.ids])
    assert model._repr_html_().count("data:image/webp") == 12
    (tmp_path / made.ids[4]).unlink()
    shown = model._repr_html_()
    assert shown.count("data:image/webp") == 11
    assert re.findall(r'<span title="([^"]+)"[^>]*>([^<]+)</span>', shown) == [(made.text[4], "no such file")]


def test_pictures_of_a_saved_estimator_that_were_moved_are_found(tmp_path, command, refused):
    made = Made(n=12)
    made.write_pictures(tmp_path / "raw")
    views = [np.eye(4)[made.shape], np.eye(4)[made.shape] * 2]
    model = CrossModalClustering("kmeans", 4)
    model.fit(views, pictures=[tmp_path / "raw" / name for name in made.ids]).save(tmp_path / "run")
    (tmp_path / "raw").rename(tmp_path / "moved")
    words = [tmp_path / "run", "--projection", "pca"]
    assert command(*words).err.startswith("12 of 12 pictures cannot be shown")
    assert command(*words, "--pictures", tmp_path / "moved").err == ""
    kept = tmp_path / "run" / "pictures.csv"
    kept.write_text(kept.read_text().partition("\n")[2])
    assert refused(*words).startswith(f"{kept}: cannot be read; damaged? train again (ValueError: 11 rows below ")
    with pytest.raises(ValueError, match=r"pictures\.csv: cannot be read"):
        CrossModalClustering.load(tmp_path / "run")
