"""Work on the clusters in the page: names, merges, moves, marks; what is exported, and what a run takes of it."""

import csv
import json
import shutil

from cmc.runs.names import FORMAT, kept, mark, take
from tests.browser import opened
from tests.clusters.clicks import open_cluster, shown, write


def exported(page, button):
    with page.expect_download() as told:
        page.click(button)
    return told.value


def test_work_on_the_clusters_is_exported_and_taken_by_the_run(page, made, folder, tmp_path):
    field = page.locator("[data-cluster='0'] input.name")
    field.fill("round things")
    field.press("Enter")
    other = page.locator("[data-cluster='1'] input.name")
    other.fill("round things")
    other.press("Enter")
    assert page.locator("[data-cluster='1'] .fault").inner_text().startswith("Cluster 0 is called round things already")
    here = [i for i in range(120) if made.cluster[i] == 0]
    open_cluster(page, 0)
    for i in here[:2]:
        page.locator(f"#opened .slot:has([data-i='{i}']) .select").check(force=True)
    page.fill(".selection .target input", "nowhere")
    page.click(".selection .target button")
    assert page.locator(".selection .fault").inner_text() == "There is no such cluster."
    page.fill(".selection .target input", "3")
    page.click(".selection .target button")
    assert set(here[:2]).isdisjoint(shown(page))
    page.locator(f"#opened [data-i='{here[2]}']").focus()
    page.keyboard.press("w")
    page.keyboard.press("Escape")
    open_cluster(page, 2)
    page.fill("#opened > .bar > .target input", "1")
    page.click("#opened > .bar > .target button")
    page.wait_for_function("() => location.hash === '#cluster=1'")
    assert len(shown(page)) == int((made.cluster == 1).sum() + (made.cluster == 2).sum())
    assert page.locator("#changes").inner_text() == "1 name, 1 merge, 2 moves, 1 mark"
    exported(page, "#export-json").save_as(tmp_path / "e.json")
    exported(page, "#export-csv").save_as(tmp_path / "e.csv")
    run = shutil.copytree(folder / "run", tmp_path / "run")
    edits = take(tmp_path / "e.json", run)
    assert (edits.names, edits.merged) == ({0: "round things"}, {2: 1})
    assert edits.moved == dict.fromkeys(here[:2], 3)
    assert edits.wrong == (here[2],)
    assert take(tmp_path / "e.csv", run) == edits == kept(run)
    page.reload()
    assert page.locator("#changes").inner_text() == "1 name, 1 merge, 2 moves, 1 mark"


def test_changes_can_be_undone(page):
    before = page.locator("article.cluster").count()
    open_cluster(page, 3)
    page.fill("#opened > .bar > .target input", "0")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    if page.locator("#opened").is_visible():
        page.click("#opened .bar a")
    assert page.locator("article.cluster").count() == before - 1
    page.click("#undo")
    assert page.locator("article.cluster").count() == before
    assert page.locator("#undo").is_hidden()


def test_names_that_the_run_keeps_are_there_when_the_page_opens(made, folder, chromium, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    said = {"format": FORMAT, "run": mark(made.cluster), "names": {"1": "boxes <b>"}}
    (tmp_path / "e.json").write_text(json.dumps(said))
    path = write(made, tmp_path, "--names", str(tmp_path / "e.json"))
    with opened(chromium, path) as page:
        assert page.locator("[data-cluster='1'] input.name").input_value() == "boxes <b>"
    with (tmp_path / "run" / "clusters.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)][1] == "boxes <b>"
