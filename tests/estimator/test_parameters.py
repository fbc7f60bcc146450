"""Parameters that cannot be: a ValueError on fitting, as scikit-learn has it, with the key of the yaml."""

import numpy as np
import pytest

from cmc import CrossModalClustering


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gama": 1}, r"^method\.gama: no such key; did you mean method\.gamma\?$"),
        ({"phases__train__epoch": 1}, r"did you mean method\.phases\.train\.epochs\?$"),
        ({"data__scalin": "l2"}, r"did you mean data\.scaling\?$"),
        ({"data__scaling": "log"}, r"^data\.scaling: 'log' given; it must be one of auto, none"),
        ({"trainer__precision": "half"}, r"^trainer\.precision: 'half' given"),
        ({"method": "dmin"}, r"^method=dmin: no such method; .*did you mean dmim\?$"),
        ({"method": 3}, r"^method: 3 given; it must be the name of one$"),
        ({"trainer": "gpus"}, r"^trainer=gpus: no such trainer; .*did you mean gpu\?$"),
        ({"gamma": "much"}, r"^method\.gamma: 'much' given; it must be a number$"),
        ({"n_clusters": 1}, r"^data\.n_clusters: 1 given; it must be a whole number of at least 2"),
        ({"n_clusters": None}, r"^n_clusters: not given"),
        ({"n_clusters": 91}, r"^data\.n_clusters: 91 clusters for 90 training samples"),
        ({"trainer__devices": 2}, r"^trainer__devices: the estimator trains on one device"),
        ({"max_phase_epochs": 0}, r"^max_phase_epochs: 0 given"),
        ({"resume": "x"}, r"^method\.resume: no such key"),
    ],
)
def test_a_wrong_parameter_is_a_value_error_on_fitting(wrong, message):
    X = dict(zip(("img", "txt"), np.random.default_rng(0).normal(size=(2, 90, 5)), strict=True))
    model = CrossModalClustering().set_params(**{"n_clusters": 3, "max_phase_epochs": 1, "restarts": 1, **wrong})
    with pytest.raises(ValueError, match=message):
        model.fit(X)
