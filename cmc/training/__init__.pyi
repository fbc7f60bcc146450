from .sweep import ReleaseMemory as ReleaseMemory
