"""What is read off assignments, against loops over plain numbers."""

import torch

from cmc.functional.decisions import decide


def test_it_agrees_with_a_loop_over_samples():
    generator = torch.Generator().manual_seed(0)
    each = torch.rand(3, 40, 5, generator=generator).softmax(2)
    present = torch.rand(3, 40, generator=generator) < 0.7
    found = decide(each.mean(0), each, present.T, temperature=1.0)
    cluster, confidence, known, margin, own = found.columns(["a", "b", "c"])
    for i, row in enumerate(each.mean(0).tolist()):
        first, second, *_ = sorted(row, reverse=True)
        assert (cluster[i], confidence[i]) == (row.index(first), first)
        assert abs(margin[i] - (first - second)) < 1e-6
        there = [each[m, i, cluster[i]].item() for m in range(3) if present[m, i]]
        if there:
            assert abs(known[i] - sum(there) / len(there)) < 1e-6
        for m, name in enumerate("abc"):
            alone = each[m, i].tolist()
            assert own[name][i] == (alone.index(max(alone)) if present[m, i] else -1)


def test_two_alike_leave_no_margin_and_the_first_is_taken():
    found = decide(torch.tensor([[0.2, 0.4, 0.4]]))
    assert (found.cluster.item(), found.margin.item(), found.own, found.calibrated) == (1, 0.0, None, None)
