"""Fuzzing of every reader: `targets` names them, `guided` runs one under libFuzzer, ``python -m tests.fuzz`` all."""
