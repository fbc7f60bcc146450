"""The rule on made-up measures: what it recommends, why, and where it says that there is none."""

from math import nan
from pathlib import Path

import pytest

from cmc.choosing.measures import Measured
from cmc.choosing.rule import recommend


def at(k, shares, stability=0.9, spread=0.0, compared=400):
    information = [shares - spread, shares, shares + spread]
    return Measured(k, [0, 1, 2], information, compared, [stability] * 3, [], [1 / k] * k, [], Path(f"k{k}"), True)


def test_the_most_is_shared_at_the_true_number():
    answer = recommend([at(2, 0.5), at(3, 0.8), at(4, 1.1), at(5, 0.9), at(6, 0.8)])
    assert (answer.k, answer.alike, answer.doubts) == (4, [4], [])
    assert str(answer) == (
        "K = 4: modalities share 1.10 nats on samples held out, the most, 0.80 at K = 3; "
        "two runs find the same clusters (ARI 0.90)"
    )


def test_of_several_within_one_standard_error_it_is_the_smallest():
    measured = [at(2, 0.5), at(3, 0.96), at(4, 1.0, spread=0.1), at(5, 0.95), at(6, 0.9)]  # 0.1 / sqrt(3) is 0.058
    answer = recommend(measured)
    assert (answer.k, answer.alike) == (3, [3, 4, 5])
    assert "as much as at any K (at most 1.00, at 4)" in str(answer)
    assert "K = 3, 4, 5 do as well" in answer.doubts


def test_what_is_no_more_than_chance_favours_none():
    answer = recommend([at(k, 0.9 * 3 * (k - 1) / (2**0.5 * 400)) for k in range(2, 9)])
    assert answer.k is None
    assert "share no more than by chance" in str(answer)


def test_what_chance_gives_is_not_the_most():
    measured = [at(2, 0.3, compared=50), at(3, 0.6, compared=50), at(20, 0.7, compared=50)]  # 20: chance is .81
    assert recommend(measured).k == 3


def test_clusters_that_are_others_in_every_run_favour_none():
    answer = recommend([at(2, 0.3, 0.9), at(3, 0.4, 0.6), at(8, 0.9, 0.3)])
    assert answer.k is None
    assert str(answer).startswith("no K stands out: modalities share most at K = 8, but there two runs hardly find")
    assert "runs agree at K = 2, 3" in str(answer)


def test_it_says_where_the_range_ends_too_early():
    assert "try larger ones" in str(recommend([at(2, 0.3), at(3, 0.5), at(4, 0.9)]))
    assert "it is the smallest K tried" in str(recommend([at(4, 0.9), at(5, 0.5)]))


def test_one_seed_tells_nothing_of_stability():
    measured = [
        Measured(k, [0], [shares], 400, [], [], [1 / k] * k, [], Path(f"k{k}"), True)
        for k, shares in ((2, 0.3), (3, 0.5), (4, 0.2))
    ]
    answer = recommend(measured)
    assert answer.k == 3
    assert "of one seed: nothing is known of stability" in str(answer)


@pytest.mark.parametrize("measured", [[], [at(3, 0.5)], [at(3, 0.5), at(4, nan), at(5, nan)]])
def test_one_k_that_can_be_measured_is_no_choice(measured):
    answer = recommend(measured)
    assert answer.k is None
    assert "fewer than two K" in str(answer)
