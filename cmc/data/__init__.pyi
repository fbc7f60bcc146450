from .loader import Batch as Batch
from .modalities import Modalities as Modalities
from .module import DataModule as DataModule
