"""Data: the container and its checks, batches, scaling, and the DataModule that all data sets share."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
