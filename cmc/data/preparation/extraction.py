"""From a distribution and a selection to feature arrays, step by step, so that long work can stop and go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cmc.data.preparation.distribution import Distribution, FeatureTable, Rows
from cmc.data.preparation.mentions import leaving_out, mention
from cmc.data.preparation.selection import Selection
from cmc.errors import UserError
from cmc.utils import validate

if TYPE_CHECKING:
    from cmc.data.preparation.text import TfIdf

Block = tuple[Rows, slice, NDArray[Any]]  # rows of the output, columns of the output, numbers


@dataclass(frozen=True)
class Extraction:
    """How modalities are made.

    Attributes:
        image: ``auto`` (low-level features as they are, else histograms), ``low-level``, ``histograms``, or the name or
            folder of a `transformers` vision model.
        text: ``auto`` (tags as they are, else tfidf), ``tags``, ``tfidf``, or the name or folder of a text model.
        tables: names of the low-level features to take; None for all (of LEAR's: those up to 1000 wide).
        text_width: columns kept of TF-IDF by truncated SVD.
        batch_size: images or texts that go through a model at once.
        precision: of models: ``32``, ``16`` or ``bf16``.
        device: of models: ``auto``, ``cpu``, ``cuda``.

    Raises:
        UserError: a value outside its range.
    """

    image: str = "auto"
    text: str = "auto"
    tables: Sequence[str] | None = None
    text_width: int = 100
    batch_size: int = 64
    precision: str = "32"
    device: str = "auto"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for key in ("image", "text", "device"):
            validate.text(f"features.{key}", getattr(self, key))
        for key in ("text_width", "batch_size"):
            validate.whole(f"features.{key}", getattr(self, key), least=1)
        is_precision = str(self.precision) in ("32", "16", "bf16")
        validate.require("features.precision", self.precision, is_precision, "one of 32, 16, bf16")
        names = self.tables if self.tables is None or validate.is_list(self.tables) else [None]
        are_names = names is None or all(isinstance(name, str) for name in names)
        validate.require("features.tables", self.tables, are_names, "a list of names of low-level features, or null")


def digest(*parts: str | bytes) -> str:
    """32 hexadecimal digits (blake2b) of texts and numbers."""
    found = blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()


class Modality(ABC):
    """An array in the making.

    Attributes:
        name: of the extractor and its version.
        width: columns.
        dtype: of the array.
        steps: how many steps fill it; each may be taken alone and again.
        paths: the files it is read from, for checksums.
        skipped: row of the output -> why it could not be made; grows as steps are taken.
        device: what a model computes on.
        fingerprint: of the extractor, as it was fitted: two of one fingerprint give an image or a text the same vector.
        fitted: what was fitted to the texts, for others to be made alike; see `cmc.data.preparation.extractors`.
    """

    def __init__(self, name: str, width: int, steps: int, fingerprint: str | None = None) -> None:
        self.name, self.width, self.steps = name, width, steps
        self.fingerprint = digest(name) if fingerprint is None else fingerprint
        self.fitted: dict[str, NDArray[Any]] = {}
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.paths: Sequence[Path] = ()
        self.skipped: dict[int, str] = {}
        self.device = "cpu"

    @abstractmethod
    def work(self, step: int) -> int:
        """Rows that the step reads, for the progress bar."""

    @abstractmethod
    def run(self, step: int) -> Iterator[Block]:
        """Take one step."""


class Columns(Modality):
    """Tables side by side, as they are.

    Args:
        tables: by name.
        rows: the chosen samples' positions.
        n: number of all samples.
        drop: columns to leave out, of a single table.
        columns: their names, where they have any.
    """

    def __init__(
        self,
        tables: Mapping[str, FeatureTable],
        rows: Rows,
        n: int,
        drop: Sequence[int] = (),
        columns: Sequence[str] = (),
    ) -> None:
        widths = [table.width for table in tables.values()]
        starts = np.cumsum([0, *widths]).tolist()
        self._parts = [
            (table, part, slice(start, start + table.width))
            for table, start in zip(tables.values(), starts[:-1], strict=True)
            for part in range(len(table.paths))
        ]
        left_out = f", without {len(drop)} columns of chosen concepts" if drop else ""
        mark = digest(*tables, *map(str, widths), *map(str, drop), *columns)
        name = f"{' + '.join(tables)}, as they are{left_out}"
        super().__init__(name, sum(widths) - len(drop), len(self._parts), mark)
        self._keep = np.setdiff1d(np.arange(sum(widths)), drop) if drop else None
        self.dtype = np.result_type(*(table.dtype for table in tables.values()))
        self.paths = [path for table in tables.values() for path in table.paths]
        self._to = np.full(n, -1)
        self._to[rows] = np.arange(len(rows))

    def work(self, step: int) -> int:
        """The lines of one file, about."""
        return len(self._to) // max(1, len(self._parts[step][0].paths))

    def run(self, step: int) -> Iterator[Block]:
        """Read one file."""
        table, part, columns = self._parts[step]
        for positions, values in table.blocks(part):
            to = self._to[positions]
            here = to >= 0
            if self._keep is None:
                yield to[here], columns, values[here]
            else:
                yield to[here], slice(0, self.width), values[here][:, self._keep]


class _Batches(Modality):
    """Extraction of so many samples at once."""

    def __init__(self, extractor: Any, rows: Rows, batch_size: int) -> None:
        steps = -(-len(rows) // batch_size)
        super().__init__(extractor.name, extractor.width, steps, getattr(extractor, "fingerprint", None))
        self._extract, self._rows, self._size = extractor, rows, batch_size
        self.device = str(getattr(extractor, "device", "cpu"))

    def work(self, step: int) -> int:
        """The batch's samples."""
        return min(self._size, len(self._rows) - step * self._size)

    def _here(self, step: int) -> Rows:
        start = step * self._size
        return np.arange(start, start + self.work(step))


class Images(_Batches):
    """An extractor over image files; what cannot be opened is skipped.

    Args:
        extractor: a function of a list of images, with ``name`` and ``width``.
        path: the file of a sample.
        rows: the chosen samples' positions.
        batch_size: images at once.
    """

    def __init__(self, extractor: Any, path: Callable[[int], Path], rows: Rows, batch_size: int) -> None:
        super().__init__(extractor, rows, batch_size)
        self._path = path
        self.paths = [path(row) for row in rows.tolist()]

    def run(self, step: int) -> Iterator[Block]:
        """Open and extract one batch."""
        from cmc.data.preparation.images import Unreadable, open_image

        def opened(row: int) -> Any:
            try:
                return open_image(self._path(int(self._rows[row])))
            except (Unreadable, OSError) as error:
                return str(error) or type(error).__name__

        rows = self._here(step)
        with ThreadPoolExecutor(4) as pool:
            images = list(pool.map(opened, rows.tolist()))
        self.skipped |= {int(row): image for row, image in zip(rows, images, strict=True) if isinstance(image, str)}
        good = [not isinstance(image, str) for image in images]
        if any(good):
            yield rows[good], slice(0, self.width), self._extract([x for x, ok in zip(images, good, strict=True) if ok])


class Texts(_Batches):
    """A model over texts, batch by batch."""

    def __init__(self, model: Any, texts: Callable[[Rows], list[Any]], rows: Rows, batch_size: int) -> None:
        super().__init__(model, rows, batch_size)
        self._texts = texts

    def run(self, step: int) -> Iterator[Block]:
        """Extract one batch."""
        rows = self._here(step)
        texts = self._texts(self._rows[rows])
        yield rows, slice(0, self.width), self._extract([x if isinstance(x, str) else " ".join(x) for x in texts])


class WholeText(Modality):
    """TF-IDF and truncated SVD of all chosen texts at once.

    Args:
        texts: of the samples at given positions.
        rows: the chosen samples' positions.
        tfidf: fitted, or to be fitted to these texts.
    """

    def __init__(self, texts: Callable[[Rows], list[Any]], rows: Rows, tfidf: TfIdf) -> None:
        self._vectors = tfidf.transform(texts(rows)) if tfidf.words else tfidf.fit_transform(texts(rows))
        arrays = tfidf.arrays()
        mark = digest("TF-IDF", *(np.ascontiguousarray(array).tobytes() for array in arrays.values()))
        super().__init__(tfidf.name, self._vectors.shape[1], 1, mark)
        self.fitted = arrays

    def work(self, step: int) -> int:
        """All samples."""
        return len(self._vectors)

    def run(self, step: int) -> Iterator[Block]:
        """Hand the vectors out."""
        yield np.arange(len(self._vectors)), slice(0, self.width), self._vectors


def modalities(
    source: Distribution,
    selection: Selection,
    extraction: Extraction,
    fitted: TfIdf | None = None,
    divisible: bool = False,
) -> dict[str, Modality]:
    """Choose how ``image`` and ``text`` are made.

    Args:
        source: what is there.
        selection: which samples are taken.
        extraction: how modalities are made.
        fitted: to other texts; None to fit TF-IDF to these.
        divisible: leave out what one process makes alone: TF-IDF.

    Raises:
        UserError: what is asked for is not in the distribution.
    """
    from cmc.data.preparation.gaps import with_gaps

    def of(rows: Rows) -> Selection:
        return replace(selection, rows=rows)

    makers: dict[str, Callable[[Rows], Modality]] = {
        "image": lambda rows: _image(source, of(rows), extraction),
        "text": lambda rows: _text(source, of(rows), extraction, fitted),
    }
    if divisible and _text_kind(source, extraction) == "tfidf":
        del makers["text"]
    return {name: with_gaps(name, make, selection.rows, source.lacking.get(name)) for name, make in makers.items()}


def _text_kind(source: Distribution, extraction: Extraction) -> str:
    """``tags``, ``tfidf``, or a model."""
    return extraction.text if extraction.text != "auto" else "tags" if source.tags else "tfidf"


def needs_extraction(source: Distribution, extraction: Extraction) -> bool:
    """Whether images or texts must be turned into vectors, which takes long and is done once, by ``prepare``."""
    image = extraction.image if extraction.image != "auto" else "low-level" if source.tables else "histograms"
    return (image, _text_kind(source, extraction)) != ("low-level", "tags")


def _image(source: Distribution, selection: Selection, extraction: Extraction) -> Modality:
    kind = extraction.image
    if kind == "low-level" or (kind == "auto" and source.tables):
        return Columns(_tables(source, extraction.tables), selection.rows, len(source.names))
    if source.images is None:
        raise UserError(f"features.image: {kind} needs the images, but there are none beside the {source.form}")
    if kind in ("auto", "histograms"):
        from cmc.data.preparation.images import Histograms

        return Images(Histograms(), source.images, selection.rows, extraction.batch_size)
    model = _image_model(extraction)
    return Images(model, source.images, selection.rows, extraction.batch_size)


def _image_model(extraction: Extraction) -> Any:
    from cmc.data.preparation.packaged import EFFICIENTNET, EfficientNetLite0
    from cmc.data.preparation.transformers import ImageModel

    if extraction.image == EFFICIENTNET:
        return EfficientNetLite0(extraction.precision, extraction.device)
    return ImageModel(extraction.image, extraction.precision, extraction.device)


def _tables(source: Distribution, wanted: Sequence[str] | None) -> dict[str, FeatureTable]:
    if not source.tables:
        raise UserError(f"features.image: low-level asked for, but the {source.form} has no low-level features")
    if wanted is None:
        narrow = {name: table for name, table in source.tables.items() if table.width <= 1000}
        return narrow or dict(source.tables)
    if unknown := [name for name in wanted if name not in source.tables]:
        raise UserError(f"features.tables: no {unknown[0]!r}; there are {', '.join(source.tables)}")
    return {name: source.tables[name] for name in wanted}


def _text(source: Distribution, selection: Selection, extraction: Extraction, fitted: TfIdf | None) -> Modality:
    kind = _text_kind(source, extraction)
    without = selection.classes if source.concepts_are_tags else ()
    if kind == "tags":
        if source.tags is None:
            raise UserError(f"features.text: tags asked for, but the {source.form} has no matrix of tags")
        drop = [column for column, word in enumerate(source.tag_names) if without and mention(without).search(word)]
        return Columns({"tags": source.tags}, selection.rows, len(source.names), drop, source.tag_names)
    if source.texts is None:
        raise UserError(
            f"features.text: {extraction.text} needs the texts, but there are none beside the {source.form}"
        )
    if kind == "tfidf":
        from cmc.data.preparation.text import TfIdf

        return WholeText(leaving_out(source.texts, without), selection.rows, fitted or TfIdf(extraction.text_width))
    from cmc.data.preparation.transformers import TextModel

    model = TextModel(kind, extraction.precision, extraction.device)
    return Texts(model, leaving_out(source.texts, without), selection.rows, extraction.batch_size)
