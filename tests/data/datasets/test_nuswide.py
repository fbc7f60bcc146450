"""NUS-WIDE in every form of its files, its known defects included."""

import numpy as np
import pytest

from cmc.data.datasets.nuswide import NusWide
from cmc.errors import UserError
from tests.data import trees


def data(root, **settings):
    return NusWide(root=str(root), **{"concepts": 3, "per_class": None, **settings})


def exclusive(truth, k=3):
    order = np.argsort(-truth["labels"].sum(0), kind="stable")[:k]
    carried = truth["labels"][:, order]
    rows = np.flatnonzero(carried.sum(1) == 1)
    return rows, [truth["concepts"][c] for c in order], carried[rows].argmax(1)


@pytest.mark.parametrize("low", ["NUS_WID_Low_Level_Features", "Low_Level_Features"])
def test_parts_in_another_order_than_the_whole_list_are_brought_together(tmp_path, low):
    truth = trees.nuswide(tmp_path, low=low)
    held = data(tmp_path).read()
    rows, classes, labels = exclusive(truth)
    assert held.dims == {"image": 9, "text": 6}
    np.testing.assert_allclose(held.features["image"], np.hstack([truth["CH"], truth["BoW"]])[rows], atol=1e-5)
    np.testing.assert_array_equal(held.features["text"], truth["tags"][rows])
    assert list(held.classes) == classes
    np.testing.assert_array_equal(held.labels, labels)
    assert "raw distribution" in held.source


def test_an_image_listed_in_both_parts_keeps_both_its_rows(tmp_path):
    truth = trees.nuswide(tmp_path)
    assert truth["names"][3] == truth["names"][7]
    assert (3 in truth["test"], 7 in truth["train"]) == (True, True)
    for path in (tmp_path / "Groundtruth/AllLabels").iterdir():
        path.unlink()
    (tmp_path / "Groundtruth/AllLabels").rmdir()
    source = data(tmp_path).open(tmp_path)
    filled = np.concatenate([rows for part in (0, 1) for rows, _ in source.tables["CH"].blocks(part)])
    assert sorted(filled) == list(range(40))
    np.testing.assert_array_equal(source.labels, truth["labels"])


def test_train_and_test_alone_and_the_defect_of_lake(tmp_path, caplog):
    truth = trees.nuswide(tmp_path, split=True)
    with caplog.at_level("WARNING"):
        held = data(tmp_path, concepts=["sky", "lake"]).read()
    order = np.concatenate([truth["train"], truth["test"]])
    carried = truth["labels"][order][:, :2]
    rows = np.flatnonzero(carried.sum(1) == 1)
    np.testing.assert_array_equal(held.labels, carried[rows].argmax(1))
    np.testing.assert_array_equal(held.features["text"], truth["tags"][order][rows])
    assert "-1130179, a known defect" in caplog.text


def test_full_has_every_image_and_no_label(tmp_path):
    truth = trees.nuswide(tmp_path)
    module = data(tmp_path, subset="full")
    held = module.read()
    assert held.labels is None
    np.testing.assert_array_equal(held.features["text"], truth["tags"])
    module.load()
    assert module.n_clusters == 3


def spoil(path, change):
    content = path.read_text()
    path.write_text(change(content))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "Groundtruth/AllLabels/Labels_sky.txt",
            lambda t: t[: len(t) // 2],
            r"Labels_sky.txt: \d+ lines for 40 images",
        ),
        ("Groundtruth/AllLabels/Labels_sky.txt", lambda t: "7" + t[1:], r"Labels_sky.txt, line 1: 7 where 0 or 1"),
        ("Groundtruth/AllLabels/Labels_sky.txt", lambda t: "x" + t[1:], r"Labels_sky.txt, line 1: 'x' where 0 or 1"),
        ("Groundtruth/AllLabels/Labels_sky.txt", lambda t: "", r"Labels_sky.txt: the file is empty"),
        (
            "Groundtruth/AllLabels/Labels_sky.txt",
            lambda t: "9" * 30 + t[1:],
            r"_sky.txt, line 1: '9+' where 0 or",
        ),
        ("ImageList/TestImagelist.txt", lambda t: t.rsplit("\n", 2)[0], r"Imagelist.txt has 40 .* together 39; cut"),
        ("ImageList/Imagelist.txt", lambda t: t + "sky\\1_1.jpg\n", r"Imagelist.txt has 41 .* together 40; cut short"),
        ("ConceptsList/Concepts81.txt", lambda t: t.split("\n")[0], r"Concepts81.txt: does not list animal"),
        ("ImageList/TrainImagelist.txt", lambda t: "other\\1.jpg\n" + t, r"TrainImagelist.txt, line 1: .* is not in"),
        ("NUS_WID_Tags/TagList1k.txt", lambda t: t + "more\n", r"7 tags, but .* has 6 columns"),
        ("NUS_WID_Tags/AllTags1k.txt", lambda t: t[:-20], r"AllTags1k.txt"),
        ("NUS_WID_Tags/AllTags1k.txt", lambda t: "<!DOCTYPE html>\n" + t, r"AllTags1k.txt: a web page"),
        ("ConceptsList/Concepts81.txt", lambda t: t + "cloud\n", r"Labels_cloud.txt: cannot be read"),
        (
            "NUS_WID_Low_Level_Features/Low_Level_Features/Test_Normalized_CH.dat",
            lambda t: t.split("\n", 1)[1],
            r"Test_Normalized_CH.dat: ends after line 13, but its list has 14",
        ),
    ],
)
def test_damage_is_named_with_its_file(tmp_path, file, change, message):
    trees.nuswide(tmp_path)
    spoil(tmp_path / file, change)
    with pytest.raises(UserError, match=message) as caught:
        data(tmp_path).read()
    assert "\n" not in str(caught.value)


def test_half_of_a_feature_is_refused(tmp_path):
    trees.nuswide(tmp_path)
    (tmp_path / "NUS_WID_Low_Level_Features/Low_Level_Features/Test_Normalized_CH.dat").unlink()
    with pytest.raises(UserError, match="its other half"):
        data(tmp_path).read()


def test_half_of_the_tags_is_refused(tmp_path):
    trees.nuswide(tmp_path, split=True)
    (tmp_path / "NUS_WID_Tags/Test_Tags1k.dat").unlink()
    with pytest.raises(UserError, match=r"Train_Tags1k.dat: its other half"):
        data(tmp_path).read()


@pytest.mark.parametrize("place", ["NUS_WID_Low_Level_Features/", ""])
def test_low_level_features_may_lie_flat(tmp_path, place):
    trees.nuswide(tmp_path)
    for path in (tmp_path / "NUS_WID_Low_Level_Features/Low_Level_Features").iterdir():
        path.rename(tmp_path / f"{place}{path.name}")
    assert data(tmp_path).read().dims == {"image": 9, "text": 6}


def test_files_without_the_list_that_they_follow_are_named(tmp_path):
    truth = trees.nuswide(tmp_path)
    (tmp_path / "ImageList/Imagelist.txt").unlink()
    with pytest.raises(UserError, match=r"AllTags1k.txt: Imagelist.txt, which it follows line by line, is missing"):
        data(tmp_path).read()
    (tmp_path / "NUS_WID_Tags/AllTags1k.txt").unlink()
    source = data(tmp_path).open(tmp_path)
    assert source.names[0] == truth["names"][truth["train"][0]].replace("\\", "/")
    with pytest.raises(UserError, match=r"All_Tags.txt: Imagelist.txt, which it follows line by line, is missing"):
        source.texts(np.arange(3))
    trees.nuswide(tmp_path)
    (tmp_path / "ImageList/TestImagelist.txt").unlink()
    with pytest.raises(UserError, match=r"Train_Normalized_CH.dat: TrainImagelist.txt and TestImagelist.txt"):
        data(tmp_path).read()


def test_images_without_features_ask_for_prepare(tmp_path):
    trees.nuswide(tmp_path, features=())
    with pytest.raises(UserError, match=r"python -m cmc\.prepare data=nuswide data\.raw="):
        data(tmp_path).read()


def test_nothing_there_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"img\.mat, txt\.mat, L\.mat.*published at https.*data\.surrogate=true"):
        data(tmp_path / "none").read()
