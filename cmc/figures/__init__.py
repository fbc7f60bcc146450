"""Pictures of a run as functions of arrays, in one style; `cmc.callbacks.figures` draws them from a run folder."""

from cmc.figures.clusters import confusion, sizes
from cmc.figures.confidence import confidence
from cmc.figures.curves import losses, measures
from cmc.figures.embedding import Points, embedding, phases, project, project_each
from cmc.figures.sharing import sharing
from cmc.figures.style import save

__all__ = [
    "Points",
    "confidence",
    "confusion",
    "embedding",
    "losses",
    "measures",
    "phases",
    "project",
    "project_each",
    "save",
    "sharing",
    "sizes",
]
