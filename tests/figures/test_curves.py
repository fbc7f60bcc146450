"""What the curves show, read back from their axes."""

import pytest

from cmc import figures


def history(n=5):
    """Two phases; scores in every epoch of the second but one, a silhouette below 0."""
    for epoch, phase in enumerate(["first", "first", "second", "second", "second"][:n]):
        row = {"epoch": str(epoch), "phase": phase, "loss": "3.0", "pull": str(1 + epoch), "push": ""}
        row |= {"acc": "", "silhouette": "", "entropy": ""}
        if phase == "second":
            row |= {"push": "2.0"}
        if epoch in (2, 4):
            row |= {"acc": "0.5", "silhouette": str(-0.1 * epoch), "entropy": "0.9"}
        yield row


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_losses_have_a_panel_a_term_over_its_own_epochs():
    panels = figures.losses(list(history())).axes
    assert [axes.get_title() for axes in panels] == ["loss", "pull", "push"]
    assert lines(panels[1]) == {"pull": [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]]}
    assert lines(panels[2]) == {"push": [[3, 2], [4, 2], [5, 2]]}
    assert [text.get_text() for text in panels[0].texts] == ["first", "second"]


def test_measures_are_drawn_where_they_were_taken():
    against, without = figures.measures(list(history())).axes
    assert lines(against) == {"ACC": [[3, 0.5], [5, 0.5]]}
    assert lines(without)["silhouette"] == [[3, pytest.approx(-0.2)], [5, pytest.approx(-0.4)]]
    assert set(lines(without)) == {"silhouette", "entropy"}
    assert without.get_ylim()[0] < -0.4


def test_a_picture_that_would_show_nothing_is_left_out():
    assert figures.losses(list(history(1))) is None
    assert figures.measures(list(history(3))) is None


def test_names_of_phases_that_do_not_fit_are_left_out():
    rows = [{"epoch": i, "phase": "long" if i < 95 else "reconstruction", "loss": 1.0} for i in range(100)]
    (axes,) = figures.losses(rows).axes
    assert [text.get_text() for text in axes.texts] == ["long"]
