"""``cmc.prepare`` on one device and on two: real processes, with models of random weights, against one alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from cmc import prepare
from cmc.data.datasets.folder import Folder
from tests.data import trees
from tests.quick import interpreter
from tests.training.test_launcher import ENVIRONMENT, wait_for

TWO = ["trainer.accelerator=cpu", "trainer.devices=2"]
SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "number"]


def pictures(folder, n):
    for i in range(n):
        trees.picture(folder / f"{i}.jpg", i)
    trees.lines(folder / "captions.csv", ["image,caption", *(f"{i}.jpg,a {WORDS[6 + i % 2]} number" for i in range(n))])


def models(folder):
    """A vision and a text model, tiny, of random weights."""
    torch.manual_seed(0)
    vit = transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8))
    vit.save_pretrained(folder / "vit")
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder / "vit")
    bert = transformers.BertModel(transformers.BertConfig(**SMALL, vocab_size=len(WORDS), max_position_embeddings=12))
    bert.save_pretrained(folder / "bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(folder / "vocab.txt"), model_max_length=12).save_pretrained(folder / "bert")
    return {"image": str(folder / "vit"), "text": str(folder / "bert"), "batch_size": 2}


@pytest.fixture
def one_thread():
    """Sums in one order, as in processes of one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def command(root, extract, *more):
    return [
        "data=folder",
        "data.raw=mine",
        f"data.root={root}",
        *(f"features.{k}={v}" for k, v in extract.items()),
        *more,
    ]


class Stopped(Exception):
    pass


def test_two_processes_go_on_with_what_one_began_to_the_same_folder_bit_by_bit(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "mine", 13)
    (tmp_path / "mine/4.jpg").write_bytes(b"no image")
    extract = models(tmp_path)
    alone = Folder(raw="mine", root="alone", extract=extract)
    alone.prepare(lambda name, rows: None, lambda name, rows: None)
    n_steps = 0

    def stop(name, rows):
        nonlocal n_steps
        n_steps += 1
        if n_steps == 3:
            raise Stopped

    with pytest.raises(Stopped):
        Folder(raw="mine", root="out", extract=extract).prepare(stop, lambda name, rows: None)
    made = subprocess.run(
        [interpreter(), "-m", "cmc.prepare", *command("out", extract, *TWO)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    assert files(tmp_path / "out") == files(tmp_path / "alone")
    assert np.load("out/image.npy").shape == (12, 16)
    assert len(np.unique(np.load("out/image.npy"), axis=0)) == 12
    told, onward = made.stdout.splitlines()
    assert told.startswith("out: 12 samples, image 16 (")
    assert "1 sample left out: 4.jpg" in told
    assert onward.startswith("next: ")
    said = [line.partition("] ")[2] for line in made.stderr.splitlines()]
    assert [line.split(": ")[0] for line in said] == ["image", "text"], "of two processes the first speaks"
    assert all(line.endswith("on cpu by the first of 2 processes that share it") for line in said)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes through /proc")
@pytest.mark.parametrize("killed", [0, 1])
def test_one_of_two_is_killed_and_one_alone_goes_on(tmp_path, monkeypatch, commanded, one_thread, killed):
    from tests.training.test_launcher import workers

    pictures(tmp_path / "mine", 400)
    extract = models(tmp_path) | {"batch_size": 1}
    process = subprocess.Popen(
        [sys.executable, "-m", "cmc.prepare", *command("out", extract, *TWO)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((tmp_path / f"out/progress-{killed}.json").exists, 200)
    os.kill(workers(tmp_path)[killed], signal.SIGKILL)
    line = process.communicate(timeout=90)[1].splitlines()[-1]
    assert line.endswith(
        f"rank {killed} was killed (SIGKILL); the other processes were ended; the same command goes on from here"
    )
    assert process.returncode == 1
    assert not workers(tmp_path)
    assert not (tmp_path / "out/meta.json").exists()
    noted = json.loads((tmp_path / f"out/progress-{killed}.json").read_text())["done"]["image"]["steps"]
    taken = sum(stop - start for start, stop in noted)
    assert 0 < taken < 400
    status, _, line = commanded(prepare, *command("out", extract, "trainer.accelerator=cpu"))
    assert status == 0, line
    Folder(raw="mine", root="alone", extract=extract).prepare(lambda name, rows: None, lambda name, rows: None)
    assert files(tmp_path / "out") == files(tmp_path / "alone")


def test_what_is_not_divisible_is_one_processs_and_the_log_says_so(tmp_path, monkeypatch, commanded, caplog):
    """Two samples for two processes, of which TF-IDF has but one step."""
    pictures(tmp_path / "mine", 2)
    made = subprocess.run(
        [interpreter(), "-m", "cmc.prepare", *command("out", {"batch_size": 5}, *TWO)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    told = [line for line in made.stderr.splitlines() if " on cpu" in line]
    assert len(told) == 2
    assert all(line.endswith("on cpu, by one process: it cannot be divided") for line in told)
    Folder(raw=str(tmp_path / "mine"), root=str(tmp_path / "alone")).read()
    for name in ("image", "text"):
        ours, alone = (np.load(tmp_path / folder / f"{name}.npy") for folder in ("out", "alone"))
        np.testing.assert_array_equal(ours, alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainer.devices=0"], "trainer.devices: 0 given; it must be a number of at least 1, or a list"),
        (["trainer.devices=[]"], "trainer.devices: [] given"),
        (["trainer.devices=1.5"], "trainer.devices: 1.5 given"),
        (["trainer.accelerator=cpu", "trainer.devices=5000"], "trainer.devices: 5000 given, but "),
        (["trainer.accelerator=gpu", "trainer.devices=64"], "trainer.devices: 64 given, but 0 GPUs are here"),
        (["trainer.accelerator=gpu"], "trainer: "),
        (["trainer.accelerator=gpuu"], "trainer: "),
        (["trainer=multinode"], "trainer.num_nodes: 2 given; cmc.prepare shares the work on one machine"),
        (["trainer.precision=bf16-mixed"], "trainer.precision: bf16-mixed given; features.precision is that of"),
        ([*TWO, "features.device=cuda:1"], "features.device: cuda:1 given, but each of 2 processes has a device"),
    ],
)
def test_devices_that_are_not_there_are_one_line(commanded, arguments, message):
    status, _, line = commanded(prepare, "data=nuswide", "data.raw=raw", *arguments)
    assert (status, message in line) == (2, True), line


def test_torchrun_is_not_needed(commanded, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    status, _, line = commanded(prepare, "data=nuswide", "data.raw=raw")
    assert (status, line) == (
        2,
        "cmc.prepare starts its processes itself: call it without torchrun, with trainer.devices=N",
    )
