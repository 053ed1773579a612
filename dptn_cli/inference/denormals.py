"""Denormal numbers, which slow a processor down: softmax over a thousand tokens leaves many.

onnxruntime flushes them to zero in the threads that it starts itself. A thread that calls it
computes too, but flushes them only if it opened the first session of the process, or was started by
one that did; and then for good.
"""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Bits of the register MXCSR; the names are those of Intel's manual, volume 1, 10.2.3.
FLUSH_TO_ZERO, DENORMALS_ARE_ZERO = 1 << 15, 1 << 6
FLUSH = FLUSH_TO_ZERO | DENORMALS_ARE_ZERO


class _Environment(ctypes.Structure):
    """`fenv_t` of C libraries for x86-64 Linux."""

    _fields_ = (("x87", ctypes.c_uint32 * 7), ("mxcsr", ctypes.c_uint32))


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush denormals to zero in this thread, and afterwards do what it did before.

    On processors other than x86-64 and systems other than Linux, nothing is changed.
    """
    library = _c_library()
    if library is None:
        yield
        return
    before = _flush_bits(library)
    _set_flush_bits(library, FLUSH)
    try:
        yield
    finally:
        _set_flush_bits(library, before)


@cache
def _c_library() -> ctypes.CDLL | None:
    is_known = sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 2**32
    if not is_known:
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "fegetenv") and hasattr(library, "fesetenv") else None


def _flush_bits(library: ctypes.CDLL) -> int:
    environment = _Environment()
    library.fegetenv(ctypes.byref(environment))
    return int(environment.mxcsr & FLUSH)


def _set_flush_bits(library: ctypes.CDLL, bits: int) -> None:
    environment = _Environment()
    library.fegetenv(ctypes.byref(environment))
    environment.mxcsr = environment.mxcsr & ~FLUSH | bits
    library.fesetenv(ctypes.byref(environment))
