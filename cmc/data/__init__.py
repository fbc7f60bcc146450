"""Data sets: each a DataModule that implements ``read() -> Modalities``."""
