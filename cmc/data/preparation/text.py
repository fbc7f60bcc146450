"""The vectors of texts that take no model: TF-IDF and a truncated singular value decomposition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from cmc.errors import UserError

WORD = re.compile(r"\w+")


class TfIdf:
    """Latent semantic analysis of captions or tag lists.

    Words are lower-cased and lose their accents; those of a single document are left out, unless there are no others.
    A word that occurs t times in a document and in n of N documents weighs (1 + ln t) (1 + ln((1 + N) / (1 + n)));
    the weights of a document are scaled to unit length and projected onto the right singular vectors of all.

    Args:
        width: Numbers in a vector; fewer where there are fewer words or documents.
        seed: Of the randomised decomposition.

    Attributes:
        name: what made the vectors.

    Source:
        S. Deerwester et al., Indexing by Latent Semantic Analysis, JASIS 1990; N. Halko, P.-G. Martinsson and J. A.
        Tropp, Finding Structure with Randomness, SIAM Review 2011.
    """

    def __init__(self, width: int = 100, seed: int = 0) -> None:
        self.width = width
        self.seed = seed
        self.name = f"TF-IDF and truncated SVD to {width} (scikit-learn {version('scikit-learn')})"

    def fit_transform(self, documents: Sequence[str] | Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Turn N documents into vectors.

        Args:
            documents: Texts, or lists of tags; a tag is one word, whatever blanks and punctuation it holds.

        Returns:
            N x d float32; zeros where a document holds none of the words that count.

        Raises:
            UserError: No document holds a word.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

        if not any(True for document in documents for _ in _words(document)):
            raise UserError(f"none of the {len(documents)} texts holds a word: give texts, or lists of tags")
        counts = CountVectorizer(analyzer=_words, dtype=np.float32).fit_transform(documents)
        shared = np.bincount(counts.indices, minlength=counts.shape[1]) > 1
        if shared.any():
            counts = counts[:, shared]
        weights = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
        if weights.shape[1] == 1:  # which scikit-learn does not decompose
            return np.asarray(weights.toarray(), dtype=np.float32)
        svd = TruncatedSVD(min(self.width, *weights.shape), random_state=self.seed)
        return np.ascontiguousarray(svd.fit_transform(weights), dtype=np.float32)


def _words(document: str | Sequence[str]) -> Iterator[str]:
    if isinstance(document, str):
        yield from WORD.findall(_plain(document))
    else:
        yield from filter(None, map(_tag, document))


@lru_cache(maxsize=2**18)
def _tag(tag: str) -> str:
    return " ".join(_plain(tag).split())


def _plain(text: str) -> str:
    """Lower-case a text and strip its accents."""
    from sklearn.feature_extraction.text import strip_accents_unicode

    return str(strip_accents_unicode(text.lower()))
