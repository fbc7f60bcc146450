"""What happens around training: progress, scores, checkpoints, the run folder, figures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
