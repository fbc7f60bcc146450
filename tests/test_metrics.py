"""The torchmetrics shell: batches, processes, resets, Lightning; against scikit-learn and brute force."""

from __future__ import annotations

import doctest
import os
import pickle
import subprocess
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from cmc import metrics
from cmc.functional import contingency
from cmc.metrics import (
    AdjustedRandIndex,
    ClusteringAccuracy,
    ClusteringScores,
    ContingencyMetric,
    NormalizedMutualInformation,
    Purity,
)
from tests.quick import interpreter

ROOT = Path(__file__).resolve().parents[1]

METRICS = {"acc": ClusteringAccuracy, "nmi": NormalizedMutualInformation, "ari": AdjustedRandIndex, "purity": Purity}
K_PRED, K_TRUE, N = 6, 4, 157
BATCHES = [0, 20, 21, 64, 64, 130, N]  # edges; one batch is empty


def samples() -> tuple[Tensor, Tensor]:
    """Clusters that know something of the classes: (N,) and (N,) int64."""
    generator = torch.Generator().manual_seed(11)
    classes = torch.randint(K_TRUE, (N,), generator=generator)
    noise = torch.randint(K_PRED, (N,), generator=generator)
    return torch.where(torch.rand(N, generator=generator) < 0.7, (classes + 1) % K_TRUE, noise), classes


def expected_scores(clusters: Tensor, classes: Tensor) -> dict[str, float]:
    """The four scores without a line of ours."""
    table = contingency_matrix(clusters, classes)
    matchings = permutations(range(table.shape[0]), table.shape[1])
    assert table.shape[0] >= table.shape[1]
    return {
        "acc": max(sum(table[row, column] for column, row in enumerate(rows)) for rows in matchings) / len(classes),
        "nmi": normalized_mutual_info_score(classes, clusters),
        "ari": adjusted_rand_score(classes, clusters),
        "purity": table.max(axis=1).sum() / len(classes),
    }


def numbers(scores: dict[str, Tensor]) -> dict[str, float]:
    return {name: score.item() for name, score in scores.items()}


def batches() -> list[tuple[Tensor, Tensor]]:
    clusters, classes = samples()
    return [(clusters[a:b], classes[a:b]) for a, b in pairwise(BATCHES)]


@pytest.mark.parametrize("name", METRICS)
def test_batches_equal_the_whole_and_scikit_learn(name: str) -> None:
    whole, parts = METRICS[name](K_PRED, K_TRUE), METRICS[name](K_PRED, K_TRUE)
    whole.update(*samples())
    for batch in batches():
        parts.update(*batch)
    assert torch.equal(whole.table, parts.table)
    assert torch.equal(whole.compute(), parts.compute())
    assert whole.compute().dtype == torch.float64
    assert whole.compute().shape == ()
    assert whole.compute().item() == pytest.approx(expected_scores(*samples())[name], abs=1e-12)


def test_probabilities_count_as_their_largest() -> None:
    clusters, classes = samples()
    probabilities = nn.functional.one_hot(clusters, K_PRED) * 0.5 + torch.rand(N, K_PRED) * 0.4
    hard, soft = Purity(K_PRED, K_TRUE), Purity(K_PRED, K_TRUE)
    hard.update(clusters, classes)
    soft.update(probabilities, classes)
    assert torch.equal(hard.table, soft.table)


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        (torch.rand(2, K_PRED + 1), r"clusters must have 6 columns, got the shape \(2, 7\)"),
        (torch.rand(2), "clusters must be a vector of integers"),
        (torch.tensor([0, K_PRED]), r"clusters must lie in 0\.\.5"),
        (torch.tensor([0]), "same length"),
    ],
)
def test_a_refused_batch_leaves_the_table_alone(clusters: Tensor, message: str) -> None:
    metric = Purity(K_PRED, K_TRUE)
    metric.update(*samples())
    before = metric.table.clone()
    with pytest.raises(ValueError, match=message):
        metric.update(clusters, torch.tensor([0, 1]))
    assert torch.equal(metric.table, before)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (-1, 2)])
def test_sizes_below_one_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ClusteringScores(*sizes)


def test_reset_forgets_and_starts_anew() -> None:
    scores = ClusteringScores(K_PRED, K_TRUE)
    scores.update(*batches()[0])
    scores.compute()
    scores.reset()
    assert all(metric.table.eq(0).all() for metric in scores.values())
    for batch in batches():
        scores.update(*batch)
    assert numbers(scores.compute()) == pytest.approx(expected_scores(*samples()), abs=1e-12)


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_no_sample_no_score() -> None:
    assert all(score.isnan() for score in ClusteringScores(K_PRED, K_TRUE).compute().values())


def test_collection_updates_one_table_once_per_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    count = contingency.contingency_table

    def counted(clusters: Tensor, *rest: Any) -> Tensor:
        calls.append(len(clusters))
        return count(clusters, *rest)

    monkeypatch.setattr(contingency, "contingency_table", counted)
    scores = ClusteringScores(K_PRED, K_TRUE)
    for _ in range(2):  # from the very first batch on, and after a reset too
        for batch in batches():
            scores.update(*batch)
        assert calls == [len(batch[0]) for batch in batches()]
        tables = {id(metric.table) for metric in scores.values(copy_state=False)}
        assert len(tables) == 1
        scores.compute()
        scores.reset()
        calls.clear()


def test_collection_called_directly_scores_the_batch_and_the_whole() -> None:
    scores = ClusteringScores(K_PRED, K_TRUE)
    clusters, classes = samples()
    scores.update(clusters[:50], classes[:50])
    for a, b in ((50, 100), (100, 120)):
        assert numbers(scores(clusters[a:b], classes[a:b])) == pytest.approx(
            expected_scores(clusters[a:b], classes[a:b]), abs=1e-12
        )
    scores.update(clusters[120:], classes[120:])
    assert numbers(scores.compute()) == pytest.approx(expected_scores(clusters, classes), abs=1e-12)


def test_collection_clones_with_a_prefix_and_pickles() -> None:
    scores = ClusteringScores(K_PRED, K_TRUE).clone(prefix="val/")
    scores.update(*samples())
    copy = pickle.loads(pickle.dumps(scores))
    assert set(scores.compute()) == {"val/acc", "val/nmi", "val/ari", "val/purity"}
    assert numbers(copy.compute()) == numbers(scores.compute())


def test_table_made_under_inference_mode_may_grow_outside() -> None:
    metric = ClusteringAccuracy(K_PRED, K_TRUE)
    with torch.inference_mode():
        metric.update(*batches()[0])
        metric.reset()
        metric.update(*batches()[0])
    for batch in batches()[1:]:
        metric.update(*batch)
    assert metric.compute().item() == expected_scores(*samples())["acc"]


def test_table_stays_int64_in_a_module_of_another_precision() -> None:
    module = nn.ModuleDict({"scores": ClusteringScores(K_PRED, K_TRUE)}).half()
    scores = module["scores"]
    scores.update(*samples())
    assert all(metric.table.dtype == torch.int64 for metric in scores.values())
    assert scores.compute()["acc"].dtype == torch.float64


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_scores_live_on_the_device_of_the_table() -> None:
    scores = ClusteringScores(K_PRED, K_TRUE).cuda()
    for clusters, classes in batches():
        scores.update(clusters.cuda(), classes.cuda())
    computed = scores.compute()
    assert all(score.is_cuda for score in computed.values())
    assert numbers(computed) == pytest.approx(expected_scores(*samples()), abs=1e-12)


def score_a_shard(rank: int, folder: str) -> None:
    """One of two processes: rank 0 has all batches but the last, rank 1 the last; both save what they compute."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    shard = batches()[:-1] if rank == 0 else batches()[-1:]
    metric, scores = ClusteringAccuracy(K_PRED, K_TRUE), ClusteringScores(K_PRED, K_TRUE)
    for clusters, classes in shard:
        metric.update(clusters, classes)
        scores.update(clusters, classes)
    own = metric.table.clone()
    first = scores.compute()
    with metric.sync_context():
        summed = metric.table.clone()
    restored = metric.table.clone()
    # A second pass, in which rank 1 has no sample at all: computing leaves the shards as they were.
    scores.reset()
    if rank == 0:
        for clusters, classes in batches():
            scores.update(clusters, classes)
    result = {"own": own, "summed": summed, "restored": restored, "first": first, "second": scores.compute()}
    torch.save(result, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_two_processes_equal_one(tmp_path: Path) -> None:
    code = f"import sys; from tests.test_metrics import score_a_shard as one; one(int(sys.argv[1]), {str(tmp_path)!r})"
    place = {**os.environ, "PYTHONPATH": str(ROOT)}
    ranks = [subprocess.Popen([interpreter(), "-c", code, str(rank)], env=place) for rank in range(2)]
    assert [process.wait(timeout=120) for process in ranks] == [0, 0]
    one = ClusteringScores(K_PRED, K_TRUE)
    one.update(*samples())
    table = torch.from_numpy(contingency_matrix(*samples()))
    shards = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert [int(shard["own"].sum()) for shard in shards] == [BATCHES[-2], N - BATCHES[-2]]
    for shard in shards:
        assert torch.equal(shard["summed"], table)
        assert torch.equal(shard["restored"], shard["own"])
        assert numbers(shard["first"]) == numbers(shard["second"]) == numbers(one.compute())


def test_collection_in_a_lightning_module(tmp_path: Path) -> None:
    import pytorch_lightning as pl  # seconds, that the processes above need not spend

    class Scorer(pl.LightningModule):
        """A module that uses the metrics as the docstrings tell: `log` for one, `log_dict` for all."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))
            self.purity = Purity(K_PRED, K_TRUE)
            self.scores = ClusteringScores(K_PRED, K_TRUE)

        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            return self.weight**2

        def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
            self.purity.update(*batch)
            self.scores.update(*batch)
            self.log("alone", self.purity)
            self.log_dict(self.scores)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    loader = DataLoader(TensorDataset(*samples()), batch_size=40)
    module = Scorer()
    trainer.fit(module, loader, loader)  # a sanity check and two epochs: a table that is not reset would show
    expected = expected_scores(*samples())
    logged = {name: score.item() for name, score in trainer.callback_metrics.items()}
    assert logged == pytest.approx(expected | {"alone": expected["purity"]}, abs=1e-12)
    module.scores.update(*batches()[0])
    assert numbers(module.scores.compute()) == pytest.approx(expected_scores(*batches()[0]), abs=1e-12)


def test_examples_of_the_docstrings() -> None:
    results = doctest.testmod(metrics)
    assert results.failed == 0
    public = [
        thing for thing in vars(metrics).values() if isinstance(thing, type) and thing.__module__ == "cmc.metrics"
    ]
    assert all(">>> " in str(thing.__doc__) for thing in public if thing is not ContingencyMetric)
