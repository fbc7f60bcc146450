"""Several networks side by side: each against CMMC alone, and which of them is kept."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from cmc.errors import UserError
from cmc.functional.agreement import agreement_tables, medoid
from cmc.methods import cmmc_stable
from cmc.methods.cmmc import CMMC
from cmc.methods.cmmc_stable import StableCMMC
from tests.fidelity.trained import Blobs
from tests.methods.test_cmmc import PHASES, SMALL, batch_of, build, in_phase
from tests.methods.toy import ToyData, fit, passes

DIMS = (6, 5)
OPTIMIZERS = {
    "sgd": (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01), 0.05),  # the bound shortens all
    "adam": (lambda p: torch.optim.Adam(p, lr=1e-2), None),
}


def stable(**settings):
    return build(kind=StableCMMC, **settings)


def centre(network, batch):
    """Give its cluster head a bias by which no cluster takes all samples."""
    z = torch.cat(network.encode(batch.modalities))
    network.cluster_head.bias.data = -network.cluster_head.weight @ z.mean(0)


def made(kind, optimizer, phases=PHASES, **more):
    make, bound = OPTIMIZERS[optimizer]
    names = {f"m{i}": d for i, d in enumerate(DIMS)}
    return kind(names, 3, phases, make, batch_size=11, gradient_clip=bound, **SMALL, **more).double()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_network_is_trained_as_cmmc_alone(optimizer, tmp_path):
    """Three steps in each of the first two phases, on batches of 11 of 33; then the kept one in ``align``."""
    torch.manual_seed(0)
    method = made(StableCMMC, optimizer, restarts=3)
    drawn = [{name: x.clone() for name, x in network.state_dict().items()} for network in method.networks]
    fit(method, Blobs(DIMS, 33), tmp_path)
    for r, (before, after) in enumerate(zip(drawn, method.networks, strict=True)):
        phases = PHASES if r == int(method.kept) else {name: PHASES[name] for name in ("reconstruct", "contrast")}
        alone = made(CMMC, optimizer, phases)
        alone.network.load_state_dict(before)
        fit(alone, Blobs(DIMS, 33), tmp_path)
        for name, expected in alone.network.state_dict().items():
            torch.testing.assert_close(after.state_dict()[name], expected, rtol=1e-12, atol=1e-14, msg=f"{r}: {name}")
            assert not torch.equal(expected, before[name]), f"{name} has been trained"
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(drawn[a]["cluster_head.weight"], drawn[b]["cluster_head.weight"]), "drawn apart"


def test_one_network_is_cmmc(tmp_path):
    trained = []
    for kind, more in ((CMMC, {}), (StableCMMC, {"restarts": 1})):
        method = build((4, 3), kind=kind, batch_size=10, **more).float()
        fit(method, ToyData(60), tmp_path)
        trained.append(dict(method.named_parameters()))
    assert trained[0].keys() == trained[1].keys()
    for name, ours in trained[0].items():
        assert torch.equal(ours, trained[1][name]), name


@pytest.mark.parametrize("name", ["reconstruct", "contrast"])
def test_losses_are_the_mean_over_networks_and_pieces_add_up_to_them(name):
    method, batch, alone = in_phase(stable(restarts=3), name), batch_of(), []
    for network in method.networks:
        single = in_phase(build(), name)
        single.network.load_state_dict(network.state_dict())
        alone.append(single.losses(batch))
    pieces = [(piece.computed(), piece.weight) for piece in method.pieces(batch)]
    summed = [{term: x * weight for term, x in terms.items()} for terms, weight in pieces]
    assert len(summed) == 3
    for term, together in method.losses(batch).items():
        torch.testing.assert_close(together, sum(losses[term] for losses in alone) / 3)
        torch.testing.assert_close(together, sum(terms[term] for terms in summed))


def naive_clusters(method, batch):
    """R x N, by one network after the other and all samples at once."""
    found = []
    for network in method.networks:
        q = [network.cluster_head(z).softmax(1) for z in network.autoencoders.encoder(batch.modalities)]
        found.append((sum(q) / len(q)).argmax(1).numpy())
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_network_is_kept_that_agrees_most_with_the_others(seed):
    method, batch = in_phase(stable(restarts=5), "contrast"), batch_of(n=120)
    torch.manual_seed(seed)
    with method.evaluating():
        for network in method.networks:
            torch.nn.init.normal_(network.cluster_head.weight, std=3.0)
            centre(network, batch)
        method.settle(passes(batch, 50))
        clusters = naive_clusters(method, batch)
        shared = [[mutual_info_score(a, b) for b in clusters] for a in clusters]
        means = [np.mean([x for b, x in enumerate(row) if b != a]) for a, row in enumerate(shared)]
        assert sorted(means)[-1] - sorted(means)[-2] > 1e-6, "one stands out"
        assert int(method.kept) == int(np.argmax(means))
        assert np.array_equal(method.assign(batch).argmax(1).numpy(), clusters[int(method.kept)])
        feature = method.networks[int(method.kept)].features(batch.modalities)
        torch.testing.assert_close(method.embed(batch), (feature[0] + feature[1]) / 2)


def test_all_processes_choose_by_the_samples_of_all(monkeypatch):
    """The first half by itself would keep another network than both together do."""
    method = in_phase(stable(restarts=3), "contrast")
    halves = [torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 1]]), torch.tensor([[0, 1, 2, 2, 1, 0]] * 3)]
    halves[1][0] = torch.tensor([0, 1, 2, 0, 1, 2])
    tables = [agreement_tables(half, 3) for half in halves]
    monkeypatch.setattr(cmmc_stable.distributed, "all_reduce_sum", lambda own: own + tables[1])
    monkeypatch.setattr(cmmc_stable, "agreement_tables", lambda *_: tables[0])
    with method.evaluating():
        method.settle(passes(batch_of(n=4), 4))
    both = torch.cat(halves, 1).numpy()
    means = [sum(mutual_info_score(both[a], both[b]) for b in range(3) if b != a) for a in range(3)]
    assert int(method.kept) == int(np.argmax(means)) == 1
    assert medoid(tables[0]) == 0


def test_of_networks_that_agree_alike_the_first_is_kept():
    for restarts in (1, 2):
        method, batch = in_phase(stable(restarts=restarts), "contrast"), batch_of(n=60)
        method.kept.fill_(restarts - 1)
        with method.evaluating():
            method.settle(passes(batch, 25))
        assert int(method.kept) == 0


def test_align_chooses_once_and_trains_the_kept_network_alone():
    method, batch = in_phase(stable(restarts=3), "align"), batch_of(n=60)
    with method.evaluating():
        centre(method.networks[1], batch)
        for r, network in enumerate(method.networks):  # 1 and 2 agree, 0 puts all samples into one cluster
            network.load_state_dict(method.networks[1].state_dict())
            network.cluster_head.bias.data[0] += 1e3 * (r == 0)
        method.refresh("align", 0, passes(batch, 25))
        assert int(method.kept) == 1
        method.networks[2].load_state_dict(method.networks[0].state_dict())
        method.refresh("align", 1, passes(batch, 25))
        method.settle(passes(batch, 25))
        assert int(method.kept) == 1
    for piece in method.pieces(batch):
        (piece.computed()["alignment"] * piece.weight).backward()
    trained = [any(p.grad is not None for p in network.parameters()) for network in method.networks]
    assert trained == [False, True, False]
    assert [len(group) for group in method.side_by_side()] == [len(list(method.networks[1].parameters()))]


@pytest.mark.parametrize("restarts", [0, 1.5])
def test_restarts_that_cannot_be_name_their_key(restarts):
    with pytest.raises(UserError, match=rf"method\.restarts: {restarts} given"):
        stable(restarts=restarts)
