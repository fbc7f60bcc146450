"""SiMVC and CoMVC: what the naive loop (tests/fidelity) does not see."""

import pytest
import torch

from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.methods import CoMVC
from tests.methods.test_peers import batch_of, build
from tests.methods.toy import ToyData


def test_weights_start_alike_and_modalities_alone_are_fused_by_themselves():
    method, batch = build("simvc").eval(), batch_of()
    assert method.weights.softmax(0).tolist() == pytest.approx([1 / 3] * 3)
    method.weights.data = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    z = method._encode(batch)
    present = torch.ones(3, 90, dtype=torch.bool)
    present[1] = False
    w = method.weights.softmax(0)
    torch.testing.assert_close(method._fused(z, present), (w[0] * z[0] + w[2] * z[2]) / (w[0] + w[2]))


def test_sampled_negatives_of_a_batch_in_one_cluster_are_none():
    method, batch = build("comvc", "method.negatives=sampled"), batch_of(30)
    torch.nn.init.zeros_(method.cluster_head.weight)
    method.cluster_head.bias.data = torch.tensor([9.0, 0.0, 0.0], dtype=torch.float64)
    losses = method.losses(batch)
    assert losses["contrast"].item() == 0
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_the_weight_of_the_contrast_carries_no_gradient():
    method = build("comvc", "method.contrast_weight=5")
    before = build("simvc")
    before.load_state_dict(method.state_dict())
    batch = batch_of(30)
    for each in (method, before):
        sum(each.losses(batch).values()).backward()
    torch.testing.assert_close(method.weights.grad, before.weights.grad)


@pytest.mark.parametrize(
    ("n", "overrides", "said"),
    [
        (30, ["method.batch_size=5"], r"method\.batch_size: 5 samples a batch given; SiMVC .* two of each: give at l"),
        (5, ["method.batch_size=full"], "there are but 5 samples: give fewer clusters"),
        (30, ["method.batch_size=14", "method.drop_last=false"], "leaves 2 for the last batch, but SiMVC"),
    ],
)
def test_batches_of_hardly_a_pair_a_cluster_are_refused(n, overrides, said):
    data = ToyData(n, n_clusters=3)
    data.load()
    with pytest.raises(UserError, match=said):
        build("simvc", *overrides, dims={"a": 4, "b": 3}).accept(data)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("kernel_width=0", r"method\.kernel_width: 0 given"),
        ("temperature=0", r"method\.temperature: 0 given"),
        ("contrast_weight=-1", r"method\.contrast_weight: -1 given"),
        ("negatives=all", r"method\.negatives: 'all' given; it must be one of paired, sampled"),
        ("hidden=[0]", r"method\.hidden\[0\]: 0 given"),
        ("phases={fit: {epochs: 1}}", r"method\.phases\.fit: CoMVC's one phase is train"),
    ],
)
def test_settings_out_of_range_name_their_key(setting, said):
    key, _, value = setting.partition("=")
    given = {"phases": {"train": {"epochs": 1}}, "optimizer": None}
    given[key] = {"fit": {"epochs": 1}} if key == "phases" else {"0": 0, "-1": -1, "all": "all", "[0]": [0]}[value]
    with pytest.raises(UserError, match=said):
        CoMVC({"a": 4, "b": 3}, 3, **given)


def test_a_single_modality_of_a_sample_is_enough():
    method, batch = build("comvc").eval(), batch_of()
    present = torch.zeros(3, 90, dtype=torch.bool)
    present[1] = True
    with torch.no_grad():
        alone = method.assign_partly(Batch(batch.modalities, batch.index), present)
        torch.testing.assert_close(alone, method.assign_each(batch)[1])
