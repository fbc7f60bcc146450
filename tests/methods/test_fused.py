"""DIVIDE, GCFAgg and RML: what the naive loops (tests/fidelity) do not see."""

import pytest
import torch
from torch.nn import functional as F

from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.functional.contrastive import nt_xent
from tests.methods.test_peers import batch_of, build, in_phase, settled
from tests.methods.toy import ToyData, passes


def moved(momentum):
    method = build("divide", f"method.momentum={momentum}")
    for p in method.encoders.parameters():
        p.data += 1
    before = [p.clone() for p in method.targets.parameters()]
    method.on_train_batch_start(None, 0)
    return list(method.encoders.parameters()), before, list(method.targets.parameters())


def test_divides_targets_follow_by_the_momentum():
    own, before, after = moved(0.0)
    assert all(map(torch.equal, own, after))
    own, before, after = moved(1.0)
    assert all(map(torch.equal, before, after))
    own, before, after = moved(0.98)
    for a, b, c in zip(own, before, after, strict=True):
        torch.testing.assert_close(c, 0.98 * b + 0.02 * a)


@pytest.mark.parametrize("phase", ["contrast", "walk"])
def test_no_gradient_reaches_divides_targets(phase):
    method = in_phase(build("divide"), phase)
    sum(method.losses(batch_of()).values()).backward()
    assert all(p.grad is None for p in method.targets.parameters())
    assert all(p.grad is not None for p in [*method.encoders.parameters(), *method.predictors.parameters()])


def test_divides_contrast_is_infonce_and_its_walk_is_not():
    torch.manual_seed(0)
    method, batch = build("divide", "method.dropout=0.0"), batch_of()
    z = [network(x) for network, x in zip(method.encoders, batch.modalities, strict=True)]
    t = [F.normalize(network(x), dim=1) for network, x in zip(method.targets, batch.modalities, strict=True)]
    z = [F.normalize(x, dim=1) for x in z]
    expected = sum(F.cross_entropy(a @ b.T / 0.5, torch.arange(90)) for a, b in zip(z, t, strict=True)) / 2
    torch.testing.assert_close(in_phase(method, "contrast").losses(batch)["within"], expected)
    assert not torch.allclose(in_phase(method, "walk").losses(batch)["within"], expected)


def test_divide_recovers_a_missing_modality_by_the_mean_of_predictions():
    method, batch = settled("divide", batch_of()), batch_of()
    present = torch.tensor([[True], [False], [True]]).expand(3, 90)
    with torch.no_grad():
        t = [network(x) for network, x in zip(method.targets, batch.modalities, strict=True)]
        guess = (method.predictors[0](t[0]) + method.predictors[2](t[2])) / 2
        r = [method.predictors[m](x) for m, x in enumerate((t[0], guess, t[2]))]
        expected = F.normalize(torch.cat([F.normalize(x, dim=1) for x in r], 1), dim=1)
        torch.testing.assert_close(method.fuse(method.encode(batch), present), expected)


def test_divide_refuses_a_batch_of_one_sample():
    data = ToyData(31)
    data.load()
    overrides = ("method.batch_size=10", "method.drop_last=false")
    with pytest.raises(UserError, match=r"leaves 1 for the last batch, but batch normalisation needs two"):
        build("divide", *overrides, dims={"a": 4, "b": 3}).accept(data)


def test_gcfaggs_bank_is_drawn_by_the_seed_and_holds_codes_of_training_samples():
    batch = batch_of()
    method = settled("gcfagg", batch)
    codes = torch.cat(method.encode(batch), 1)
    nearest = torch.cdist(method.bank, codes)
    assert len(method.bank) == 40
    torch.testing.assert_close(nearest.amin(1), torch.zeros(40, dtype=torch.float64), atol=1e-6, rtol=0)
    assert len(set(nearest.argmin(1).tolist())) == 40
    before = method.bank.clone()
    with method.evaluating():
        method.settle(passes(batch, 17))
        assert torch.equal(method.bank, before)
        method.head.seed = 1
        method.settle(passes(batch, 17))
    assert not torch.equal(method.bank, before)


def test_gcfaggs_bank_has_no_more_than_all_samples():
    assert len(settled("gcfagg", batch_of(30)).bank) == 30


def test_gcfagg_without_dropout_keeps_by_the_attention_of_the_batch():
    method, batch = in_phase(build("gcfagg", "method.dropout=0.0"), "contrast"), batch_of()
    joined = torch.cat(method.encode(batch), 1)
    c, weights = method._common(joined, joined)
    torch.testing.assert_close(weights.sum(1), torch.ones(90, dtype=torch.float64))
    h = [method._feature(z) for z in method.encode(batch)]
    expected = sum(nt_xent(x, c, 0.5, keep=1 - weights) for x in h)
    torch.testing.assert_close(method.losses(batch)["feature_contrast"], expected)


QUIET = [f"method.{key}=0.0" for key in ("token_dropout", "dropout", "missing", "noisy")]


def test_rml_without_corruption_is_the_contrast_of_a_code_with_itself():
    method, batch = build("rml", *QUIET), batch_of()
    z = method.fuse(method.encode(batch))
    torch.testing.assert_close(method.losses(batch)["contrast"], 2 * nt_xent(z, z, 0.5))


def test_rmls_code_does_not_depend_on_the_order_of_tokens():
    method, batch = build("rml").eval(), batch_of()
    tokens = method.encode(batch)
    torch.testing.assert_close(method._fused(tokens), method._fused(tokens[::-1]))


def test_rml_takes_a_missing_modality_for_zeros():
    method, batch = settled("rml", batch_of()), batch_of()
    present = torch.tensor([[True], [False], [True]]).expand(3, 90)
    a, b, c = batch.modalities
    zeros = Batch((a, torch.zeros_like(b), c), batch.index)
    with torch.no_grad():
        torch.testing.assert_close(method.assign_partly(batch, present), method.assign(zeros))


@pytest.mark.parametrize(
    ("name", "override", "said"),
    [
        ("divide", "momentum=1.5", r"method\.momentum: 1\.5 given; it must be a number from 0 to 1"),
        ("divide", "walk_alpha=-0.1", r"method\.walk_alpha: -0\.1 given"),
        ("divide", "walk_steps=0", r"method\.walk_steps: 0 given"),
        ("divide", "dropout=1.0", r"method\.dropout: 1\.0 given"),
        ("divide", "phases={train: {epochs: 1}}", r"method\.phases\.train: divide's phases are contrast, walk"),
        ("gcfagg", "bank_size=0", r"method\.bank_size: 0 given"),
        ("gcfagg", "temperature=0.0", r"method\.temperature: 0\.0 given"),
        ("gcfagg", "dropout=1.0", r"method\.dropout: 1\.0 given"),
        ("rml", "missing=1.5", r"method\.missing: 1\.5 given; it must be a share from 0 to 1"),
        ("rml", "noisy=-0.5", r"method\.noisy: -0\.5 given"),
        ("rml", "noise=-1.0", r"method\.noise: -1\.0 given"),
        ("rml", "token_dim=1", r"method\.token_dim: 1 given"),
        ("rml", "phases={embed: {epochs: 1}}", r"method\.phases\.embed: rml's one phase is train"),
    ],
)
def test_settings_out_of_range_name_their_key(name, override, said):
    override = f"+method.{override}" if override.startswith("phases") else f"method.{override}"
    with pytest.raises(UserError, match=said):
        build(name, override)
