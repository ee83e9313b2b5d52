"""Locks that die with their holder, also on network drives and cloud folders, which often know none."""

import functools
import hashlib
import os
import tempfile
import warnings
from pathlib import Path


def lock_at(path: Path):
    """A lock of this name, which its holder's death frees; among temporary files where the file system has none."""
    from filelock import FileLock, SoftFileLock

    if not _can_lock(str(path.parent.resolve()), path.parent.stat().st_dev):
        whose = os.path.expanduser("~") + str(path.resolve())  # several people share a folder of temporary files
        path = Path(tempfile.gettempdir()) / f"cpt_utils-{hashlib.sha256(os.fsencode(whose)).hexdigest()[:16]}.lock"
        if not _can_lock(str(path.parent), path.parent.stat().st_dev):
            return SoftFileLock(path.with_suffix(".soft"))  # a file that its holder makes and removes
    return FileLock(path)


@functools.cache
def _can_lock(folder: str, device: int) -> bool:
    """Whether files of a folder can be locked: not so on some network drives and cloud folders."""
    from filelock import FileLock, Timeout

    with tempfile.TemporaryDirectory(prefix=".cpt_utils-", dir=folder) as own, warnings.catch_warnings():
        warnings.simplefilter("error")  # the library may warn, and stand a file of its holder in for the lock
        try:
            FileLock(Path(own) / "lock").acquire(timeout=0).lock.release()
        except (Timeout, OSError, NotImplementedError, UserWarning):
            return False
    return True
