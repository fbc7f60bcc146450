"""Faults injected into real runs: what is lost (nothing), and what is said."""
