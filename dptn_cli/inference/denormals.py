"""Denormal numbers: softmax over a thousand tokens leaves many, and they slow the processor down.

onnxruntime's option `session.set_denormal_as_zero` flushes them in the threads that it starts, and
in the thread that opens the process's first session, whose mode it never restores. Other threads
that call `run` compute too, and do not flush.
"""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Bits of the register MXCSR: see Intel's Software Developer's Manual, volume 1, section 10.2.3.
FLUSH_TO_ZERO, DENORMALS_ARE_ZERO = 1 << 15, 1 << 6
FLUSH = FLUSH_TO_ZERO | DENORMALS_ARE_ZERO


class _Environment(ctypes.Structure):
    """`fenv_t`, as glibc and musl define it for x86-64."""

    _fields_ = (("x87", ctypes.c_uint32 * 7), ("mxcsr", ctypes.c_uint32))


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush denormals to zero in this thread, and restore its mode at the end.

    Does nothing on other processors than x86-64 and other systems than Linux.
    """
    library = _c_library()
    if library is None:
        yield
        return
    before = _set_flush_bits(library, FLUSH)
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


def _set_flush_bits(library: ctypes.CDLL, bits: int) -> int:
    """Set the bits of `FLUSH` for this thread, and return what they were."""
    environment = _Environment()
    library.fegetenv(ctypes.byref(environment))
    before = environment.mxcsr & FLUSH
    environment.mxcsr = environment.mxcsr & ~FLUSH | bits
    library.fesetenv(ctypes.byref(environment))
    return int(before)
