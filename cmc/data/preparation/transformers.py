"""Vectors of images and texts from any pretrained model of `transformers`, of `timm` and of sentence-transformers.

A model is a local folder, or a name on the Hugging Face hub whose files are fetched once and then read from the local
cache. Only configurations, vocabularies and tensors are read: no code that comes with a model runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmc.errors import UserError
from cmc.utils.device import pick

if TYPE_CHECKING:
    from PIL.Image import Image

PRECISIONS = {"32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
PATIENCE = 5.0  # seconds until the hub counts as out of reach
LONGEST = 8192  # tokens of a text, where the model names no bound
LOCAL = {"local_files_only": True, "trust_remote_code": False}
TOWERS = {"clip": "CLIP", "metaclip_2": "MetaClip2"}  # dual models that load one tower at a time
_BEFORE = ("preprocessor_config.json", "tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model")
PADDED = ("siglip", "siglip2")  # trained with every text padded to the full length


class ImageModel:
    """An image's vector: the projected features of a CLIP-like model, else the pooled output of a vision model.

    A vision model without a trained pooling layer gives the mean of its last hidden state over tokens, or over space.

    Args:
        model: Name on the hub, or folder, of a model and its image processor.
        precision: Of weights and activations: ``32``, ``16`` or ``bf16``.
        device: Such as ``cuda:1``; ``auto`` takes a GPU when there is one.

    Attributes:
        name: the model, the commit it was fetched at where that is known, and the version of `transformers`.
        width: numbers in a vector.
        fingerprint: of the weights in their precision, and of what images are brought to before.
        device: what it computes on.

    Raises:
        UserError: The model cannot be had or loaded, has untrained weights, or the device is not there.
    """

    def __init__(
        self, model: str = "openai/clip-vit-base-patch32", precision: str = "32", device: str = "auto"
    ) -> None:
        self.device = pick(device)
        with _loading("features.image", model) as folder:
            from PIL.Image import new
            from transformers import AutoImageProcessor

            _check_timm(model, folder)
            self.name = _name(model, folder)
            self._processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **LOCAL)
            self._model, self._pooled = _load(folder, "Vision", precision, self.device)
            self.width: int = self([new("RGB", (64, 64))]).shape[1]
            self.fingerprint = _fingerprint(folder, self._model)

    @torch.inference_mode()
    def __call__(self, images: list[Image]) -> NDArray[np.float32]:
        """Return B x ``width`` float32 for B images in mode RGB."""
        inputs = _moved(self._processor(images=images, return_tensors="pt"), self._model)
        if hasattr(self._model, "get_image_features"):
            output = self._model.get_image_features(**inputs)
            return _numpy(output if isinstance(output, Tensor) else output.pooler_output)
        output = self._model(**inputs)
        if "image_embeds" in output:
            return _numpy(output.image_embeds)
        if self._pooled and output.get("pooler_output") is not None:
            return _numpy(output.pooler_output.flatten(1))
        hidden = output.last_hidden_state.float()
        return _numpy(hidden.mean(1) if hidden.ndim == 3 else hidden.mean((2, 3)))


class TextModel:
    """A text's vector, of unit length: its sentence embedding, or the projected features of a CLIP-like model.

    The hidden states of the last layer are averaged over a text's tokens, or the first one is taken where the folder
    of a sentence-transformers model says so. Texts are cut at the model's greatest length.

    Args:
        model: Name on the hub, or folder, of a model and its tokenizer.
        precision: Of weights and activations: ``32``, ``16`` or ``bf16``.
        device: Such as ``cuda:1``; ``auto`` takes a GPU when there is one.

    Attributes:
        name: the model, the commit it was fetched at where that is known, and the version of `transformers`.
        width: numbers in a vector.
        fingerprint: of the weights in their precision, and of the vocabulary.
        device: what it computes on.

    Raises:
        UserError: The model cannot be had or loaded, has untrained weights or steps that are not built here, or the
            device is not there.

    Source:
        N. Reimers and I. Gurevych, Sentence-BERT, EMNLP 2019.
    """

    def __init__(self, model: str, precision: str = "32", device: str = "auto") -> None:
        self.device = pick(device)
        with _loading("features.text", model) as folder:
            from transformers import AutoTokenizer

            self.name = _name(model, folder)
            self._first = _pooling("features.text", model, folder) == "cls"
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
            self._model, _ = _load(folder, "Text", precision, self.device)
            self._longest = _longest(folder, self._tokenizer, self._model)
            self._padding = "max_length" if self._model.config.model_type in PADDED else "longest"
            self.width: int = self(["short", "a little longer"]).shape[1]
            self.fingerprint = _fingerprint(folder, self._model)

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        """Return B x ``width`` float32 for B texts."""
        tokens = self._tokenizer(
            texts, padding=self._padding, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        return _numpy(torch.nn.functional.normalize(self._embedded(_moved(tokens, self._model)).float()))

    def _embedded(self, tokens: dict[str, Tensor]) -> Tensor:
        if hasattr(self._model, "get_text_features"):
            output = self._model.get_text_features(**tokens)
            return output if isinstance(output, Tensor) else output.pooler_output
        output = self._model(**tokens)
        hidden: Tensor = output.text_embeds if "text_embeds" in output else output.last_hidden_state
        if hidden.ndim == 2:
            return hidden
        if self._first:
            return hidden[:, 0]
        mask = tokens["attention_mask"][..., None].float()
        return (hidden.float() * mask).sum(1) / mask.sum(1).clamp(min=1)


# a model's files


@contextmanager
def _loading(key: str, model: str) -> Iterator[Path]:
    """Find a model's folder; turn whatever goes wrong with it into one line."""
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise UserError(f"{key}={model}: transformers is not installed: pip install 'cmc[features]'") from None
    try:
        folder = _folder(key, model)
        with _quiet():
            yield folder
    except UserError:
        raise
    except Exception as fault:  # the files are another's: anything can be wrong with them
        reason = re.split(r"(?<=[.!?]) ", " ".join(str(fault).split()))[0][:160] or type(fault).__name__
        raise UserError(f"{key}={model} cannot be loaded ({reason}): give another model, {key}=FOLDER") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what transformers prints while it loads one tower of two."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _folder(key: str, model: str) -> Path:
    """Return the folder that holds a model: the one given, or the hub's in the local cache."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    from cmc.data.preparation.packaged import MINILM, minilm_folder

    folder = Path(model).expanduser()
    if model == MINILM and not folder.is_dir():
        folder = minilm_folder()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{key}={model} holds no config.json: give the folder of a transformers model")
        return folder
    missing = f"{key}={model} is no folder"
    try:
        files = HfApi().model_info(model, timeout=PATIENCE).siblings
    except HFValidationError:
        raise UserError(f"{missing}, nor a name on the Hugging Face hub: give {key}=FOLDER") from None
    except RepositoryNotFoundError:
        raise UserError(f"{missing}, nor a model that the Hugging Face hub lets you have: give {key}=FOLDER") from None
    except Exception:  # no network, or a hub in trouble
        try:
            return Path(snapshot_download(model, local_files_only=True))
        except LocalEntryNotFoundError:
            raise UserError(
                f"{missing}, and the Hugging Face hub cannot be reached: fetch the model elsewhere, give {key}=FOLDER"
            ) from None
    return Path(snapshot_download(model, allow_patterns=_needed([file.rfilename for file in files])))


def _needed(files: Sequence[str]) -> list[str]:
    """Choose a repository's files that a model is loaded from: safetensors where there are any."""
    top = [file for file in files if "/" not in file]
    weights = [file for file in top if file.endswith(".safetensors")]
    weights = weights or [file for file in top if file.startswith("pytorch_model") and file.endswith(".bin")]
    small = [file for file in top if file.endswith((".json", ".txt", ".model"))]
    return [*weights, *small, *(file for file in files if file.endswith("_Pooling/config.json"))]


def _name(model: str, folder: Path) -> str:
    from transformers import __version__

    commit = f"commit {folder.name[:12]}, " if folder.parent.name == "snapshots" else ""
    return f"{model} ({commit}transformers {__version__})"


def _fingerprint(folder: Path, model: Any) -> str:
    """Of a model's weights, and of the files that say what becomes of an image or a text before it sees them."""
    from cmc.data.preparation.extraction import digest

    return digest(*_bits(model), *((folder / name).read_bytes() for name in _BEFORE if (folder / name).is_file()))


def weights_digest(model: torch.nn.Module) -> str:
    """Of all tensors of a model, with their names."""
    from cmc.data.preparation.extraction import digest

    return digest(*_bits(model))


def _bits(model: torch.nn.Module) -> Iterator[str]:
    from cmc.data.preparation.extraction import digest

    for name, tensor in model.state_dict().items():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        yield digest(name, flat.view(torch.uint8).numpy().tobytes())


# a model


def _load(folder: Path, tower: str, precision: str, device: torch.device) -> tuple[Any, bool]:
    """Load a model, of a dual one the tower alone where that can be; say also whether its pooling layer is trained."""
    import transformers

    if precision not in PRECISIONS:
        raise UserError(f"precision is {precision!r}: give one of {', '.join(PRECISIONS)}")
    _check_implementations(_json(folder / "config.json", {}))
    config = transformers.AutoConfig.from_pretrained(folder, **LOCAL)
    model_class = transformers.AutoModel
    if prefix := TOWERS.get(config.model_type):
        whole, config = config, getattr(config, f"{tower.lower()}_config")
        config.projection_dim = whole.projection_dim
        model_class = getattr(transformers, f"{prefix}{tower}ModelWithProjection")
    elif (config.architectures or [""])[0].endswith(f"{tower}ModelWithProjection"):
        model_class = getattr(transformers, config.architectures[0])
    elif tower == "Text" and type(config) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING:
        model_class = transformers.AutoModelForTextEncoding
    if hasattr(config, "mask_ratio"):  # a masked autoencoder would hide three quarters of an image
        config.mask_ratio = 0.0
    model, report = model_class.from_pretrained(
        folder, config=config, dtype=PRECISIONS[precision], weights_only=True, output_loading_info=True, **LOCAL
    )
    untrained = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if untrained:
        raise ValueError(f"no weights for {untrained[0]} and {len(untrained) - 1} more")
    return model.eval().to(device), not report["missing_keys"]


def _check_timm(model: str, folder: Path) -> None:
    """Refuse a model of timm where that is not installed."""
    config = _json(folder / "config.json", {})
    is_timm = config.get("model_type") == "timm_wrapper" or "pretrained_cfg" in config
    if is_timm and (missing := [name for name in ("timm", "torchvision") if find_spec(name) is None]):
        raise UserError(
            f"features.image={model} is a model of timm, and {missing[0]} is not installed: pip install timm, and the "
            "torchvision that belongs to your torch"
        )


def _check_implementations(config: Any) -> None:
    """Refuse a configuration that has parts of the model fetched as code from the hub (``attn_implementation``)."""
    for key, value in config.items() if isinstance(config, dict) else ():
        if key.endswith("_implementation") and "/" in str(value):
            raise ValueError(f"{key} names {str(value)[:80]}, which is code of others")
        _check_implementations(value)


def _moved(inputs: Any, model: Any) -> dict[str, Tensor]:
    """Bring inputs to a model's device; real numbers to its precision, too."""
    return {
        key: value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)
        for key, value in inputs.items()
    }


def _numpy(vectors: Tensor) -> NDArray[np.float32]:
    return np.asarray(vectors.float().cpu().numpy())


# what a sentence-transformers folder says besides


def _pooling(key: str, model: str, folder: Path) -> str:
    """Return ``mean`` or ``cls``; refuse any other step between the hidden states and the embedding."""
    for module in _json(folder / "modules.json", []):
        kind = module["type"].rsplit(".", 1)[-1]
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise UserError(f"{key}={model} has a {kind} module, which is not built here: give another model")
    for file in sorted(folder.glob("*_Pooling/config.json")):
        said = _json(file, {})
        modes = {mode.removeprefix("pooling_mode_") for mode, on in said.items() if on is True}
        mode = said.get("pooling_mode") or "+".join(sorted(modes - {"include_prompt"}))
        if mode not in ("mean", "mean_tokens", "cls", "cls_token"):
            raise UserError(f"{key}={model} pools by {mode}; built here are mean and cls: give another model")
        return str(mode).partition("_")[0]
    return "mean"


def _longest(folder: Path, tokenizer: Any, model: Any) -> int:
    """Return the tokens that a text is cut at."""
    bounds: list[int | None] = [
        _json(folder / "sentence_bert_config.json", {}).get("max_seq_length"),
        tokenizer.model_max_length,
        getattr(model.config.get_text_config(), "max_position_embeddings", None),
    ]
    return min(LONGEST, *(bound for bound in bounds if bound))


def _json(file: Path, otherwise: Any) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else otherwise
