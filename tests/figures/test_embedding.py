"""What the pictures of the embedding show, read back from their axes."""

import sys
from types import ModuleType

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from cmc import figures
from cmc.figures import Points
from cmc.runs.matching import match_samples

CLUSTERS = np.array([2, 2, 2, 0, 0, 1, 1, 1, 3])
LABELS = np.array(["a", "a", "a", "b", "b", "c", "c", "a", "c"])


def looks(axes):
    return {c.get_label(): (tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.shape) for c in axes.collections}


def drawn(axes):
    return sum(len(c.get_offsets()) for c in axes.collections)


def points(n, labelled=True):
    places = np.random.default_rng(0).normal(size=(n, 2))
    return Points(places, np.resize(CLUSTERS, n), np.resize(LABELS, n) if labelled else None)


@pytest.mark.parametrize("n", [9, 60])
def test_a_cluster_looks_as_the_class_that_it_is_matched_to(n):
    given = points(n)
    by_cluster, by_label = figures.embedding(given, 5).axes
    of_cluster, of_label = looks(by_cluster), looks(by_label)
    named = [next(name for name in of_cluster if name.startswith(k)) for k in "201"]
    assert [of_cluster[k] for k in named] == [of_label[name] for name in "abc"]
    assert of_cluster["3"] not in of_label.values()
    assert drawn(by_cluster) == drawn(by_label) == n
    (first,) = [c for c in by_cluster.collections if c.get_label().startswith("0")]
    np.testing.assert_allclose(first.get_offsets(), given.places[given.clusters == 0])


def test_a_cluster_bears_its_class_with_the_share_that_it_holds_among_all_samples():
    found = match_samples(np.array([0, 0, 0, 1]), np.array(["a", "a", "b", "a long class of birds"]), 3)
    shown = Points(np.zeros((3, 2)), np.array([0, 1, 2]), np.array(["a", "a long class of birds", "a"]))
    by_cluster = figures.embedding(shown, 3, found).axes[0]
    texts = [text.get_text() for text in by_cluster.get_legend().get_texts()]
    assert texts == ["0: a 67 %", "1: a long clas… 100 %", "2"]


def test_without_labels_there_is_one_panel():
    (axes,) = figures.embedding(points(9, labelled=False), 5).axes
    assert axes.get_title() == "by cluster"


@pytest.mark.parametrize(("k", "legend", "names"), [(20, True, 0), (40, False, 40), (100, False, 0)])
def test_many_clusters_differ_and_are_named_while_that_can_be_read(k, legend, names):
    places, clusters = np.random.default_rng(0).normal(size=(5 * k, 2)), np.arange(5 * k) % k
    (axes,) = figures.embedding(Points(places, clusters, None), k).axes
    assert (axes.get_legend() is not None) == legend
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    assert len(texts) == names
    assert len({(c.get_facecolor().tobytes(), c.get_paths()[0].vertices.tobytes()) for c in axes.collections}) == k
    for name, place in texts.items():
        np.testing.assert_allclose(place, np.median(places[clusters == int(name)], axis=0))


def test_phases_stand_side_by_side_and_a_phase_without_clusters_has_none():
    begun, ended = points(60)._replace(clusters=None), points(60)
    axes = figures.phases([("warm", begun), ("train", ended)], 5).axes
    assert [panel.get_title() for panel in axes] == ["warm", "train", "", ""]
    assert [len(panel.collections) for panel in axes] == [1, 4, 3, 3]
    assert [drawn(panel) for panel in axes] == [60] * 4
    assert len(figures.phases([("warm", begun._replace(labels=None)), ("b", points(60, False))], 5).axes) == 2


def test_principal_components_are_scikit_learns():
    x = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)
    expected = PCA(2).fit_transform(x)
    np.testing.assert_allclose(np.abs(figures.project(x, "pca")), np.abs(expected), atol=1e-4)
    np.testing.assert_allclose(figures.project(x[:40], "tsne"), figures.project(x[:40], "pca"))


def blobs(n=200):
    rng = np.random.default_rng(0)
    return 6 * rng.normal(size=(5, 10))[np.arange(n) % 5] + rng.normal(size=(n, 10))


def test_tsne_keeps_neighbourhoods_and_repeats_itself():
    x = blobs()
    places = figures.project(x, "tsne")
    assert trustworthiness(x, places) > 0.9
    assert np.array_equal(places, figures.project(x, "tsne"))


@pytest.mark.slow
def test_umap_keeps_blobs_apart():
    places, blob = figures.project(blobs(), "umap"), np.arange(200) % 5
    neighbours = KNeighborsClassifier(5).fit(places, blob)
    assert neighbours.score(places, blob) > 0.98


def test_umap_is_given_the_principal_components(monkeypatch):
    seen = []

    class UMAP:
        def __init__(self, *, n_components, **settings):
            self.n_components = n_components

        def fit_transform(self, x):
            seen.append(x.shape)
            return x[:, : self.n_components]

    monkeypatch.setitem(sys.modules, "umap", ModuleType("umap"))
    monkeypatch.setattr(sys.modules["umap"], "UMAP", UMAP, raising=False)
    assert figures.project(np.random.default_rng(0).normal(size=(80, 64)), "umap").shape == (80, 2)
    assert seen == [(80, 30)]


@pytest.mark.parametrize("features", [np.ones((80, 4)), np.random.default_rng(0).normal(size=(80, 1))])
def test_embeddings_without_spread_or_of_one_column_are_drawn(features):
    places = figures.project(features, "tsne")
    (axes,) = figures.embedding(Points(places, np.arange(80) % 2, None), 2).axes
    assert drawn(axes) == 80
