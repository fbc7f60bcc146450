"""GCFAgg and RML against a loop written from the equations: attention one query after the other."""

import math

import pytest
import torch

from cmc.methods import RML, GCFAgg
from tests.fidelity.nets import contrast, linear, side_by_side, squared_error, unit
from tests.fidelity.trained import Adam, Blobs, assert_alike, gradients_of, leaves, trained

N, K, SHARE = 9, 3, 0.1


def build(kind, dims, phases, **small):
    torch.manual_seed(0)
    shape = {f"m{i}": d for i, d in enumerate(dims)}
    adam = lambda p: torch.optim.Adam(p, 1e-3, eps=Adam.EPS)  # noqa: E731
    return kind(shape, K, phases, adam, "full", **small)


def dropped(x, share):
    return x * (torch.rand(x.shape, dtype=x.dtype) >= share) / (1 - share)


def attend(p, prefix, x, share):
    """What each row takes from all rows; of ... x L x width the last but one axis is that of the rows."""
    q, k, v = (linear(p, f"{prefix}.{kind}", x) for kind in ("query", "key", "value"))
    scores = (q[..., :, None, :] * k[..., None, :, :]).sum(-1) / math.sqrt(x.shape[-1])
    weights = dropped(scores.exp() / scores.exp().sum(-1, keepdim=True), share)
    taken = (weights[..., None] * v[..., None, :, :]).sum(-2)
    return linear(p, f"{prefix}.out", taken), weights


def feed_forward(p, prefix, x, share):
    return linear(p, f"{prefix}.3", dropped(linear(p, f"{prefix}.0", x).clamp(min=0), share))


def layer_norm(p, prefix, x):
    mean = x.mean(-1, keepdim=True)
    var = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt() * p[f"{prefix}.weight"] + p[f"{prefix}.bias"]


def deviation_norm(p, prefix, x):
    mean = x.mean(-1, keepdim=True)
    deviation = (((x - mean) ** 2).sum(-1, keepdim=True) / (x.shape[-1] - 1)).sqrt()
    return (x - mean) / (deviation + 1e-6) * p[f"{prefix}.weight"] + p[f"{prefix}.bias"]


def kept_contrast(a, b, keep):
    """NT-Xent in which the similarity of a negative is multiplied by what is kept of its pair of samples."""
    rows, total = torch.cat([a, b]), 0.0
    for i in range(2 * N):
        positive = rows[i] @ rows[(i + N) % (2 * N)] / 0.5
        others = [j for j in range(2 * N) if j not in (i, (i + N) % (2 * N))]
        negatives = torch.stack([(keep[i % N, j % N] * (rows[i] @ rows[j]) / 0.5).exp() for j in others])
        total = total - (positive - (positive.exp() + negatives.sum()).log())
    return total / (2 * N)


def gcfagg_terms(p, rows, phase):
    z = [side_by_side(p, "autoencoders.encoder", m, x, 2) for m, x in enumerate(rows)]
    decoded = [side_by_side(p, "autoencoders.decoder", m, x, 2) for m, x in enumerate(z)]
    terms = {"reconstruction": squared_error(rows, decoded)}
    if phase == "contrast":
        x = torch.cat(z, 1)
        taken, weights = attend(p, "aggregation.attention", x, SHARE)
        x = layer_norm(p, "aggregation.norms.0", x + dropped(taken, SHARE))
        x = layer_norm(p, "aggregation.norms.1",
                       x + dropped(feed_forward(p, "aggregation.feed_forward", x, SHARE), SHARE))  # fmt: skip
        c, h = unit(linear(p, "common_head", x)), [unit(linear(p, "feature_head", y)) for y in z]
        terms["feature_contrast"] = sum(kept_contrast(y, c, 1 - weights) for y in h)
    return terms


def gelu(x):
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def fused(p, rows, share):
    tokens = []
    for m, x in enumerate(rows):
        x = dropped(gelu(linear(p, f"tokens.{m}.0", x)), SHARE)
        tokens.append(dropped(linear(p, f"tokens.{m}.3", x), SHARE))
    x = torch.stack(tokens, 1)
    x = x + dropped(attend(p, "fusion.attention", deviation_norm(p, "fusion.norms.0", x), share)[0], share)
    x = x + dropped(feed_forward(p, "fusion.feed_forward", deviation_norm(p, "fusion.norms.1", x), share), share)
    return unit(linear(p, "fused_head", deviation_norm(p, "fusion.norms.2", x).sum(1)))


def corrupted(rows, missing, noisy):
    """Noise first, then the masked copy, with the numbers that are drawn next; each masked row keeps some, not all."""
    noised = []
    for x in rows:
        hit = torch.rand(N, 1, dtype=x.dtype) < noisy
        noised.append(x + 0.4 * torch.randn(x.shape, dtype=x.dtype) * hit)
    yield noised
    masked, drawn = [x.clone() for x in rows], torch.randperm(N)[: int(missing * N)]
    subsets = torch.randint(1, 2 ** len(rows) - 1, (len(drawn),))
    for i, subset in zip(drawn.tolist(), subsets.tolist(), strict=True):
        lost = [m for m in range(len(rows)) if not subset & 2**m]
        assert 0 < len(lost) < len(rows)
        for m in lost:
            masked[m][i] = 0
    yield masked


def rml_terms(p, rows, phase):
    copies = corrupted(rows, 0.5, 0.5)
    a = fused(p, next(copies), 0.3)
    return {"contrast": 2 * contrast(a, fused(p, next(copies), 0.3), 0.5)}


CASES = {
    "gcfagg": (GCFAgg, {"reconstruct": {"epochs": 6}, "contrast": {"epochs": 14}}, gcfagg_terms,
               {"hidden": (9,), "latent_dim": 4, "feature_dim": 5, "attention_hidden": 7}),
    "rml": (RML, {"train": {"epochs": 20}}, rml_terms,
            {"token_dim": 6, "attention_hidden": 7, "token_dropout": SHARE, "missing": 0.5, "noisy": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dims", [(6, 6), (7, 5, 4)])
def test_every_step_is_that_of_the_equations(name, dims, tmp_path):
    kind, phases, terms_of, small = CASES[name]
    method = build(kind, dims, phases, **small)
    before, rows, steps = trained(method, Blobs(dims, N), tmp_path)
    p, adam = leaves(method, before), Adam()
    assert len(steps) == 20
    for step in steps:
        torch.set_rng_state(step["random"])
        terms = terms_of(p, rows, step["phase"])
        gradients = gradients_of(sum(terms.values()), p)
        adam.step(p, gradients)
        assert_alike(step, terms, gradients, p)
