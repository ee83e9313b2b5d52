"""Folders that the environment may name: CPT_RUNS, CPT_CACHE, CPT_FIGURES."""

import errno
import os
import unicodedata
from pathlib import Path

from cpt_utils.runtime.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent.parent
"""The repository."""
SIGNS = " .-'’\u200c\u200d"
"""What may stand between the letters of a name; the last two part and join letters of some scripts, unseen."""
MOST_BYTES = 200
"""Of the 255 that a file system gives a name: what lies beside a file, or is half written, has a longer one."""
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST}


def named_folder(variable: str, usual: "str | Path") -> Path:
    """The folder that a variable names, else `usual`; "~" and "$HOME" are the home folder, others below ROOT.

    So every process of a run means the same folder, wherever it was started.
    """
    named = os.environ.get(variable, "").strip() or usual
    return ROOT / at_home(os.path.expandvars(named), f"set {variable} to")


def at_home(folder: "str | Path", mend: str = "name") -> Path:
    """A folder as it was named, where "~" is the home folder; `mend`: what to do where there is none."""
    try:
        return Path(folder).expanduser()
    except RuntimeError:  # no home folder, or no such user
        raise SettingsError(f"There is no home folder for {str(folder)!r}: {mend} a folder without '~'.") from None


def writable(folder: Path, variable: str) -> Path:
    """The folder, created; a SettingsError names the variable that mends it where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror
    except ValueError as error:  # half a character, or one of no file name
        why = str(error)
    else:
        if os.access(folder, os.W_OK):
            return folder
        why = "it is read-only"
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    raise SettingsError(
        f"The folder {str(shown)!r} cannot be written ({why}): set {variable} to one that can, or unset it."
    )


def name_mend(name: str, most: int, signs: str) -> str:
    """How to mend a typed name that can be no file's; "" for one that can, in any script: it leads nowhere else.

    most: characters; signs: what to say of those that may stand between letters.
    """

    def of_a_word(c: str) -> bool:
        return c.isalnum() or c == "_" or unicodedata.category(c)[0] == "M"

    if not name or not of_a_word(name[0]) or not all(of_a_word(c) or c in SIGNS for c in name):
        return f"use letters, digits, {signs}"
    if len(name) > most:
        return f"it has {len(name)} characters, and {most} are the most; shorten it"
    size = len(name.encode())
    return f"it takes {size} bytes, and {MOST_BYTES} are the most; shorten it" if size > MOST_BYTES else ""


def cache_fault(error: BaseException | None, source: "str | Path") -> str:
    """What to say where an error tells that the libraries' cache cannot be written; "" if it does not.

    source: what is read; whatever else cannot be reached then is the cache.
    """
    while error is not None:
        place = Path(str(getattr(error, "filename", None) or ""))
        if getattr(error, "errno", None) in UNWRITABLE and not place.is_relative_to(source):
            return (
                f"the cache of Hugging Face's libraries cannot be written ({error.strerror}): free some space there, "
                "or set HF_HOME to a folder that can, and start again"
            )
        error = error.__cause__
    return ""


def version(path: Path) -> tuple[int, int, int, int] | None:
    """What changes with a file, though not twice within a tick of its clock: times of content and entry (ns), bytes,
    inode. None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
