"""What becomes of memory that was freed: glibc keeps it for the next tensors, or gives it back."""

import ctypes
import sys


def _glibc():
    """The C library where it is glibc, else None."""
    if sys.platform != "linux":
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def keep_freed_memory() -> None:
    """Ask glibc to keep freed blocks: training on a CPU then gets its large tensors without page faults."""
    if library := _glibc():
        for parameter, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_MAX, M_TRIM, M_TOP_PAD
            library.mallopt(parameter, value)


def release_memory() -> None:
    """Give freed blocks back after all (see keep_freed_memory): holes of many sizes would pile up over a long run."""
    if library := _glibc():
        library.malloc_trim(0)
