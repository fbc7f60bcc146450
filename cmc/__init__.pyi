from .data.modalities import Modalities as Modalities
from .data.module import DataModule as DataModule
from .errors import UserError as UserError
from .estimator.clustering import CrossModalClustering as CrossModalClustering
from .methods.base import Method as Method
from .metrics import ClusteringScores as ClusteringScores
