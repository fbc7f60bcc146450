"""A run with calibrated confidences: wherever the page speaks of confidence, it goes by them."""

import csv

import numpy as np
import pytest

from tests.browser import opened
from tests.clusters.clicks import against, open_cluster, shown, write
from tests.clusters.made import Made


@pytest.fixture(scope="module")
def calibrated():
    return Made(n=120, calibrated=True)


@pytest.fixture(scope="module")
def run(calibrated, tmp_path_factory):
    place = tmp_path_factory.mktemp("calibrated")
    calibrated.write_pictures(place / "raw")
    calibrated.write(place / "run", place / "raw")
    write(calibrated, place)
    return place / "run"


@pytest.fixture
def sure(chromium, run):
    with opened(chromium, run / "gallery.html") as page:
        yield page


def means(made):
    return [float(np.mean(made.sure[made.cluster == k])) for k in range(4)]


def test_cards_and_their_order_go_by_the_calibrated_mean(sure, calibrated, run):
    expected = means(calibrated)
    raw = [float(np.mean(calibrated.confidence[calibrated.cluster == k])) for k in range(4)]
    for k in range(4):
        told = sure.locator(f"[data-cluster='{k}'] .figures").inner_text()
        assert told.startswith(f"calibrated confidence {expected[k]:.2f} · ")
        assert f"{raw[k]:.2f}" not in told
    sure.select_option("#order", "confidence")
    order = sure.locator("article.cluster").evaluate_all("all => all.map(e => Number(e.dataset.cluster))")
    assert order == sorted(range(4), key=lambda k: expected[k]) != sorted(range(4), key=lambda k: raw[k])
    with (run / "clusters.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["confidence_calibrated"]) for row in rows] == pytest.approx(expected, abs=1e-6)
    assert [float(row["confidence"]) for row in rows] == pytest.approx(raw, abs=1e-6)


def test_members_are_sorted_by_it(sure, calibrated):
    here = [i for i in range(120) if calibrated.cluster[i] == 1]
    open_cluster(sure, 1)
    sure.select_option("#opened .bar select", "sure")
    assert shown(sure) == sorted(here, key=lambda i: -calibrated.sure[i])
    sure.select_option("#opened .bar select", "doubt")
    both = (calibrated.image_own, calibrated.text_own)
    doubts = [sum(int(own[i] != 1) for own in both) for i in here]
    ranked = sorted(zip(here, doubts, strict=True), key=lambda pair: (-pair[1], calibrated.sure[pair[0]]))
    assert shown(sure) == [i for i, _ in ranked]
    said = sure.locator(f"#opened [data-i='{here[0]}']").get_attribute("aria-label")
    assert f"; calibrated confidence {calibrated.sure[here[0]]:.2f}" in said
    assert ("disagrees" in said) == against(calibrated, here[0])


@pytest.mark.parametrize("most", ["0.3", "0.7"])
def test_the_filter_goes_by_it(sure, calibrated, most):
    assert sure.locator("label:has(#sure)").inner_text().startswith("Calibrated confidence ≤")
    sure.locator("#sure").fill(most)
    expected = int((calibrated.sure <= float(most)).sum())
    assert expected != int((calibrated.confidence <= float(most)).sum())
    sure.wait_for_function("n => document.getElementById('count').textContent.startsWith(n)", arg=f"{expected} of 120")
    open_cluster(sure, 3)
    here = [i for i in range(120) if calibrated.cluster[i] == 3]
    left = [i for i in here if calibrated.sure[i] <= float(most)]
    told = f"{len(left)} of {len(here)} members · calibrated confidence {np.mean(calibrated.sure[left]):.2f} · "
    assert sure.locator("#opened .figures").inner_text().startswith(told)


def test_a_member_shows_both(sure, calibrated):
    i = next(i for i in range(120) if calibrated.cluster[i] == 2)
    open_cluster(sure, 2)
    sure.click(f"#opened [data-i='{i}']")
    terms, values = (sure.locator(f"#member {each}").all_inner_texts() for each in ("dt", "dd"))
    facts = dict(zip(terms, values, strict=True))
    assert float(facts["confidence, calibrated"]) == pytest.approx(calibrated.sure[i], abs=1e-3)
    assert float(facts["confidence, raw"]) == pytest.approx(calibrated.confidence[i], abs=1e-3)
    assert "confidence" not in facts


def test_numbers_alone_are_told_by_it(chromium, tmp_path):
    plain = Made(n=60, pictures=False, texts=False, labels=False, calibrated=True)
    plain.write(tmp_path / "run")
    with opened(chromium, write(plain, tmp_path)) as page:
        i = shown(page, "#cards article:first-child")[0]
        told = page.locator(f"#cards [data-i='{i}'] .caption").all_inner_texts()
        assert told[:2] == [f"row {i}", f"{plain.sure[i]:.3f}"]


def test_on_a_phone_the_filter_can_be_used(chromium, run, calibrated):
    with opened(chromium, run / "gallery.html", viewport={"width": 400, "height": 850}) as page:
        slider, shown_now = (page.locator(each).bounding_box() for each in ("#sure", "#sure-text"))
        assert slider["width"] > 100
        assert slider["x"] + slider["width"] <= shown_now["x"]
        assert shown_now["x"] + shown_now["width"] <= 400
