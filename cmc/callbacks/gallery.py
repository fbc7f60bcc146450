"""What is in the clusters: ``clusters.csv``, and ``gallery.html`` where the data have pictures or texts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer

from cmc.clusters.described import write_clusters
from cmc.clusters.page import check_installed, write_gallery
from cmc.clusters.run import CLUSTERS, describe_run, told_of
from cmc.errors import UserError
from cmc.runs.embeddings import PROJECTIONS
from cmc.runs.folder import GALLERY
from cmc.runs.report import read_report
from cmc.utils import validate
from cmc.utils.progress import bars

log = logging.getLogger(__name__)


class Gallery(Callback):
    """After the results: ``clusters.csv``, and ``gallery.html`` where the data have pictures or texts.

    The table has a row a cluster: its name (that of the user, else its first terms), size, top terms, mean confidence,
    agreement of the modalities, and the ids of its most typical members. Of held-out samples, too.

    Args:
        page: write the page; it is left out with a line where the packages of ``cmc[gallery]`` are not installed.
        projection: of its map to two dimensions: ``tsne``, ``umap`` or ``pca``.
    """

    def __init__(self, page: bool = True, projection: str = "tsne") -> None:
        self._page = validate.require("callbacks.gallery.page", page, isinstance(page, bool), "true or false")
        self._projection = validate.one_of("callbacks.gallery.projection", projection, PROJECTIONS)

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write both from the run folder's files."""
        if not trainer.is_global_zero:
            return
        run = Path(trainer.default_root_dir)
        report = read_report(run)
        described = describe_run(run, report)
        write_clusters(run / CLUSTERS, described)
        if not self._page or (described.samples.pictures is None and described.samples.caption is None):
            return
        try:
            check_installed()
        except UserError as missing:
            log.info("%s is left out: %s", GALLERY, missing)
            return
        with bars() as (advance, begin):
            lines = write_gallery(run / GALLERY, described, told_of(run, report), self._projection, advance, begin)
        for line in lines:
            log.warning("gallery: %s", line)
