"""Terms, typical members, neighbours, tables: against computations with loops and plain numbers."""

import csv
import math
import re
from collections import Counter

import numpy as np
import pytest

from cmc.clusters.described import Described, write_clusters
from cmc.clusters.means import feature_means
from cmc.clusters.places import neighbours, typicality
from cmc.clusters.samples import samples_of
from cmc.clusters.terms import cluster_terms
from cmc.runs.names import Edits
from cmc.runs.rows import read_rows
from tests.clusters.made import Made


@pytest.fixture(scope="module")
def made():
    return Made(n=90)


@pytest.fixture(scope="module")
def described(made, tmp_path_factory):
    run = made.write(tmp_path_factory.mktemp("described") / "run")
    return Described(samples_of(read_rows(run), 4), Edits("", {1: "boxes"}))


def test_terms_are_those_of_class_based_tf_idf(made):
    found = cluster_terms(made.text, made.cluster, 4)
    words = [Counter() for _ in range(4)]
    for text, cluster in zip(made.text, made.cluster, strict=True):
        words[cluster].update(set(re.findall("[a-z]{2,}", text)))
    total = sum(words, Counter())
    mean = sum(total.values()) / 4
    for k in range(4):
        weight = {w: n / sum(words[k].values()) * math.log(1 + mean / total[w]) for w, n in words[k].items() if n > 1}
        best = sorted(weight, key=lambda word: (-round(weight[word], 12), word))[:10]
        assert [term.word for term in found[k]] == best
        assert [term.texts for term in found[k]] == [words[k][word] for word in best]


def test_captions_without_words_have_no_terms():
    assert cluster_terms(["", "12 3", "the a"], np.array([0, 1, 0]), 3) == [[], [], []]
    found = cluster_terms(["", "x" * 10**5, "سلام دنیا", "سلام"], np.array([0, 1, 2, 2]), 3)
    assert [len(terms) for terms in found] == [0, 1, 1]
    assert found[2][0] == ("سلام", 2)


def test_typical_is_who_lies_close_to_the_centre(made):
    found = typicality(made.embeddings, made.cluster, 4)
    unit = [row / math.sqrt(sum(row**2)) for row in made.embeddings.astype(float)]
    for i in range(0, 90, 7):
        centre = sum(unit[j] for j in range(90) if made.cluster[j] == made.cluster[i])
        assert found[i] == pytest.approx(unit[i] @ centre / math.sqrt(sum(centre**2)), abs=1e-5)


def test_neighbours_are_the_nearest_others(made):
    points = made.embeddings.copy()
    points[10:18] = points[3]  # nine in one place
    points[20] = 0
    found = neighbours(points)
    assert found.shape == (90, 5)
    unit = points.astype(float) / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    for i in range(90):
        assert i not in found[i]
        assert len(set(found[i].tolist())) == 5
        apart = sorted((float(((unit[i] - unit[j]) ** 2).sum()), j) for j in range(90) if j != i)
        ours = [float(((unit[i] - unit[j]) ** 2).sum()) for j in found[i]]
        assert ours == pytest.approx([distance for distance, _ in apart[:5]], abs=1e-5)
    assert neighbours(points[:3]).shape == (3, 2)


def test_clusters_csv_says_what_a_loop_over_the_rows_says(made, described, tmp_path):
    write_clusters(tmp_path / "clusters.csv", described)
    with (tmp_path / "clusters.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["cluster", "name", "size", "terms", "confidence", "agreement", "typical"]
    for k, row in enumerate(rows):
        here = [i for i in range(90) if made.cluster[i] == k]
        same = [i for i in here if made.image_own[i] == k and made.text_own[i] == k]
        assert (int(row["cluster"]), int(row["size"])) == (k, len(here))
        assert float(row["confidence"]) == pytest.approx(np.mean([made.confidence[i] for i in here]), abs=1e-6)
        assert float(row["agreement"]) == pytest.approx(len(same) / len(here), abs=1e-6)
        order = sorted(here, key=lambda i: -described.typical[i])
        assert row["typical"].split() == [made.ids[i] for i in order[:5]]
    first = [term.word for term in described.terms[0]][:3]
    assert [row["name"] for row in rows[:2]] == [", ".join(first), "boxes"]


def test_held_out_samples_stand_in_the_order_of_the_data(made, tmp_path):
    run = made.write(tmp_path / "run")
    lines = (run / "assignments.csv").read_text().splitlines(keepends=True)
    held = [3, 40, 41]
    (run / "assignments_holdout.csv").write_text(lines[0] + "".join(lines[1 + i] for i in held))
    (run / "assignments.csv").write_text("".join(line for i, line in enumerate(lines) if i - 1 not in held))
    np.save(run / "embeddings_holdout.npy", made.embeddings[held])
    np.save(run / "embeddings.npy", np.delete(made.embeddings, held, axis=0))
    found = samples_of(read_rows(run), 4, tmp_path)
    assert found.row.tolist() == list(range(90))
    np.testing.assert_array_equal(found.cluster, made.cluster)
    np.testing.assert_array_equal(found.embeddings, made.embeddings)
    assert [str(path.relative_to(tmp_path)) for path in found.pictures] == made.ids


def test_no_id_leads_out_of_the_folder_of_pictures(made, tmp_path):
    strange = Made(n=90)
    strange.ids = ["../secret.png", "/etc/passwd", "a/../../b.png", *made.ids[3:]]
    found = samples_of(read_rows(strange.write(tmp_path / "run")), 4, tmp_path / "raw")
    assert found.pictures[:3] == [None, None, None]
    assert found.pictures[3] == tmp_path / "raw" / made.ids[3]


def test_means_of_features_are_told_in_standard_deviations():
    rng = np.random.default_rng(0)
    x, cluster = rng.normal(size=(40, 6)) + 1e6, np.arange(40) % 2
    x[:, 5] = 7.0  # which tells nothing
    x[cluster == 1, 2] += 9
    found = feature_means({"a": x}, cluster, 3, [0, 1, -1])["a"]
    for k in range(2):
        expected = (x[cluster == k].mean(0) - x.mean(0))[:5] / x.std(0)[:5]
        assert found["strips"][k] == pytest.approx([*expected, 0], abs=0.006)
    assert found["strips"][2] == [0] * 6
    assert found["prototypes"][1][:5] == pytest.approx((x[1] - x.mean(0))[:5] / x.std(0)[:5], abs=0.006)
    column, deviations, mean = found["top"][1][0]
    assert (column, deviations > 0) == (2, True)
    assert mean == pytest.approx(x[cluster == 1, 2].mean(), rel=1e-3)
