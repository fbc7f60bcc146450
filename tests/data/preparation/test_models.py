"""Where models come from: their names, what is asked of the hub, what a folder of a stranger cannot do."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers

from cmc.data.preparation.transformers import ImageModel, TextModel
from tests.data.preparation.models import (
    EYES,
    MINILM,
    SENTENCES,
    SMALL,
    bert,
    clip,
    line,
    pictures,
    saved,
    vit_processor,
)

pytestmark = pytest.mark.usefixtures("no_network")

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
