"""How a server's process keeps the memory that it frees."""

from __future__ import annotations

import ctypes
import gc
import sys

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: The greatest that glibc takes for the second; answers are smaller.
_KEPT_BYTES = 32 * 2**20
_OBJECTS = 20_000


def keep_freed_memory() -> None:
    """Use the memory of one answer for the next, where the C library can be told to.

    glibc maps blocks of 128 kB and more afresh and gives them back at once: a third of the time of an
    answer of 0.5 MB went into page faults.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return  # another C library, such as musl
    mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
    mallopt(_TRIM_THRESHOLD, 2 * _KEPT_BYTES)


def keep_start_up_objects() -> None:
    """Leave what was made so far out of the search for cycles.

    With a large catalogue one search through all of it would hold up requests for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    # An answer makes some hundred objects that end with it: search after some hundred answers.
    gc.set_threshold(_OBJECTS, 20, 20)
