"""What the figures show, read back from their axes."""

import json
from itertools import pairwise
from statistics import mean, stdev

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from cmc.figures.style import looks
from cmc.reporting.figures import bars, figures, slug, write_figures
from cmc.reporting.sensitivity import sensitivity
from tests.reporting.made import make_run
from tests.reporting.test_tables import gathered


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for lr in (1e-4, 1e-3, 1e-1):
        for seed in range(5 if lr < 0.1 else 2):
            make_run(root / f"{lr}-{seed}", seed, settings={"method.optimizer.lr": lr})
    for seed in range(5):
        make_run(root / f"birds{seed}", seed, data="a$b$ & c/d", holdout={"acc": 0.5})
    return gathered(root)[0]


def digits(rows):
    return [row for row in rows if row.data == "digits"]


def acc(row):
    return [json.loads((run.folder / "metrics.json").read_text())["scores"]["acc"] for run in row.runs]


def test_bars_are_means_with_deviations_and_points_are_runs(rows):
    rows = digits(rows)
    figure = bars(rows, ["p", "q", "r"], ["dmim"] * 3, ["acc", "nmi"], "title")
    assert [axes.get_title() for axes in figure.axes] == ["ACC", "NMI"]
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["p", "q", "r"]
    assert [bar.get_width() for bar in axes.patches] == [pytest.approx(mean(acc(row))) for row in rows[:2]]
    ends = [bar.errorbar.lines[2][0].get_segments()[0][:, 0] for bar in axes.containers if hasattr(bar, "errorbar")]
    for (low, high), row in zip(ends, rows[:2], strict=True):
        assert (low, high) == pytest.approx((mean(acc(row)) - stdev(acc(row)), mean(acc(row)) + stdev(acc(row))))
    points = [line.get_xdata().tolist() for line in axes.lines if line.get_marker() == "o"]
    assert points == [acc(row) for row in rows]


def test_ten_kinds_have_ten_colours_those_of_a_run_s_own_pictures(rows):
    row = digits(rows)[0]
    names = [f"kind {number}" for number in range(10)]
    bar_colours = [bar.get_facecolor()[:3] for bar in bars([row] * 10, names, names, ["acc"], "title").axes[0].patches]
    assert bar_colours == [pytest.approx(looks(number)["color"]) for number in range(10)]
    assert len(set(bar_colours)) == 10


def test_sensitivity_joins_means_within_a_band_over_single_runs(rows):
    rows = digits(rows)
    figure = sensitivity(rows, "method.optimizer.lr")
    assert [axes.get_title() for axes in figure.axes] == ["ACC", "NMI", "ARI"]
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "optimizer.lr"
    (line,) = [line for line in axes.lines if line.get_marker() == "s"]
    assert line.get_xdata() == pytest.approx([1e-4, 1e-3])
    assert line.get_ydata() == pytest.approx([mean(acc(row)) for row in rows[:2]])
    (band,) = axes.collections
    edges = {round(x, 6): [] for x, _ in band.get_paths()[0].vertices}
    for x, y in band.get_paths()[0].vertices:
        edges[round(x, 6)].append(y)
    for x, row in zip((1e-4, 1e-3), rows[:2], strict=True):
        assert min(edges[x]) == pytest.approx(mean(acc(row)) - stdev(acc(row)))
        assert max(edges[x]) == pytest.approx(mean(acc(row)) + stdev(acc(row)))
    singles = {line.get_xdata()[0]: line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "o"}
    assert singles == {row.setting["method.optimizer.lr"]: acc(row) for row in rows}


def test_words_have_places_of_their_own_and_other_settings_lines_of_their_own(tmp_path):
    for seed in range(5):
        for scaling in ("l2", "none"):
            for beta in (1, 2):
                make_run(
                    tmp_path / f"{seed}{scaling}{beta}", seed, settings={"data.scaling": scaling, "method.beta": beta}
                )
    figure = sensitivity(gathered(tmp_path)[0], "data.scaling")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["l2", "none"]
    assert axes.get_xscale() == "linear"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["beta=1", "beta=2"]


def swept(tmp_path, values, key="method.beta", **changes):
    for number, value in enumerate(values):
        make_run(tmp_path / str(number), settings={key: value}, **changes)
    return sensitivity(gathered(tmp_path)[0], key)


LONG = [f"{letter}: a long value of a setting" for letter in "abcdef"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (range(2, 25), "linear"),
        (range(2, 100, 2), "linear"),
        ((2, 5, 10, 20), "log"),
        ((1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2), "log"),
        ((0, 1e-3, 1e-2, 0.1, 1, 2), "linear"),
        (LONG, "linear"),
        ([f"value {number}" for number in range(40)], "linear"),
    ],
)
def test_labels_of_values_lie_apart(tmp_path, values, scale):
    figure = swept(tmp_path, values)
    write = FigureCanvasAgg(figure).get_renderer()
    figure.draw(write)
    for axes in figure.axes:
        assert axes.get_xscale() == scale
        labels = [text for text in axes.get_xticklabels(which="both") if text.get_text()]
        boxes = [text.get_window_extent(write) for text in labels]
        assert len(boxes) >= 3
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
        assert axes.get_window_extent(write).height > 0.4 * figure.bbox.height
        points = sorted({float(line.get_xdata()[0]) for line in axes.lines})
        assert len(points) == len(set(values)), "no two values in one place"


def test_panels_are_those_of_measures_that_there_are(tmp_path):
    figure = swept(tmp_path, (2, 3, 4), labels=None, label_free={"silhouette": 0.1, "entropy": 0.0})
    assert [axes.get_title() for axes in figure.axes] == ["silhouette", "entropy"]
    assert all(axes.lines for axes in figure.axes)


def test_lines_of_runs_too_few_for_means_are_named_too(tmp_path):
    for beta in (1, 2):
        for scaling in ("l2", "none"):
            make_run(tmp_path / f"{beta}{scaling}", settings={"method.beta": beta, "data.scaling": scaling})
    figure = sensitivity(gathered(tmp_path)[0], "method.beta")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["data.scaling=l2", "data.scaling=none"]


def test_every_figure_is_a_png_and_a_pdf_with_a_name_that_is_safe(rows, tmp_path):
    done = []
    written = write_figures(rows, tmp_path, lambda name, n: done.append(n), lambda name, n: None)
    names = sorted(path.name for path in written)
    assert names == [
        "data-a-b-c-d-holdout",
        "data-a-b-c-d-label-free",
        "data-a-b-c-d-scores",
        "data-digits-label-free",
        "data-digits-scores",
        "method-dmim-holdout",
        "method-dmim-label-free",
        "method-dmim-scores",
        "sweep-digits-dmim-optimizer.lr",
    ]
    assert sum(done) == len(names)
    for path in written:
        with Image.open(f"{path}.png") as image:
            assert image.width > 600
        assert (path.parent / f"{path.name}.pdf").read_bytes().startswith(b"%PDF")
    assert len(list(tmp_path.iterdir())) == 2 * len(names)


def test_names_that_become_alike_do_not_overwrite_each_other(tmp_path):
    for number, name in enumerate(("a b", "a/b")):
        make_run(tmp_path / "runs" / str(number), data=name)
    rows, _ = gathered(tmp_path / "runs")
    assert len({row.data for row in rows}) == 2
    written = write_figures(rows, tmp_path / "out", lambda name, n: None, lambda name, n: None)
    assert len(written) == len(set(written)) == 6
    assert slug("../..") == slug("") == "unnamed"


def test_figures_of_runs_that_are_gone_do_not_stay_and_other_files_do(rows, tmp_path):
    many = [row for row in digits(rows) for _ in range(11)]
    names = [name for name, _ in (*figures(rows), *figures(many))]
    assert {"data-digits-scores-2", "method-dmim-holdout", "sweep-digits-dmim-optimizer.lr"} <= set(names)
    for name in (*names, "data-digits-label-free-1-2", "sweep-digits-dmim-optimizer.lr-2"):
        for ending in (".png", ".pdf"):
            (tmp_path / f"{name}{ending}").write_text("earlier")
    own = {"notes.md", "embedding.png", "data-mine.png", "data-digits-scores.svg", "method.pdf", "sweep-mine.pdf"}
    for name in own:
        (tmp_path / name).write_text("mine")
    (tmp_path / "data-a-scores.png").mkdir()
    few = [row for row in digits(rows) if len(row.runs) == 2]
    written = write_figures(few, tmp_path, lambda name, n: None, lambda name, n: None)
    assert [path.name for path in written] == ["data-digits-scores", "data-digits-label-free"]
    new = {f"{path.name}{ending}" for path in written for ending in (".png", ".pdf")}
    assert {path.name for path in tmp_path.iterdir()} == new | own | {"data-a-scores.png"}
    assert all((tmp_path / name).read_text() == "mine" for name in own)
    assert not any((tmp_path / name).read_bytes() == b"earlier" for name in new)


def test_many_rows_are_spread_over_pages(rows):
    many = [row for row in digits(rows) for _ in range(15)]
    names = [name for name, _ in figures(many) if name.startswith("data-digits-scores")]
    assert names == ["data-digits-scores-1", "data-digits-scores-2"]
