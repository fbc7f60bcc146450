from .checkpoints import Checkpoints as Checkpoints
from .evaluation import Evaluation as Evaluation
from .figures import Figures as Figures
from .gallery import Gallery as Gallery
from .progress import Progress as Progress
from .results import Results as Results
from .stopping import Stopping as Stopping
from .tracking import Tracking as Tracking
