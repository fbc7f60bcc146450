"""The table of what was recommended is the one that the committed choices make, in the documentation, too."""

import csv
import re

import pytest

from experiments.choose_k import DATA, FILES, RESULTS, markdown

ROWS = list(csv.DictReader((RESULTS / "choose_k.csv").open(newline="")))


def test_the_documentation_has_the_table_of_the_committed_choices():
    page = (RESULTS.parents[1] / "docs" / "choosing-k.md").read_text()
    (shown,) = re.findall(r"<!-- choose_k -->\n(.*?)<!-- end choose_k -->", page, re.DOTALL)
    assert shown == (RESULTS / "choose_k.md").read_text() == markdown(ROWS)
    assert [row["data"] for row in ROWS] == [name for name in (*DATA, *FILES) for _ in range(2)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['data']}, seeds {row['seeds']}")
def test_a_row_says_what_its_line_says(row):
    opening = "no K stands out" if row["choose"] == "none" else f"K = {row['choose']}: "
    assert row["line"].startswith(opening)
    shared = {int(k): float(x) for k, x in re.findall(r"(\d+):(-?[\d.]+)/", row["curve"])}
    assert shared[int(row["most shared"])] == max(shared.values())
