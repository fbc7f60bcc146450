"""A run folder: what its files say, and how they are written."""
