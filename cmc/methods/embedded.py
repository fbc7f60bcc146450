"""IDEC, DEMVC and SDMVC: codes that train themselves towards sharpened assignments, each modality's or a common one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cmc.data.loader import Batch
from cmc.functional.contingency import contingency_table
from cmc.functional.kmeans import column_range
from cmc.functional.matching import match
from cmc.functional.targets import divergence, sharpen, student_t
from cmc.methods.self_training import SelfTraining
from cmc.utils import validate

_MANY = 6  # modalities, from which on codes are scaled before they are put side by side


class DeepEmbedded(SelfTraining):
    r"""Deep embedded clustering of several modalities.

    The phases are ``reconstruct`` and ``embed``, whose loss is

    .. math:: \sum_m MSE(x^m, decoder^m(z^m)) + \gamma \sum_m KL(P^m, Q^m)

    with P sharpened (`cmc.functional.targets.sharpen`) by the sizes of all samples' clusters. ``target`` says of what:

    - ``own``: of each modality's q^m. This is IDEC in every modality by itself; modalities meet in the names of their
      clusters at the start, and in the mean of q^m.
    - ``rotating``: of one modality's q^r, for all; the next one's at every refresh, beginning with ``reference``. This
      is DEMVC. All modalities start from the reference's centres.
    - ``common``: of Student's t of all codes side by side to the centres of k-means on these, anew at every refresh;
      from six modalities on, columns are scaled to [0, 1] before. This is SDMVC.

    A sample's cluster is the argmax of the mean of q^m. The history has ``aligned``, the share of samples that were in
    the same cluster in all modalities at the last refresh.

    Sources: Guo et al., *Improved Deep Embedded Clustering with Local Structure Preservation*, IJCAI 2017 (IDEC); Xu et
    al., *Deep Embedded Multi-view Clustering with Collaborative Training*, Information Sciences 2021 (DEMVC); Xu et
    al., *Self-supervised Discriminative Feature Learning for Deep Multi-view Clustering*, TKDE 2023 (SDMVC).

    What is ours: epochs are shuffled, where the releases take slices of the file in its order. Targets are refreshed by
    epochs, not by steps, and for a fixed length: SDMVC's release stops when the modalities agree on nine samples in
    ten, or starts again. Under ``common`` k-means numbers its clusters anew each time; ours are matched to those of the
    mean q^m (``match``), where the release lets the divergence drag the modalities' clusters over. Under ``own``, and
    under ``common`` with ``match``, each modality's k-means is named as the first one's at the start.

    Args:
        arguments: of `SelfTraining`.
        target: ``own``, ``rotating`` or ``common``.
        reference: under ``rotating`` the name of the modality to begin with; None for the first.
        match: under ``common``, whether the clusters of k-means are matched to those that there are.
        settings: of `SelfTraining`.

    Raises:
        UserError: a value outside its range, or another phase.
    """

    second = "embed"

    def __init__(
        self,
        *arguments: Any,
        target: str,
        reference: str | None = None,
        match: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.target = validate.one_of("method.target", target, ("own", "rotating", "common"))
        if reference is not None:
            validate.one_of("method.reference", reference, self.modalities)
        self.reference = 0 if reference is None else self.modalities.index(reference)
        self.matched = match

    def distance(self, q: Tensor, batch: Batch) -> Tensor:
        """The divergence of assignments from targets, of which there is one, or one a modality."""
        p = self.targets[:, batch.index.to(self.targets.device)].expand(len(q), -1, -1)
        return divergence(p.flatten(0, 1), q.flatten(0, 1)) * len(q)

    def begin(self, codes: list[Tensor]) -> None:
        """From k-means in each modality, or from the reference's for all."""
        if self.target == "rotating":
            self.centres.data.copy_(self.means_of(codes[self.reference]).expand_as(self.centres))
        else:
            self.begin_apart(codes, named=self.target == "own" or self.matched)

    def make_targets(self, codes: list[Tensor], number: int) -> None:
        """One for each modality, or one for all."""
        q = self.soft(codes)
        if self.target == "own":
            self.targets = torch.stack([sharpen(own) for own in q])
        elif self.target == "rotating":
            self.targets = sharpen(q[(self.reference + number) % len(q)])[None]
        else:
            self.targets = self._common(codes, q.mean(0))[None]
        clusters = q.argmax(2)
        self.note(aligned=(clusters == clusters[0]).all(0).double().mean().item())

    def _common(self, codes: list[Tensor], q: Tensor) -> Tensor:
        """The sharpened assignment by all codes, N x K; q is what its clusters are named by."""
        joined = torch.cat(codes, 1)
        if len(codes) >= _MANY:
            low, spread = column_range(joined)
            joined = (joined - low) / spread
        p = sharpen(student_t(joined, self.means_of(joined)))
        if not self.matched:
            return p
        names = match(contingency_table(p.argmax(1), q.argmax(1), self.n_clusters, self.n_clusters))
        return torch.empty_like(p).index_copy_(1, names, p)
