"""Modalities whose rows are pictures go to convolutional networks where that is asked for."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import cmc.evaluate
import cmc.run
from cmc.data.datasets import NoisyDigits
from cmc.errors import UserError
from cmc.methods.encoders import resolved, shapes_of
from cmc.nn.pictures import PictureEncoder
from cmc.runs.config import read_config
from tests.conftest import SMALL
from tests.methods import test_cmmc, test_dmim

DIMS = {"image": 12, "text": 5}


def test_shapes_are_read_and_told_by_the_data():
    assert shapes_of({"image": [2, 2, 3], "text": "mlp"}, DIMS) == [(2, 2, 3), None]
    assert shapes_of(None, DIMS) == [None, None]
    assert resolved({"image": "conv", "text": "mlp"}, {"image": (3, 4)}) == {"image": [3, 4], "text": "mlp"}
    assert resolved({"image": "conv"}, {}) == {"image": "conv"}


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ({"picture": "mlp"}, "method.encoder.picture: no modality of this name; there are image, text"),
        ({"image": "conv"}, "nothing tells that rows of image are pictures; give their shape"),
        ({"image": "resnet"}, "method.encoder.image: resnet given; it must be mlp, conv, or the shape"),
        ({"image": [3]}, "it must be mlp, conv, or the shape of a picture"),
        ({"image": [3, 0]}, "it must be mlp, conv, or the shape of a picture"),
        ({"image": [3, 5]}, "which is 15 numbers, but rows of image have 12"),
    ],
)
def test_what_is_no_encoder_is_refused(encoder, said):
    with pytest.raises(UserError) as refused:
        shapes_of(encoder, DIMS)
    assert said in str(refused.value).replace("'", "")


def test_cmmc_and_dmim_see_pictures_by_convolutions_and_others_as_before():
    cmmc = test_cmmc.build(encoder={"m0": [2, 3]})
    assert [isinstance(network, PictureEncoder) for network in cmmc.network.autoencoders.encoder] == [True, False]
    terms = test_cmmc.in_phase(cmmc, "contrast").losses(test_cmmc.batch_of())
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in cmmc.network.autoencoders.encoder.parameters())
    kinds = {"whole": {}, "few": {"components": 2}, "both": {"components": 3, "shared": 2}}
    dmim = test_dmim.build(encoder={"m0": [2, 3]}, candidates=kinds)
    seen = [isinstance(network.projections[0], PictureEncoder) for network in dmim.networks]
    assert seen == [True, True, False], "what modalities share of pictures is no picture"
    assert [dmim.front.widths(view) for view in range(3)] == [[6, 5], [6, 2], [2, 2]]


def test_noisy_digits_share_their_class_alone():
    data = NoisyDigits().read()
    again = NoisyDigits(generator_seed=1).read()
    clean, noisy = data.features["clean"], data.features["noisy"]
    assert clean.shape == noisy.shape == (1797, 64)
    assert (noisy.min(), noisy.max(), data.shapes) == (noisy.min().clip(0), 1, {"clean": (8, 8), "noisy": (8, 8)})
    assert not np.array_equal(noisy, again.features["noisy"])
    bare = NoisyDigits(noise=0.0).read()
    distances = torch.cdist(torch.from_numpy(bare.features["noisy"]), torch.from_numpy(clean))
    partner = distances.argmin(1)
    assert (distances.amin(1) == 0).all()
    assert np.array_equal(bare.labels[partner], bare.labels), "of the same class"
    assert (partner != torch.arange(1797)).float().mean() > 0.99, "another sample"
    assert len(set(partner.tolist())) > 1780, "each once, but for equal pictures"


def test_a_file_of_pictures_tells_their_shape(commanded):
    draws = np.random.default_rng(0)
    np.savez("x.npz", image=draws.random((60, 5, 4, 3)), text=draws.random((60, 7)), labels=np.arange(60) % 3)
    lean = ["callbacks.figures=null", "callbacks.gallery=null", "hydra.run.dir=run", "experiment=smoke"]
    settings = ["data=files", "data.root=x.npz", *SMALL["cmmc"], "method.encoder={image: conv}"]
    assert commanded(cmc.run, "method=cmmc", *settings, *lean)[0] == 0
    assert read_config(Path("run")).method.encoder == {"image": [5, 4, 3]}
    said = commanded(cmc.run, "method=cmmc", *settings[:-1], "method.encoder={text: conv}", "hydra.run.dir=other")[2]
    assert said.startswith("method.encoder.text: conv given, but nothing tells that rows of text are pictures")


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_a_run_keeps_the_shape_and_its_model_is_taken_up_again(commanded, method):
    settings = ["data=noisy_digits", "method.encoder={clean: conv, noisy: mlp}", "experiment=smoke"]
    lean = ["callbacks.figures=null", "callbacks.gallery=null", "hydra.run.dir=run", "resume=auto"]
    command = [f"method={method}", *SMALL[method], *settings, *lean]
    assert commanded(cmc.run, *command)[0] == 0
    assert read_config(Path("run")).method.encoder == {"clean": [8, 8], "noisy": "mlp"}
    assert commanded(cmc.run, *command)[2].endswith("finished before"), "conv is what was meant"
    found = json.loads(Path("run/metrics.json").read_text())["scores"]["acc"]
    status, printed, _ = commanded(cmc.evaluate, "run=run")
    assert status == 0
    assert f"{found:.4f}" in printed
