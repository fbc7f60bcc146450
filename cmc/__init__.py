"""Deep cross-modal clustering: images with their texts, or any two or more descriptions of the same things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmc.estimator import CrossModalClustering

__all__ = ["CrossModalClustering"]


def __getattr__(name: str) -> Any:
    """Import the estimator when it is asked for: torch and scikit-learn take seconds."""
    if name == "CrossModalClustering":
        from cmc.estimator import CrossModalClustering

        return CrossModalClustering
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
