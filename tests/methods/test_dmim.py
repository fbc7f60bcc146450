"""DMIM's objective, and its release's, against loops and closed forms; what the heads read; the kept network."""

import pytest
import torch
from pytorch_lightning import Callback
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from cmc.data.loader import Batch
from cmc.functional.sinkhorn import sinkhorn_labels
from cmc.methods.dmim import DMIM
from cmc.methods.dmim_paper import PaperDMIM
from cmc.methods.dmim_released import ReleasedDMIM
from cmc.nn import side_by_side
from tests.methods.toy import ToyData, fit, passes

PHASES = {"train": {"epochs": 10}}
PLAIN = {"width": 6, "candidates": {"plain": {}}, "restarts": 1, "halvings": (), "validation": 0.0, "unit_rows": False}
PLAIN["overcluster_factor"] = 2


def build(dims=(6, 5), n_clusters=3, phases=PHASES, optimizer=torch.optim.Adam, **settings):
    torch.manual_seed(0)
    names = {f"m{i}": d for i, d in enumerate(dims)}
    return DMIM(names, n_clusters, phases, optimizer, **{**PLAIN, **settings})


def released(dims=(6, 6), **settings):
    torch.manual_seed(0)
    names = {f"m{i}": d for i, d in enumerate(dims)}
    return ReleasedDMIM(names, 3, PHASES, torch.optim.Adam, overcluster_factor=2, **settings)


def batch_of(dims=(6, 5), n=12, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    rows = tuple(torch.randn(n, d, dtype=dtype, generator=generator) for d in dims)
    return Batch(rows, torch.arange(n))


def labelled(method, n=12, seed=2):
    """Give a method pseudo labels without a pass over data."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(method.networks), len(method.modalities), n)
    method.pseudo = torch.randint(0, method.n_clusters, shape, generator=generator).short()
    return method


def naive_information(a, b, symmetric):
    """Outer products sample by sample, then a double loop over the table."""
    joint = torch.stack([torch.outer(x, y) for x, y in zip(a, b, strict=True)]).sum(0) / len(a)
    joint = (joint + joint.T) / 2 if symmetric else joint
    total = 0.0
    for k in range(len(joint)):
        for c in range(len(joint)):
            total = total + joint[k, c] * torch.log(joint[k, c] / (joint[k].sum() * joint[:, c].sum()))
    return total


def silent(network):
    """Make z the prior: mean 0 and deviation 1, whatever the trunk."""
    for layer, bias in ((network.mean, 0.0), (network.rho, torch.tensor(1.0).expm1().log())):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, float(bias))


@pytest.mark.parametrize("heads_on_trunk", [False, True])
def test_heads_on_the_trunk_make_l2_inert(heads_on_trunk):
    """L2 is 0, its least value, and yet heads on the trunk still tell samples apart."""
    method = labelled(build(beta=1.0, beta_warmup=0.0).double())
    (network,) = method.networks
    network.heads_on_trunk = heads_on_trunk
    silent(network)
    superfluous = method.losses(batch_of())["superfluous_information"]
    assert superfluous.item() == pytest.approx(0, abs=1e-9)
    with method.evaluating():
        assigned = method.assign(batch_of())
    spread = (assigned - assigned.mean(0)).abs().max().item()
    assert spread > 1e-3 if heads_on_trunk else spread == pytest.approx(0, abs=1e-9)


def test_with_heads_on_z_a_larger_beta_takes_information_from_assignments(tmp_path):
    """What two modalities' assignments from sampled z tell of each other, without and with a large weight of L2."""
    shared = []
    for beta in (0.0, 0.3):
        fast = {"phases": {"train": {"epochs": 200}}, "optimizer": lambda p: torch.optim.Adam(p, 1e-2)}
        method = build((4, 3), beta=beta, beta_warmup=0.0, gamma=0.0, **fast)
        data = ToyData(n=90)
        fit(method, data, tmp_path)
        (batch,) = data.pass_over()
        torch.manual_seed(0)
        with method.evaluating():
            z = [method.networks[0](x, m, torch.randn(90, 6)) for m, x in enumerate(batch.modalities)]
        a, b = (o.cluster.softmax(1).double() for o in z)
        shared.append(naive_information(a, b, symmetric=False).item())
    assert shared[0] > 10 * shared[1]


def test_pseudo_labels_are_balanced_ones_of_each_modality_however_many_are_made_at_once(monkeypatch):
    batch = batch_of((6, 5), n=50)
    made = []
    for memory in (2**28, 1):
        monkeypatch.setattr(side_by_side, "_COLLECTED_BYTES", memory)
        method = build((6, 5), restarts=3, gamma=0.5).double()
        with method.evaluating():
            method.refresh("train", 0, passes(batch, 15))
        made.append(method.pseudo.clone())
    assert made[0].shape == (3, 2, 50)
    assert torch.equal(*made)
    with method.evaluating():
        rows = method.front(batch.modalities, 0)
        logs = [network.log_assignments(rows) for network in method.networks]
    expected = [[sinkhorn_labels(x, 10.0).short() for x in log] for log in logs]
    assert torch.equal(made[0], torch.stack([torch.stack(labels) for labels in expected]))


def test_without_l3_no_pseudo_labels_are_needed(tmp_path):
    method = build((4, 3), gamma=0.0)
    before = method.networks[0].mean.weight.detach().clone()
    fit(method, ToyData(), tmp_path)
    assert method.record()["uniform_distribution"] == 0
    assert not torch.equal(method.networks[0].mean.weight, before), "the other terms train"


def test_beta_rises_over_its_share_of_the_run():
    method = labelled(build(beta=0.5, beta_warmup=0.4).double())
    method._share_of_run = lambda: 0.1
    torch.manual_seed(0)
    quarter = method.losses(batch_of())["superfluous_information"]
    method._share_of_run = lambda: 0.9
    torch.manual_seed(0)
    full = method.losses(batch_of())["superfluous_information"]
    torch.testing.assert_close(4 * quarter, full)


def noisy_rows(method):
    """What the network is given of rows that are 0."""
    given = []
    method._terms = lambda share, gaps, network, rows, *_: given.extend(rows) or (torch.zeros(()),) * 3
    method.losses(Batch((torch.zeros(4000, 6), torch.zeros(4000, 5)), torch.arange(4000)))
    return given


def test_input_noise_is_relative_and_falls_to_its_final_value():
    method = build(candidates={"plain": {"input_noise": 0.5, "final_noise": 0.1}}, gamma=0.0)
    method.front.scale = torch.tensor([[2.0, 0.1]])
    for share, factor in ((0.0, 1.0), (0.5, 0.6), (1.0, 0.2)):
        method._share_of_run = lambda share=share: share
        noisy = noisy_rows(method)
        assert noisy[0].std().item() == pytest.approx(0.5 * 2.0 * factor, rel=0.05)
        assert noisy[1].std().item() == pytest.approx(0.5 * 0.1 * factor, rel=0.05)


def test_pseudo_labels_are_refreshed_at_their_interval_and_the_run_is_known_to_pass(tmp_path):
    seen, shares = {}, {}

    class Watched(DMIM):
        def pieces(self, batch):
            seen[self.current_epoch] = self.pseudo.clone()
            shares[self.current_epoch] = self._share_of_run()
            return super().pieces(batch)

    torch.manual_seed(0)
    method = Watched({"a": 4, "b": 3}, 3, PHASES, torch.optim.Adam, refresh_every=4, **{**PLAIN, "restarts": 2})
    fit(method, ToyData(), tmp_path)
    assert seen[0].shape == (2, 2, 30)
    assert all(torch.equal(seen[e], seen[4 * (e // 4)]) for e in range(10))
    assert not torch.equal(seen[0], seen[4])
    assert not torch.equal(seen[4], seen[8])
    assert shares == {epoch: epoch / 10 for epoch in range(10)}


def test_the_network_is_kept_whose_modalities_agree_best():
    method = build((6, 6), restarts=3).eval()
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(90) % 3
    points = 4 * F.one_hot(truth, 6).float() + 0.1 * torch.randn(90, 6, generator=generator)
    batch = Batch((points, points), torch.arange(90))
    for network in method.networks:
        torch.nn.init.zeros_(network.cluster_head.weight)
        network.cluster_head.bias.data = torch.tensor([9.0, 0.0, 0.0])
    good = method.networks[1]
    good.projections[1].load_state_dict(good.projections[0].state_dict())
    trunk = torch.cat([good(points[truth == k], 0).mean.mean(0, keepdim=True) for k in range(3)])
    good.cluster_head.weight.data = 50 * (trunk - trunk.mean(0))
    good.cluster_head.bias.data = -(good.cluster_head.weight @ trunk.T).mean(1)
    with method.evaluating():
        method.settle([batch])
        assert int(method.choice.kept) == 1
        found = method.assign(batch).argmax(1)
        first, second = method.assign_each(batch).argmax(2)
    assert len(found.unique()) == 3
    assert (first == second).float().mean() > 0.9


def test_clusters_are_matched_before_assignments_are_averaged():
    method = build((6, 6)).double()
    batch = batch_of((6, 6), n=40)
    p = torch.eye(3, dtype=torch.float64)[torch.arange(40) % 3]
    method.networks[0].log_assignments = lambda rows: torch.stack([p, p[:, [1, 2, 0]]]).clamp_min(1e-12).log()
    with method.evaluating():
        method.settle([batch])
        torch.testing.assert_close(method.assign(batch), p, rtol=1e-9, atol=1e-9)


def test_of_one_emptied_head_of_two_it_is_said_which(caplog):
    method = build((6, 6)).double()
    p = torch.eye(3, dtype=torch.float64)[torch.arange(12) % 3].clamp_min(1e-12)
    method.networks[0].log_assignments = lambda rows: torch.stack([p, p[[0] * 12]]).log()
    with caplog.at_level("WARNING"), method.evaluating():
        method.settle([batch_of((6, 6))])
    assert [r.getMessage() for r in caplog.records] == [
        "dmim: all samples of m1 are in one cluster at epoch 1; the run goes on"
    ]


@pytest.mark.parametrize(("gamma", "bias"), [(2.0, 15.0), (0.0, 200.0)])
def test_a_run_with_emptied_heads_goes_on_and_says_so_once_and_when_they_recover(tmp_path, caplog, gamma, bias):
    """Balanced pseudo labels (gamma) bring the clusters back; without them, assignments of exactly 0 stay."""
    occupied = []

    class Watched(DMIM):
        def settle(self, batches):
            super().settle(batches)
            with self.evaluating():
                occupied.append([len(p.argmax(1).unique()) for p in self.assign_each(next(iter(batches)))])

    class Often(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            pl_module.settle(trainer.datamodule.pass_over())

    torch.manual_seed(0)
    fast = {"gamma": gamma, "power": 1.0, "refresh_every": 1, "beta": 0.0}
    optimizer = lambda parameters: torch.optim.Adam(parameters, 0.05)  # noqa: E731
    method = Watched({"a": 4, "b": 3}, 3, {"train": {"epochs": 80}}, optimizer, **{**PLAIN, **fast})
    method.networks[0].cluster_head.bias.data[0] = bias
    with caplog.at_level("WARNING"):
        fit(method, ToyData(), tmp_path, [Often()])
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("dmim: ")]
    assert occupied[0] == [1, 1]
    assert len(occupied) == 81, "every epoch, and at the end"
    for name in ("a", "b"):
        about = [line for line in said if f"samples of {name} are" in line]
        assert about[0] == f"dmim: all samples of {name} are in one cluster at epoch 1; the run goes on"
        assert len(about) == (2 if gamma else 1)
        assert not gamma or "clusters again at epoch" in about[1]
    assert min(occupied[-1]) > 1 if gamma else occupied[-1] == [1, 1]


def test_the_release_starts_small_and_shares_batch_norms_statistics():
    method = released()
    weights = torch.cat([p.flatten() for n, p in method.named_parameters() if "weight" in n and "norms" not in n])
    assert weights.std().item() == pytest.approx(0.02, rel=0.1)
    assert all(norm.running_mean.shape[0] == 1 for norm in method.networks[0].encoder.norms)
    assert not hasattr(method.networks[0].projections[0], "weight")


@pytest.mark.parametrize(("dims", "kept"), [((6, 6), 6), ((6, 5), 5), ((9, 4, 7), 4)])
def test_the_release_maps_to_the_smallest_width_and_leaves_equal_widths_alone(dims, kept):
    method = released(dims)
    assert method.front.widths(0) == [kept] * len(dims)
    assert [front.keeps for front in method.front.projections[0]] == [len(set(dims)) > 1] * len(dims)
    assert method.networks[0].mean.in_features == kept


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation made."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = out if isinstance(out, (tuple, list)) else [out]
        self.numel = max([self.numel, *(x.numel() for x in made if isinstance(x, torch.Tensor))])
        return out


def test_no_step_makes_a_tensor_of_a_table_a_sample():
    n, clusters = 500, 20
    method = labelled(build(n_clusters=clusters), n)
    with Largest() as largest:
        sum(method.losses(batch_of(n=n, dtype=torch.float32)).values()).backward()
    assert n * 2 * clusters <= largest.numel < n * (2 * clusters) ** 2 / 10


def test_the_shipped_presets_are_what_they_say(composed):
    ours, paper, theirs = (composed(f"method={name}") for name in ("dmim", "dmim_paper", "dmim_released"))
    assert ours.method.scheduler is None
    assert ours.method.optimizer.lr == 2e-3
    common = {"gamma": 0.5, "power": 10.0, "refresh_every": 5, "depth": 2, "overcluster_factor": 10}
    common |= {"batch_size": "full", "drop_last": True, "scheduler": None, "gradient_clip": None, "compile": False}
    release = {**common, "beta": 1.0}
    equations = {**common, "beta": 0.01, "beta_warmup": 0.2, "width": 100}
    for told, expected in ((theirs.method, release), (paper.method, equations)):
        assert {key: told[key] for key in expected} == expected
        assert set(told) == {*expected, "_target_", "optimizer", "phases"}
        assert told.optimizer.lr == 5e-4
        assert told.phases.train.epochs == 500
    assert (theirs.data.scaling, theirs.trainer.precision) == ("none", "32-true")
    assert (paper.data.scaling, paper.trainer.precision) == ("auto", "auto")
    assert composed("method=dmim_released", "data.scaling=l2").data.scaling == "l2"


def test_the_papers_dmim_has_projections_where_widths_differ_alone():
    torch.manual_seed(0)
    method = PaperDMIM({"a": 6, "b": 5}, 3, PHASES, torch.optim.Adam, width=6)
    (network,) = method.networks
    assert [type(x).__name__ for x in network.projections] == ["Identity", "Linear"]
    assert network.mean.weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert network.encoder.norms[0].running_mean.shape[0] == 2
    assert not any(front.keeps for front in method.front.projections[0])


def test_the_release_answers_with_its_first_modality():
    method = released().double()
    batch = batch_of((6, 6))
    with method.evaluating():
        method.settle([batch])
        each = method.assign_each(batch)
        assert torch.equal(method.assign(batch), each[0])
    assert not torch.equal(each[0], each[1])
