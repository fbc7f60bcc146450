"""The C library's allocator, told to keep what a step frees for the next step."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
_OWN_CHOICES = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keep freed memory within, and give it back to the system at the end; on Linux with glibc, else nothing.

    By default glibc gives large blocks back at once, and the system must clear their pages anew in every step: a fifth
    of a step of CMMC in bf16 (docs/speed.md). What the environment says of malloc is left as it is.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt") or any(name in os.environ for name in _OWN_CHOICES):
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    libc.mallopt(_TOP_PAD, 64 * 2**20)
    try:
        yield
    finally:
        libc.malloc_trim(0)
