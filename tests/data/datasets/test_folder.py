"""Folders of pictures and captions in the forms that people have: the same pictures, texts and labels out of each."""

import json

import numpy as np
import pytest

from cmc.data.datasets.folder import Folder
from cmc.data.preparation.feature_store import read_meta
from cmc.errors import UserError
from tests.data.trees import lines, picture

N = 6
NAMES = [f"{i}_x.jpg" for i in range(N)]
SAID = {name: [f"a dog, {i}", f"cats {i}"] for i, name in enumerate(NAMES)}
LABELS = {name: "xyz"[i % 3] for i, name in enumerate(NAMES)}


def pictures(folder, names=NAMES):
    for i, name in enumerate(names):
        picture(folder / name, i)


def opened(folder, **settings):
    module = Folder(raw=str(folder), **settings)
    source = module.open(folder)
    chosen = module._select(source)
    classes = None if chosen.labels is None else [chosen.classes[k] if k >= 0 else None for k in chosen.labels]
    names = [source.names[row] for row in chosen.rows]
    assert all(source.images(row).is_file() for row in chosen.rows)
    return names, source.texts(chosen.rows), classes, source


def kaggle(folder):
    pictures(folder / "Images")
    rows = [f'{name},"{text}"' for name, texts in SAID.items() for text in texts]
    lines(folder / "captions.txt", ["image,caption", *rows])
    return "Images/"


def tokens(folder):
    pictures(folder / "Images")
    lines(
        folder / "Flickr8k.token.txt",
        [f"{n}#{k}\t{text}" for n, several in SAID.items() for k, text in enumerate(several)],
    )
    return "Images/"


def bars(folder):
    pictures(folder / "images")
    rows = [f"{n}| {k}| {text}" for n, several in SAID.items() for k, text in enumerate(several)]
    lines(folder / "captions.csv", ["image_name| comment_number| comment", *rows])
    return "images/"


def karpathy(folder):
    pictures(folder)
    images = [{"filename": n, "sentences": [{"raw": text} for text in several]} for n, several in SAID.items()]
    (folder / "dataset_flickr8k.json").write_text(json.dumps({"images": images}))
    return ""


def coco(folder):
    """Captions apart from their pictures, in any order, beside boxes."""
    pictures(folder / "val2017")
    (folder / "annotations").mkdir()
    images = [{"id": 9 - i, "file_name": name, "height": 8} for i, name in enumerate(NAMES)]
    said = [{"image_id": 9 - i, "id": 2 * i + k, "caption": SAID[n][k]} for k in (0, 1) for i, n in enumerate(NAMES)]
    for name, listed in (("captions", said), ("instances", [{"image_id": 9, "bbox": [0, 0, 1, 1]}])):
        text = json.dumps({"images": images, "annotations": listed})
        (folder / "annotations" / f"{name}_val2017.json").write_text(text)
    return "val2017/"


def flickr30k(folder):
    pictures(folder / "flickr30k_images")
    rows = [f"{n}#{k}\t{text}" for n, several in SAID.items() for k, text in enumerate(several)]
    lines(folder / "results_20130124.token", rows)
    return "flickr30k_images/"


@pytest.mark.parametrize("form", [kaggle, tokens, bars, karpathy, coco, flickr30k])
def test_the_captions_of_a_picture_are_joined_in_every_form(tmp_path, form):
    within = form(tmp_path)
    names, texts, classes, source = opened(tmp_path)
    assert names == [within + name for name in NAMES]
    assert texts == [" ".join(several) for several in SAID.values()]
    assert classes is None
    assert source.form.endswith("its 12 captions joined by picture")


@pytest.mark.parametrize("form", [kaggle, coco])
def test_of_several_captions_the_first_or_each(tmp_path, form):
    within = form(tmp_path)
    names, texts, _, source = opened(tmp_path, captions="first")
    assert (names, texts) == ([within + name for name in NAMES], [several[0] for several in SAID.values()])
    assert source.form.endswith("its 12 captions of which the first of each picture is taken")
    names, texts, _, source = opened(tmp_path, captions="all")
    assert names == [within + name for name in NAMES for _ in range(2)]
    assert texts == [text for several in SAID.values() for text in several]
    assert source.form.endswith("6 images with " + source.files[0].name + ", its 12 captions each a sample")


def test_features_of_all_captions_keep_whose_they_are(tmp_path):
    kaggle(tmp_path)
    (tmp_path / "Images" / NAMES[2]).write_bytes(b"no picture")
    given = {"raw": str(tmp_path), "extract": {"text_width": 2}}
    data = Folder(**given, captions="all").read()
    kept = [name for i, name in enumerate(NAMES) if i != 2]
    assert data.ids.tolist() == [f"Images/{name}" for name in kept for _ in range(2)]
    assert data.captions == [text for name in kept for text in SAID[name]]
    np.testing.assert_array_equal(data.features["image"][0], data.features["image"][1])
    assert read_meta(tmp_path / "cmc_features")["selection"]["captions"] == "all"
    with pytest.raises(UserError, match=r"^data.captions: joined asked for, but the features in .* were made with all"):
        Folder(**given).read()


def test_flickr30k_lacks_a_mark_in_one_line(tmp_path):
    pictures(tmp_path / "flickr30k_images")
    rows = [f"{n}| {k}| {text}" for n, several in SAID.items() for k, text in enumerate(several)]
    rows[3] = f"{NAMES[1]}| 1   {SAID[NAMES[1]][1]}"
    lines(tmp_path / "results.csv", ["image_name| comment_number| comment", *rows])
    assert opened(tmp_path)[1][:3] == ["a dog, 0 cats 0", "a dog, 1", "a dog, 2 cats 2"]


def test_pictures_that_the_list_does_not_name_are_left_out_and_said(tmp_path):
    excel(tmp_path)
    picture(tmp_path / "more" / "seventh.jpg", 7)
    names, _, classes, source = opened(tmp_path)
    assert (names, classes) == (NAMES, list(LABELS.values()))
    assert source.unusable == {6: "not in captions.csv"}
    assert source.names[6] == "more/seventh.jpg"
    assert source.form == "6 images with captions.csv"


def test_a_caption_of_no_picture_of_coco_s(tmp_path):
    pictures(tmp_path)
    said = {"images": [{"id": 1, "file_name": NAMES[0]}], "annotations": [{"image_id": 2, "caption": "a"}]}
    (tmp_path / "captions_x.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match=r"captions_x.json: cannot be read as JSON; .*a caption is of picture 2, which"):
        opened(tmp_path)


def excel(folder):
    pictures(folder)
    rows = [f'{name};"{SAID[name][0]}";{LABELS[name]}' for name in NAMES]
    (folder / "captions.csv").write_bytes(("\r\n".join(["image;caption;label", *rows]) + "\r\n").encode("utf-8-sig"))
    return [""] * N


def tabs(folder):
    pictures(folder / "a" / "b")
    lines(folder / "captions.tsv", ["Label\tText\tFile_name", *(f"{LABELS[n]}\t{SAID[n][0]}\tb/{n}" for n in NAMES)])
    return ["a/b/"] * N


def hugging_face(folder):
    for split, chosen in (("test", NAMES[:2]), ("train", NAMES[2:])):
        pictures(folder / split, chosen)
        rows = ({"file_name": n, "text": SAID[n][0], "label": LABELS[n]} for n in chosen)
        lines(folder / split / "metadata.jsonl", map(json.dumps, rows))
    return ["test/"] * 2 + ["train/"] * 4


@pytest.mark.parametrize("form", [excel, tabs, hugging_face])
def test_labels_come_with_every_form_that_has_them(tmp_path, form):
    within = form(tmp_path)
    names, texts, classes, _ = opened(tmp_path)
    assert names == [place + name for place, name in zip(within, NAMES, strict=True)]
    assert texts == [several[0] for several in SAID.values()]
    assert classes == list(LABELS.values())


def test_a_picture_without_a_label_is_taken_and_has_none(tmp_path):
    pictures(tmp_path)
    rows = [f'{n},"{SAID[n][0]}",{LABELS[n] if i else " "}' for i, n in enumerate(NAMES)]
    lines(tmp_path / "captions.csv", ["image,caption,label", *rows])
    names, _, classes, _ = opened(tmp_path)
    assert names == NAMES
    assert classes == [None, *list(LABELS.values())[1:]]
    module = Folder(raw=str(tmp_path), extract={"text_width": 2})
    module.prepare(lambda *_: None, lambda *_: None)
    assert np.load(tmp_path / "cmc_features" / "labels.npy").tolist() == [-1, 1, 2, 0, 1, 2]
    assert read_meta(tmp_path / "cmc_features")["selection"]["without_label"] == 1


def test_a_column_of_blank_labels_is_none(tmp_path):
    pictures(tmp_path)
    lines(tmp_path / "captions.csv", ["image,caption,label", *(f"{n},a b,  " for n in NAMES)])
    assert opened(tmp_path)[2] is None


def test_a_caption_or_a_picture_that_is_missing_is_left_out_and_said(tmp_path, caplog):
    pictures(tmp_path, NAMES[:5])
    rows = [f"{n},{'' if i == 1 else 'a b c'}" for i, n in enumerate(NAMES)]
    lines(tmp_path / "captions.csv", ["image,caption", *rows])
    names, _, _, source = opened(tmp_path)
    assert names == [NAMES[i] for i in (0, 2, 3, 4)]
    assert source.unusable == {1: "no caption", 5: "no such file"}
    with caplog.at_level("WARNING"):
        assert Folder(raw=str(tmp_path), extract={"text_width": 2}).read().n_samples == 4
    assert "4 samples; 2 samples left out: 1_x.jpg (no caption), 5_x.jpg (no such file)" in caplog.text


def test_a_list_of_other_pictures_is_refused(tmp_path):
    pictures(tmp_path, NAMES[:2])
    lines(tmp_path / "captions.csv", ["image,caption", *(f"{n},a" for n in NAMES)])
    with pytest.raises(UserError, match=r"line 4: '2_x\.jpg' is no file in .*, nor are 3 others of the list$"):
        opened(tmp_path)


def test_a_name_in_several_folders_is_asked_about(tmp_path):
    pictures(tmp_path / "a")
    pictures(tmp_path / "b")
    lines(tmp_path / "captions.csv", ["image,caption", *(f"{n},a" for n in NAMES)])
    with pytest.raises(UserError, match=r"line 2: '0_x\.jpg' is in several folders .*; name the path"):
        opened(tmp_path)


def by_class(folder):
    names = [f"{LABELS[name]}/{name}" for name in NAMES]
    pictures(folder, names)
    for name in names:
        (folder / name).with_suffix(".txt").write_text("a dog\na cat\n")
    return sorted(names)


def test_folders_are_offered_as_labels_and_taken_where_asked_for(tmp_path, caplog):
    names = by_class(tmp_path)
    with caplog.at_level("INFO"):
        assert opened(tmp_path)[2] is None
    assert "the images lie in 3 folders (x, y, z): data.labels=folders takes them as labels" in caplog.text
    found, _, classes, _ = opened(tmp_path, labels="folders")
    assert (found, classes) == (names, [name[0] for name in names])
    assert Folder(raw=str(tmp_path), extract={"text_width": 2}, n_clusters=3).read().labels is None
    with pytest.raises(
        UserError, match=r"data\.labels: folders given, but the features in .* were made without labels"
    ):
        Folder(raw=str(tmp_path), labels="folders").read()
    assert (
        Folder(raw=str(tmp_path), root=str(tmp_path / "f"), labels="folders", extract={"text_width": 2})
        .read()
        .n_classes
        == 3
    )


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("folder", r"data\.labels: 'folder' given; it must be folders, or null"),
        ("folders", "lie in no folders of 2 or"),
    ],
)
def test_folders_that_are_no_labels_are_refused(tmp_path, labels, said):
    pictures(tmp_path)
    lines(tmp_path / "captions.csv", ["image,caption", *(f"{n},a" for n in NAMES)])
    with pytest.raises(UserError, match=said):
        opened(tmp_path, labels=labels)


def test_an_empty_text_beside_a_picture_is_left_out(tmp_path):
    names = by_class(tmp_path)
    (tmp_path / names[2]).with_suffix(".txt").write_text(" \n")
    found, _, _, source = opened(tmp_path)
    assert found == [*names[:2], *names[3:]]
    assert source.unusable == {2: "an empty text"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("metadata.jsonl", "{", r"metadata\.jsonl, line 1: is no mapping of JSON"),
        ("metadata.jsonl", "[1]", r"metadata\.jsonl, line 1: is no mapping of JSON"),
        ("metadata.jsonl", '{"file_name": "a"}', r"line 1: columns \['file_name'\]; it needs image and caption"),
        ("dataset.json", '{"images": [{"filename": "a"}]}', r"dataset\.json: cannot be read as JSON.*sentences"),
        ("dataset.json", '{"images": ', r"dataset\.json: cannot be read as JSON"),
        ("dataset.json", '{"other": 1}', r"no captions\.csv"),
        ("a.token.txt", "a.jpg#0\tb\nc\n", r"a\.token\.txt, line 2: is not NAME#NUMBER, a tab and a caption"),
        ("captions.txt", "a dog\n", r"no captions\.csv"),
        ("captions.txt", "image,caption\na.jpg,b,c\n", r"line 2: more cells than columns; put captions with ',' into"),
    ],
)
def test_what_is_wrong_in_a_list_is_named(tmp_path, name, text, said):
    pictures(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        Folder(raw=str(tmp_path)).read()


@pytest.mark.parametrize("batch", [2, 64])
def test_what_lacks_the_other_is_used_with_rows_of_nan(tmp_path, batch):
    """The others are what they would be without."""
    pictures(tmp_path, NAMES[:5])
    rows = [f"{n},{'' if i == 1 else SAID[n][1]},{LABELS[n]}" for i, n in enumerate(NAMES)]
    rows.append("nothing.jpg,,x")
    lines(tmp_path / "captions.csv", ["image,caption,label", *rows])
    picture(tmp_path / "seventh.jpg", 7)
    made = {}
    for incomplete in ("use", "drop"):
        root, extract = tmp_path / f"{incomplete}_features", {"text_width": 2, "batch_size": batch}
        module = Folder(root=str(root), raw=str(tmp_path), extract=extract, incomplete=incomplete)
        meta = module.prepare(lambda name, rows: None, lambda name, total: None)
        arrays = {name: np.load(root / f"{name}.npy") for name in ("image", "text")}
        names = (root / "names.txt").read_text().split()
        made[incomplete] = {name: dict(zip(names, array, strict=True)) for name, array in arrays.items()}
        assert meta["selection"].get("incomplete", "drop") == incomplete
        assert (root / "skipped.csv").read_text().count("nothing.jpg,no") == 1
    used = made["use"]
    assert list(used["image"]) == [*NAMES, "seventh.jpg"]
    gaps = {name: [key for key, row in rows.items() if np.isnan(row).all()] for name, rows in used.items()}
    assert gaps == {"image": [NAMES[5]], "text": [NAMES[1], "seventh.jpg"]}
    for key, row in made["drop"]["image"].items():
        np.testing.assert_array_equal(used["image"][key], row)
    assert not any(np.isnan(row).any() for row in used["text"].values() if not np.isnan(row).all())
    with pytest.raises(UserError, match=r"^data.incomplete: drop asked for, but the features in .* were made with use"):
        Folder(root=str(tmp_path / "use_features"), raw=str(tmp_path)).read()
