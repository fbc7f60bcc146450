"""The page in a real headless Chromium: what a reader clicks, and what the page then shows."""

import csv
import json
import re
import sys
import time
from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from cmc import report
from cmc.reporting import webpage
from cmc.reporting.blocks import collect
from cmc.reporting.runs import read_run
from tests.browser import browser_program, chromium, opened  # noqa: F401
from tests.reporting.made import make_run
from tests.reporting.test_tables import gathered

STRANGE = '<img src=x onerror="alert(1)">'
QUOTED = '"<img src=x onerror=""alert(1)"">"'  # the same in a table
LABELS = ("</script ><script >alert(2)</script >", '<a href="javascript:alert(3)">b</a>', "%{x} & <b>c</b>")
NONE, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of 12 runs on digits, 2 without means or labels, and 1 whose every name is a stranger's."""
    root = tmp_path_factory.mktemp("page")
    for seed in range(5):
        make_run(root / "runs" / f"cmmc{seed}", seed, "cmmc", n=200)
        make_run(root / "runs" / f"dmim{seed}", seed, "dmim", n=200)
    for seed in range(2):
        close = dict.fromkeys(("acc", "nmi", "ari", "purity"), 0.49953)
        make_run(root / "runs" / f"wide{seed}", seed, "dmim", scores=close, settings={"method.optimizer.lr": 0.5})
        bare = make_run(root / "runs" / f"bare{seed}", seed, data="bare", labels=None)
        (bare / "embeddings.npy").unlink()
    strange = {"method.name": STRANGE, f"method.{STRANGE}": 1}
    told = {"device": STRANGE, "git_commit": STRANGE, "protocol": STRANGE, "versions": {STRANGE: STRANGE}}
    odd = make_run(root / "runs" / "strange", 7, STRANGE, STRANGE, labels=LABELS, settings=strange, **told)
    history = (odd / "history.csv").read_text().replace("first", QUOTED).replace("pull", QUOTED)
    (odd / "history.csv").write_text(history)
    (root / "runs" / "half").mkdir()
    (root / "runs" / "half" / "config.yaml").write_text("seed: 0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cmc.reporting.figures.write_figures", lambda *_: [])
        patch.setattr(sys, "argv", ["report", str(root / "runs"), "--out", str(root / "out"), "--projection", "pca"])
        report.main()
    return root


@pytest.fixture
def page(chromium, folder):  # noqa: F811
    """The page, just opened; it must neither complain nor ask for anything but itself."""
    with opened(chromium, folder / "out" / "report.html") as page:
        yield page


def column(page, title):
    titles = [text.strip() for text in page.locator("#leaderboard thead th").all_inner_texts()]
    place = titles.index(title) + 1
    return [text.strip() for text in page.locator(f"#leaderboard tbody td:nth-child({place})").all_inner_texts()]


def metrics(folder, name):
    return json.loads((folder / "runs" / name / "metrics.json").read_text())


def rows_of(folder, name, file="assignments.csv"):
    with (folder / "runs" / name / file).open(newline="") as opened:
        return list(csv.DictReader(opened))


def open_run(page, text):
    page.fill("#query", text)
    page.click("#single")
    page.click("#leaderboard tbody tr:first-child td:nth-child(2)")
    page.wait_for_selector("#run .plot .main-svg")


def traces(page, title):
    """What Plotly was given to draw under a title."""
    plot = page.locator(f"#run .plot[aria-label^='{title}']")
    return plot.evaluate("p => ({data: JSON.parse(JSON.stringify(p.data)), layout: p.layout})")


@pytest.mark.parametrize(("ci", "end"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_browser_continuous_integration_fails(monkeypatch, ci, end):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(end, match=r"^there is no Chromium .* on Debian: apt-get install chromium"):
        browser_program()


def test_the_leaderboard_shows_the_means_of_the_table(page, folder):
    with (folder / "out" / "table.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert page.locator("#summary").inner_text() == "15 runs, 3 data sets, 5 rows"
    assert column(page, "method") == [record["method"] for record in table]
    assert column(page, "runs") == [record["runs"] for record in table]
    for shown, record in zip(column(page, "ACC"), table, strict=True):
        if record["acc_mean"]:
            assert shown == f"{float(record['acc_mean']):.3f} ± {float(record['acc_std']):.3f}"
        else:
            values = [f"{float(value):.3f}" for value in record["acc_values"].split()]
            assert shown == (", ".join(values) or NONE)
    bold = page.locator("td.best").all_inner_texts()
    means = [mean(metrics(folder, f"{name}{seed}")["scores"]["acc"] for seed in range(5)) for name in ("cmmc", "dmim")]
    assert bold[0].startswith(f"{max(means):.3f}")
    assert len(bold) == 4


def test_a_column_sorts_both_ways_with_rows_of_too_few_runs_below(page):
    methods = column(page, "method")
    page.click("[data-sort=acc]")
    texts = column(page, "ACC")
    means = [float(text.split(" ")[0]) for text in texts if "±" in text]
    assert means == sorted(means, reverse=True)
    assert all("±" in text for text in texts[:2])
    assert texts[-1] == NONE
    assert page.locator("th[aria-sort=descending]").inner_text() == "ACC"
    page.click("[data-sort=acc]")
    assert [float(text.split(" ")[0]) for text in column(page, "ACC")[:2]] == means[::-1]
    assert column(page, "ACC")[-1] == NONE
    page.click("[data-sort=method]")
    assert column(page, "method") == sorted(methods)
    page.click("#single")
    page.click("[data-sort=nmi]")
    values = [float(text) for text in column(page, "NMI") if text != NONE]
    assert values == sorted(values, reverse=True)


def test_the_keyboard_alone_sorts_and_opens(page):
    page.locator("[data-sort=ari]").focus()
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=descending]").inner_text() == "ARI"
    assert page.evaluate("document.activeElement.dataset.sort") == "ari"
    page.locator("tr[data-row='0'] button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    title = page.locator("#run-title")
    title.wait_for()
    first = title.inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("first => document.getElementById('run-title').innerText !== first", arg=first)
    page.keyboard.press("Escape")
    page.wait_for_selector("#board:not([hidden])")


def test_filters_narrow_rows_and_runs(page):
    page.fill("#query", "cmmc")
    assert column(page, "method") == ["cmmc"]
    assert page.locator("#count").inner_text() == "1 of 5 rows"
    page.click("#single")
    page.fill("#query", "digits seed 3")
    assert sorted(column(page, "method")) == ["cmmc", "dmim"]
    page.fill("#query", "")
    page.select_option("#data", "bare")
    assert column(page, "data") == ["bare", "bare"]
    page.select_option("#method", "cmmc")
    assert page.locator("#count").inner_text() == "0 of 15 runs"


def test_a_row_opens_to_its_single_runs(page, folder):
    page.fill("#query", "cmmc")
    page.click("tr[data-row] td:nth-child(2)")
    runs = page.locator("tr.sub")
    expected = [metrics(folder, f"cmmc{seed}")["scores"]["acc"] for seed in range(5)]
    assert runs.count() == 5
    for i, acc in enumerate(expected):
        assert runs.nth(i).locator("a").inner_text() == f"seed {i}"
        assert f"{acc:.3f}" in runs.nth(i).inner_text()
    page.click("tr[data-row] td:nth-child(2)")
    assert runs.count() == 0


def test_an_opened_run_shows_its_loss_terms_and_scores_with_phases(page, folder):
    open_run(page, "digits cmmc seed 2")
    assert page.locator("#run-title").inner_text() == "cmmc on digits, seed 2"
    history = rows_of(folder, "cmmc2", "history.csv")
    terms = traces(page, "Loss terms")
    titles = [note["text"] for note in terms["layout"]["annotations"]]
    assert titles == ["loss", "pull", "push"]
    assert (
        page.locator("#run .card").first.locator(".title").inner_text().endswith("epochs: first 1 to 4, second 5 to 12")
    )
    for trace, name in zip(terms["data"], ("loss", "pull", "push"), strict=True):
        known = [(int(row["epoch"]) + 1, float(row[name])) for row in history if row[name]]
        assert list(zip(trace["x"], trace["y"], strict=True)) == [(x, pytest.approx(y, abs=1e-3)) for x, y in known]
    spans = {(shape["x0"], shape["x1"]) for shape in terms["layout"]["shapes"]}
    assert spans == {(0.5, 4.5), (4.5, 12.5)}
    scores = traces(page, "Scores")
    assert [note["text"] for note in scores["layout"]["annotations"]] == ["first", "second"]
    assert {trace["name"]: trace["x"] for trace in scores["data"]} == {
        name: [4, 8, 12] for name in ("ACC", "NMI", "agreement")
    }


def test_an_opened_run_shows_its_confusion_matrix_and_facts(page, folder):
    open_run(page, "digits dmim lr=0.001 seed 1")
    counts = np.zeros((3, 3), int)
    for row in rows_of(folder, "dmim1"):
        counts["abc".index(row["label"]), int(row["cluster"])] += 1
    (trace,) = traces(page, "Confusion")["data"]
    order = [int(text.partition(":")[0]) for text in traces(page, "Confusion")["layout"]["xaxis"]["ticktext"]]
    np.testing.assert_allclose(trace["z"], counts[:, order] / counts.sum(1, keepdims=True))
    assert np.trace(counts[:, order]) == max(
        sum(counts[i, p[i]] for i in range(3)) for p in np.array(np.meshgrid(*[range(3)] * 3)).T.reshape(-1, 3)
        if len(set(p)) == 3
    )  # fmt: skip
    facts = page.locator("#run .facts").all_inner_texts()
    assert re.search(r"git commit\s+79702e8", facts[0])
    assert re.search(r"seconds, total\s+3\.25", facts[0])
    assert re.search(r"peak memory mib\s+300\.5", facts[0])
    assert re.search(r"version of torch\s+2\.13\.0", facts[0])
    assert re.search(r"method\.optimizer\.lr\s+0\.001", facts[1])


def test_hovering_a_point_tells_sample_cluster_and_label(page, folder):
    open_run(page, "digits cmmc seed 4")
    plot = page.locator("#run .plot[aria-label^='Embedding']")
    plot.scroll_into_view_if_needed()
    point = plot.locator(".scatterlayer .trace").nth(1).locator(".point").nth(3)
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = plot.locator(".hoverlayer .hovertext")
    hover.wait_for()
    told = dict(part.rsplit(" ", 1) for part in hover.locator("tspan.line").all_text_contents())
    row = rows_of(folder, "cmmc4")[int(told["sample"])]
    assert (told["cluster"], told["label"]) == (row["cluster"], row["label"])
    assert float(told["confidence"]) == pytest.approx(float(row["confidence"]), abs=1e-3)
    page.click("[data-by=label]")
    names = {trace["name"] for trace in traces(page, "Embedding")["data"]}
    assert names == {"a", "b", "c"}


def test_no_button_sends_a_chart_anywhere(page):
    open_run(page, "digits cmmc seed 0")
    buttons = page.locator("#run .plot").first.locator(".modebar-btn")
    titles = buttons.evaluate_all("buttons => buttons.map(button => button.dataset.title)")
    assert titles == ["Download plot as a PNG", "Zoom", "Pan", "Reset axes"]


COVERED = """plot => {
    const bar = plot.querySelector(".modebar-group").getBoundingClientRect();
    return [...plot.querySelectorAll("svg.main-svg text")].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < bar.right && box.right > bar.left && box.top < bar.bottom && box.bottom > bar.top;
    }).map((text) => text.textContent);
}"""


def test_buttons_cover_no_words_of_a_chart(page):
    for run in ("digits cmmc seed 0", "seed 7"):
        open_run(page, run)
        plots = page.locator("#run .plot:has(.modebar-group)")
        assert [plots.nth(i).evaluate(COVERED) for i in range(4)] == [[], [], [], []], run
        page.keyboard.press("Escape")
    page.fill("#query", "digits seed 1 dmim")
    for i in range(2):
        page.locator("#leaderboard tbody input").nth(i).check()
    page.click("#compare-link")
    page.wait_for_selector("#compare .plot .main-svg")
    assert page.locator("#compare .plot").evaluate(COVERED) == []


def test_groups_of_columns_come_and_go(page, folder):
    def titles():
        return [text.strip() for text in page.locator("#leaderboard thead th").all_inner_texts()]

    assert "quality" in titles()
    page.uncheck("#groups input[value=label-free]")
    assert titles() == ["", "data", "method", "setting", "runs", "ACC", "NMI", "ARI", "purity", "seconds"]
    page.uncheck("#groups input[value=scores]")
    page.check("#groups input[value=label-free]")
    assert titles()[5:] == ["agreement", "balance", "quality", "ARI of two seeds", "seconds"]


def test_a_single_score_is_rounded_once(page):
    open_run(page, "lr=0.5 seed 0")
    assert page.locator("#run .tile dd").first.inner_text() == "0.500"


def test_what_a_run_does_not_have_is_said(page):
    open_run(page, "bare seed 0")
    texts = page.locator("#run .missing").all_inner_texts()
    assert texts == ["The data have no labels.", "The run has no embeddings.npy."]
    page.keyboard.press("Escape")
    page.click("#notes summary")
    assert "half: no metrics.json: the run has not finished" in page.locator("#notes").inner_text()


def test_two_ticked_runs_are_compared(page, folder):
    page.fill("#query", "digits seed 1 dmim")
    page.click("#single")
    assert page.locator("#compare-link").get_attribute("href") is None
    for i in range(2):
        page.locator("#leaderboard tbody input").nth(i).check()
    page.click("#compare-link")
    page.wait_for_selector("#compare .plot .main-svg")
    names = page.locator("#compare p a").all_inner_texts()
    assert names == ["dmim on digits, seed 1 (optimizer.lr=0.001)", "dmim on digits, seed 1 (optimizer.lr=0.5)"]
    differing = page.locator("[data-table=config] tbody tr")
    assert [text.split() for text in differing.all_inner_texts()] == [["method.optimizer.lr", "0.001", "0.5"]]
    page.check("#all-config")
    assert differing.count() > 8
    first = page.locator("[data-table=scores] tbody tr").first.inner_text().split()
    a, b = (metrics(folder, name)["scores"]["acc"] for name in ("dmim1", "wide1"))
    assert first[:3] == ["ACC", f"{a:.3f}", f"{b:.3f}"]
    assert float(first[3].replace(MINUS, "-")) == pytest.approx(round(b, 3) - round(a, 3), abs=1e-6)
    page.go_back()
    assert page.locator("#leaderboard input:checked").count() == 2


def test_names_of_strangers_are_text(page):
    assert STRANGE in page.locator("#leaderboard").inner_text()
    open_run(page, "seed 7")
    assert page.locator("#run-title").inner_text().startswith(f"{STRANGE} on {STRANGE}")
    assert page.locator("img, a[href^=javascript]").count() == 0
    assert [note["text"] for note in traces(page, "Loss terms")["layout"]["annotations"]].count("loss") == 1
    assert page.locator("#run .card").first.locator(".title").inner_text().count(STRANGE) == 1, "a phase's name"
    assert page.locator("#run .facts").first.inner_text().count(STRANGE) >= 4
    ticks = page.locator("#run [aria-label^=Confusion] .ytick text").all_text_contents()
    assert sorted(ticks) == sorted(label if len(label) <= 18 else f"{label[:17]}…" for label in LABELS)
    page.click("[data-by=label]")
    point = page.locator("#run .plot[aria-label^='Embedding'] .point").first
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    told = page.locator(".hovertext tspan.line").all_text_contents()
    assert told[2].removeprefix("label ") in LABELS


def test_300_runs_open_in_less_than_two_seconds(chromium, tmp_path, monkeypatch):  # noqa: F811
    rng = np.random.default_rng(0)
    path = make_run(tmp_path / "runs" / "one", n=1000)
    with (path / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "phase", "loss", "a", "b", "c", "acc", "nmi", "ari", "purity"])
        writer.writerows([epoch, "train", *rng.random(8)] for epoch in range(300))
    run = read_run(path)
    blocks, _ = collect([run], "pca", 10**6, *[lambda name, n: None] * 2)
    assert len(blocks[0]) > 35_000
    many = [
        replace(run, report={**run.report, "seed": i % 10}, config={**run.config, "seed": i % 10, "method.lr": i // 10})
        for i in range(300)
    ]
    (row,), _ = gathered(tmp_path)
    rows = [replace(row, setting={"method.lr": i}, runs=tuple(many[10 * i : 10 * i + 10])) for i in range(30)]
    monkeypatch.setattr(webpage, "collect", lambda runs, *_: (blocks * len(runs), []))
    source = webpage.plotly_source()
    webpage.write_page(tmp_path / "report.html", rows, [], "pca", source, *[lambda name, n: None] * 2)
    assert (tmp_path / "report.html").stat().st_size > 15e6
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    taken = []
    for _ in range(3):
        began = time.monotonic()
        page.goto((tmp_path / "report.html").as_uri())
        page.click("#single")
        assert page.locator("#leaderboard tbody tr").count() == 300
        taken.append(time.monotonic() - began)
        if taken[-1] < 2:
            break
    page.close()
    assert min(taken) < 2


def test_a_page_that_would_grow_too_large_does_without_embeddings(tmp_path):
    runs = [read_run(make_run(tmp_path / str(seed), seed)) for seed in range(3)]
    whole, lines = collect(runs, "pca", 10**6, *[lambda name, n: None] * 2)
    assert lines == []
    assert all("embedding" in json.loads(block) for block in whole)
    sizes = [len(block) for block in whole]
    blocks, lines = collect(runs, "pca", sum(sizes) - sizes[-1] // 2, *[lambda name, n: None] * 2)
    assert lines == ["embeddings left out of the page, which would grow too large: 1 of 3 runs"]
    details = [json.loads(block) for block in blocks]
    assert ["embedding" in each for each in details] == [True, True, False]
    assert all("curves" in each and "confusion" in each for each in details)
    assert details[2]["missing"]["embedding"] == "Left out: the page would become too large."
    assert collect(runs, "pca", 0, *[lambda name, n: None] * 2)[1][0].startswith("curves left out")
