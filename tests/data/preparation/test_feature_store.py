"""Feature folders: made from raw distributions, stopped and gone on with, read back, and refused when damaged."""

import csv
import json

import numpy as np
import pytest

from cmc.data.datasets.folder import Folder
from cmc.data.datasets.iaprtc12 import IaprTc12
from cmc.data.datasets.mirflickr import MirFlickr
from cmc.data.datasets.nuswide import NusWide
from cmc.errors import UserError
from tests.data import trees


class Stopped(Exception):
    pass


def prepare(module, stop_after=None):
    """Prepare; with ``stop_after``, die after so many steps, as at a power cut."""
    steps, totals, done = 0, {}, {}

    def advance(name, rows):
        nonlocal steps
        steps += 1
        done[name] = done.get(name, 0) + rows
        if steps == stop_after:
            raise Stopped

    meta = module.prepare(advance, totals.__setitem__)
    assert done == totals
    return meta


def iapr(tmp_path, **settings):
    settings = {"concepts": 3, "per_class": None, **settings}
    return IaprTc12(root=str(tmp_path / "out"), raw=str(tmp_path / "raw"), extract={"batch_size": 4}, **settings)


def test_low_level_features_become_the_folder_that_reading_them_gives(tmp_path):
    trees.nuswide(tmp_path / "raw")
    settings = {"concepts": 3, "per_class": 5, "subset_seed": 2}
    meta = prepare(NusWide(root=str(tmp_path / "out"), raw=str(tmp_path / "raw"), **settings))
    direct = NusWide(root=str(tmp_path / "raw"), **settings).read()
    folder = NusWide(root=str(tmp_path / "out"), **settings).read()
    assert folder.classes == direct.classes
    np.testing.assert_array_equal(folder.labels, direct.labels)
    for name, array in direct.features.items():
        assert isinstance(folder.features[name], np.memmap)
        np.testing.assert_array_equal(folder.features[name], array)
    assert meta["selection"]["per_class"] == [5, 5, 5]
    assert meta["selection"]["seed"] == 2
    used = {source["file"].rsplit("/", 1)[1] for source in meta["sources"]}
    assert {"Imagelist.txt", "Labels_sky.txt", "Test_Normalized_CH.dat", "AllTags1k.txt"} <= used
    assert all(len(source["blake2b"]) == 32 and source["bytes"] > 0 for source in meta["sources"])


def test_a_collection_of_many_files_has_one_entry(tmp_path):
    trees.iaprtc12(tmp_path / "raw", n=241, regions=True)
    sources = prepare(iapr(tmp_path))["sources"]
    images = [path for path in (tmp_path / "raw/iaprtc12/images").rglob("*.jpg") if path.stem != "265"]
    (entry,) = [source for source in sources if source.get("files") == len(images) == 240]
    assert entry["bytes"] == sum(path.stat().st_size for path in images)
    assert entry["folder"].endswith("images")


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_wherever_it_is_stopped_it_goes_on_to_the_same_folder(tmp_path):
    trees.iaprtc12(tmp_path / "raw")
    (tmp_path / "raw/iaprtc12/images/00/27.jpg").write_bytes(b"no image")
    prepare(iapr(tmp_path))
    whole = files(tmp_path / "out")
    n_steps = -(-19 // 4) + 1
    for stop in range(1, n_steps + 1):
        for path in (tmp_path / "out").iterdir():
            path.unlink()
        with pytest.raises(Stopped):
            prepare(iapr(tmp_path), stop)
        with pytest.raises(UserError, match=r"not come to its end; run the same cmc\.prepare again"):
            iapr(tmp_path).read()
        prepare(iapr(tmp_path))
        assert files(tmp_path / "out") == whole


def test_steps_already_taken_are_not_taken_again(tmp_path, monkeypatch):
    trees.iaprtc12(tmp_path / "raw")
    with pytest.raises(Stopped):
        prepare(iapr(tmp_path), 3)
    opened = []
    from cmc.data.preparation import images

    original = images.open_image
    monkeypatch.setattr(images, "open_image", lambda path: opened.append(path) or original(path))
    prepare(iapr(tmp_path))
    assert len(opened) <= 19 - 2 * 4


def test_an_unreadable_image_is_left_out_of_every_modality(tmp_path):
    trees.iaprtc12(tmp_path / "raw")
    images = tmp_path / "raw/iaprtc12/images"
    (images / "00/27.jpg").write_bytes((images / "00/27.jpg").read_bytes()[:300])
    (images / "01/30.jpg").unlink()
    meta = prepare(iapr(tmp_path))
    names = (tmp_path / "out/names.txt").read_text().splitlines()
    with (tmp_path / "out/skipped.csv").open() as file:
        skipped = {row["name"]: row["reason"] for row in csv.DictReader(file)}
    assert set(skipped) == {"00/27", "01/30", "01/44"}
    assert skipped["01/44"] == "no usable annotation"
    assert (meta["n_samples"], meta["skipped"]) == (17, 3)
    held = iapr(tmp_path).read()
    assert held.n_samples == len(names) == 17
    assert not set(names) & set(skipped)
    by_name = dict(zip(names, held.labels, strict=True))
    assert {name: held.classes[label] for name, label in by_name.items()} == {
        name: ["sky blue", "man", "grass"][(int(name.split("/")[1]) - 25) % 3] for name in names
    }


def test_other_settings_do_not_go_on_with_a_begun_folder(tmp_path):
    trees.iaprtc12(tmp_path / "raw")
    with pytest.raises(Stopped):
        prepare(iapr(tmp_path), 1)
    with pytest.raises(UserError, match="was begun with other settings or files"):
        prepare(iapr(tmp_path, concepts=2))


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    trees.mirflickr(tmp_path / "raw")
    settings = {"raw": str(tmp_path / "raw"), "concepts": 2, "per_class": None}
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("precious")
    with pytest.raises(UserError, match="is not empty"):
        prepare(MirFlickr(root=str(tmp_path / "out"), **settings))
    prepare(MirFlickr(root=str(tmp_path / "new"), **settings))
    with pytest.raises(UserError, match="is prepared already"):
        prepare(MirFlickr(root=str(tmp_path / "new"), **settings))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "text.npy").unlink(), r"text.npy: missing, though meta.json names it"),
        (lambda d: (d / "text.npy").write_bytes((d / "text.npy").read_bytes()[:200]), r"text.npy: cut short"),
        (lambda d: (d / "meta.json").write_text("{"), r"meta.json: damaged"),
        (lambda d: (d / "meta.json").write_text('{"format": 2}'), r"meta.json: damaged"),
        (lambda d: change(d, classes=None), r"meta.json: damaged"),
        (lambda d: change(d, modalities={"image": {}, "text": {}}), r"meta.json: damaged"),
        (lambda d: change(d, format=0), r"a feature folder of format 0, this version reads 2"),
        (lambda d: change(d, n_samples=3), r"but meta.json says 3 x"),
        (lambda d: np.save(d / "labels.npy", np.zeros(2, int)), r"2 labels for \d+ samples"),
    ],
)
def test_a_damaged_folder_is_named(tmp_path, spoil, message):
    trees.nuswide(tmp_path / "raw")
    prepare(NusWide(root=str(tmp_path / "out"), raw=str(tmp_path / "raw"), concepts=3, per_class=None))
    spoil(tmp_path / "out")
    with pytest.raises(UserError, match=message):
        NusWide(root=str(tmp_path / "out")).read()


@pytest.mark.parametrize("content", ["", "[]", "{}", "<html>"])
def test_damaged_progress_is_named(tmp_path, content):
    trees.iaprtc12(tmp_path / "raw")
    with pytest.raises(Stopped):
        prepare(iapr(tmp_path), 1)
    (tmp_path / "out/progress.json").write_text(content)
    with pytest.raises(UserError, match=r"progress.json: damaged; delete the folder"):
        prepare(iapr(tmp_path))


def test_an_unfinished_array_that_is_damaged_is_named(tmp_path):
    trees.iaprtc12(tmp_path / "raw")
    with pytest.raises(Stopped):
        prepare(iapr(tmp_path), 1)
    (tmp_path / "out/image.npy.part").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"image.npy.part: cut short or damaged; delete the folder"):
        prepare(iapr(tmp_path))


def test_killed_while_it_saves_its_progress_it_goes_on(tmp_path):
    trees.iaprtc12(tmp_path / "raw")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/progress.json.tmp.json").write_text("{")
    prepare(iapr(tmp_path))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "image.npy",
        "text.npy",
        "text.extractor.npz",
        "labels.npy",
        "names.txt",
        "skipped.csv",
        "meta.json",
    }


def test_a_root_that_is_a_file_is_named(tmp_path):
    trees.iaprtc12(tmp_path / "raw")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match=r"out: no folder can be made here .*; give another data\.root"):
        prepare(iapr(tmp_path))


def test_one_low_level_feature_is_taken_and_recorded(tmp_path):
    from omegaconf import OmegaConf

    trees.nuswide(tmp_path / "raw")
    places = {"root": str(tmp_path / "out"), "raw": str(tmp_path / "raw")}
    module = NusWide(**places, concepts=3, per_class=None, extract=OmegaConf.create({"tables": ["CH"]}))
    assert prepare(module)["extraction"]["tables"] == ["CH"]
    assert module.read().dims == {"image": 5, "text": 6}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concepts": ["sky", "lake"]}, r"data\.concepts: \['sky', 'lake'\] asked for, but the features in .* are of "),
        ({"subset": "full"}, r"data\.subset: full asked for, but the features in .* are of "),
        ({"extract": {"image": "a/model"}}, r"features\.image: a/model asked for, but .* was made with auto"),
        ({"extract": {"tables": ["CH"]}}, r"features\.tables: \['CH'\] asked for, but .* was made with None"),
    ],
)
def test_a_choice_that_a_feature_folder_cannot_give_is_refused(tmp_path, settings, message):
    trees.nuswide(tmp_path / "raw")
    prepare(NusWide(root=str(tmp_path / "out"), raw=str(tmp_path / "raw"), concepts=3, per_class=None))
    assert NusWide(root=str(tmp_path / "out"), concepts=8).read().n_classes == 3
    with pytest.raises(UserError, match=message):
        NusWide(root=str(tmp_path / "out"), **settings).read()


def test_features_made_by_a_choice_are_read_without_naming_it_again(tmp_path):
    own(tmp_path)
    Folder(raw=str(tmp_path / "mine"), extract={"text_width": 2}).read()
    assert Folder(raw=str(tmp_path / "mine")).read().dims["text"] == 2


def test_concepts_that_are_numbers_may_be_given_as_numbers(tmp_path):
    trees.iaprtc12(tmp_path / "raw")
    (tmp_path / "raw/wlist.txt").unlink()
    assert prepare(iapr(tmp_path, concepts=[10, 12]))["classes"] == ["10", "12"]


def change(folder, **values):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | values))


def own(tmp_path, listed=True, labels=True):
    for i in range(12):
        trees.picture(tmp_path / "mine" / f"sub/{i}.jpg", i)
        if not listed:
            (tmp_path / "mine" / f"sub/{i}.txt").write_text(f"a {'dog' if i % 2 else 'cat'} number {i % 3}")
    if listed:
        head = "image,caption" + ",label" * labels
        rows = [f'sub/{i}.jpg,"a {"dog" if i % 2 else "cat"}, {i % 3}"' + f",{i % 2}" * labels for i in range(12)]
        trees.lines(tmp_path / "mine/captions.csv", [head, *rows])
    return Folder(raw=str(tmp_path / "mine"), n_clusters=2)


@pytest.mark.parametrize(("listed", "labels"), [(True, True), (True, False), (False, False)])
def test_a_folder_of_ones_own_is_prepared_on_first_use(tmp_path, listed, labels):
    held = own(tmp_path, listed, labels).read()
    assert held.n_samples == 12
    assert (held.labels is not None) == labels
    names = (tmp_path / "mine/cmc_features/names.txt").read_text().splitlines()
    if labels:
        assert [held.classes[x] for x in held.labels] == [str(int(name[4:-4]) % 2) for name in names]
    meta = (tmp_path / "mine/cmc_features/meta.json").stat().st_mtime_ns
    assert own(tmp_path, listed, labels).read().fingerprint() == held.fingerprint()
    assert (tmp_path / "mine/cmc_features/meta.json").stat().st_mtime_ns == meta, "not made again"


def test_features_made_with_other_settings_are_not_taken_for_these(tmp_path):
    own(tmp_path).read()
    with pytest.raises(UserError, match=r"features\.text_width: 3 asked for, but .* was made with 100"):
        Folder(raw=str(tmp_path / "mine"), extract={"text_width": 3}).read()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.write_text("picture,caption\na,b\n"), r"it needs image and caption"),
        (lambda f: f.write_text("image,caption\nnone.jpg,b\n"), r"line 2: 'none.jpg' is no file"),
        (
            lambda f: f.write_text("image,caption,label\nsub/1.jpg,b,x\nsub/1.jpg,c,y\n"),
            r"line 3: .* has label 'y' here",
        ),
        (lambda f: f.write_text("image,caption,label\nsub/1.jpg,b\n"), r"line 2: a cell is missing"),
        (lambda f: f.write_text("image,caption\n"), r"captions.csv: holds no line but the heading"),
        (lambda f: f.write_text(f"image,caption,{'b' * 200_000}\n"), r"cannot be read as .csv"),
        (lambda f: f.write_bytes(b"image,caption\nsub/1.jpg,\xff\n"), r"no UTF-8 text"),
        (lambda f: f.write_text(""), r"it needs image and caption"),
        (lambda f: f.write_text("image,caption\nsub/1.jpg,a dog, a cat\n"), r"line 2: more cells than columns"),
        (lambda f: f.write_text("image,caption,label\nsub/1.jpg,b,x\nsub/2.jpg,c,x\n"), r"label is 'x' in every line"),
        (lambda f: f.write_text(f"image,caption\nsub/1.jpg,{'b' * 200_000}\n"), r"cannot be read as .csv"),
        (lambda f: (f.unlink(), f.mkdir()), r"cannot be read as .csv"),
        (lambda f: f.unlink(), r"no captions.csv \(columns image, caption\) and no <name>.txt"),
    ],
)
def test_mistakes_in_ones_own_folder_are_named(tmp_path, spoil, message):
    module = own(tmp_path)
    spoil(tmp_path / "mine/captions.csv")
    with pytest.raises(UserError, match=message):
        module.read()


def test_no_readable_image_says_how_to_go_on(tmp_path):
    module = own(tmp_path)
    for path in (tmp_path / "mine/sub").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"12 of 12 samples cannot be read, .*; mend them, delete this folder, and run"):
        module.read()


def test_an_image_without_its_text_is_named(tmp_path):
    module = own(tmp_path, listed=False)
    (tmp_path / "mine/sub/3.txt").unlink()
    with pytest.raises(UserError, match=r"sub/3.jpg: 1 images have no .txt"):
        module.read()
