"""Candidates: kinds of networks that differ in what decides whether pairs of samples are learned by heart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from cmc.errors import UserError
from cmc.nn.inputs import View
from cmc.utils import validate

CANDIDATES: Mapping[str, Mapping[str, Any]] = {
    "few": {"components": 20, "input_noise": 0.7},
    "many": {"components": 100, "input_noise": 0.7},
    "shared": {"components": 200, "shared": 50, "input_noise": 0.7, "final_noise": 0.7},
}


@dataclass(frozen=True)
class Candidate:
    """What a kind of networks is given, and how it is disturbed in training.

    Attributes:
        components: principal components kept of each modality; None for its features as they are.
        shared: canonical variates kept of these components, weighted by their correlation; None for none of this.
        input_noise: at the start of training, in multiples of a modality's root mean square.
        final_noise: which it comes to at the end, linearly.
    """

    components: int | None = None
    shared: int | None = None
    input_noise: float = 0.0
    final_noise: float = 0.0

    @property
    def view(self) -> View:
        """Of the features."""
        return View(self.components, self.shared)

    def noise(self, share: float) -> float:
        """After this share of the run."""
        return self.input_noise + (self.final_noise - self.input_noise) * share


def read_candidates(settings: Mapping[str, Mapping[str, Any] | None]) -> list[Candidate]:
    """Candidates from a configuration.

    Args:
        settings: name -> the attributes of `Candidate`; None leaves a candidate out.

    Raises:
        UserError: no candidate; an unknown attribute, or a value outside its range.
    """
    known = {field.name for field in fields(Candidate)}
    found = []
    for name, given in settings.items():
        if given is None:
            continue
        where = f"method.candidates.{name}"
        if unknown := set(given) - known:
            raise UserError(f"{where}.{min(unknown)}: no such setting; there are {', '.join(sorted(known))}")
        candidate = Candidate(**given)
        validate.whole(f"{where}.components", candidate.components, least=1, or_null=True)
        validate.whole(f"{where}.shared", candidate.shared, least=1, or_null=True)
        for key in ("input_noise", "final_noise"):
            validate.number(f"{where}.{key}", getattr(candidate, key), least=0)
        if candidate.shared is not None and candidate.components is None:
            raise UserError(f"{where}.shared: {candidate.shared} given without components, of which they are made")
        found.append(candidate)
    if not found:
        raise UserError("method.candidates: none given; give at least one")
    return found
