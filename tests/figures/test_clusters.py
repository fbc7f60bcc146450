"""What the pictures of clusters show, read back from their axes, against counts made by hand."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import confusion_matrix

from cmc import figures

CLUSTERS = np.array([2, 2, 2, 0, 0, 1, 1, 1, 3])
LABELS = np.array(["a", "a", "a", "b", "b", "c", "c", "a", "c"])


def ticks(axes, which):
    return [text.get_text() for text in getattr(axes, f"get_{which}ticklabels")()]


def bars(axes, label):
    (container,) = [c for c in axes.containers if c.get_label() == label]
    return [patch.get_height() for patch in container]


def test_confusion_puts_every_cluster_under_its_class():
    axes = figures.confusion(CLUSTERS, LABELS, 5).axes[0]
    assert ticks(axes, "y") == ["a", "b", "c"]
    assert ticks(axes, "x") == ["2: a 100 %", "0: b 100 %", "1: c 67 %", "3", "4"]
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(shares, [[3 / 4, 0, 1 / 4, 0, 0], [0, 1, 0, 0, 0], [0, 0, 2 / 3, 1 / 3, 0]])
    counts = {text.get_position(): text.get_text() for text in axes.texts}
    assert counts[0, 0] == "3"
    assert counts[2, 0] == "1"


def test_classes_that_are_numbers_are_ordered_as_numbers():
    axes = figures.confusion(np.array([0, 1, 2]), np.array(["10", "9", "2"]), 3).axes[0]
    assert ticks(axes, "y") == ["2", "9", "10"]


def test_sizes_stand_beside_those_of_the_matched_class():
    axes = figures.sizes(CLUSTERS, LABELS, 5).axes[0]
    assert ticks(axes, "x") == ["2: a 100 %", "0: b 100 %", "1: c 67 %", "3: -", "4: -"]
    assert bars(axes, "cluster") == [3, 2, 3, 1, 0]
    assert bars(axes, "class") == [4, 2, 3, 0, 0]


def test_classes_without_a_cluster_are_shown_too():
    axes = figures.sizes(np.array([0, 0, 1, 1]), np.array(["x", "x", "y", "z"]), 2).axes[0]
    assert ticks(axes, "x")[0] == "0: x 100 %"
    assert ticks(axes, "x")[1] in ("1: y 50 %", "1: z 50 %")
    assert sum(bars(axes, "class")) == sum(bars(axes, "cluster")) == 4
    assert bars(axes, "cluster") == [2, 2, 0]


def test_without_labels_sizes_fall_and_stand_beside_equal_ones():
    axes = figures.sizes(CLUSTERS, None, 5).axes[0]
    assert ticks(axes, "x") == ["1", "2", "0", "3", "4"]
    assert bars(axes, "cluster") == [3, 3, 2, 1, 0]
    assert axes.lines[0].get_ydata()[0] == pytest.approx(9 / 5)


def test_confidences_are_counted_apart_for_matched_samples_and_others():
    rng = np.random.default_rng(0)
    labels, clusters = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    clusters = np.where(rng.random(200) < 0.6, (labels + 1) % 3, clusters)
    values = rng.uniform(1 / 3, 1, 200)
    axes = figures.confidence(values, clusters, labels.astype(str), 3).axes[0]
    table = confusion_matrix(labels, clusters)
    rows, columns = linear_sum_assignment(-table)
    right = columns[labels] == clusters
    edges = np.linspace(1 / 3, 1, 31)
    drawn = [np.array([patch.get_height() for patch in container]) for container in axes.containers]
    np.testing.assert_allclose(drawn[0], np.histogram(values[right], edges)[0])
    np.testing.assert_allclose(drawn[1], np.histogram(values[~right], edges)[0])
    share = table[rows, columns].sum() / 200
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [f"matched cluster: {share:.1%}", f"another cluster: {1 - share:.1%}"]


def test_confidences_without_labels_and_of_hard_clusterings():
    values = np.array([0.5, 0.6, 0.9])
    axes = figures.confidence(values, np.array([0, 1, 0]), None, 2).axes[0]
    assert sum(patch.get_height() for patch in axes.patches) == 3
    assert axes.get_legend() is None
    assert figures.confidence(np.ones(3), np.array([0, 1, 0]), None, 2) is None


def test_calibrated_ones_have_a_panel_beside_the_raw_ones_and_are_held_against_labels():
    rng = np.random.default_rng(0)
    labels, clusters = rng.integers(0, 3, 400), rng.integers(0, 3, 400)
    clusters = np.where(rng.random(400) < 0.6, labels, clusters)
    raw, known = rng.uniform(0.99, 1, 400), rng.uniform(0.3, 1, 400)
    figure = figures.confidence(raw, clusters, labels.astype(str), 3, known)
    first, second, third = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["as the method says", "calibrated", "against labels"]
    for axes, values in ((first, raw), (second, known)):
        drawn = sum(np.array([patch.get_height() for patch in container]) for container in axes.containers)
        np.testing.assert_allclose(drawn, np.histogram(values, np.linspace(min(1 / 3, values.min()), 1, 31))[0])
    right = labels == clusters
    last = known >= 14 / 15
    (line,) = [line for line in third.lines if line.get_label().startswith("calibrated")]
    assert (line.get_xdata()[-1], line.get_ydata()[-1]) == pytest.approx((known[last].mean(), right[last].mean()))
    (line,) = [line for line in third.lines if line.get_label().startswith("raw")]
    assert line.get_label() == f"raw, error {abs(raw.mean() - right.mean()):.3f}", "all lie in one bin"
    assert len(figures.confidence(raw, clusters, None, 3, known).axes) == 2


@pytest.mark.parametrize("labelled", [True, False])
def test_a_hundred_clusters_fit_on_a_page(labelled, tmp_path):
    clusters = np.arange(3000) % 100
    labels = np.array([f"a class of a long name {k}" for k in clusters // 2]) if labelled else None
    drawn = [figures.sizes(clusters, labels, 100), figures.confidence(clusters / 100, clusters, labels, 100)]
    drawn += [figures.confusion(clusters, labels, 100)] if labelled else []
    for figure in drawn:
        assert figure.get_figwidth() <= 7
        axes = figure.axes[0]
        assert len(ticks(axes, "x")) <= 50
        assert max(map(len, ticks(axes, "y"))) <= 16


@pytest.mark.parametrize("draw", [figures.confusion, figures.sizes])
@pytest.mark.parametrize("k", [2, 4, 10])
def test_names_neither_overprint_nor_are_cut_off(draw, k):
    labels = np.repeat(np.arange(k), 20)
    figure = draw(labels, np.array([f"a long class {i}" for i in labels]), k)
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    names = [text.get_window_extent() for text in axes.get_xticklabels()]
    assert all(left.x1 <= right.x0 for left, right in pairwise(names))
    whole = figure.bbox
    for box in [
        *names,
        axes.xaxis.label.get_window_extent(),
        *(a.yaxis.label.get_window_extent() for a in figure.axes),
    ]:
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert whole.y0 <= box.y0
        assert box.y1 <= whole.y1
