"""What happens around training: progress, scores, checkpoints, the run folder, figures."""

from cmc.callbacks.checkpoints import Checkpoints
from cmc.callbacks.evaluation import Evaluation
from cmc.callbacks.figures import Figures
from cmc.callbacks.progress import Progress
from cmc.callbacks.results import Results
from cmc.callbacks.tracking import Tracking

__all__ = ["Checkpoints", "Evaluation", "Figures", "Progress", "Results", "Tracking"]
