"""Matching modalities, and the label-free measure, against permutations and scikit-learn."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

from cmc.functional.agreement import (
    agreement,
    agreement_tables,
    agreement_weights,
    concordance,
    information_beyond_chance,
    match_modalities,
    medoid,
)


def tables_of(labels, k):
    one_hot = torch.nn.functional.one_hot(torch.as_tensor(np.array(labels)), k)
    return torch.einsum("ank,bnl->abkl", one_hot, one_hot)


@pytest.mark.parametrize("n_modalities", [2, 3, 5])
def test_permuted_clusters_get_common_names(n_modalities):
    rng = np.random.default_rng(0)
    common = rng.integers(0, 6, 200)
    renamed = [np.arange(6), *(rng.permutation(6) for _ in range(n_modalities - 1))]
    noisy = []
    for permutation in renamed:
        labels = permutation[common]
        labels[:20] = rng.integers(0, 6, 20)
        noisy.append(labels)
    names = match_modalities(tables_of(noisy, 6).double())
    assert [row.tolist() for row in names] == [permutation.tolist() for permutation in renamed]


def test_the_measure_is_mean_nmi_and_entropy():
    rng = np.random.default_rng(1)
    labels = [rng.integers(0, 4, 100) for _ in range(3)]
    labels[1][:70] = labels[0][:70]
    nmi, balance = agreement(tables_of(labels, 4))
    pairs = [normalized_mutual_info_score(labels[a], labels[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert nmi == pytest.approx(np.mean(pairs), abs=1e-9)
    shares = [np.bincount(x, minlength=4) / 100 for x in labels]
    assert balance == pytest.approx(np.mean([-(s * np.log(s)).sum() / math.log(4) for s in shares]), abs=1e-12)


def test_the_measure_at_its_ends():
    equal = np.arange(12) % 4
    assert agreement(tables_of([equal, equal[::-1].copy()], 4)) == pytest.approx((1, 1))
    alone = np.zeros(12, int)
    assert agreement(tables_of([alone, alone], 4))[1] == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_medoid_has_the_largest_mean_mutual_information_with_the_others(seed):
    rng = np.random.default_rng(seed)
    common = rng.integers(0, 4, 200)
    labels = [np.where(rng.random(200) < share, rng.integers(0, 4, 200), common) for share in rng.random(5)]
    means = [np.mean([mutual_info_score(labels[a], labels[b]) for b in range(5) if b != a]) for a in range(5)]
    assert medoid(tables_of(labels, 4)) == np.argmax(means)


def test_clusterings_with_a_single_cluster_share_nothing():
    good, worse = np.arange(12) % 4, np.array([*(np.arange(10) % 4), 0, 0])
    assert medoid(tables_of([np.zeros(12, int), np.zeros(12, int), np.zeros(12, int), good, worse], 4)) == 3


def test_of_medoids_the_first():
    equal, other = np.arange(12) % 4, np.arange(12) // 3
    assert medoid(tables_of([equal], 4)) == 0
    assert medoid(tables_of([equal, other], 4)) == 0
    assert medoid(tables_of([other, equal, equal], 4)) == 1


def test_tables_of_batches_add_up_to_a_naive_count():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 5, (3, 40))
    parts = [torch.as_tensor(labels[:, part]) for part in (slice(0, 13), slice(13, 40))]
    counted = sum(agreement_tables(part, 5) for part in parts)
    naive = np.zeros((3, 3, 5, 5), int)
    for a in range(3):
        for b in range(3):
            for i in range(40):
                naive[a, b, labels[a, i], labels[b, i]] += 1
    assert counted.tolist() == naive.tolist()


def test_concordance_is_the_share_in_matched_clusters():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, (3, 60))
    labels[1] = np.where(rng.random(60) < 0.6, (labels[0] + 1) % 4, labels[1])
    orders = [np.array(order) for order in permutations(range(4))]
    naive = [max(np.mean(order[a] == b) for order in orders) for a, b in combinations(labels, 2)]
    assert concordance(tables_of(labels, 4)) == pytest.approx(np.mean(naive))
    split, merged = np.array([0, 0, 1, 1, 2, 2, 2, 2]), np.array([0, 0, 0, 0, 1, 1, 2, 2])
    assert concordance(tables_of([split, merged], 3)) == 0.5
    assert concordance(tables_of([split, split[::-1].copy()], 3)) < 1
    assert concordance(torch.zeros(2, 2, 3, 3, dtype=torch.long)) == 0


def counts(a, b, k):
    table = np.zeros((k, k), dtype=np.int64)
    np.add.at(table, (a, b), 1)
    return torch.from_numpy(table)


@pytest.mark.parametrize("k", [2, 5, 12])
def test_shared_information_is_what_is_left_of_it_when_samples_are_paired_at_random(k):
    rng = np.random.default_rng(k)
    a = rng.integers(k, size=200)
    b = np.where(rng.random(200) < 0.6, a, rng.integers(k, size=200))
    by_chance = np.mean([mutual_info_score(a, rng.permutation(b)) for _ in range(300)])
    expected = mutual_info_score(a, b) - by_chance
    assert information_beyond_chance(counts(a, b, k)) == pytest.approx(expected, abs=0.01)


def test_shared_information_of_k_clusters_is_about_log_k_and_none_is_about_zero():
    same = np.arange(4000) % 8
    assert information_beyond_chance(counts(same, same, 8)) == pytest.approx(np.log(8), abs=0.01)
    other = np.arange(4000) // 500
    assert information_beyond_chance(counts(same, other, 8)) == pytest.approx(0, abs=0.01)


def test_shared_information_minds_no_empty_clusters():
    a = np.arange(60) % 3
    assert information_beyond_chance(counts(a, a, 9)) == pytest.approx(information_beyond_chance(counts(a, a, 3)))


def test_weights_of_modalities_by_what_their_clusters_have_in_common():
    labels = torch.arange(32) % 4
    same, renamed, unrelated = labels, (labels + 1) % 4, torch.arange(32) // 8
    weights = agreement_weights(agreement_tables(torch.stack([same, renamed, unrelated]), 4))
    e1 = math.e - 1
    expected = torch.tensor([[e1, e1, 0], [e1, e1, 0], [0, 0, e1]], dtype=torch.float64)
    torch.testing.assert_close(weights, expected, rtol=1e-9, atol=1e-9)
