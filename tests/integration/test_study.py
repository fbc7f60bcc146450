"""The study of DMIM: what is run, in which order, and what its tables say."""

import pytest

from experiments import networks, study
from tests.conftest import compose_with


def test_the_first_seeds_of_all_sets_come_first():
    every = study.jobs(())
    assert len(every) == len(set(every)) == 6 * (10 + 3 + 1)
    assert [job.seed for job in every] == sorted(job.seed for job in every)
    assert {job.data for job in study.jobs(["dmim:digits", "networks"])} >= {"digits", "event"}
    assert len(study.jobs(["dmim:digits", "networks"])) == 10 + 6


@pytest.mark.parametrize("name", study.VARIANTS)
def test_every_variant_is_a_configuration(name):
    config = compose_with("method=dmim", *study.VARIANTS[name].overrides)
    candidates = {
        "dmim": ["few", "many", "shared"],
        "before": ["many"],
        "networks": ["few", "many", "shared", "all", "constant", "no_noise", "falling"],
    }
    assert list(config.method.candidates) == candidates[name]


def test_tables_are_means_and_rank_correlations():
    rows = [{"data": "a", "variant": "dmim", **dict.fromkeys(study.FIGURES, x), "seconds": 10 * x} for x in (1.0, 3.0)]
    (line,) = study.summary(rows)
    assert (line["acc"], line["seconds"], line["runs"]) == ("2.000 ± 1.414", "20.000 ± 14.142", "2")
    values = [(0.1, 0.9, 0.2), (0.2, 0.5, 0.3), (0.3, 0.1, 0.4)]
    made = [
        {"data": "a", "nmi": n, "agreement": t, "agreement_held_out": h, "quality": h, "concordance": 1}
        for n, t, h in values
    ]
    assert "| a | 3 | 1.00 | 1.00 | 1.00 | -1.00 |" in networks.correlations(made)
