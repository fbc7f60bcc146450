"""DMIM, the paper's and the release's, against a loop written from the equations, one modality after the other."""

from itertools import combinations

import pytest
import torch

from cmc.methods import DMIM, PaperDMIM, ReleasedDMIM
from tests.fidelity.trained import Adam, Blobs, assert_alike, gradients_of, leaves, presence, trained

N, K, D, EPOCHS, EVERY = 30, 3, 6, 20, 4
MOMENTUM, EPS = 0.1, 1e-5


class Network:
    """The shared encoder, z and both heads of network ``r``, by the names of its parameters."""

    def __init__(self, p, state, r, trunk_heads, shared_statistics):
        self.prefix, self.p, self.trunk_heads = f"networks.{r}.", p, trunk_heads
        self.shared_statistics = shared_statistics
        self.running = {
            (i, kind): state[f"{self.prefix}encoder.norms.{i}.running_{kind}"].clone()
            for i in range(2)
            for kind in ("mean", "var")
        }

    def linear(self, name, x):
        name = self.prefix + name
        return x @ self.p[f"{name}.weight"].T + self.p[f"{name}.bias"] if f"{name}.weight" in self.p else x

    def trunk(self, x, m, training=True, moving=True):
        x = self.linear(f"projections.{m}", x)
        for i in range(2):
            x, own = self.linear(f"encoder.linears.{i}", x), 0 if self.shared_statistics else m
            mean, var = x.mean(0), ((x - x.mean(0)) ** 2).mean(0)
            if training and moving:
                for kind, value in (("mean", mean), ("var", var * len(x) / (len(x) - 1))):
                    running = self.running[i, kind]
                    running[own] = (1 - MOMENTUM) * running[own] + MOMENTUM * value.detach()
            if not training:
                mean, var = self.running[i, "mean"][own], self.running[i, "var"][own]
            weight, bias = (self.p[f"{self.prefix}encoder.norms.{i}.{kind}"] for kind in ("weight", "bias"))
            x = ((x - mean) / (var + EPS).sqrt() * weight + bias).clamp(min=0)
        return x

    def heads(self, trunk, noise=None):
        mean, rho = self.linear("mean", trunk), self.linear("rho", trunk)
        deviation = (1 + rho.exp()).log() + 1e-7
        z = mean if noise is None else mean + deviation * noise
        read = trunk if self.trunk_heads else z
        cluster, over = self.linear("cluster_head", read), self.linear("overcluster_head", read)
        return mean, deviation, z, cluster, over


def information(a, b, symmetric):
    joint = sum(torch.outer(x, y) for x, y in zip(a, b, strict=True)) / len(a)
    joint = (joint + joint.T) / 2 if symmetric else joint
    rows, columns = joint.sum(1), joint.sum(0)
    return sum(
        joint[i, j] * (joint[i, j] / rows[i] / columns[j]).log() for i in range(len(a[0])) for j in range(len(b[0]))
    )


def balanced(p):
    """Sinkhorn-Knopp on p to the power 10: rows of mass 1/N, columns of 1/K."""
    scores = p.detach() ** 10
    rows = torch.full((len(p),), 1 / len(p), dtype=torch.float64)
    for iteration in range(75):
        columns = (1 / K) / (scores.T @ rows)
        now = (1 / len(p)) / (scores @ columns)
        change, rows = (rows / now - 1).abs().sum(), now
        if iteration % 10 == 0 and change <= 1e-2:
            break
    return (scores * columns).argmax(1)


def close(p, targets):
    return -torch.stack([p[i, t].log() for i, t in enumerate(targets)]).mean()


def terms_of(network, rows, there, noise, targets, beta, gamma, per_modality, release):
    """The equations over samples that have what a term needs (``there``, N x M)."""
    own, pairs = there.T, list(combinations(range(len(rows)), 2))
    outputs = [network.heads(network.trunk(x[own[m]], m), noise[m][own[m]]) for m, x in enumerate(rows)]
    shared = 0.0
    for head in (3, 4):
        p = [
            dict(zip(own[m].nonzero().flatten().tolist(), o[head].softmax(1), strict=True))
            for m, o in enumerate(outputs)
        ]
        for a, b in pairs:
            both = sorted(p[a].keys() & p[b].keys())
            shared = shared + information([p[a][i] for i in both], [p[b][i] for i in both], release) / per_modality
    if release:
        for m, x in enumerate(rows):  # z is drawn in a pass of its own
            network.trunk(x[own[m]], m)
        e = [noise[-1][own[m]].softmax(1) for m in range(len(rows))]
        superfluous = sum((e[m] * (e[m] / o[2].softmax(1)).log()).mean() for m, o in enumerate(outputs))
        uniform = close(outputs[0][3].softmax(1).softmax(1), targets[0])
    else:
        kl = [0.5 * (o[0] ** 2 + o[1] ** 2 - 1 - 2 * o[1].log()).sum(1).mean() for o in outputs]
        superfluous = sum(kl)
        uniform = sum(close(o[3].softmax(1), t) for o, t in zip(outputs, targets, strict=True))
    return {"shared_information": -shared, "superfluous_information": beta * superfluous,
            "uniform_distribution": gamma * uniform}  # fmt: skip


def pseudo_labels(network, rows, there, release):
    """Of every modality, of the rows that are there."""
    rows = [x[there[:, m]] for m, x in enumerate(rows)]
    if release:  # of the first modality, as it is in a step; it moves running statistics once the step has
        return [balanced(network.heads(network.trunk(rows[0], 0, moving=False))[3].softmax(1))]
    return [balanced(network.heads(network.trunk(x, m, training=False))[3].softmax(1)) for m, x in enumerate(rows)]


PLAIN = {"unit_rows": False, "restarts": 2, "halvings": (), "validation": 0.0}


def settings_of(kind):
    common = {"overcluster_factor": 2, "refresh_every": EVERY}
    if kind is DMIM:
        return {**common, "width": D, "candidates": {"plain": {"input_noise": 0.5}}, **PLAIN}
    return {**common, "width": D} if kind is PaperDMIM else common


@pytest.mark.parametrize("kind", [DMIM, PaperDMIM, ReleasedDMIM])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("n_modalities", [2, 3])
def test_every_step_is_that_of_the_equations(kind, n_modalities, gaps, tmp_path):
    release, dims = kind is ReleasedDMIM, (6, 6, 6) if kind is ReleasedDMIM else (6, 5, 4)
    torch.manual_seed(0)
    method = kind({f"m{i}": d for i, d in enumerate(dims[:n_modalities])}, K, {"train": {"epochs": EPOCHS}},
                  lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS), **settings_of(kind))  # fmt: skip
    before, rows, steps = trained(method, data := Blobs(dims[:n_modalities], N, gaps), tmp_path)
    there = presence(data)
    assert there.all() != gaps
    beta, gamma = {DMIM: (0.01, 0.2), PaperDMIM: (0.01, 0.5), ReleasedDMIM: (1.0, 0.5)}[kind]
    p, adam = leaves(method, before), Adam()
    networks = [Network(p, before, r, release, release) for r in range(2 if kind is DMIM else 1)]
    numbers = [x[there[:, m]] for m, x in enumerate(rows)]
    scales = [((x - x.mean(0)) ** 2).mean().sqrt() for x in numbers]
    assert len(steps) == EPOCHS
    for epoch, step in enumerate(steps):
        if epoch % EVERY == 0:
            targets = [pseudo_labels(network, rows, there, release) for network in networks]
        weight = beta if release else beta * min(1, epoch / EPOCHS / 0.2)
        torch.set_rng_state(step["random"])
        each = []
        for network, labels in zip(networks, targets, strict=True):
            seen = rows
            if kind is DMIM:
                fading = 0.5 * (1 - epoch / EPOCHS)
                seen = [x + fading * s * torch.randn_like(x) for x, s in zip(rows, scales, strict=True)]
            noise = [torch.randn(N, D, dtype=torch.float64) for _ in range(n_modalities + release)]
            pairs = n_modalities - 1 if kind is DMIM else 1
            each.append(terms_of(network, seen, there, noise, labels, weight, gamma, pairs, release))
        gradients = gradients_of(sum(sum(terms.values()) for terms in each), p)  # each network as if it were alone
        if release and epoch % EVERY == 0:
            networks[0].trunk(numbers[0], 0)  # the pass that pseudo labels were made by
        adam.step(p, gradients)
        assert_alike(step, {name: sum(t[name] for t in each) / len(each) for name in each[0]}, gradients, p)
        for r, network in enumerate(networks):
            for (i, kind_of), value in network.running.items():
                ours = step["state"][f"networks.{r}.encoder.norms.{i}.running_{kind_of}"]
                torch.testing.assert_close(ours, value, rtol=1e-9, atol=1e-11, msg=f"{epoch} {i} {kind_of}")


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_networks_side_by_side_are_trained_as_each_alone_also_under_a_bound_on_the_gradient(optimizer, tmp_path):
    """Every step of two networks' parameters, by each one's own gradient, shortened by its own length."""
    torch.manual_seed(0)
    settings = {**settings_of(DMIM), "gradient_clip": (longest := 0.05)}
    method = DMIM({"m0": 6, "m1": 5}, K, {"train": {"epochs": 6}}, lambda p: optimizer(p, 0.1), **settings)
    before, _, steps = trained(method, Blobs((6, 5), N), tmp_path)
    lengths = []
    for r in range(2):
        p = {name: x for name, x in leaves(method, before).items() if name.startswith(f"networks.{r}.")}
        alone = optimizer(p.values(), 0.1)
        for step in steps:
            gradient = {name: step["gradients"][name] for name in p}
            lengths.append(torch.cat([g.flatten() for g in gradient.values()]).norm().item())
            for name, x in p.items():
                x.grad = gradient[name]
            alone.step()
            for name, x in p.items():
                torch.testing.assert_close(step["state"][name], x.detach(), rtol=1e-9, atol=1e-11)
    assert max(lengths) == pytest.approx(longest, rel=1e-5), "each network's own, not half of it"
