from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from cmc.data.preparation import text
from cmc.data.preparation.text import TfIdf
from cmc.errors import UserError


def by_hand(documents: list[list[str]]) -> NDArray[np.float64]:
    """Sublinear TF-IDF with smoothed document frequencies, rows of unit length; a word of one document is dropped."""
    words = sorted({word for document in documents for word in document})
    holding = {word: sum(word in document for document in documents) for word in words}
    words = [word for word in words if holding[word] > 1] or words
    rows = np.zeros((len(documents), len(words)))
    for row, document in zip(rows, documents, strict=True):
        for column, word in enumerate(words):
            if times := document.count(word):
                row[column] = (1 + math.log(times)) * (1 + math.log((1 + len(documents)) / (1 + holding[word])))
        if row.any():
            row /= math.sqrt(sum(value**2 for value in row))
    return rows


CAPTIONS = ["A dog, a dog and DOG!", "dog and cat", "the CAT", "", "cat and a zebra", "!?"]
SPLIT = [
    ["a", "dog", "a", "dog", "and", "dog"],
    ["dog", "and", "cat"],
    ["the", "cat"],
    [],
    ["cat", "and", "a", "zebra"],
    [],
]


def test_products_are_those_of_a_hand_computation() -> None:
    """With as many numbers as words the decomposition turns the rows, and leaves their products alone."""
    vectors = TfIdf(width=50).fit_transform(CAPTIONS)
    rows = by_hand(SPLIT)
    assert vectors.shape == (6, 4)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors @ vectors.T, rows @ rows.T, atol=1e-5)


def test_fewer_numbers_are_the_best_approximation() -> None:
    rows = by_hand(SPLIT)
    left, singular, _ = np.linalg.svd(rows)
    best = left[:, :2] * singular[:2]
    vectors = TfIdf(width=2).fit_transform(CAPTIONS)
    np.testing.assert_allclose(vectors @ vectors.T, best @ best.T, atol=1e-5)


def test_documents_without_a_word_are_zeros() -> None:
    vectors = TfIdf().fit_transform(CAPTIONS)
    assert (np.abs(vectors).sum(axis=1) == 0).tolist() == [False, False, False, True, False, True]
    assert not TfIdf().fit_transform([[], ["sea"], ["sea", " "], [" "]])[[0, 3]].any()


def test_accents_and_case_do_not_count() -> None:
    vectors = TfIdf().fit_transform(["Café à Zürich", "cafe a zurich", "the sea", "the sea"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert vectors[0] @ vectors[1] == pytest.approx(1, abs=1e-5)
    tags = TfIdf().fit_transform([["Café Zürich"], ["cafe  zurich "], ["sea"], ["sea"]])
    assert tags[0] @ tags[1] == pytest.approx(1, abs=1e-5)
    assert abs(tags[0] @ tags[2]) < 1e-6


def test_a_tag_is_one_word() -> None:
    """Nothing is shared by "new york" and "york", nor by "rock'n'roll" and "rock"."""
    tags = [
        ["new york"],
        ["york"],
        ["new york", "sea-side"],
        ["york", "sea"],
        ["rock'n'roll"],
        ["rock"],
        ["rock'n'roll"],
    ]
    vectors = TfIdf().fit_transform([*tags, ["sea"], ["sea-side"], ["rock"]])
    products = vectors @ vectors.T
    rows = by_hand([*tags, ["sea"], ["sea-side"], ["rock"]])
    np.testing.assert_allclose(products, rows @ rows.T, atol=1e-5)
    assert products[0, 1] == pytest.approx(0, abs=1e-6)
    assert products[4, 6] == pytest.approx(1, abs=1e-5)
    as_text = TfIdf().fit_transform(["new york", "york", "new york"])
    assert as_text[0] @ as_text[1] > 0.1


def test_tuples_and_arrays_of_tags() -> None:
    lists = [["sea", "sky"], ["sky"], ["sea"]]
    expected = TfIdf().fit_transform(lists)
    np.testing.assert_array_equal(TfIdf().fit_transform([tuple(tags) for tags in lists]), expected)
    np.testing.assert_array_equal(TfIdf().fit_transform([np.array(tags) for tags in lists]), expected)


def test_rare_words_stay_where_there_are_no_others() -> None:
    vectors = TfIdf().fit_transform(["one", "two three", "four"])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-5)


def test_topics_lie_apart() -> None:
    rng = np.random.default_rng(0)
    topics = np.repeat(np.arange(4), 100)
    documents = [[f"topic {topic} word {i}" for i in rng.integers(0, 30, 6)] + ["all"] for topic in topics]
    vectors = TfIdf(width=20).fit_transform(documents)
    assert vectors.shape == (400, 20)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = directions @ directions.T
    same = topics[:, None] == topics
    assert cosines[same].mean() > cosines[~same].mean() + 0.3


def test_same_seed_same_vectors() -> None:
    rng = np.random.default_rng(1)
    documents = [[f"w{i}" for i in rng.integers(0, 300, 8)] for _ in range(500)]
    first = TfIdf(width=10, seed=3).fit_transform(documents)
    np.testing.assert_array_equal(TfIdf(width=10, seed=3).fit_transform(documents), first)
    assert np.isfinite(first).all()


@pytest.mark.parametrize("documents", [[], ["", " \n"], ["!?", "..."], [[], ["  "]]])
def test_no_word_at_all(documents: list[str]) -> None:
    with pytest.raises(UserError, match=f"none of the {len(documents)} texts holds a word"):
        TfIdf().fit_transform(documents)


def test_one_document_one_word() -> None:
    assert TfIdf().fit_transform(["sea"]).shape == (1, 1)


def test_name_tells_the_version() -> None:
    import sklearn

    assert sklearn.__version__ in TfIdf().name
    assert text.TfIdf(width=7).name != TfIdf().name
