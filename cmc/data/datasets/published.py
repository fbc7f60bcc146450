"""What the four published data sets share: whichever form lies on disk is found, read, or stood in for."""

from __future__ import annotations

import dataclasses
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cmc.data.datasets import synthetic
from cmc.data.datasets.released import is_released, read_released
from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.data.preparation.distribution import Distribution
from cmc.data.preparation.extraction import Extraction, Modality, modalities, needs_extraction
from cmc.data.preparation.feature_store import is_finished, is_store, read_meta, read_store
from cmc.data.preparation.making import Making
from cmc.data.preparation.selection import Selection, select
from cmc.errors import Interrupted, UserError
from cmc.utils import validate
from cmc.utils.allocator import keep_freed_memory

log = logging.getLogger(__name__)


class Raw(DataModule):
    """A data set that is prepared from raw files: a subclass says how they are opened.

    The settings of the selection are those of `cmc.data.preparation.selection.select`.

    Args:
        root: where the features are, or will be.
        raw: the raw distribution, for ``cmc.prepare``.
        extract: how images and texts become vectors; see `cmc.data.preparation.extraction.Extraction`.
        settings: of every data set; see `cmc.data.module.DataModule`.
    """

    title: ClassVar[str]
    key: ClassVar[str]

    def __init__(
        self,
        root: str,
        raw: str | None = None,
        extract: Mapping[str, Any] | None = None,
        concepts: int | Sequence[str] = 2,
        per_class: int | Sequence[int] | None = None,
        subset: str = "full",
        subset_seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        validate.text("data.root", root, "the path of a file or folder")
        validate.text("data.raw", raw, "the path of the folder of raw files", or_null=True)
        _check_subset(concepts, per_class, subset, subset_seed)
        self.root = Path(root).expanduser()
        self.raw = Path(raw).expanduser() if raw else None
        self.extraction = Extraction(**(extract or {}))
        if self.extraction.tables is not None:
            self.extraction = dataclasses.replace(self.extraction, tables=list(self.extraction.tables))
        self._concepts = concepts if isinstance(concepts, int) else list(map(str, concepts))
        self._per_class = per_class if per_class is None or isinstance(per_class, int) else list(per_class)
        self._subset, self._subset_seed = subset, subset_seed

    @property
    def prepared(self) -> Path | None:
        """The feature folder, once it is made."""
        return self.root if is_finished(self.root) and not self.surrogate else None

    @abstractmethod
    def open(self, folder: Path) -> Distribution | None:
        """Open the raw distribution in a folder; None when there is none.

        Raises:
            UserError: what is damaged or missing in it.
        """

    @abstractmethod
    def _nothing(self, folder: Path) -> UserError:
        """What to say where nothing is found."""

    def prepare(self, advance: Callable[[str, int], None], begin: Callable[[str, int], None]) -> dict[str, Any]:
        """Make the feature folder ``root`` of the raw distribution ``raw``, or go on with it, in this process.

        Args:
            advance: told the modality and how many rows were done, for a progress bar.
            begin: told each modality and how many rows there are to do.

        Returns:
            What ``meta.json`` holds.

        Raises:
            UserError: nothing at ``raw``; what is wrong with it; a folder that holds something else.
            Interrupted: the user stopped it.
        """
        try:
            self.provide(advance, begin)
            making = self.making()
            for name, rows in making.rows().items():
                begin(name, rows)
            with keep_freed_memory():
                return making.run(advance)
        except KeyboardInterrupt:
            raise Interrupted("stopped; the same command goes on from here") from None

    def provide(self, advance: Callable[[str, int], None], begin: Callable[[str, int], None]) -> None:
        """What must be done before the raw files are opened; one process does it. Arguments as of `prepare`."""

    def making(self, device: str | None = None, divisible: bool = False) -> Making:
        """Open the raw files and load the extractors.

        Args:
            device: of models; None for the one that the settings name.
            divisible: leave out what one process makes alone.

        Returns:
            The feature folder, to be made or gone on with.

        Raises:
            UserError: nothing at ``raw``; what is wrong with it.
        """
        if self.raw is None:
            raise UserError(
                f"data.raw: not given; cmc.prepare data={self.key} data.raw=DIR names the raw files' folder"
            )
        source = self.opened(self.raw)
        selection = self._select(source)
        extraction = dataclasses.replace(self.extraction, device=device or self.extraction.device)
        made = modalities(source, selection, extraction, divisible=divisible)
        names = [source.names[row] for row in selection.rows.tolist()]
        facts = {
            "name": self.key,
            "title": self.title,
            "form": source.form,
            "selection": selection.rule,
            "classes": list(selection.classes),
            "extraction": dataclasses.asdict(self.extraction),
        }
        unusable = {source.names[row]: reason for row, reason in source.unusable.items()}
        return Making(self.root, made, names, selection.labels, facts, source.files, unusable)

    def opened(self, folder: Path) -> Distribution:
        """The raw distribution in a folder.

        Raises:
            UserError: there is none; what is damaged or missing in it.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; data.raw={folder} must hold {self.title}'s raw files")
        source = self.open(folder)
        if source is None:
            raise self._nothing(folder)
        return source

    def _select(self, source: Distribution) -> Selection:
        return select(source, self._concepts, self._per_class, self._subset, self._subset_seed)

    def _read_made(self) -> Modalities:
        """Read the feature folder, unless other features are asked for than it holds."""
        made = read_meta(self.root)["extraction"]
        default, asked = (dataclasses.asdict(extraction) for extraction in (Extraction(), self.extraction))
        for key in ("image", "text", "tables", "text_width"):
            if asked[key] not in (default[key], made.get(key)):
                raise UserError(
                    f"features.{key}: {asked[key]} asked for, but {self.root} was made with {made.get(key)}; "
                    "give data.root=ANOTHER, or delete it and prepare anew"
                )
        return read_store(self.root)


class Published(Raw):
    """A published data set, in whichever form it lies at ``root``.

    A subclass names itself and says how its raw distribution is opened. Looked for, in this order: a feature folder
    that ``cmc.prepare`` made, the released features, the raw distribution or the LEAR packing.

    Args:
        surrogate: generate a data set of the same size, widths, K and class sizes instead.
        surrogate_dims: widths of ``image`` and ``text`` of the surrogate.
        settings: see `Raw`.

    Attributes:
        site: where the data are published.
        looked_for: the raw files that tell the distribution, for messages.
    """

    site: ClassVar[str]
    looked_for: ClassVar[str]

    def __init__(self, surrogate: bool = False, surrogate_dims: Sequence[int] = (100, 100), **settings: Any) -> None:
        settings = {"subset": "exclusive", **settings}
        super().__init__(**settings)
        self.surrogate = surrogate
        self._surrogate_dims = tuple(surrogate_dims)
        if self._n_clusters is None and self._subset == "full":
            self._n_clusters = self._k

    @property
    def _k(self) -> int:
        return self._concepts if isinstance(self._concepts, int) else len(self._concepts)

    def read(self) -> Modalities:
        """Read whichever form is there.

        Raises:
            UserError: nothing is there, or what is wrong with it.
        """
        if self.surrogate:
            return self._stand_in()
        if is_store(self.root):
            self._check_selection(read_meta(self.root)["selection"])
            return self._read_made()
        if is_released(self.root):
            self._check_selection({})
            return read_released(self.root, self.title)
        source = self.open(self.root) if self.root.is_dir() else None
        if source is None:
            raise self._nothing(self.root)
        if needs_extraction(source, self.extraction):
            raise UserError(
                f"{self.root}: {source.form} without features that can be used as they are; make them once with "
                f"python -m cmc.prepare data={self.key} data.raw={self.root} data.root=FOLDER, "
                f"then give data.root=FOLDER"
            )
        return self._as_they_are(source)

    def _check_selection(self, made: Mapping[str, Any]) -> None:
        """Refuse concepts given by name, and all samples, where the features were made of others."""
        of = f"of {', '.join(made['concepts'])}" if "concepts" in made else f"of subset {made.get('subset', 'unknown')}"
        for key, asked, other in (
            ("concepts", self._concepts, isinstance(self._concepts, list) and self._concepts != made.get("concepts")),
            ("subset", self._subset, self._subset == "full" != made.get("subset")),
        ):
            if other:
                raise UserError(
                    f"data.{key}: {asked} asked for, but the features in {self.root} are {of}; leave it out, or "
                    f"prepare others: python -m cmc.prepare data={self.key} data.raw=DIR data.root=ANOTHER"
                )

    def _as_they_are(self, source: Distribution) -> Modalities:
        """Low-level features and tags, read into memory."""
        selection = self._select(source)
        made = modalities(source, selection, self.extraction)
        n = len(selection.rows)
        log.info("data: %s: reading the features of %d samples from %s", self.title, n, source.form)
        classes = selection.classes or None
        where = f"{self.title}, {source.form} in {self.root}"
        return Modalities({name: _filled(m, n) for name, m in made.items()}, selection.labels, classes, source=where)

    def _stand_in(self) -> Modalities:
        k = self._k
        sizes = [self._per_class] * k if isinstance(self._per_class, int) else self._per_class
        if sizes is None or len(sizes) != k:
            raise UserError(
                f"data.per_class: {sizes} given; a surrogate needs one number, or one for each of {k} classes"
            )
        log.warning("data: SURROGATE: generated data of %s's size stand in for it; no score says anything", self.title)
        return synthetic.generate(
            sizes, dict(zip(("image", "text"), self._surrogate_dims, strict=True)), source=f"surrogate of {self.title}"
        )

    def _nothing(self, folder: Path) -> UserError:
        raw = f"python -m cmc.prepare data={self.key} data.raw=DOWNLOADS"
        return UserError(
            f"{folder}: nothing of {self.title} is here (looked for a feature folder with meta.json; released features "
            f"img.mat, txt.mat, L.mat; {self.looked_for}); it is published at {self.site}; with the released features: "
            f"python -m cmc.run data={self.key} data.root=FOLDER; with the raw files: {raw}; to try without: "
            "data.surrogate=true"
        )


def _check_subset(
    concepts: int | Sequence[str], per_class: int | Sequence[int] | None, subset: str, subset_seed: int
) -> None:
    several = "a number of concepts of at least 2, or a list of their names"
    validate.require("data.concepts", concepts, validate.is_whole(concepts, 2) or validate.is_names(concepts), several)
    are_sizes = validate.is_list(per_class) and all(validate.is_whole(size, 1) for size in per_class)
    accepted = per_class is None or validate.is_whole(per_class, 1) or are_sizes
    one_or_each = "a whole number of at least 1, a list of one number a class, or null"
    validate.require("data.per_class", per_class, accepted, one_or_each)
    validate.require("data.subset", subset, subset in ("exclusive", "full"), "exclusive or full")
    validate.seed("data.subset_seed", subset_seed)


def _filled(modality: Modality, n: int) -> np.ndarray:
    array = np.zeros((n, modality.width), modality.dtype)
    for step in range(modality.steps):
        for rows, columns, values in modality.run(step):
            array[rows, columns] = values
    return array
