"""The form that DMIM's authors published, and its variants."""

import numpy as np
import pytest
from scipy.io import savemat

from cmc.data.datasets.files import load
from cmc.data.datasets.nuswide import NusWide
from cmc.data.datasets.released import read_released
from cmc.errors import UserError

RNG = np.random.default_rng(0)
IMAGE, TEXT = RNG.random((9, 4)), RNG.random((9, 3))
LABELS = np.repeat([1, 2, 3], 3)[:, None]


def write(folder, image="img", text="txt", labels="L", keys=("img", "txt", "L"), split=False):
    for file, key, array in zip((image, text, labels), keys, (IMAGE, TEXT, LABELS), strict=True):
        held = {f"train_{key}": array[:6], f"test_{key}": array[6:]} if split else {key: array}
        savemat(folder / f"{file}.mat", held)


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"labels": "label"},
        {"image": "img_1", "text": "txt_1"},
        {"image": "img_1", "text": "txt_1", "keys": ("temp1", "temp2", "L")},
        {"split": True},
    ],
)
def test_every_variant_holds_the_same(tmp_path, variant):
    write(tmp_path, **variant)
    held = NusWide(root=str(tmp_path)).read()
    np.testing.assert_array_equal(held.features["image"], IMAGE)
    np.testing.assert_array_equal(held.features["text"], TEXT)
    assert held.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert held.classes == ("1", "2", "3")
    assert "NUS-WIDE, released features in" in held.source


def test_k_is_that_of_the_labels_not_of_the_yaml(tmp_path):
    write(tmp_path)
    module = NusWide(root=str(tmp_path), concepts=8, per_class=2500)
    module.load()
    assert module.n_clusters == 3


@pytest.mark.parametrize(
    ("settings", "key"), [({"concepts": ["sky", "lake"]}, "concepts"), ({"subset": "full"}, "subset")]
)
def test_a_choice_that_released_features_cannot_give_is_refused(tmp_path, settings, key):
    write(tmp_path)
    with pytest.raises(UserError, match=rf"data\.{key}: .* asked for, but the features"):
        NusWide(root=str(tmp_path), **settings).read()


def test_one_hot_labels_become_classes(tmp_path):
    write(tmp_path)
    savemat(tmp_path / "L.mat", {"L": np.eye(3)[LABELS[:, 0] - 1]})
    assert read_released(tmp_path).labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    savemat(tmp_path / "L.mat", {"L": np.ones((9, 3))})
    with pytest.raises(UserError, match="labels, row 0, name 3 classes"):
        read_released(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "txt.mat").unlink(), r"txt\.mat is missing beside the other"),
        (lambda d: (d / "txt.mat").write_bytes((d / "txt.mat").read_bytes()[:200]), r"txt\.mat"),
        (lambda d: savemat(d / "txt.mat", {"x": TEXT}), r"txt\.mat: holds .*but txt is looked for"),
        (lambda d: savemat(d / "txt.mat", {"txt": TEXT[:5]}), r"'image' has 9 rows, modality 'text' has 5"),
        (
            lambda d: savemat(d / "img.mat", {"train_img": IMAGE[:6], "test_img": IMAGE[6:, :3]}),
            r"img\.mat: its two parts, 6 x 4 and 3 x 3, do not belong together",
        ),
        (lambda d: savemat(d / "L.mat", {"L": LABELS[:5]}), r"5 labels for 9 samples"),
        (lambda d: (d / "img.mat").write_bytes(b"<!DOCTYPE html><html>"), r"img\.mat"),
    ],
)
def test_damage_is_named(tmp_path, spoil, message):
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        read_released(tmp_path)


def test_youcook_is_read_unaided(real_data):
    held = load(real_data / "youcook")
    assert (held.n_samples, held.dims, held.n_classes) == (1790, {"image": 300, "text": 300}, 6)
