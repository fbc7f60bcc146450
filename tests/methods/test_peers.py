"""What holds for every method that CMC's own are compared with: evaluation, missing modalities, blobs, dull batches."""

import numpy as np
import pytest
import torch

from cmc.config.messages import make
from cmc.data.datasets.arrays import Arrays
from cmc.data.loader import Batch
from cmc.data.modalities import Modalities
from cmc.methods.gaps import assign_present
from cmc.training.fit import fit
from tests.conftest import SMALL, compose_with
from tests.methods.toy import passes

PEERS = ("autoencoder", "simvc", "comvc", "comvc_released", "completer", "completer_released", "cvcl")
PEERS += ("sem", "sem_released", "idec", "demvc", "sdmvc", "mvcan", "divide", "divide_released", "gcfagg", "rml")
DIMS = {"a": 6, "b": 5, "c": 4}
K = 3


def build(name, *overrides, dims=DIMS):
    torch.manual_seed(0)
    config = compose_with(f"method={name}", *SMALL[name], *overrides)
    return make("method", config.method, dims=dims, n_clusters=K).double()


def batch_of(n=90, seed=0, dims=DIMS):
    g = torch.Generator().manual_seed(seed)
    truth = torch.arange(n) % K
    rows = tuple(
        (torch.rand(K, d, generator=g)[truth] + 0.1 * torch.rand(n, d, generator=g)).double() for d in dims.values()
    )
    return Batch(rows, torch.arange(n))


def settled(name, batch):
    """With batch norm's statistics moved off their start, where there are any, and centres."""
    method = build(name)
    with torch.no_grad():
        for phase in method.schedule.phases:
            in_phase(method, phase.name, batch).losses(batch)
    with method.evaluating():
        method.settle(passes(batch, 40))
    return method.eval()


def in_phase(method, name, batch=None):
    """As in a phase of which this is the first epoch."""
    method.__dict__["_present"] = next(phase for phase in method.schedule.phases if phase.name == name)
    type(method).phase = property(lambda self: self.__dict__.get("_present") or self.schedule.at(self.current_epoch)[0])
    if batch is not None:
        with method.evaluating():
            method.refresh(name, 0, passes(batch, 40))
    return method


@pytest.fixture(autouse=True)
def own_phase():
    """What `in_phase` did to a class is undone."""
    from cmc.methods.base import Method

    yield
    for kind in subclasses(Method):
        if "phase" in vars(kind):
            del kind.phase


def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


@pytest.mark.parametrize("name", PEERS)
def test_a_samples_cluster_depends_on_no_other_sample(name):
    batch = batch_of()
    method = settled(name, batch)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole, each = method.assignments(batch)
        assert (whole - whole[:1]).abs().max() > 1e-6, "samples are told apart"
        for start in range(0, 90, 7):
            rows = order[start : start + 7]
            part, own = method.assignments(Batch(tuple(x[rows] for x in batch.modalities), rows))
            torch.testing.assert_close(part, whole[rows], rtol=1e-7, atol=1e-9)
            torch.testing.assert_close(own, each[:, rows], rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(whole.sum(1), torch.ones(90, dtype=torch.float64))


@pytest.mark.parametrize("name", PEERS)
def test_what_is_missing_says_nothing(name):
    batch = batch_of()
    method = settled(name, batch)
    present = torch.ones(3, 90, dtype=torch.bool)
    present[0, :30] = present[1, 20:50] = present[2, 30:45] = False
    found = []
    for filling in (0.0, 9.0):
        rows = tuple(x.where(there[:, None], filling) for x, there in zip(batch.modalities, present, strict=True))
        with torch.no_grad():
            found.append(assign_present(method, Batch(rows, batch.index, presence=present.T))[0])
    assert torch.equal(*found)
    with torch.no_grad():
        whole, each = method.assignments(batch)
    torch.testing.assert_close(found[0][50:], whole[50:])
    torch.testing.assert_close(found[0][20:30], each[2, 20:30], msg="one that is there alone says what it does alone")
    torch.testing.assert_close(found[0][30:45], each[0, 30:45])
    torch.testing.assert_close(found[0].sum(1), torch.ones(90, dtype=torch.float64))


def blobs(n, dims, seed=0):
    rng, truth = np.random.default_rng(seed), np.random.default_rng(seed + 1).integers(0, 4, n)
    centres = (np.eye(4)[:, np.arange(d) % 4] for d in dims)
    features = {f"m{i}": np.abs(c[truth] + 0.05 * rng.normal(size=(n, c.shape[1]))) for i, c in enumerate(centres)}
    return Modalities({name: x.astype(np.float32) for name, x in features.items()}, truth, source="blobs")


NARROW = {
    name: ["method.hidden=[64,128]"] for name in ("autoencoder", "completer", "sem", "mvcan")
}  # the default takes long
NARROW["cvcl"] = ["method.hidden=[64,128]", "method.latent_dim=256", "method.batch_size=32"]  # 50 steps of contrast
NARROW["gcfagg"] = ["method.hidden=[64,128]", "method.latent_dim=64", "method.batch_size=16"]
NARROW["rml"] = ["method.token_dim=32", "method.attention_hidden=64", "method.batch_size=16"]
NARROW["divide"] = ["method.hidden=[64,64,64]", "method.batch_size=32", "method.scheduler.start_factor=1.0"]
NARROW["divide_released"] = NARROW["divide"]
NARROW |= {name: ["method.hidden=[64,128]", "method.batch_size=32"] for name in ("idec", "sdmvc")}


@pytest.mark.parametrize("dims", [(16, 12), (16, 12, 20)])
@pytest.mark.parametrize("name", [name for name in PEERS if not name.endswith("_released")])
def test_blobs_far_apart_are_found_within_the_smoke_schedule(name, dims, tmp_path):
    config = compose_with(
        f"method={name}", "experiment=smoke", "trainer.accelerator=cpu", "trainer.precision=32-true",
        "~callbacks.figures", "~callbacks.progress", "evaluate_every=0", *NARROW.get(name, ()),
    )  # fmt: skip
    report = fit(config, str(tmp_path), data=Arrays(blobs(800, dims), n_clusters=4))
    assert report["scores"]["acc"] == 1
    assert report["label_free"]["agreement"] > 0.95


DULL = {
    "all rows alike": lambda x: x[:1].expand(len(x), -1),
    "zeros": torch.zeros_like,
    "a constant column": lambda x: torch.cat([torch.full_like(x[:, :1], 0.5), x[:, 1:]], 1),
    "two distinct rows": lambda x: x[torch.arange(len(x)) % 2],
}


@pytest.mark.parametrize("kind", DULL)
@pytest.mark.parametrize("name", PEERS)
def test_dull_batches_leave_finite_losses_and_gradients(name, kind):
    rows = batch_of(60).modalities
    batch = Batch(tuple(DULL[kind](x).contiguous() for x in rows), torch.arange(60))
    method = build(name)
    for phase in method.schedule.phases:
        losses = in_phase(method, phase.name, batch).losses(batch)
        assert all(term.isfinite() for term in losses.values()), (phase.name, losses)
        sum(losses.values()).backward()
        for what, p in method.named_parameters():
            assert p.grad is None or p.grad.isfinite().all(), (phase.name, what)


@pytest.mark.parametrize("name", PEERS)
def test_held_out_samples_are_assigned_and_measured(name, tiny_run, tmp_path):
    report = tiny_run("data.holdout=0.2", "evaluate_every=0", method=name)
    assert len((tmp_path / "run" / "assignments_holdout.csv").read_text().splitlines()) == 31
    assert {"agreement", "agreement_held_out", "entropy", "quality"} <= set(report["label_free"])


@pytest.mark.parametrize("name", PEERS)
def test_objectives_are_in_float32_where_networks_train_in_bfloat16(name, tiny_run, tmp_path, monkeypatch):
    kind, seen = type(build(name)), []

    def watched(self, batch, losses=kind.losses):
        seen.append(losses(self, batch))
        return seen[-1]

    monkeypatch.setattr(kind, "losses", watched)
    tiny_run("trainer.precision=bf16-mixed", "evaluate_every=0", method=name)
    assert {term.dtype for terms in seen for term in terms.values()} == {torch.float32}
    assert all(term.isfinite() for terms in seen for term in terms.values())
