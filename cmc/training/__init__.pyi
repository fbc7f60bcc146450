from .sweep import OneMeasure as OneMeasure
from .sweep import ReleaseMemory as ReleaseMemory
