"""The benchmark's naive loops compute what CMC computes, and its table is that of its figures."""

import json

import pytest
import torch
from torch.nn import functional as F

from cmc.functional.contrastive import cluster_contrast, cluster_products, nt_xent
from cmc.functional.mutual_information import joint_table, mutual_information
from cmc.functional.sinkhorn import sinkhorn_labels
from experiments import naive
from experiments.benchmark import products
from experiments.benchmark_table import RESULTS, table


def test_the_table_is_that_of_the_figures():
    found = json.loads((RESULTS / "benchmark.json").read_text())
    assert (RESULTS / "benchmark.md").read_text() == table(found)


def test_dmim_takes_a_third_of_the_naive_loops_time_and_less_than_1000_mib():
    rows = json.loads((RESULTS / "benchmark.json").read_text())["cases"][
        "DMIM, 20,000 x (100 + 100), K = 8, full batch"
    ]
    assert rows["32-true"]["ratio"][0] >= 3
    assert max(rows[name]["peak_mib"] for name in ("32-true", "bf16-mixed")) < 1000


def test_naive_contrasts_equal_ours():
    torch.manual_seed(0)
    a, b = (F.normalize(torch.randn(12, 5), dim=1) for _ in range(2))
    torch.testing.assert_close(naive.masked_contrast(a, b, lambda r: r @ r.T / 0.5), nt_xent(a, b, 0.5))
    p, q = (torch.randn(12, 4).softmax(1) for _ in range(2))
    cosine = naive.masked_contrast(p.T, q.T, lambda r: F.cosine_similarity(r[:, None], r[None], dim=2))
    torch.testing.assert_close(cosine, cluster_contrast(cluster_products(p, q), 1.0))


def test_naive_information_and_labels_equal_ours():
    torch.manual_seed(0)
    a, b = (torch.randn(40, 6).softmax(1) for _ in range(2))
    torch.testing.assert_close(naive._information(a, b), mutual_information(joint_table(a, b)))
    same = (naive._balanced(a) == sinkhorn_labels(a.log())).float().mean()
    assert same > 0.9, "both iterate to a tolerance"


def test_floating_point_operations_of_a_pass_are_those_that_pytorch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    model, x = naive.layers(7, 5, 3), torch.randn(11, 7)
    with FlopCounterMode(display=False) as counter:
        model(x).sum().backward()
    assert counter.get_total_flops() / 1e9 == pytest.approx(products(11, [7, 5, 3]))
