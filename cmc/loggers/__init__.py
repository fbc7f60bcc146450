"""Where an epoch's figures go: the run folder's ``history.csv``, W&B, TensorBoard, MLflow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
