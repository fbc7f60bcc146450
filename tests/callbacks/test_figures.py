"""What the figures show, read back from their axes."""

import numpy as np
import pytest

from cmc.callbacks import figures

CLUSTERS = np.array([2, 2, 2, 0, 0, 1, 1, 1, 3])
LABELS = np.array(["a", "a", "a", "b", "b", "c", "c", "a", "c"])


def test_confusion_puts_every_cluster_under_its_class():
    axes = figures.confusion(CLUSTERS, LABELS, 5).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "0", "1", "3", "4"]
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(shares, [[3 / 4, 0, 1 / 4, 0, 0], [0, 1, 0, 0, 0], [0, 0, 2 / 3, 1 / 3, 0]])
    counts = {text.get_position(): text.get_text() for text in axes.texts}
    assert counts[0, 0] == "3"
    assert counts[2, 0] == "1"


def history():
    phases = ["first", "first", "second", "second", "second"]
    for epoch, phase in enumerate(phases):
        row = {"epoch": str(epoch), "phase": phase, "loss": "3.0", "pull": str(1 + epoch), "push": "", "acc": ""}
        if phase == "second":
            row |= {"push": "2.0", "acc": "0.5"}
        yield row


def test_losses_have_a_panel_a_term_over_its_own_epochs():
    panels = figures.losses(list(history())).axes
    assert [axes.get_title() for axes in panels] == ["loss", "pull", "push", "scores"]
    assert panels[1].lines[0].get_xydata().tolist() == [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]]
    assert panels[2].lines[0].get_xydata().tolist() == [[3, 2], [4, 2], [5, 2]]
    assert [text.get_text() for text in panels[0].texts] == ["first", "second"]


@pytest.mark.parametrize("n", [9, 60])
def test_embedding_gives_a_cluster_the_colour_of_its_class(n):
    points = np.random.default_rng(0).normal(size=(n, 4))
    clusters, labels = (np.resize(x, n) for x in (CLUSTERS, LABELS))
    by_cluster, by_label = figures.embedding(points, clusters, labels, 5).axes

    def colours(axes):
        return {c.get_label(): tuple(c.get_facecolor()[0]) for c in axes.collections}

    of_cluster, of_label = colours(by_cluster), colours(by_label)
    assert [of_cluster[k] for k in "201"] == [of_label[name] for name in "abc"]
    assert of_cluster["3"] not in of_label.values()
    assert sum(len(c.get_offsets()) for c in by_cluster.collections) == n


@pytest.mark.parametrize("points", [np.ones((80, 4)), np.random.default_rng(0).normal(size=(80, 1))])
def test_embeddings_without_spread_or_of_one_column_are_drawn(points):
    (axes,) = figures.embedding(points, np.arange(80) % 2, None, 2).axes
    assert sum(len(c.get_offsets()) for c in axes.collections) == 80


def test_classes_that_are_numbers_are_ordered_as_numbers():
    labels = np.array(["10", "9", "2"])
    axes = figures.confusion(np.array([0, 1, 2]), labels, 3).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["2", "9", "10"]


def test_without_labels_there_is_one_embedding():
    (axes,) = figures.embedding(np.zeros((4, 1)), np.array([0, 1, 1, 0]), None, 2).axes
    assert axes.get_title() == "embedding by cluster"
