"""Folders of timm's models: the same vectors as timm gives, and one line where timm is missing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cmc.data.preparation import transformers
from cmc.data.preparation.transformers import ImageModel
from cmc.errors import UserError


@pytest.mark.parametrize(
    ("config", "missing"),
    [({"architecture": "resnet18", "pretrained_cfg": {}}, "timm"), ({"model_type": "timm_wrapper"}, "torchvision")],
)
def test_a_model_of_timm_names_what_is_missing(tmp_path, monkeypatch, config, missing):
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(transformers, "find_spec", lambda name: None if name == missing else "there")
    said = rf"is a model of timm, and {missing} is not installed: pip install timm, and the torchvision"
    with pytest.raises(UserError, match=said):
        ImageModel(str(tmp_path))


def test_a_folder_of_timm_gives_its_pooled_features(tmp_path):
    timm = pytest.importorskip("timm", reason="it brings torchvision, which breaks torchmetrics beside a CPU's torch")
    torch.manual_seed(0)
    model = timm.create_model("test_resnet.r160_in1k", pretrained=False).eval()
    timm.models.save_for_hf(model, tmp_path)
    side = model.pretrained_cfg["input_size"][1]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
    settings = timm.data.resolve_data_config(model.pretrained_cfg)
    inputs = timm.data.create_transform(**settings)(picture)[None]
    expected = model.forward_head(model.forward_features(inputs), pre_logits=True)
    given = ImageModel(str(tmp_path))
    np.testing.assert_allclose(given([picture]), expected.detach().numpy(), atol=1e-5)
