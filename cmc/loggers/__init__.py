"""Where an epoch's figures go: the run folder's ``history.csv``, W&B, TensorBoard, MLflow."""

from cmc.loggers.history import HistoryLogger, read_history

__all__ = ["HistoryLogger", "read_history"]
