"""Locks that die with their holder, also on network drives and cloud folders, which often know none."""

import functools
import hashlib
import os
import tempfile
from pathlib import Path


def lock_at(path: Path):
    """A lock of this name, which its holder's death frees; among temporary files where the file system has none."""
    from filelock import FileLock, SoftFileLock

    if not _can_lock(str(path.parent.resolve()), path.parent.stat().st_dev):
        name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"cpt_utils-{os.getuid()}-{name}.lock"
        if not _can_lock(str(path.parent), path.parent.stat().st_dev):
            return SoftFileLock(path.with_suffix(".soft"))  # a file that its holder makes and removes
    return FileLock(path)


@functools.cache
def _can_lock(folder: str, device: int) -> bool:
    """Whether files of a folder can be locked: not so on some network drives and cloud folders."""
    try:
        import fcntl
    except ImportError:  # Windows has a way of its own
        return True
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
