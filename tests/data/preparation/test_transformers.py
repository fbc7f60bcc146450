"""Features of image and text models, against the models called by hand, a sample at a time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from cmc.data.preparation.transformers import ImageModel, TextModel
from tests.data.preparation.models import (
    EYES,
    MINILM,
    SENTENCES,
    SMALL,
    WORDS,
    bert,
    bert_tokenizer,
    clip,
    close,
    pictures,
    pixels,
    saved,
    vit_processor,
)

pytestmark = pytest.mark.usefixtures("no_network")

# images


def test_clip_gives_projected_features_without_its_text_tower(tmp_path: Path) -> None:
    model = clip(tmp_path)
    given = ImageModel(str(tmp_path))
    assert given.width == 7
    close(given(pictures()), model.get_image_features(pixels(tmp_path)).pooler_output)
    assert not any("text" in name for name, _ in given._model.named_parameters())


def test_a_saved_tower_gives_projected_features(tmp_path: Path) -> None:
    model = clip(tmp_path / "both")
    tower = tmp_path / "tower"
    config = model.config.vision_config
    config.projection_dim = 7
    transformers.CLIPVisionModelWithProjection.from_pretrained(tmp_path / "both", config=config).save_pretrained(tower)
    shutil.copy(tmp_path / "both" / "preprocessor_config.json", tower)
    close(ImageModel(str(tower))(pictures()), model.get_image_features(pixels(tower)).pooler_output)


def test_dual_models_of_other_kinds(tmp_path: Path) -> None:
    config = transformers.SiglipConfig(
        text_config={**SMALL, "vocab_size": len(WORDS), "max_position_embeddings": 10, "projection_size": 16},
        vision_config={**SMALL, **EYES},
    )
    processor = transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    model = saved(transformers.SiglipModel(config), tmp_path, processor)
    close(ImageModel(str(tmp_path))(pictures()), model.get_image_features(pixels(tmp_path)).pooler_output)
    tokenizer = bert_tokenizer(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    rows = [
        model.get_text_features(
            **tokenizer(text, padding="max_length", max_length=10, truncation=True, return_tensors="pt")
        ).pooler_output
        for text in SENTENCES[:3]
    ]
    close(TextModel(str(tmp_path))(SENTENCES[:3]), torch.nn.functional.normalize(torch.cat(rows)))


def test_vision_transformer_gives_its_pooled_output(tmp_path: Path) -> None:
    model = saved(transformers.ViTModel(transformers.ViTConfig(**SMALL, **EYES)), tmp_path, vit_processor())
    given = ImageModel(str(tmp_path))
    assert given.width == 16
    close(given(pictures()), model(pixels(tmp_path)).pooler_output)


def test_untrained_pooling_layer_is_passed_over(tmp_path: Path) -> None:
    """A classifier's weights hold no pooling layer; a random one must not stand in."""
    config = transformers.ViTConfig(**SMALL, **EYES)
    model = saved(transformers.ViTForImageClassification(config), tmp_path, vit_processor())
    expected = model.vit(pixels(tmp_path)).last_hidden_state.mean(1)
    close(ImageModel(str(tmp_path))(pictures()), expected)


@pytest.mark.parametrize("kind", ["ConvNext", "ResNet"])
def test_convolutional_models_give_their_pooled_output(tmp_path: Path, kind: str) -> None:
    sizes = {"hidden_sizes": [8, 12], "depths": [1, 1]}
    extra = {"num_stages": 2} if kind == "ConvNext" else {"embedding_size": 8}
    config = getattr(transformers, f"{kind}Config")(**sizes, **extra)
    model = saved(getattr(transformers, f"{kind}Model")(config), tmp_path, vit_processor())
    given = ImageModel(str(tmp_path))
    assert given.width == 12
    expected = model(pixels(tmp_path)).pooler_output.reshape(3, 12)
    close(given(pictures()) / 100, expected / 100)


def test_convolutional_model_without_pooling_gives_the_mean_over_space(tmp_path: Path) -> None:
    config = transformers.MobileNetV2Config(depth_multiplier=0.25, min_depth=4)
    model = saved(transformers.MobileNetV2Model(config), tmp_path, vit_processor(96))
    given = ImageModel(str(tmp_path))
    given._pooled = False
    expected = model(pixels(tmp_path)).last_hidden_state.flatten(2).mean(2)
    scale = expected.detach().abs().max().item()
    close(given(pictures()) / scale, expected / scale)


def test_masked_autoencoder_hides_nothing(tmp_path: Path) -> None:
    config = transformers.ViTMAEConfig(
        **SMALL, **EYES, decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2
    )
    saved(transformers.ViTMAEModel(config), tmp_path, vit_processor())
    given = ImageModel(str(tmp_path))
    first = given(pictures())
    assert np.abs(first - first[:1]).max() > 1e-3
    np.testing.assert_allclose(given(pictures()), first, atol=1e-5)


@pytest.mark.parametrize(("precision", "tolerance"), [("16", 5e-3), ("bf16", 5e-2)])
def test_half_precision_is_close(tmp_path: Path, precision: str, tolerance: float) -> None:
    clip(tmp_path)
    for model_class, inputs in ((ImageModel, pictures()), (TextModel, SENTENCES)):
        full, half = (model_class(str(tmp_path), precision=p)(inputs) for p in ("32", precision))
        assert half.dtype == np.float32
        assert 0 < np.abs(full - half).max() < tolerance * np.abs(full).max()


# texts


def hidden_states(model: Any, folder: Path) -> list[torch.Tensor]:
    """Each sentence alone, so that nothing is padded: tokens x width."""
    tokenizer = bert_tokenizer(folder)
    encoded = [tokenizer(text, truncation=True, max_length=12, return_tensors="pt") for text in SENTENCES]
    assert max(one["input_ids"].shape[1] for one in encoded) == 12
    return [model(**one).last_hidden_state[0] for one in encoded]


def test_mean_over_tokens(tmp_path: Path) -> None:
    model = bert(tmp_path)
    expected = torch.stack([states.mean(0) for states in hidden_states(model, tmp_path)])
    given = TextModel(str(tmp_path))
    assert given.width == 16
    close(given(SENTENCES), torch.nn.functional.normalize(expected))


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "include_prompt": True},
        {"pooling_mode": "cls", "embedding_dimension": 16, "include_prompt": True},
    ],
)
def test_first_token_where_the_folder_says_so(tmp_path: Path, pooling: dict[str, Any]) -> None:
    model = bert(tmp_path, pooling)
    expected = torch.stack([states[0] for states in hidden_states(model, tmp_path)])
    close(TextModel(str(tmp_path))(SENTENCES), torch.nn.functional.normalize(expected))


def test_clip_gives_projected_features_of_its_texts(tmp_path: Path) -> None:
    model = clip(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    rows = []
    for text in SENTENCES:
        tokens = tokenizer(text, truncation=True, max_length=10, return_tensors="pt")
        rows.append(model.get_text_features(tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output)
    given = TextModel(str(tmp_path))
    assert given.width == 7
    close(given(SENTENCES), torch.nn.functional.normalize(torch.cat(rows)))
    assert not any("vision" in name for name, _ in given._model.named_parameters())


def test_encoder_of_an_encoder_decoder(tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
    model = saved(transformers.T5EncoderModel(config), tmp_path, bert_tokenizer(tmp_path))
    tokens = bert_tokenizer(tmp_path)("a dog runs", return_tensors="pt")
    expected = model(tokens["input_ids"]).last_hidden_state.mean(1)
    close(TextModel(str(tmp_path))(["a dog runs"]), torch.nn.functional.normalize(expected))


def test_sentences_of_a_real_model() -> None:
    texts = [
        "A man is riding a horse on the beach.",
        "Someone rides a horse along the sea shore.",
        "Two kittens sleep on a sofa.",
        "A pair of young cats is napping on the couch.",
        "The parliament passed the new tax law yesterday.",
        "Lawmakers approved tax legislation on Tuesday.",
        "word " * 400,
        "",
    ]
    vectors = TextModel(str(MINILM))(texts)
    assert vectors.shape == (8, 384)
    products = vectors[:6] @ vectors[:6].T - 2 * np.eye(6)
    assert products.argmax(axis=1).tolist() == [1, 0, 3, 2, 5, 4]
    paraphrases = products[[0, 2, 4], [1, 3, 5]]
    products[[0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4]] = -2
    assert paraphrases.min() > products.max() + 0.2
    reference = SentenceTransformer(str(MINILM), device="cpu").encode(texts, show_progress_bar=False)
    np.testing.assert_allclose(vectors, reference, atol=1e-5)
