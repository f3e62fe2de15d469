"""Keeping the memory that PyTorch frees on a CPU, instead of giving it back to the system and asking for it again."""

import ctypes
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Of glibc's malloc.h."""
_LARGEST = 32 << 20
"""The largest threshold that glibc takes: larger blocks always come from the system."""
_KEPT = 1 << 30


def keep_freed_memory() -> bool:
    """Has this process keep up to a gigabyte of freed memory.

    Every operation's output is new memory; left alone, glibc takes the larger ones from the system, which clears them
    page by page: a tenth of the time of an evaluation of the pocket backbones. Numbers do not depend on it.

    Returns:
        Whether it was done; with another C library there is nothing to do.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
