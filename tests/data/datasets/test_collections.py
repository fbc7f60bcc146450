"""MIRFlickr, ESP-Game, IAPR TC-12 and LEAR's packing: opened to the right names, labels, texts and numbers."""

import numpy as np
import pytest

from cmc.data.datasets.espgame import EspGame
from cmc.data.datasets.iaprtc12 import IaprTc12, read_caption
from cmc.data.datasets.mirflickr import MirFlickr
from cmc.data.datasets.nuswide import NusWide
from cmc.errors import UserError
from tests.data import trees


def opened(kind, root):
    return kind(root=str(root)).open(root)


def everything(source):
    return source.texts(np.arange(len(source.names)))


@pytest.mark.parametrize("flat", [True, False])
def test_mirflickr_goes_by_number_not_by_name(tmp_path, flat):
    truth = trees.mirflickr(tmp_path, flat=flat)
    source = opened(MirFlickr, tmp_path)
    assert source.names == [f"im{i}" for i in range(1, truth["n"] + 1)], "im2 comes before im10"
    for column, concept in enumerate(source.concepts):
        assert (np.flatnonzero(source.labels[:, column]) + 1).tolist() == truth["labels"][concept].tolist()
    assert source.concepts[source.n_common :] == ("people_r1",)
    assert everything(source) == [truth["tags"][i] for i in range(1, truth["n"] + 1)]
    assert all(source.images(row).name == f"im{row + 1}.jpg" for row in range(truth["n"]))


def test_mirflickrs_defaults_are_of_the_wider_labels(tmp_path):
    trees.mirflickr(tmp_path)
    module = MirFlickr(root=str(tmp_path), concepts=3, per_class=None)
    assert set(module._select(module.open(tmp_path)).classes) == {"sky", "people", "night"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.write_text("1\n999\n"), r"sky.txt, line 2: '999' is the number of no image"),
        (lambda f: f.write_text("one\n"), r"sky.txt, line 1: 'one' is no image's number"),
        (lambda f: f.write_text("0\n"), r"sky.txt, line 1: '0' is the number of no image"),
        (lambda f: f.write_text("²\n"), r"sky.txt, line 1: '²' is no image's number"),
        (lambda f: f.write_text("\n<html><body>\n404\n"), r"sky.txt: a web page"),
        (lambda f: (f.parents[1] / "mirflickr/im1.jpg").unlink(), r"line \d+: '1' is the number of no image"),
    ],
)
def test_mirflickrs_damage_is_named(tmp_path, change, message):
    trees.mirflickr(tmp_path)
    change(tmp_path / "mirflickr25k_annotations_v080/sky.txt")
    with pytest.raises(UserError, match=message):
        opened(MirFlickr, tmp_path)


def test_mirflickr_without_annotations_says_which_to_get(tmp_path):
    trees.mirflickr(tmp_path)
    for path in (tmp_path / "mirflickr25k_annotations_v080").glob("*"):
        path.unlink()
    with pytest.raises(UserError, match="mirflickr25k_annotations_v080"):
        opened(MirFlickr, tmp_path)


@pytest.mark.parametrize("packing", ["ESP-ImageSet", "ESPGame100k"])
def test_espgame_in_both_packings(tmp_path, packing):
    tags = trees.espgame(tmp_path, packing=packing)
    source = opened(EspGame, tmp_path)
    assert source.names == sorted(tags)
    assert everything(source) == [tags[name] for name in source.names]
    assert set(source.concepts[:3]) == {"red", "sky", "tree"}, "the most frequent"
    for row, name in enumerate(source.names):
        assert {c for c, flag in zip(source.concepts, source.labels[row], strict=True) if flag} == set(tags[name])
        assert source.images(row).is_file()


@pytest.mark.parametrize("place", ["annotations_complete_eng", "annotations"])
def test_iapr_captions_that_no_parser_takes(tmp_path, place):
    truth = trees.iaprtc12(tmp_path, place=place)
    source = opened(IaprTc12, tmp_path)
    texts = dict(zip(source.names, everything(source), strict=True))
    for name, (title, description) in list(truth["texts"].items())[:-1]:
        said = title.replace("\x93", "“").replace("\x94", "”")
        assert texts[name] == f"{said} {description}"
    (row,) = source.unusable
    assert source.names[row] == list(truth["texts"])[-1]
    words = {10: "sky blue", 11: "man", 12: "grass"}
    for row, name in enumerate(source.names):
        found = {c for c, flag in zip(source.concepts, source.labels[row], strict=True) if flag}
        assert found == {words[label + 10] for label in truth["carried"][name]}
        assert source.images(row).is_file()


def test_an_annotation_that_is_not_closed_is_read(tmp_path):
    (tmp_path / "1.eng").write_bytes(b"<DOC>\n<TITLE>A caf\xe9</TITLE>\n<DESCRIPTION>two men\n<NOTES>cut")
    assert read_caption(tmp_path / "1.eng") == "A café two men cut"


@pytest.mark.parametrize(
    ("kind", "tree", "pattern"), [(EspGame, trees.espgame, "*.desc"), (IaprTc12, trees.iaprtc12, "*.eng")]
)
@pytest.mark.parametrize("web_page", [True, False])
def test_a_text_that_is_none_is_named(tmp_path, kind, tree, pattern, web_page):
    tree(tmp_path)
    path = next(tmp_path.rglob(pattern))
    path.unlink()
    if web_page:
        path.write_text("<html><head><title>404 Not Found</title></head></html>")
    else:
        path.mkdir()
    with pytest.raises(UserError, match=f"{path}: {'a web page' if web_page else 'cannot be read'}"):
        opened(kind, tmp_path)


def test_files_that_a_mac_leaves_beside_annotations_are_passed_over(tmp_path):
    truth = trees.iaprtc12(tmp_path)
    (tmp_path / "iaprtc12/annotations_complete_eng/00/._25.eng").write_bytes(b"\0\5\x16\7")
    assert sorted(opened(IaprTc12, tmp_path).names) == sorted(truth["texts"])


def test_iapr_regions_missing_for_a_folder_are_named(tmp_path):
    trees.iaprtc12(tmp_path)
    (tmp_path / "saiapr_tc-12/01/labels.txt").unlink()
    with pytest.raises(UserError, match=r"no 01/labels\.txt"):
        opened(IaprTc12, tmp_path)


@pytest.mark.parametrize(("kind", "name"), [(EspGame, "espgame"), (IaprTc12, "iaprtc12"), (MirFlickr, "mirflickr")])
def test_lears_packing_is_read_as_it_is(tmp_path, kind, name):
    truth = trees.lear(tmp_path, name)
    held = kind(root=str(tmp_path), concepts=["man", "car"], per_class=None).read()
    carried = truth["annot"][:, [1, 2]]
    rows = np.flatnonzero(carried.sum(1) == 1)
    np.testing.assert_array_equal(held.labels, carried[rows].argmax(1))
    tables = [truth[feature][rows] for feature in ("DenseHue", "Gist", "Rgb")]
    np.testing.assert_allclose(held.features["image"], np.hstack(tables), rtol=1e-6)
    np.testing.assert_array_equal(held.features["text"], truth["annot"][rows][:, [0, 3]], "without man and car")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "espgame_dictionary.txt").unlink(), "espgame_dictionary.txt is missing"),
        (lambda d: (d / "espgame_train_annot.hvecs").unlink(), "annot is there for test alone"),
        (
            lambda d: trees.lines(d / "espgame_dictionary.txt", ["sky"]),
            r"1 words, but .*_annot.hvecs has 4 columns",
        ),
        (lambda d: trees.lines(d / "espgame_test_list.txt", ["a", "b"]), "6 records, but its list has 2 samples"),
        (
            lambda d: trees.lines(d / "espgame_test_list.txt", ["a"] * 6),
            r"_list.txt, line 2: 'a' stands in .*, line 1",
        ),
        (lambda d: (d / "espgame_test_list.txt").unlink(), "espgame_test_list.txt: cannot be read"),
        (lambda d: (d / "espgame_test_Gist.fvec").write_bytes(b"<html>\n<body>404"), "Gist.fvec: a web page"),
        (lambda d: (d / "espgame_test_Gist.fvec").write_bytes(b"\xff\xff\xff\x7f"), "no whole number of records"),
    ],
)
def test_lears_damage_is_named(tmp_path, spoil, message):
    trees.lear(tmp_path, "espgame")
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        opened(EspGame, tmp_path)


def test_captions_take_lears_labels_where_both_are_there(tmp_path):
    truth = trees.lear(tmp_path, "iaprtc12")
    for name in truth["names"][:9]:
        path = tmp_path / f"iaprtc12/annotations_complete_eng/{name}.eng"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<TITLE>picture {name}</TITLE>")
    source = opened(IaprTc12, tmp_path)
    assert source.concepts_are_tags, "LEAR's words are nouns of the captions"
    assert len(source.names) == 9
    for row, name in enumerate(source.names):
        np.testing.assert_array_equal(source.labels[row], truth["annot"][truth["names"].index(name)] > 0)


@pytest.mark.parametrize("kind", [NusWide, MirFlickr, EspGame, IaprTc12])
def test_an_empty_folder_is_none_of_them(tmp_path, kind):
    assert opened(kind, tmp_path) is None
