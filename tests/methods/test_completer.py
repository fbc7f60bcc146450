"""COMPLETER: what is missing is recovered, what its objective lies between, and what it refuses."""

import math

import pytest
import torch
from torch.nn import functional as F

from cmc.data.loader import Batch
from cmc.errors import UserError
from tests.methods.test_peers import batch_of, build, in_phase
from tests.methods.toy import ToyData, fit, passes

DIMS = {"a": 6, "b": 5, "c": 4}


def ready(batch):
    """In ``predict``, with centres."""
    method = in_phase(build("completer"), "predict", batch)
    with torch.no_grad():
        method.losses(batch)
    with method.evaluating():
        method.settle(passes(batch, 40))
    return method.eval()


def predicted(method, z, a, b):
    return method.predictors[method.directions.index((a, b))](z[a])


def test_a_missing_code_is_the_mean_of_what_the_others_predict():
    batch = batch_of()
    method, present = ready(batch), torch.ones(3, 90, dtype=torch.bool)
    present[0, :30] = present[1, 20:30] = False
    with torch.no_grad():
        found, z = method.assign_partly(batch, present), method.codes(batch)
        both = [(predicted(method, z, 1, 0) + predicted(method, z, 2, 0)) / 2, z[1], z[2]]
        alone = [predicted(method, z, 2, 0), predicted(method, z, 2, 1), z[2]]
        torch.testing.assert_close(found[:20], method.head.assign(both)[0][:20])
        torch.testing.assert_close(found[20:30], method.head.assign(alone)[0][20:30])
        torch.testing.assert_close(found[30:], method.assign(batch)[30:])
        torch.testing.assert_close(method.assign_each(batch)[2], method.head.assign(alone)[0])


def test_before_predictors_are_trained_the_others_speak_without_them():
    batch = batch_of()
    method = in_phase(build("completer"), "contrast", batch)
    with method.evaluating():
        method.settle(passes(batch, 40))
        method.recovers.fill_(True)
        recovered = method.assign_each(batch)
        method.recovers.fill_(False)
        z = method.codes(batch)
        torch.testing.assert_close(method.assign_each(batch), method.head.assign(z)[1])
        assert not torch.allclose(recovered, method.assign_each(batch))


def test_predictions_pass_gradients_into_both_codes():
    method, z = build("completer", dims={"a": 6, "b": 5}), [torch.rand(9, 6).double().softmax(1) for _ in range(2)]
    for x in z:
        x.requires_grad_()
    method._prediction_error(z).backward()
    of_predictors = [x.grad.clone() for x in z]
    for x in z:
        x.grad = None
    fixed = [x.detach() for x in z]
    sum(F.mse_loss(predicted(method, z, a, b), fixed[b]) for a, b in ((0, 1), (1, 0))).backward()
    for whole, x in zip(of_predictors, z, strict=True):
        assert (whole - x.grad).abs().max() > 1e-6, "targets carry gradients, too"


def test_training_goes_from_flat_codes_towards_the_bound(tmp_path):
    """The released run's contrast (-448 to -450 an epoch of 5 batches, D of 128) lies between them, too."""
    torch.manual_seed(0)
    method = build("completer", "method.optimizer.lr=3e-3", dims={"a": 4, "b": 3})
    bound, flat = (-x * math.log(6) for x in (19, 18))
    method.schedule.phases = tuple(phase.__class__(phase.name, 30, None) for phase in method.schedule.phases[:1])
    fit(method.float(), ToyData(60), tmp_path)
    assert bound < method.record()["information"] < flat


@pytest.mark.parametrize("name", ["completer", "cvcl"])
def test_features_below_0_are_refused_with_the_way_out(name):
    data = ToyData(60, scaling="standard")
    data.load()
    with pytest.raises(UserError, match=r"modality 'a' has features below 0 \(scaling standard\).*=minmax, or method"):
        build(name, "method.output=relu", dims={"a": 4, "b": 3}).accept(data)
    build(name, dims={"a": 4, "b": 3}).accept(data)
    data = ToyData(60, scaling="minmax")
    data.load()
    build(name, "method.output=relu", dims={"a": 4, "b": 3}).accept(data)


def test_a_last_batch_of_one_sample_is_refused():
    data = ToyData(61, scaling="minmax")
    data.load()
    with pytest.raises(UserError, match=r"of 61 samples that leaves 1 for the last batch, but batch normalisation"):
        build("completer", "method.batch_size=20", dims={"a": 4, "b": 3}).accept(data)
    build("completer", "method.batch_size=20", "method.drop_last=true", dims={"a": 4, "b": 3}).accept(data)


def test_decoders_that_end_in_relu_give_nothing_below_0():
    method, batch = build("completer_released"), batch_of()
    assert all((y >= 0).all() for y in method._decode(method.codes(batch)))
    linear = build("completer")
    assert any((y < 0).any() for y in linear._decode(linear.codes(batch)))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("joint=both", r"method\.joint: 'both' given; it must be one of symmetric, plain"),
        ("output=tanh", r"method\.output: 'tanh' given"),
        ("alpha=-1.0", r"method\.alpha: -1\.0 given"),
        ("predictor=[8,0]", r"method\.predictor\[1\]: 0 given"),
        ("kmeans_restarts=0", r"method\.kmeans_restarts: 0 given"),
    ],
)
def test_settings_out_of_range_name_their_key(override, said):
    with pytest.raises(UserError, match=said):
        build("completer", f"method.{override}")


def test_single_rows_are_assigned():
    batch = batch_of()
    method = ready(batch)
    with torch.no_grad():
        one = method.assign(Batch(tuple(x[:1] for x in batch.modalities), batch.index[:1]))
        torch.testing.assert_close(one, method.assign(batch)[:1])


def test_the_released_preset_brings_its_scaling_and_its_output(composed):
    config = composed("method=completer_released")
    assert (config.method.output, config.data.scaling, config.trainer.precision) == ("relu", "minmax", "32-true")
    assert composed("method=completer").method.output == "linear"
