"""What a command line asks for, and what it may not."""

from pathlib import Path

import pytest

from cmc.choosing.asked import asked
from cmc.errors import UserError


def test_without_a_range_there_is_one_and_it_says_so():
    wanted = asked(["data=digits"])
    assert (wanted.clusters, wanted.seeds, wanted.data) == (list(range(2, 13)), [0, 1, 2], "digits")
    (line,) = wanted.told
    assert line.startswith("data.n_clusters: no range given: K = 2 to 12")


@pytest.mark.parametrize(
    ("words", "clusters", "seeds"),
    [
        (["data.n_clusters=range(2,6)"], [2, 3, 4, 5], [0, 1, 2]),
        (["data.n_clusters=9,3,5", "seed=7"], [3, 5, 9], [7]),
        (["-m", "data.n_clusters=4,4,2", "seed=range(0,2)", "method.restarts=2"], [2, 4], [0, 1]),
    ],
)
def test_a_command_line_is_read_as_hydra_reads_it(words, clusters, seeds):
    wanted = asked(words)
    assert (wanted.clusters, wanted.seeds, wanted.told) == (clusters, seeds, [])


def test_the_folder_is_the_sweep_s():
    assert asked(["hydra.sweep.dir=a/b", "data=files", "data.root=x.npz"])[2:4] == ("files", Path("a/b"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.n_clusters=5"], "5 alone given; there is nothing to choose from"),
        (["data.n_clusters=5,5"], "5 alone given"),
        (["data.n_clusters=null"], "null given; it must be whole numbers of at least 2"),
        (["data.n_clusters=1,2"], "1 given; it must be whole numbers of at least 2"),
        (["data.n_clusters=2,x"], "x given"),
        (["data.n_clusters=interval(2,9)"], "given; it must be whole numbers"),
        (["seed=0,-1"], "-1 given"),
        (["method=kmeans,cca"], "method: 2 values given; a choice sweeps over data.n_clusters and seed alone"),
        (["data.scaling=l2,minmax"], "data.scaling: 2 values given"),
        (["hydra/sweeper=optuna"], "hydra/sweeper: optuna given"),
    ],
)
def test_what_is_no_choice_is_refused_in_one_line(words, told):
    with pytest.raises(UserError) as error:
        asked(words)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
