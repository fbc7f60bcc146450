"""The gallery in a real headless Chromium: what one clicks, and what the page then shows."""

import shutil

import numpy as np
import pytest

from tests.browser import opened
from tests.clusters.clicks import STRANGE, against, open_cluster, shown, write
from tests.clusters.made import Made


def test_cards_show_size_name_terms_typical_and_doubtful_members(page, made):
    cards = page.locator("article.cluster")
    sizes = np.bincount(made.cluster, minlength=4)
    order = sorted(range(4), key=lambda k: (-sizes[k], k))
    assert cards.evaluate_all("all => all.map(e => Number(e.dataset.cluster))") == order
    for at, k in enumerate(order):
        card = cards.nth(at)
        assert card.locator(".size").inner_text() == str(sizes[k])
        with_word = sum(1 for i in range(120) if made.cluster[i] == k and "circle" in made.text[i].split(":")[0])
        if k == 0:
            assert card.locator(".term").first.inner_text() == f"circle {with_word}"
            assert card.locator("input.name").input_value().startswith("circle, ")
        doubtful = shown(card, ".doubtful")
        left = [i for i in range(120) if made.cluster[i] == k and i not in shown(card, ".tiles-row:not(.doubtful)")]
        assert len(doubtful) == 7
        expected = sorted(left, key=lambda i: (
            -(int(made.image_own[i] != k) + int(made.text_own[i] != k)), made.confidence[i]
        ))  # fmt: skip
        assert doubtful == expected[:7]
        marked = [i for i in doubtful if card.locator(f".doubtful [data-i='{i}'] .mark:text('≠')").count()]
        assert marked == [i for i in doubtful if against(made, i)]
    assert page.locator("#credits").inner_text() == "Shapes, drawn by <b>hand</b>"


def test_a_cluster_opens_with_all_its_members_in_every_order(page, made):
    open_cluster(page, 2)
    here = [i for i in range(120) if made.cluster[i] == 2]
    assert sorted(shown(page)) == here
    typical = page.evaluate("() => JSON.parse(document.getElementById('gallery').textContent).typical")
    assert shown(page) == sorted(here, key=lambda i: (-typical[i], i))
    page.select_option("#opened .bar select", "outliers")
    assert shown(page) == sorted(here, key=lambda i: (typical[i], i))
    page.select_option("#opened .bar select", "sure")
    values = [made.confidence[i] for i in shown(page)]
    assert values == sorted(values, reverse=True)
    page.select_option("#opened .bar select", "own-text")
    own = [made.text_own[i] for i in shown(page)]
    others = [k for k in own if k != 2]
    assert own == sorted(others) + [2] * (len(own) - len(others))
    page.keyboard.press("Escape")
    page.wait_for_selector("#clusters:not([hidden])")


def test_a_member_shows_picture_text_assignments_and_neighbours(page, made):
    i = next(i for i in range(20, 120) if made.image_own[i] != made.cluster[i])
    open_cluster(page, made.cluster[i])
    page.click(f"#opened [data-i='{i}']")
    dialog = page.locator("#member")
    assert dialog.locator("h2").inner_text() == made.ids[i]
    assert dialog.locator(".text").inner_text() == made.text[i]
    assert dialog.locator(".large img").evaluate("image => image.naturalWidth") == 96
    facts = dict(zip(dialog.locator("dt").all_inner_texts(), dialog.locator("dd").all_inner_texts(), strict=True))
    assert facts["cluster"].startswith(f"{made.cluster[i]}, ")
    assert facts["image alone"].startswith(f"{made.image_own[i]}, ")
    assert facts["image alone"].endswith("≠")
    assert facts["text alone"].startswith(f"{made.text_own[i]}, ")
    assert float(facts["confidence"]) == pytest.approx(made.confidence[i], abs=1e-3)
    assert float(facts["margin to the second"]) == pytest.approx(made.confidence[i] * 0.9, abs=1e-3)
    assert facts["label"] == made.label[i]
    unit = made.embeddings / np.linalg.norm(made.embeddings, axis=1, keepdims=True)
    near = [j for j in np.argsort(-(unit @ unit[i])).tolist() if j != i][:5]
    assert shown(page, "#member .near") == near
    page.click(f"#member [data-i='{near[0]}']")
    assert dialog.locator("h2").inner_text() == made.ids[near[0]]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_captions_of_strangers_are_text(page, made):
    page.fill("#query", "onerror")
    page.wait_for_function("() => document.querySelectorAll('#cards .member').length === 1")
    assert page.locator("#cards .member .caption").inner_text().startswith('<img src=x onerror="alert(1)">')
    page.hover("#cards .member")
    assert STRANGE in page.locator("#tip").inner_text()
    page.click("#cards .member")
    assert page.locator("#member .text").inner_text() == STRANGE
    page.keyboard.press("Escape")
    page.click("[data-view=confusion]")
    page.wait_for_selector("#confusion .main-svg")
    assert page.locator("img[src=x], main script").count() == 0


def test_long_empty_and_right_to_left_captions_and_lost_pictures(page, made):
    for i, words in ((7, "مرحبا"), (11, "word")):
        page.fill("#query", words)
        page.wait_for_selector(f"#cards [data-i='{i}']")
        assert page.locator(f"#cards [data-i='{i}'] .caption").get_attribute("dir") == "auto"
    page.click("#cards [data-i='11']")
    assert page.locator("#member .text").inner_text().endswith("…")
    page.keyboard.press("Escape")
    page.click("#reset")
    page.fill("#query", made.ids[9])
    page.wait_for_function("() => document.querySelectorAll('#cards .member').length === 1")
    assert page.locator("#cards .caption").inner_text() == "(no text)"
    for i, why in ((0, "no such file"), (1, "no image")):
        page.fill("#query", made.ids[i])
        page.wait_for_selector(f"#cards [data-i='{i}'] .lost")
        page.click(f"#cards [data-i='{i}']")
        assert page.locator("#member .missing").inner_text() == f"The picture cannot be shown: {why}."
        page.keyboard.press("Escape")


def test_filters_narrow_what_is_shown(page, made):
    def count(expected):
        page.wait_for_function("n => document.getElementById('count').textContent.startsWith(n)", arg=f"{expected} of")

    page.fill("#query", "RED star")
    count(sum("red" in text and "star" in f"{name} {text}" for name, text in zip(made.ids, made.text, strict=True)))
    page.fill("#query", "")
    page.select_option("#label", "=circle")
    count(made.label.count("circle"))
    page.check("#disagree")
    count(sum(against(made, i) for i in range(120) if made.label[i] == "circle"))
    page.click("#reset")
    page.locator("#sure").fill("0.7")
    count(int((made.confidence <= 0.7).sum()))
    page.click("#reset")
    page.click("[data-cluster='0'] .term >> nth=0")
    assert page.input_value("#query") == "circle"


def test_the_map_leads_to_members_and_back(page, made):
    page.click("[data-view=map]")
    plot = page.locator("#map .plot")
    plot.locator(".main-svg").first.wait_for()
    traces = plot.evaluate("p => p.data.map(t => [t.name, t.customdata, t.x, t.marker.symbol])")
    assert sorted(i for _, here, _, _ in traces for i in here) == list(range(120))
    assert all(made.cluster[i] == at for at, (_, here, _, _) in enumerate(traces) for i in here)
    point = plot.locator(".scatterlayer .trace").nth(1).locator(".point").nth(2)
    i = traces[1][1][2]
    point.hover(force=True)
    page.wait_for_selector("#tip:popover-open")
    shown_now = page.locator("#tip b").inner_text()
    assert shown_now in (made.text[i], *made.text)
    assert page.locator("#tip img, #tip .lost").count() == 1
    plot.evaluate("(p, i) => p.emit('plotly_click', {points: [{customdata: i}]})", i)
    assert page.locator("#member h2").inner_text() == made.ids[i]
    page.click("#member .on-map")
    page.wait_for_function("() => document.querySelector('#map .plot').data.some(t => t.name === 'shown')")
    ring = plot.evaluate("p => p.data.find(t => t.name === 'shown').x[0]")
    assert ring == traces[1][2][2]
    plot.evaluate("p => p.emit('plotly_selected', {points: [{customdata: 3}, {customdata: 4}]})")
    assert sorted(shown(page, "#mapped")) == [3, 4]


def test_a_cell_of_the_labels_opens_the_cluster(page, made):
    page.click("[data-view=confusion]")
    plot = page.locator("#confusion .plot")
    plot.locator(".main-svg").first.wait_for()
    rows, columns = plot.evaluate("p => [p.layout.yaxis.ticktext, p.layout.xaxis.ticktext]")
    at = [rows.index("circle"), next(j for j, name in enumerate(columns) if name.startswith("0 "))]
    plot.evaluate("(p, at) => p.emit('plotly_click', {points: [{pointIndex: at}]})", at)
    page.wait_for_selector("#opened:not([hidden])")
    expected = [i for i in range(120) if made.cluster[i] == 0 and made.label[i] == "circle"]
    assert sorted(shown(page)) == expected


def test_the_keyboard_alone_searches_opens_and_steps(page, made):
    page.keyboard.press("/")
    page.keyboard.type("circle")
    page.wait_for_function("() => document.getElementById('count').textContent !== ''")
    page.locator("#cards .member").first.focus()
    page.keyboard.press("ArrowRight")
    second = shown(page, "#cards")[1]
    assert page.evaluate("document.activeElement.dataset.i") == str(second)
    page.keyboard.press("Enter")
    assert page.locator("#member h2").inner_text() == made.ids[second]
    page.keyboard.press("ArrowRight")
    assert page.locator("#member h2").inner_text() == made.ids[shown(page, "#cards")[2]]
    page.keyboard.press("Escape")
    assert not page.locator("#member").is_visible()


def test_more_pictures_than_a_page_holds_lie_on_sheets_beside_it(made, folder, chromium, tmp_path, monkeypatch):
    monkeypatch.setattr("cmc.clusters.pictures.EMBEDDED", 50)
    shutil.copytree(folder / "run", tmp_path / "run")
    path = write(made, tmp_path)
    sheets = sorted((tmp_path / "run" / "gallery_files").iterdir())
    assert [sheet.name for sheet in sheets] == ["sheet-0000.webp"]
    with opened(chromium, path, beside=sheets) as page:
        page.wait_for_function("() => document.querySelector('.cell')?.style.backgroundImage.includes('sheet-0000')")
        open_cluster(page, 1)
        assert page.locator("#opened .cell").count() == int((made.cluster == 1).sum()) - sum(
            made.cluster[i] == 1 for i in (0, 1)
        )
        page.wait_for_timeout(300)


@pytest.mark.parametrize("texts", [True, False])
def test_a_run_without_pictures_shows_texts_or_numbers(chromium, tmp_path, texts):
    plain = Made(n=60, pictures=False, texts=texts, own=False, labels=False)
    plain.write(tmp_path / "run")
    path = write(plain, tmp_path)
    with opened(chromium, path) as page:
        assert page.locator("#cards img").count() == 0
        first = shown(page, "#cards article:first-child")[0]
        seen = page.locator(f"#cards [data-i='{first}'] .caption").first.inner_text()
        assert seen == (plain.text[first] if texts else f"row {first}")
        assert page.locator("#disagree-filter").is_hidden()
        assert page.locator("[data-view=confusion]").is_hidden()


def test_dark_and_on_a_phone_nothing_is_cut_off(chromium, folder):
    looks = {"color_scheme": "dark", "viewport": {"width": 390, "height": 800}}
    with opened(chromium, folder / "run" / "gallery.html", **looks) as page:
        wide = "() => document.documentElement.scrollWidth <= innerWidth"
        assert page.evaluate(wide)
        colours = page.evaluate(
            "() => [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        dark = [sum(map(int, colour[4:-1].split(","))) for colour in colours]
        assert dark[0] > 600 > 150 > dark[1]
        open_cluster(page, 1)
        assert page.evaluate(wide)
        page.click("#opened .member >> nth=0")
        box = page.locator("#member").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 391


def test_a_hundred_thousand_clusters_open_a_few_at_a_time(chromium, tmp_path):
    many = Made(n=300, pictures=False, own=False)
    many.cluster, many.n_clusters = np.arange(300) * 331 % 100_000, 100_000
    many.write(tmp_path / "run")
    with opened(chromium, write(many, tmp_path)) as page:
        page.wait_for_selector("article.cluster")
        assert page.locator("article.cluster").count() < 200
        assert page.locator("#summary").inner_text() == "300 samples, 100000 clusters"
        page.click("[data-view=confusion]")
        assert page.locator("#confusion .missing").inner_text().startswith("100000 clusters by 4 classes are too many")
