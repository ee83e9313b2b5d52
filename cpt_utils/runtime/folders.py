"""Folders and files that are written beside and then swapped in. Only what the series wrote is ever replaced.

A hidden file, MARK, holds names and hashes of what the series wrote into a folder.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from cpt_utils.runtime import files, torn
from cpt_utils.runtime.errors import ExportError

MARK = ".cpt_utils.json"
LOCK = ".cpt_utils.lock"
"""Held while a file is written and marked: a MARK has many writers."""
SYSTEM = (".ds_store", "._*", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory", "__pycache__/*.pyc")
"""Files (in small letters) that systems and Python leave in every folder that is looked into: nobody's work."""
COPIES = ".ipynb_checkpoints"
"""Jupyter's folder of copies, as a user last saved each file there: work, unless it is what the series wrote."""
LARGE = 2**26
"""From so many bytes on a file's size and time of change speak for it, where both are as marked: a hash takes a CPU
one to three seconds a GB."""


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of `folder` once all is there.

    After an error the old one stays. An ExportError refuses one that holds anything that the series did not write.
    """
    folder = resolved(folder)  # a link stays one
    if not folder.name:
        raise ExportError(f"{folder} is the whole disk: choose a folder in it; nothing was replaced.")
    with files.writing(folder), replacing(folder, strangers) as partial:
        yield partial
        _mark(partial, *partial.rglob("*"))


def resolved(folder: str | Path) -> Path:
    """Where a folder really is; an ExportError tells of what can be none."""
    try:
        return Path(folder).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ExportError(f"There can be no folder {str(folder)!r} ({error}): choose another one.") from None


@contextlib.contextmanager
def replacing(folder: Path, strangers_of: Callable[[Path], list[str]]) -> Iterator[Path]:
    """`whole_folder` for a caller that holds the folder (files.writing) and tells what in it is not its own."""
    # Names that no one gives to a copy of their own: what a kill left under them is cleared away.
    partial, old = (folder.with_name(f".{folder.name}.cpt_utils-{state}") for state in ("partial", "old"))
    _swap_back(folder, old)
    _refuse(folder, strangers_of(folder))
    for left in (partial, old):  # by a kill: nobody else holds the folder
        shutil.rmtree(left, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        _refuse(folder, strangers_of(folder))  # again: it may have taken long
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        _swap_back(folder, old)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _swap_back(folder: Path, old: Path) -> None:
    """Undo the first of the two renames, where the second did not come."""
    if old.exists() and not folder.exists():
        old.rename(folder)


def _refuse(folder: Path, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ExportError(
            f"{files.shown(folder)} holds what the series did not write, or what was changed since "
            f"({', '.join(names[:3])}{more}): move it away or choose another folder; nothing was replaced."
        )


def write_own(path: Path, text: str) -> None:
    """Write a file of the series whole; an ExportError refuses to replace one with other words by someone else."""
    _write_own(path, text, refuse_strange)


def write_beside(path: Path, text: str) -> None:
    """`write_own` that refuses nothing: a file with other words by someone else is kept under a name with the time."""
    _write_own(path, text, keep_strange)


def write_lines(path: Path, rows: list[dict]) -> None:
    """`write_beside` with a line of JSON for each row; halves of characters, which no file takes, become whole ones."""
    write_beside(path, files.encodable(torn.lines_of(rows)))


def _write_own(path: Path, text: str, meet: Callable[[Path], None]) -> None:
    with files.writing(path, LOCK):  # else another kernel's file would be met before it is marked
        try:
            same = path.is_file() and path.read_bytes() == text.encode()
            files.write_whole(path, text, None if same else meet)
            _mark(path.parent, path)
        except (OSError, ValueError) as error:
            raise files.unwritable(path, error) from None


def keep_strange(path: Path) -> None:
    """Set aside, and say so, what stands there if the series did not write it."""
    if is_strange(path):
        kept = files.set_aside(path, files.before_now(path.name))
        print(f"note: {path.name} was not written by the series, or was changed since: it is kept as {kept.name}")


def refuse_strange(path: Path) -> None:
    """Raise an ExportError if a file stands there that the series did not write."""
    if is_strange(path):
        raise ExportError(
            f"{files.shown(path)} was not written by the series, or was changed since: move it away or choose another "
            "name; nothing was replaced."
        )


def mark_own(path: Path) -> None:
    """Remember that the series wrote this file."""
    with files.writing(path, LOCK):
        _mark(path.parent, path)


def _mark(folder: Path, *paths: Path) -> None:
    """Add files to the MARK of a folder that the caller holds."""
    told = {path.relative_to(folder).as_posix(): _described(path) for path in paths if path.is_file()}
    files.write_whole(folder / MARK, json.dumps(_marked(folder) | told, indent=1) + "\n")


def _described(path: Path) -> str | list:
    """What a mark says of a file: its hash; of a LARGE one also its size and time of change."""
    return [files.sha256(path), *_looks(path)] if path.stat().st_size >= LARGE else files.sha256(path)


def _looks(path: Path) -> tuple[int, int]:
    return path.stat().st_size, path.stat().st_mtime_ns


def _marked(folder: Path) -> dict[str, str | int | list]:
    """What the folder's mark says; nothing without a sound one."""
    try:
        told = json.loads((folder / MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def strangers(folder: Path) -> list[str]:
    """Names of what stands in the folder, or in its place, and is not as the series wrote it."""
    if folder.exists() and not folder.is_dir():
        return [folder.name]
    own = _marked(folder)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    met = {name: path for name, path in found.items() if name not in (MARK, LOCK) and not _is_litter(name)}
    return sorted(name for name, path in met.items() if not _as_written(path, own.get(_copied(name))))


def _is_litter(name: str) -> bool:
    """Whether a system or Python left the file there."""
    return any(PurePosixPath(name.lower()).match(pattern) for pattern in SYSTEM)


def _copied(name: str) -> str:
    """The name of the file that a file of Jupyter's COPIES is a copy of; any other name as it is."""
    place, _, copy = name.rpartition("/")
    stem, suffix = os.path.splitext(copy)
    if place.rpartition("/")[2] != COPIES or not stem.endswith("-checkpoint"):
        return name
    return f"{place.removesuffix(COPIES)}{stem.removesuffix('-checkpoint')}{suffix}"


def is_strange(path: Path) -> bool:
    """Whether something stands there that the series did not write, or that was changed since."""
    return os.path.lexists(path) and (path.is_dir() or not _as_written(path, _marked(path.parent).get(path.name)))


def _as_written(path: Path, told: str | int | list | None) -> bool:
    """Whether a file is as the mark says (_described; a size in marks of former versions); folders always are."""
    if path.is_symlink() or not path.is_file():
        return path.is_dir() and not path.is_symlink()
    if told is None or isinstance(told, int):
        return told == path.stat().st_size
    digest, *looks = told if isinstance(told, list) and told else [told]
    return looks == [*_looks(path)] or digest == files.sha256(path)
