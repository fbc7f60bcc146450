"""Networks as the loops of this folder compute them: one modality and one layer after the other, from parameters."""

import torch

from tests.fidelity.trained import Blobs

MOMENTUM, EPS = 0.1, 1e-5


class Positive(Blobs):
    """Blobs without features below 0."""

    def load(self):
        super().load()
        self.samples.tensors = tuple((x - x.amin(0)) / 50 for x in self.samples.tensors)


def layer(p, prefix, i, m):
    """Weight and bias of layer i of modality m in networks side by side, however they are kept."""
    for kind in ("weight", "bias"):
        name = f"{prefix}.layers.{i}.{kind}"
        yield p[name][m] if name in p else p[f"{name}.{m}"]


def side_by_side(p, prefix, m, x, depth, last=False):
    """ReLU between the layers, and after the last where it says so."""
    for i in range(depth):
        weight, bias = layer(p, prefix, i, m)
        x = x @ weight.T + bias
        if i + 1 < depth or last:
            x = x.clamp(min=0)
    return x


def linear(p, prefix, x):
    return x @ p[f"{prefix}.weight"].T + p[f"{prefix}.bias"]


def batch_norm(p, prefix, x, running=None):
    """In training; ``running`` holds means and variances by their buffers' names, and is moved on."""
    mean, var = x.mean(0), ((x - x.mean(0)) ** 2).mean(0)
    if running is not None:
        for kind, value in (("mean", mean), ("var", var * len(x) / (len(x) - 1))):
            name = f"{prefix}.running_{kind}"
            running[name] = (1 - MOMENTUM) * running[name] + MOMENTUM * value.detach()
    return (x - mean) / (var + EPS).sqrt() * p[f"{prefix}.weight"] + p[f"{prefix}.bias"]


def unit(x):
    return x / (x**2).sum(1, keepdim=True).sqrt()


def softmax(x):
    e = x.exp()
    return e / e.sum(1, keepdim=True)


def squared_error(rows, decoded):
    return sum(((x - y) ** 2).mean() for x, y in zip(rows, decoded, strict=True))


def contrast(a, b, temperature):
    """NT-Xent of the rows of a and b as they are: the positive is the partner, negatives all but the row itself."""
    rows, n, total = torch.cat([a, b]), len(a), 0.0
    for i in range(2 * n):
        similar = (rows * rows[i]).sum(1) / temperature
        others = torch.cat([similar[:i], similar[i + 1 :]]).exp()
        total = total - (similar[(i + n) % (2 * n)] - others.sum().log())
    return total / (2 * n)
