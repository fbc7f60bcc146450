"""`CrossModalClustering`: the methods as a scikit-learn estimator."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from cmc.clusters.described import Described
from cmc.clusters.run import picture_folder
from cmc.clusters.samples import samples_of
from cmc.clusters.terms import Term
from cmc.config.trust import check_run
from cmc.data.datasets.arrays import Arrays
from cmc.data.formats import Found
from cmc.data.modalities import Modalities
from cmc.data.preparation.extractors import FOLDER
from cmc.errors import UserError
from cmc.estimator.compose import changed_settings, compose_config, seed_of
from cmc.estimator.isolation import as_value_errors, undisturbed
from cmc.estimator.showing import clusters_html, texts_of, write_page
from cmc.estimator.validation import aligned, to_assign, to_fit
from cmc.functional.contingency import contingency_table
from cmc.functional.scores import accuracy
from cmc.inference import inputs
from cmc.inference.trained import load, revive
from cmc.runs import checkpoint
from cmc.runs.config import read_config, write_config
from cmc.runs.folder import LAST, finished
from cmc.runs.history import read_history, write_history
from cmc.runs.names import keep, kept
from cmc.runs.pictures import read_pictures, write_pictures
from cmc.runs.report import write_report
from cmc.runs.rows import read_rows, write_rows
from cmc.runs.summary import show
from cmc.training.fit import fit

_TAKEN_OVER = ("method", "trainer")  # of a run's configuration, for the next `fit`


class CrossModalClustering(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Deep clustering of samples that are described in two or more modalities.

    The same training as ``python -m cmc.run``: with the same features, settings and seed it ends with the same labels.

    Wherever X is asked for, it is a list of M matrices, N x d_m each, or a mapping of names to them: PyTorch tensors,
    or whatever scikit-learn takes as a dense matrix; with ``widths`` it may be one N x d matrix. Rows of data frames
    are joined by their index, those of AnnData by ``obs_names``, in the order of the first; a MuData is its modalities.
    In several matrices a sample that lacks one has a row of NaN. After fitting all may: ``None``, or no entry.

    Args:
        method: ``dmim``, ``cmmc``, or another yaml of ``conf/method``.
        n_clusters: K; None for the number of classes in y, of which fitting uses nothing else.
        widths: how the columns of one matrix X split into modalities, such as ``[512, 300]``; one may be -1, the rest.
        max_phase_epochs: no phase of the training lasts longer.
        random_state: an int, or what scikit-learn takes in its place, of which an int is drawn at every fit.
        verbose: show progress and a closing line.
        settings: any key of the configuration, with ``__`` for its dots; ``method__`` may be left out:
            ``gamma=0.5``, ``phases__train__epochs=50``, ``trainer__precision="bf16-mixed"``, ``data__scaling="l2"``.
            They are parameters as the others are; ``fit`` checks them. Only ``evaluate_every`` is another than in the
            yaml: 0.

    Attributes:
        labels_: N clusters, from 0 to K - 1.
        confidence_: N, the largest assignment probability.
        confidence_calibrated_: N, how probably another modality says the same cluster (`cmc.functional.calibration`);
            None of methods whose modalities have no assignments of their own.
        cluster_terms_: of K clusters each ``(word, number of captions)``, best first, where `fit` was given captions.
        ids_: N texts, the samples' ids in the order of ``labels_``, where X has any; else None.
        embedding_: N x D, the common representation of the samples.
        report_: what ``metrics.json`` of a run holds.
        n_features_in_: columns of all modalities together.

    Raises:
        ValueError: on fitting or prediction, what is wrong with X or a setting, in one line.

    Example:
        >>> import numpy as np
        >>> from cmc import CrossModalClustering
        >>> truth = np.arange(60) % 3
        >>> rng = np.random.default_rng(0)
        >>> images, texts = (np.eye(3)[truth] @ rng.normal(size=(3, d)) for d in (8, 5))
        >>> model = CrossModalClustering("dmim", n_clusters=3, max_phase_epochs=30).fit([images, texts])
        >>> model.score([images, texts], truth) > 0.9, model.predict([images, None]).shape
        (True, (60,))
    """

    def __init__(
        self,
        method: str = "dmim",
        n_clusters: int | None = None,
        *,
        widths: Sequence[int] | None = None,
        max_phase_epochs: int | None = None,
        random_state: Any = 0,
        verbose: bool = False,
        **settings: Any,
    ) -> None:
        self.method = method
        self.n_clusters = n_clusters
        self.widths = widths
        self.max_phase_epochs = max_phase_epochs
        self.random_state = random_state
        self.verbose = verbose
        self.__dict__.update(settings)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters, settings included."""
        return {**super().get_params(deep), **self._settings()}

    def set_params(self, **params: Any) -> CrossModalClustering:
        """Set parameters, settings included; `fit` checks them."""
        self.__dict__.update(params)
        return self

    def _settings(self) -> dict[str, Any]:
        """Parameters beyond the signature: attributes that are neither private nor fitted."""
        signature = self._get_param_names()
        return {
            name: value
            for name, value in vars(self).items()
            if name not in signature and not name.startswith("_") and ("__" in name or not name.endswith("_"))
        }

    def fit(self, X: Any, y: Any = None, captions: Any = None, pictures: Any = None) -> CrossModalClustering:
        """Train.

        Args:
            X: see the class.
            y: unused, but for the number of its classes where ``n_clusters`` is None.
            captions: N texts, which no training sees: for `gallery` and ``cluster_terms_``. Like y, a series is brought
                into the order of X's data frames.
            pictures: N paths of picture files, for `gallery`, in the same way; None in it where there is none.
        """
        with as_value_errors(), undisturbed(self.verbose), tempfile.TemporaryDirectory() as folder:
            given = to_fit(self, X)
            for remark in given.remarks:
                warnings.warn(f"X: {remark}", stacklevel=2)
            config = self._configuration(y)
            settings = {str(key): value for key, value in config.data.items() if key != "_target_"}
            n = len(next(iter(given.features.values())))
            texts = texts_of("captions", captions, given.ids, n)
            paths = texts_of("pictures", pictures, given.ids, n)
            spoken = None if texts is None else [text or "" for text in texts]
            data = Arrays(Modalities(given.features, source="X", ids=given.ids, captions=spoken), **settings)
            report = fit(config, folder, data=data)
            if self.verbose:
                show(report, "see labels_")
            write_pictures(Path(folder), paths)
            self._take(Path(folder))
        return self

    def _configuration(self, y: Any) -> DictConfig:
        """What a run of these parameters is configured as."""
        n_clusters = self.n_clusters
        if n_clusters is None:
            if y is None:
                raise UserError("n_clusters: not given; say how many clusters to look for")
            n_clusters = len(np.unique(np.asarray(y)))
        given = {"data__n_clusters": n_clusters, "max_phase_epochs": self.max_phase_epochs, **self._settings()}
        config = compose_config(self.method, {"evaluate_every": 0, **given})
        config.seed = seed_of(self.random_state)
        for pictures in ("figures", "gallery"):
            config.callbacks.pop(pictures, None)
        if not self.verbose:
            config.callbacks.pop("progress", None)
        if config.data.incomplete == "drop":
            raise UserError("data__incomplete: drop given; fit the rows of X that lack nothing, and predict the others")
        if config.trainer.devices != 1 or config.trainer.get("num_nodes", 1) != 1:
            raise UserError("trainer__devices: the estimator trains on one device; python -m cmc.run takes several")
        return config

    def _take(self, run: Path, trust: Sequence[str] = ()) -> None:
        """Become what a finished run folder holds; the folder is not needed afterwards."""
        self._trust = tuple(trust)
        self._trained = load(run, trust, _device(read_config(run)))
        self._history, self._rows = read_history(run), read_rows(run)
        self._edits, self._pictures = kept(run), read_pictures(run, len(self._rows))
        self.report_, self.labels_ = self._trained.report, self._rows.clusters
        self.ids_ = self._rows.ids
        self.confidence_, self.confidence_calibrated_ = self._rows.confidence, self._rows.calibrated
        self._n_features_out = 0
        if (embedding := self._rows.embeddings) is not None:
            self.embedding_, self._n_features_out = embedding, embedding.shape[1]

    def predict(self, X: Any) -> NDArray[np.int64]:
        """The clusters of samples, N."""
        return np.asarray(self._assignments(X).max(1).indices.numpy())

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Assignment probabilities, N x K."""
        return np.asarray(self._assignments(X).numpy())

    def predict_confidence(self, X: Any) -> NDArray[np.float32]:
        """How probably another modality says the cluster of a sample, N: ``confidence_calibrated_`` of new samples."""
        check_is_fitted(self)
        with as_value_errors():
            return np.asarray(self._trained.confidence(self._incoming(X)).numpy())

    def transform(self, X: Any) -> NDArray[np.float32]:
        """The common representation, N x D, of samples that lack no modality."""
        check_is_fitted(self)
        with as_value_errors():
            return np.asarray(torch.cat(list(self._trained.embed(self._incoming(X)))).cpu().numpy())

    def score(self, X: Any, y: Any) -> float:
        """Clustering accuracy: the share of samples under the best one-to-one matching of clusters to classes.

        Args:
            X: see the class.
            y: N classes: numbers or names; a series whose index is that of X's data frames is brought into their order.
        """
        check_is_fitted(self)
        with as_value_errors():
            given = to_assign(self, X, self._trained.dims)
            labels = aligned(y, given.ids)
        classes, codes = np.unique(labels, return_inverse=True)
        clusters, n_clusters = self.predict(X), self._trained.method.n_clusters
        return accuracy(
            contingency_table(torch.from_numpy(clusters), torch.from_numpy(codes), n_clusters, len(classes))
        )

    def _assignments(self, X: Any) -> Tensor:
        check_is_fitted(self)
        with as_value_errors():
            return torch.cat([each.assignment.float().cpu() for each in self._trained.assign(self._incoming(X))])

    def _incoming(self, X: Any) -> Mapping[str, NDArray[Any]]:
        """X as the trained model takes it, checked."""
        features = to_assign(self, X, self._trained.dims).features
        return inputs.arrange(Found(features, None, None, "X"), self._trained.dims).features

    @property
    def cluster_terms_(self) -> list[list[Term]]:
        """Of each cluster the words of its captions that tell it from the others, and in how many they stand."""
        check_is_fitted(self)
        if (terms := self._described().terms) is None:
            raise AttributeError("cluster_terms_: the samples have no captions; fit(X, captions=...) takes them")
        return terms

    def gallery(self, path: str | Path = "gallery.html", projection: str = "tsne") -> Path:
        """Write a page on what is in the clusters, to look at and to work on, as ``python -m cmc.gallery`` does.

        Args:
            path: of the page.
            projection: of its map: ``tsne``, ``umap`` or ``pca``.

        Raises:
            ValueError: a package of ``cmc[gallery]`` is not installed, or another projection.
        """
        check_is_fitted(self)
        with as_value_errors():
            return write_page(Path(path).expanduser(), self._described(), self.report_, projection)

    def _described(self) -> Described:
        pictures = picture_folder(self.report_) if self._pictures is None else self._pictures
        return Described(samples_of(self._rows, self._trained.method.n_clusters, pictures), self._edits)

    def _repr_html_(self) -> str:
        """In a notebook: the parameters, and once it is fitted its clusters."""
        parameters = str(estimator_html_repr(self))
        return parameters + clusters_html(self._described()) if hasattr(self, "labels_") else parameters

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """What notebooks ask for first."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def save(self, folder: str | Path) -> None:
        """Leave a run folder, which `load`, ``cmc.predict`` and ``cmc.evaluate`` understand.

        It holds the trained model, not the state of its training; of pictures the paths (``pictures.csv``), not the
        pictures; and the names of clusters, where a run that was loaded keeps any (``names.json``).

        Raises:
            ValueError: something is there already.
        """
        check_is_fitted(self)
        run = Path(folder).expanduser()
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            raise ValueError(f"{run}: something is there already; give another folder")
        saved = self._trained.saved()
        write_config(run, saved.config)
        checkpoint.write(saved.found.content, run / LAST)
        if self._history:
            write_history(run, list(self._history[0]), self._history)
        write_rows(run, self._rows)
        write_pictures(run, self._pictures)
        keep(self._edits, run)
        if (extractors := self._trained.folder / FOLDER).is_dir():
            shutil.copytree(extractors, run / FOLDER)
        write_report(run, saved.report)  # last: it marks a finished run

    @classmethod
    def load(cls, folder: str | Path, trust: Sequence[str] = ()) -> CrossModalClustering:
        """Take up a finished run folder, of `save` or of ``python -m cmc.run`` with a method of CMC.

        Args:
            folder: the run's.
            trust: packages whose classes its configuration may name besides those of CMC.

        Raises:
            ValueError: see `cmc.inference.trained.load`.
        """
        with as_value_errors(), undisturbed(verbose=False):
            config = read_config(run := finished(folder))
            plain = OmegaConf.to_container(config)
            check_run(str(run / "config.yaml"), plain, trust, _TAKEN_OVER)  # type: ignore[arg-type]
            model = cls(config.names.method, random_state=config.seed, **changed_settings(config))
            model._take(run, trust)
            model.n_clusters, model.widths = model._trained.method.n_clusters, list(model._trained.dims.values())
            model.n_features_in_ = sum(model.widths)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """All, with the state of the model in the place of the model: its weights, and nothing that trains them."""
        state = dict(super().__getstate__())
        if "_trained" in state:
            state["_trained"] = state["_trained"].saved()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Bring the model back."""
        super().__setstate__(state)
        if "_trained" in state:
            with undisturbed(verbose=False):
                self._trained = revive(saved := state["_trained"], self._trust, _device(saved.config))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's checks need to know."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _device(config: DictConfig) -> str:
    """Of the kind that a run was trained on."""
    return "cpu" if config.trainer.accelerator == "cpu" else "auto"
