"""Keeping freed memory: page faults on fresh pictures can cost more than the arithmetic."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
_LARGEST = 2**31 - 1


def keep_memory() -> bool:
    """Ask glibc to keep freed memory for the next step instead of giving it back to the system.

    Holds for the whole process, from here on, and raises its resident memory. Only for the CPU, and only
    when called: the library never does it by itself; the command line does.

    Returns:
        Whether it was possible; False where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
