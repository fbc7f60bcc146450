from .base import Method as Method
from .baselines.sklearn import CCA as CCA
from .baselines.sklearn import Agglomerative as Agglomerative
from .baselines.sklearn import GaussianMixture as GaussianMixture
from .baselines.sklearn import KMeans as KMeans
from .baselines.sklearn import Spectral as Spectral
from .cmmc import CMMC as CMMC
from .dmim import DMIM as DMIM
