"""Deep cross-modal clustering: images with their texts, or any two or more descriptions of the same things."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
