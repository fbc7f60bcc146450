"""The vectors of texts that take no model: TF-IDF and a truncated singular value decomposition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cmc.errors import UserError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

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
        words: the columns of the weights, after fitting.
        idf: of each word.
        components: right singular vectors, d x words; a single word has none.

    Source:
        S. Deerwester et al., Indexing by Latent Semantic Analysis, JASIS 1990; N. Halko, P.-G. Martinsson and J. A.
        Tropp, Finding Structure with Randomness, SIAM Review 2011.
    """

    def __init__(self, width: int = 100, seed: int = 0) -> None:
        self.width = width
        self.seed = seed
        self.name = f"TF-IDF and truncated SVD to {width} (scikit-learn {version('scikit-learn')})"
        self.words: list[str] = []
        self.idf = self.components = np.empty(0, np.float32)

    @classmethod
    def fitted(cls, arrays: Mapping[str, NDArray[Any]], width: int) -> TfIdf:
        """Take up what was kept of one that was fitted.

        Args:
            arrays: as `arrays` gave them.
            width: as it was fitted to.

        Raises:
            UserError: they do not belong together; the line does not name their file.
        """
        found = cls(width)
        try:
            found.words = arrays["words"].tobytes().decode().split("\n")
            found.idf, found.components = arrays["idf"], arrays["components"]
        except (KeyError, UnicodeDecodeError) as error:
            raise UserError(f"holds no fitted TF-IDF ({' '.join(str(error).split())})") from None
        n, numbers = len(found.words), (found.idf, found.components)
        shapes = [array.shape for array in numbers]
        fit = shapes[0] == (n,) and (n == 1 or (len(shapes[1]) == 2 and shapes[1][-1] == n))
        finite = all(array.dtype == np.float32 and bool(np.isfinite(array).all()) for array in numbers)
        if not (fit and finite) or len(set(found.words)) < n:
            raise UserError(f"{n} words, weights and singular vectors do not belong together")
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `fitted` makes the same of: plain numbers."""
        words = np.frombuffer("\n".join(self.words).encode(), np.uint8)
        return {"words": words, "idf": self.idf, "components": self.components}

    def fit_transform(self, documents: Sequence[str] | Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Turn N documents into vectors.

        Args:
            documents: Texts, or lists of tags; a tag is one word, whatever blanks and punctuation it holds.

        Returns:
            N x d float32; zeros where a document holds none of the words that count.

        Raises:
            UserError: No document holds a word.
        """
        from sklearn.feature_extraction.text import CountVectorizer

        if not any(True for document in documents for _ in _words(document)):
            raise UserError(f"none of the {len(documents)} texts holds a word: give texts, or lists of tags")
        counter = CountVectorizer(analyzer=_words, dtype=np.float32)
        counts = counter.fit_transform(documents)
        words = counter.get_feature_names_out()
        shared = np.bincount(counts.indices, minlength=counts.shape[1]) > 1
        if shared.any():
            counts, words = counts[:, shared], words[shared]
        counts.sort_indices()  # as `transform` has them: sums are then the same to the bit
        self.words = words.tolist()
        return self._decomposed(counts)

    def _decomposed(self, counts: csr_matrix) -> NDArray[np.float32]:
        """Fit weights and singular vectors to N x words, and apply them."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfTransformer

        weigh = TfidfTransformer(sublinear_tf=True)
        weights = weigh.fit_transform(counts)
        self.idf = weigh.idf_.astype(np.float32)
        if weights.shape[1] == 1:  # which scikit-learn does not decompose
            return np.asarray(weights.toarray(), dtype=np.float32)
        svd = TruncatedSVD(min(self.width, *weights.shape), random_state=self.seed)
        vectors = svd.fit_transform(weights)
        self.components = np.ascontiguousarray(svd.components_, dtype=np.float32)
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def transform(self, documents: Sequence[str] | Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Turn other documents into vectors, as those that it was fitted to: N x d float32.

        Words that these did not hold count nothing; a document without any other is zeros.
        """
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

        counts = CountVectorizer(analyzer=_words, vocabulary=self.words, dtype=np.float32).transform(documents)
        weigh = TfidfTransformer(sublinear_tf=True)
        weigh.idf_ = self.idf
        weights = weigh.transform(counts)
        if len(self.words) == 1:
            return np.asarray(weights.toarray(), dtype=np.float32)
        return np.ascontiguousarray(weights @ self.components.T, dtype=np.float32)


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
