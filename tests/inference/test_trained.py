"""A finished run taken up again: what it assigns, which files are refused, and that none of them runs code."""

import csv
import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from cmc.config.trust import check_classes
from cmc.data.datasets.synthetic import Synthetic
from cmc.data.loader import Batch
from cmc.errors import UserError
from cmc.inference.trained import load
from cmc.methods.base import Method
from cmc.methods.gaps import assign_present
from tests.methods.toy import Toy

METHODS = ("cmmc", "dmim")


@pytest.fixture(scope="module", params=METHODS)
def trained(request, finished_runs):
    return load(finished_runs[request.param])


def features_of(trained):
    settings = {key: value for key, value in trained.config.data.items() if key != "_target_"}
    return Synthetic(**settings).read().features


def test_it_is_in_evaluation_mode_and_scales_as_the_training_data_were(trained):
    assert not any(module.training for module in trained.method.modules())
    assert not any(parameter.requires_grad for parameter in trained.method.parameters())
    with (trained.folder / "assignments.csv").open() as file:
        rows = [int(row["index"]) for row in csv.DictReader(file)]
    for name, x in features_of(trained).items():
        scaled = trained.scaler(name, torch.from_numpy(x).float())
        expected = (x - x[rows].mean(0)) / x[rows].std(0)
        np.testing.assert_allclose(scaled.numpy(), expected, atol=1e-5)


def test_it_assigns_as_the_run_did(trained):
    features = features_of(trained)
    clusters = torch.cat([each.assignment.argmax(1) for each in trained.assign(features)])
    for part in ("assignments.csv", "assignments_holdout.csv"):
        with (trained.folder / part).open() as file:
            for row in csv.DictReader(file):
                assert clusters[int(row["index"])] == int(row["cluster"])


def test_company_changes_no_sample(trained):
    """Alone, in another order or among all, a sample is assigned the same."""
    features = features_of(trained)
    (_, whole, *_), *_ = trained.assign(features)
    order = np.random.default_rng(0).permutation(len(whole))
    (_, shuffled, *_), *_ = trained.assign(features, order)
    torch.testing.assert_close(shuffled, whole[order], rtol=1e-5, atol=1e-7)
    for row in order[:20]:
        (_, alone, *_), *_ = trained.assign({name: x[row : row + 1] for name, x in features.items()})
        torch.testing.assert_close(alone[0], whole[row], rtol=1e-5, atol=1e-7)


def test_a_modality_s_own_assignment_is_a_function_of_it_alone(trained):
    generator = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(5, d, generator=generator) for d in (6, 5, 5))
    with torch.no_grad():
        one, other = (trained.method.assign_each(Batch((a, x), torch.arange(5))) for x in (b, c))
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])


def test_missing_modalities_are_averaged_over_sample_by_sample(trained):
    generator = torch.Generator().manual_seed(0)
    a, b, noise = (torch.randn(40, d, generator=generator) for d in (6, 5, 5))
    present = torch.rand(2, 40, generator=generator) < 0.6
    present[0, ~present.any(0)] = True
    method = trained.method
    with torch.no_grad():
        each, whole = (
            method.assign_each(Batch((a, b), torch.arange(40))),
            method.assign(Batch((a, b), torch.arange(40))),
        )
        filled = torch.where(present[1][:, None], b, noise)
        found, alone = assign_present(method, Batch((a, filled), torch.arange(40), presence=present.T))
    for i in range(40):
        there = [each[m, i] for m in range(2) if present[m, i]]
        expected = whole[i] if len(there) == 2 else there[0]
        torch.testing.assert_close(found[i], expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(alone[0], each[0], rtol=1e-5, atol=1e-7)


def test_without_assignments_of_each_modality_none_may_be_missing():
    method = Toy({"a": 4, "b": 3}, 3, {"first": {"epochs": 1}})
    present = torch.ones(2, 2, dtype=torch.bool)
    batch = Batch((torch.randn(2, 4), torch.randn(2, 3)), torch.arange(2), presence=present)
    found, each = assign_present(method, batch)
    assert torch.equal(found, method.assign(batch))
    assert each is None
    present[0, 1] = False
    with pytest.raises(UserError, match=r"^Toy assigns from all modalities together \(a, b\)"):
        assign_present(method, batch)


@pytest.fixture
def copy(finished_runs, tmp_path):
    """A finished run of CMMC to spoil."""
    return shutil.copytree(finished_runs["cmmc"], tmp_path / "run")


def edit_report(folder, **features):
    report = json.loads((folder / "metrics.json").read_text())
    report["features"] |= features
    (folder / "metrics.json").write_text(json.dumps(report))


def cut(path):
    path.write_bytes(path.read_bytes()[:-500])


def spoil_both(folder, spoil):
    for name in ("last", "previous"):
        spoil(folder / "checkpoints" / f"{name}.ckpt")


def resave(folder, change):
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    spoil_both(folder, lambda path: torch.save(change(checkpoint), path))


SPOILED = {
    "no config": (lambda f, runs: (f / "config.yaml").unlink(), r"is no run folder: it has no config\.yaml"),
    "unfinished": (lambda f, runs: (f / "metrics.json").unlink(), r"not finished; .* cmc\.run resume="),
    "no checkpoint": (lambda f, runs: shutil.rmtree(f / "checkpoints"), r"has no checkpoints/last\.ckpt"),
    "cut short": (lambda f, runs: spoil_both(f, cut), r"last\.ckpt: cannot be read, nor the one before; cut short or"),
    "empty": (lambda f, runs: spoil_both(f, lambda path: path.write_bytes(b"")), r"last\.ckpt: cannot be read"),
    "half a report": (
        lambda f, runs: cut(f / "metrics.json"),
        r"metrics\.json: damaged, or written by another version",
    ),
    "an older report": (
        lambda f, runs: (f / "metrics.json").write_text("{}"),
        r"metrics\.json: damaged, or written by",
    ),
    "no yaml": (lambda f, runs: (f / "config.yaml").write_text("a: [1"), r"config\.yaml: cannot be read"),
    "another yaml": (lambda f, runs: (f / "config.yaml").write_text("a: 1"), r"config\.yaml: names no method"),
    "another method": (
        lambda f, runs: shutil.copy(runs["dmim"] / "checkpoints" / "last.ckpt", f / "checkpoints"),
        r"last\.ckpt: does not belong to config\.yaml beside it: Missing key\(s\)",
    ),
    "other widths": (
        lambda f, runs: edit_report(f, dims={"modality_0": 6, "modality_1": 7}),
        r"was trained on modality_0 6, modality_1 5, but metrics\.json beside it says modality_0 6, modality_1 7",
    ),
    "another hidden layer": (
        lambda f, runs: (f / "config.yaml").write_text((f / "config.yaml").read_text().replace("- 16", "- 17")),
        r"does not belong to config\.yaml beside it: size mismatch",
    ),
    "a key of another version": (
        lambda f, runs: (f / "config.yaml").write_text((f / "config.yaml").read_text().replace("latent_dim", "latent")),
        r"config\.yaml: its method cannot be made: .*latent",
    ),
    "a list": (lambda f, runs: resave(f, lambda c: [1]), r"is no checkpoint of CMC"),
    "a foreign model": (lambda f, runs: resave(f, lambda c: c["state_dict"]), r"is no checkpoint of CMC"),
    "no scaling": (lambda f, runs: resave(f, lambda c: {"state_dict": c["state_dict"]}), r"holds no scaling"),
    "a damaged scaling": (
        lambda f, runs: resave(f, lambda c: {"state_dict": c["state_dict"], "Files": {"scaler": {"kinds": 1}}}),
        r"its scaling is damaged",
    ),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_spoiled_run_is_refused_in_one_line(spoiled, copy, finished_runs):
    spoil, message = SPOILED[spoiled]
    spoil(copy, finished_runs)
    with pytest.raises(UserError, match=message) as refusal:
        load(copy)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


def test_of_a_model_kept_twice_one_may_be_damaged(copy, caplog):
    whole = load(copy).method.state_dict()
    cut(copy / "checkpoints" / "last.ckpt")
    with caplog.at_level("WARNING"):
        taken = load(copy).method.state_dict()
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{copy}/checkpoints/last.ckpt: cannot be read, taking previous.ckpt in its")
    assert all(torch.equal(taken[name], value) for name, value in whole.items())


def test_a_model_that_is_not_trained_to_its_end_does_not_stand_in(copy):
    cut(copy / "checkpoints" / "last.ckpt")
    earlier = torch.load(copy / "checkpoints" / "previous.ckpt", weights_only=True)
    earlier["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] = 4
    torch.save(earlier, copy / "checkpoints" / "previous.ckpt")
    with pytest.raises(UserError, match=r"previous\.ckpt is of epoch 4 of 6; train on from there: .*resume="):
        load(copy)
    del earlier["loops"]
    torch.save(earlier, copy / "checkpoints" / "previous.ckpt")
    with pytest.raises(UserError, match=r"previous\.ckpt: does not say of which epoch it is"):
        load(copy)


class Code:
    """What a pickle of a stranger may do."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_checkpoint_runs_no_code(copy, tmp_path):
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(Code(trace))).close()
    assert trace.exists(), "the code would run"
    trace.unlink()
    spoil_both(copy, lambda path: torch.save({"state_dict": {}, "more": Code(trace)}, path))
    trace.unlink(missing_ok=True)
    with pytest.raises(UserError, match="cannot be read"):
        load(copy)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("key", "target", "message"),
    [
        ("method", "os.system", r"names os\.system, .*; if you know what it does, add trust=\[os\]"),
        (
            "method",
            "cmc.training.launcher.subprocess.Popen",
            r"names cmc\.training\.launcher\.subprocess\.Popen, and files may name",
        ),
        ("method", "cmc.training.launcher.subprocess.run", r"cmc\.training\.launcher\.subprocess\.run cannot be had"),
        ("method", "cmc.data.datasets.Digits", r"cmc\.data\.datasets\.Digits is no Method"),
        ("method", "cmc.methods.cmmc.Nothing", r"cmc\.methods\.cmmc\.Nothing cannot be had: .*another version of CMC"),
        ("method", "cmc.methods.baselines.KMeans", r"cannot be had: it is of another version of CMC"),
        ("method", None, r"names no Method"),
        ("method.hidden", "os.getcwd", r"names os\.getcwd"),
    ],
)
def test_a_configuration_names_no_code_of_others(key, target, message, copy):
    from omegaconf import OmegaConf

    config = OmegaConf.load(copy / "config.yaml")
    if target is None:
        del config.method["_target_"]
    else:
        OmegaConf.update(config, key, {"_target_": target}, merge=key == "method", force_add=True)
    OmegaConf.save(config, copy / "config.yaml")
    with pytest.raises(UserError, match=message):
        load(copy)


def test_an_optimiser_is_never_made(copy):
    from omegaconf import OmegaConf

    config = OmegaConf.load(copy / "config.yaml")
    config.method.optimizer = {"_target_": "os.abort"}
    OmegaConf.save(config, copy / "config.yaml")
    load(copy)


def test_classes_of_a_trusted_package_may_be_named():
    settings = {"_target_": "tests.methods.toy.Toy"}
    with pytest.raises(UserError, match=r"add trust=\[tests\]"):
        check_classes("config.yaml", settings, Method)
    check_classes("config.yaml", settings, Method, trust=["tests"])


def test_a_device_that_is_not_there_is_named(finished_runs):
    with pytest.raises(UserError, match="device 'cuda:77' is not there"):
        load(finished_runs["cmmc"], device="cuda:77")
