"""The pictures of whole runs: which there are, and what the ends of phases keep."""

import json

import numpy as np
import pytest

from cmc import figures
from cmc.errors import Interrupted
from cmc.training.fit import train
from cmc.utils.arrays import spaced
from tests.conftest import SMALL, TINY, compose_with
from tests.training.test_fit import CtrlC, Results, rows

PICTURES = [f"callbacks.figures.{word}" for word in ("projection=pca", "max_points=20", "formats=[png,pdf,svg]")]


def watched(monkeypatch):
    """What `cmc.figures` is asked to draw from now on, by name."""
    asked = {}
    for name in ("phases", "embedding"):
        true = getattr(figures, name)

        def record(*arguments, name=name, true=true):
            asked[name] = arguments
            return true(*arguments)

        monkeypatch.setattr(figures, name, record)
    return asked


def pictures(folder):
    return sorted(path.name for path in (folder / "figures").iterdir() if path.is_file())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run with its pictures, and what `cmc.figures` was asked to draw; to be read alone."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        asked = watched(patch)
        train(compose_with("method=cmmc", *SMALL["cmmc"], *TINY, *PICTURES), str(folder))
    return folder, asked


def test_a_run_of_three_phases_has_every_picture_in_every_format(whole):
    folder, drawn = whole
    names = ("confidence", "confusion", "embedding", "losses", "measures", "phases", "sharing", "sizes")
    assert pictures(folder) == [f"{name}.{ending}" for name in names for ending in ("pdf", "png", "svg")]
    starts = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xm"}
    for ending, start in starts.items():
        assert (folder / "figures" / f"phases.{ending}").read_bytes()[:4] == start

    ends, k = drawn["phases"]
    written, embeddings = rows(folder / "assignments.csv"), np.load(folder / "embeddings.npy")
    chosen = spaced(150, 20)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 149, 20)
    assert ([name for name, _ in ends], k) == (["reconstruct", "contrast", "align"], 3)
    last = ends[-1][1]
    assert last.clusters.tolist() == [int(written[i]["cluster"]) for i in chosen]
    np.testing.assert_allclose(last.places, figures.project(embeddings[chosen], "pca"))
    assert all(points.labels.tolist() == [written[i]["label"] for i in chosen] for _, points in ends)
    assert ends[0][1].clusters is None, "clusters are not assigned yet while CMMC reconstructs"
    assert set(ends[1][1].clusters.tolist()) <= {0, 1, 2}
    assert not np.allclose(ends[0][1].places, ends[1][1].places)


def test_what_a_phase_ended_with_is_what_a_run_of_these_phases_ends_with(whole, tiny_run, tmp_path):
    tiny_run("method.phases.align.epochs=0", folder=tmp_path / "part")
    kept, chosen = np.load(whole[0] / "figures" / "phases" / "01-contrast.npz"), spaced(150, 20)
    np.testing.assert_allclose(kept["features"], np.load(tmp_path / "part" / "embeddings.npy")[chosen], atol=1e-6)
    written = rows(tmp_path / "part" / "assignments.csv")
    assert kept["clusters"].tolist() == [int(written[i]["cluster"]) for i in chosen]


def test_phases_survive_an_interruption(whole, tiny_run, composed, tmp_path, monkeypatch):
    folder = tmp_path / "cut"
    monkeypatch.setattr(Results, "on_train_batch_start", CtrlC("contrast", 3).on_train_batch_start, raising=False)
    with pytest.raises(Interrupted):
        tiny_run(PICTURES[1], figures=True, folder=folder)
    monkeypatch.undo()
    train(composed(f"resume={folder}"), str(folder), [f"resume={folder}"])
    for name in ("phases/00-reconstruct.npz", "phases/01-contrast.npz", "phases.png", "measures.png"):
        assert (whole[0] / "figures" / name).read_bytes() == (folder / "figures" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("method", "overrides", "names"),
    [
        ("dmim", [], ["confidence", "confusion", "embedding", "losses", "measures", "phases", "sharing", "sizes"]),
        ("kmeans", [], ["confusion", "embedding", "sharing", "sizes"]),
        ("gmm", ["callbacks.results.embeddings=false"], ["confidence", "confusion", "sharing", "sizes"]),
    ],
)
def test_pictures_that_would_show_nothing_are_left_out(composed, tmp_path, method, overrides, names):
    small = ["data=synthetic", "data.n_samples=90", "data.dims=[4,3]", "data.n_clusters=3", "trainer.accelerator=cpu"]
    small += ["experiment=smoke", "callbacks.figures.projection=pca"]
    short = ["method.width=4", "method.restarts=1"] if method == "dmim" else []
    train(composed(f"method={method}", *small, *short, *overrides), str(tmp_path))
    assert pictures(tmp_path) == [f"{name}.png" for name in names]


def test_a_run_without_labels_has_its_pictures(composed, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", a=rng.normal(size=(90, 4)), b=rng.normal(size=(90, 3)))
    data = ["data=files", f"data.root={tmp_path / 'x.npz'}", "data.n_clusters=3", "trainer.accelerator=cpu"]
    (folder := tmp_path / "run").mkdir()
    report = train(composed("method=gmm", *data, "callbacks.figures.projection=pca"), str(folder))
    assert pictures(folder) == ["confidence.png", "embedding.png", "sharing.png", "sizes.png"]
    assert report["label_free"].keys() == {"entropy", "silhouette"}
    assert json.loads((folder / "metrics.json").read_text())["scores"] is None
