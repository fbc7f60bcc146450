"""How many clusters: the command, on runs that are made up in a moment, and once on real ones."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cmc import choose
from cmc.errors import Diverged

DATA = ["data=files", "data.root=x.npz"]


@pytest.fixture
def blobs(tmp_path):
    """Three clusters that both modalities see, 240 samples, and nothing else."""
    rng = np.random.default_rng(0)
    label = np.arange(240) % 3
    views = {name: rng.standard_normal((3, d)) * 4 for name, d in (("a", 5), ("b", 4))}
    np.savez(
        tmp_path / "x.npz", **{name: c[label] + rng.standard_normal((240, c.shape[1])) for name, c in views.items()}
    )
    return label


@pytest.fixture
def made_up(monkeypatch, blobs):
    """Runs that take no time: of K = 3 clusters that are there, and others that are not; K -> what is raised."""
    raises, asked = {}, []

    def run(config, folder, overrides, look, told):
        k, seed = config.data.n_clusters, config.seed
        asked.append((k, seed))
        if k in raises:
            raise raises[k]
        if (folder / "metrics.json").exists():
            return {}
        folder.mkdir(parents=True, exist_ok=True)
        rng, rows = np.random.default_rng([k, seed]), np.random.default_rng(seed).permutation(240)
        true = blobs if k == 3 else np.where(rng.random(240) < 0.5, rng.integers(k, size=240), blobs % k)
        for part, index in (("", rows[48:]), ("_holdout", rows[:48])):
            with (folder / f"assignments{part}.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["index", "cluster", "confidence", "margin", "cluster_a", "cluster_b"])
                writer.writerows([i, true[i], 1, 1, true[i], blobs[i] % k] for i in sorted(index))
        features = {"dims": {"a": 5, "b": 4}, "fingerprint": f"of {k}" if "generated" in config.data else "of all"}
        report = {"method": "m", "data": "d", "seed": seed, "scores": None, "n_clusters": k, "features": features}
        (folder / "config.yaml").write_text("{}\n")
        (folder / "metrics.json").write_text(json.dumps(report | {"label_free": {"silhouette": 0.1}}))
        return report

    monkeypatch.setattr(choose, "run", run)
    return raises, asked


def test_one_folder_one_answer(commanded, made_up, tmp_path):
    status, said, _ = commanded(choose, *DATA, "data.n_clusters=range(2,5)", "seed=0,1", "hydra.sweep.dir=out")
    assert status == 0
    answer, where, how = said.splitlines()
    assert answer.startswith("K = 3: modalities share 1.")
    assert where.startswith("out/choose.html")
    assert how.startswith("  python -m cmc.gallery out/k3-seed")
    told = json.loads((tmp_path / "out" / "choose.json").read_text())
    assert (told["k"], told["line"]) == (3, answer)
    with (tmp_path / "out" / "choose.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["k"] for row in rows] == ["2", "3", "4"]
    assert {row["runs"] for row in rows} == {"2"}
    assert float(rows[1]["stability"]) == 1
    page = (tmp_path / "out" / "choose.html").read_text()
    assert page.count("python -m cmc.gallery out/k") == 3
    assert "<tr class=chosen><td>3</td>" in page
    assert (tmp_path / "out" / "choose.png").stat().st_size > 10_000


def test_what_is_finished_is_not_run_again_and_a_wider_range_adds_to_it(commanded, made_up, tmp_path):
    words = [*DATA, "hydra.sweep.dir=out", "seed=0"]
    commanded(choose, *words, "data.n_clusters=2,3")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("k*/metrics.json")}
    status, said, _ = commanded(choose, *words, "data.n_clusters=3,4")
    assert (status, said[:6]) == (0, "K = 3:")
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items())
    with (tmp_path / "out" / "choose.csv").open(newline="") as file:
        assert [row["k"] for row in csv.DictReader(file)] == ["3", "4"], "what was asked for, no older K"


def test_a_gallery_that_is_there_is_linked(commanded, made_up, tmp_path):
    words = [*DATA, "hydra.sweep.dir=out", "seed=0", "data.n_clusters=2,3"]
    assert "of one seed: nothing is known of stability" in commanded(choose, *words)[1]
    (tmp_path / "out" / "k2-seed0" / "gallery.html").touch()
    commanded(choose, *words)
    assert '<a href="k2-seed0/gallery.html">' in (tmp_path / "out" / "choose.html").read_text()


def test_runs_that_fail_are_told_of_and_the_others_go_on(commanded, made_up):
    raises, asked = made_up
    raises[4] = Diverged("the loss is no number")
    status, said, _ = commanded(choose, *DATA, "data.n_clusters=range(2,6)", "seed=0", "hydra.sweep.dir=out")
    assert status == 0
    assert len(asked) == 4
    assert said.startswith("K = 3: ")
    assert "K = 4: 1 of 1 runs failed: the loss is no number" in said


def test_where_all_fail_it_ends_as_they_do(commanded, made_up):
    raises, _ = made_up
    raises |= {k: Diverged("the loss is no number") for k in (2, 3)}
    status, said, line = commanded(choose, *DATA, "data.n_clusters=2,3", "seed=0", "hydra.sweep.dir=out")
    assert (status, said) == (2, "")
    assert line == "the loss is no number"


def test_data_that_differ_from_k_to_k_are_refused(commanded, made_up):
    status, said, line = commanded(choose, "data=synthetic", "data.n_clusters=2,3", "seed=0", "hydra.sweep.dir=out")
    assert (status, said) == (2, "")
    assert "out/k3-seed0 is of other data than out/k2-seed0" in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.n_clusters=5"], "data.n_clusters: 5 alone given"),
        (["method=kmeans,cca"], "method: 2 values given"),
        (["data=nothing"], "data=nothing: no such data"),
        (["methd=dmim"], "methd"),
        (["data.holdut=0.1"], "data.holdut"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(commanded, tmp_path, words, told):
    status, said, line = commanded(choose, *words)
    assert (status, said) == (2, "")
    assert told in line
    assert not list(tmp_path.glob("choose/*/*/k*"))


def test_real_runs_find_three_clusters_where_k_reaches_n_and_in_an_older_folder(commanded, blobs, tmp_path):
    words = [*DATA, "seed=0,1", "hydra.sweep.dir=out", "method.restarts=2", "trainer.accelerator=cpu"]
    status, said, _ = commanded(choose, *words, "data.n_clusters=2,3,5,60,200")
    assert status == 0
    assert said.startswith("K = 3: modalities share 1.0")
    assert "K = 60: what modalities share is unknown: 48 samples held out are too few" in said
    assert "K = 200: 2 of 2 runs failed: data.n_clusters: 200 clusters for 192 training samples" in said
    status, _, line = commanded(choose, *words, "method.restarts=3", "data.n_clusters=2,3")
    assert status == 2
    assert "holds a run whose method differs; give another hydra.run.dir, or hydra.sweep.dir" in line
    assert Path("out", "choose.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("generated", "found"), [(3, {3}), (8, {7, 8, 9})])
def test_the_number_of_generated_clusters_is_found(commanded, generated, found):
    words = ["data=synthetic", f"data.generated={generated}", "data.separation=9", "data.private=4"]
    assert commanded(choose, *words, "hydra.sweep.dir=out")[0] == 0
    assert json.loads(Path("out", "choose.json").read_text())["k"] in found
