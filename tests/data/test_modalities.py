from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cmc.data import modalities
from cmc.data.modalities import Modalities
from cmc.errors import UserError


def views(n: int = 20, dtype: Any = np.float64) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    return {"view_1": rng.uniform(0, 9, (n, 3)).astype(dtype), "view_2": rng.uniform(0, 9, (n, 5)).astype(dtype)}


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(UserError) as caught:
        Modalities(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_describes_itself() -> None:
    held = Modalities(views(), labels=np.arange(20) % 4)
    assert held.n_samples == 20
    assert held.dims == {"view_1": 3, "view_2": 5}
    assert held.n_classes == 4
    assert held.nbytes == sum(view.astype(np.float32).nbytes for view in views().values())
    assert held.source == ""


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, ">f8", np.longdouble])
def test_takes_every_real_dtype_as_it_is(dtype: Any) -> None:
    given = views(dtype=dtype)
    held = Modalities(given)
    assert all(held.features[name] is given[name] for name in given)


def test_is_not_changed_through_the_given_dictionary() -> None:
    given = views()
    held = Modalities(given)
    given["late"] = np.ones((3, 3))
    assert list(held.features) == ["view_1", "view_2"]
    with pytest.raises(AttributeError):
        held.source = "elsewhere"  # type: ignore[misc]


def test_more_than_two_modalities() -> None:
    assert Modalities({str(i): np.ones((2, i + 1)) for i in range(7)}).dims == {str(i): i + 1 for i in range(7)}


# modalities that are refused


@pytest.mark.parametrize(("features", "parts"), [({}, ["0", "none"]), ({"img": np.ones((3, 2))}, ["1", "'img'"])])
def test_too_few_modalities(features: dict[str, NDArray[Any]], parts: list[str]) -> None:
    message = refusal(features)
    assert "at least 2" in message
    assert all(part in message for part in parts)


@pytest.mark.parametrize(
    ("bad", "parts"),
    [
        (np.ones(20), ["1-d", "20"]),
        (np.ones((20, 2, 4)), ["3-d", "20 x 2 x 4"]),
        (np.array(5.0), ["0-d", "a single value"]),
        (np.ones((20, 2), dtype=complex), ["complex128", "real"]),
        (np.full((20, 2), "a"), ["<U1", "real"]),
        (np.full((20, 2), None), ["object", "real"]),
        (np.ones((20, 2), dtype="M8[s]"), ["datetime64", "real"]),
        (np.ones((20, 0)), ["no columns", "20 x 0"]),
        ([[1.0, 2.0]] * 20, ["list", "NumPy array"]),
        (np.ma.masked_less(np.ones((20, 2)), 2), ["MaskedArray", "NumPy array"]),
    ],
)
def test_modality_that_is_no_real_matrix(bad: Any, parts: list[str]) -> None:
    message = refusal({**views(), "odd": bad})
    assert all(part in message for part in ["modality 'odd'", *parts])


def test_different_numbers_of_samples() -> None:
    message = refusal({**views(20), "short": np.ones((19, 3))})
    assert all(part in message for part in ["modality 'view_1' has 20 rows", "modality 'short' has 19"])
    assert "view_2" not in message


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples(n: int) -> None:
    assert f"number of samples is {n}: give at least 2" in refusal(views(n))


@pytest.mark.parametrize(
    ("value", "text"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (1e300, "1e+300"), (-4e38, "-4e+38")]
)
def test_number_that_is_not_finite(value: float, text: str) -> None:
    features = views()
    features["view_2"][17, 3] = value
    features["view_2"][19, 0] = np.nan
    message = refusal(features)
    assert f"modality 'view_2', row 17, column 3 is {text}:" in message
    assert "counted from 0" in message


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("at_once", [1, 100, 10**6])
def test_finds_the_row_whatever_the_block(monkeypatch: pytest.MonkeyPatch, at_once: int, order: Any) -> None:
    monkeypatch.setattr(modalities, "CHECKED_AT_ONCE", at_once)
    features = {name: view.copy(order=order) for name, view in views().items()}
    features["view_1"][13, 2] = np.nan
    assert "modality 'view_1', row 13, column 2 is nan:" in refusal(features)


def test_streams_a_memory_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modalities, "CHECKED_AT_ONCE", 2**18)
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.ones((2**16, 32)))  # 16 MiB
    features = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("a", "b")}
    tracemalloc.start()
    held = Modalities(features)
    held.fingerprint()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert type(held.features["a"]) is np.memmap
    assert peak < 2**20


# labels


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, 1, 7, 3]),
        np.array([3, 1, 7, 3], dtype=np.uint8),
        np.array([3.0, 1.0, 7.0, 3.0]),
        np.array([[3], [1], [7], [3]]),
        np.array([[3.0, 1.0, 7.0, 3.0]]),
    ],
)
def test_labels_are_recoded_in_sorted_order(labels: NDArray[Any]) -> None:
    held = Modalities(views(4), labels)
    assert held.labels is not None
    assert held.labels.dtype == np.int64
    assert held.labels.tolist() == [1, 0, 2, 1]
    assert held.classes == ("1", "3", "7")
    assert held.n_classes == 3


def test_labels_beyond_int64_and_below_zero() -> None:
    assert Modalities(views(2), np.array([2**64 - 1, 5], dtype=np.uint64)).classes == ("5", str(2**64 - 1))
    assert Modalities(views(2), np.array([-1, 4])).classes == ("-1", "4")
    assert Modalities(views(2), np.array([True, False])).classes == ("0", "1")


def test_without_labels() -> None:
    held = Modalities(views())
    assert held.labels is held.classes is held.n_classes is None


def test_class_names_follow_the_sorted_values() -> None:
    held = Modalities(views(4), np.array([5, 9, 5, 7]), classes=("five", "seven", "nine"))
    assert held.labels is not None
    assert held.labels.tolist() == [0, 2, 0, 1]
    assert held.classes == ("five", "seven", "nine")


@pytest.mark.parametrize(
    ("labels", "classes", "parts"),
    [
        ([0, 1, 2, 3], ("a", "b"), ["4 values from 0 to 3", "2 classes"]),
        ([1, 3, 1, 3], ("a", "b", "c"), ["2 values from 1 to 3", "3 classes"]),
        ([-2, 1, 1, 1], ("a", "b", "c"), ["2 values from -2 to 1", "3 classes"]),
        (None, ("a", "b"), ["2 classes", "no labels"]),
    ],
)
def test_class_names_that_do_not_fit(labels: list[int] | None, classes: tuple[str, ...], parts: list[str]) -> None:
    message = refusal(views(4), None if labels is None else np.array(labels), classes)
    assert all(part in message for part in parts)


@pytest.mark.parametrize(("value", "text"), [(2.5, "2.5"), (-np.inf, "-inf"), (np.inf, "inf"), (1e-9, "1e-09")])
def test_label_that_is_not_whole(value: float, text: str) -> None:
    labels = np.arange(20.0)
    labels[17] = value
    message = refusal(views(), labels)
    assert f"labels, row 17 is {text}:" in message
    assert "whole number" in message
    assert "counted from 0" in message


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.full(20, "cat"), "cat"),
        (np.full(20, 1 + 2j), "(1+2j)"),
        (np.array([np.eye(3)] * 20 + [None], dtype=object)[:20], "[[1. 0. 0.] [0. 1. 0.]"),
    ],
)
def test_labels_that_are_no_numbers(labels: NDArray[Any], text: str) -> None:
    assert f"labels, row 0 is {text}" in refusal(views(), labels)


def test_labels_of_another_shape() -> None:
    assert "19 labels for 20 samples" in refusal(views(), np.zeros(19))
    assert "19 labels for 20 samples" in refusal(views(), np.zeros((1, 19)))
    assert "labels are 20 x 3" in refusal(views(), np.eye(20, 3))
    assert "labels are a single value" in refusal(views(), np.array(1))


def test_messages_open_with_the_source() -> None:
    assert refusal(views(), np.zeros(19), source="flowers.npz").startswith("flowers.npz: 19 labels")


# subsets


# fingerprint


def test_fingerprint_is_of_the_content_alone(tmp_path: Path) -> None:
    labels = np.arange(20) % 4
    expected = Modalities(views(), labels).fingerprint()
    assert len(expected) == 32
    assert int(expected, 16) >= 0
    np.save(tmp_path / "view_1.npy", views()["view_1"])
    mapped = {**views(), "view_1": np.load(tmp_path / "view_1.npy", mmap_mode="r")}
    fortran = {name: np.asfortranarray(view) for name, view in views().items()}
    assert Modalities(mapped, labels, source="elsewhere").fingerprint() == expected
    assert Modalities(fortran, labels.astype(np.uint8)).fingerprint() == expected


def test_fingerprint_changes_with_everything() -> None:
    labels = np.arange(20) % 4
    a, b = views().values()
    nudged, moved = b.copy(), labels.copy()
    nudged[19, 4] = np.nextafter(nudged[19, 4], 10)
    moved[5] = 0
    others = [
        Modalities({"view_1": a, "view_2": b}, labels),
        Modalities({"view_2": b, "view_1": a}, labels),
        Modalities({"view_1": a, "other": b}, labels),
        Modalities({"view_1": a, "view_2": nudged}, labels),
        Modalities({"view_1": a, "view_2": b.astype(np.float32)}, labels),
        Modalities({"view_1": a.reshape(20, 3)[:, ::-1], "view_2": b}, labels),
        Modalities({"view_1": a, "view_2": b}, moved),
        Modalities({"view_1": a, "view_2": b}, labels + 1),
        Modalities({"view_1": a, "view_2": b}),
    ]
    assert len({other.fingerprint() for other in others}) == len(others)


def test_fingerprint_of_a_large_array_samples_it_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modalities, "HASHED_AT_MOST", 2**12)
    monkeypatch.setattr(modalities, "HASHED_PIECE", 2**8)
    features = {"a": np.zeros((4096, 2)), "b": np.zeros((2, 2))[[0] * 4096]}  # rows of 16 bytes: 16 blocks of 16 rows
    plain = Modalities(features).fingerprint()
    seen = []
    for row in range(4096):
        features["a"][row] = 1
        if Modalities(features).fingerprint() != plain:
            seen.append(row)
        features["a"][row] = 0
    starts = [round((4096 - 16) * i / 15) for i in range(16)]
    assert seen == [start + i for start in starts for i in range(16)]
    monkeypatch.setattr(modalities, "HASHED_AT_MOST", 2**16)
    features["a"][100] = 1
    assert Modalities(features).fingerprint() != plain
