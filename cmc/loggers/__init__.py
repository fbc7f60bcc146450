"""Where an epoch's figures go: the run folder's ``history.csv``, W&B, TensorBoard, MLflow."""

from cmc.loggers.history import HistoryLogger

__all__ = ["HistoryLogger"]
