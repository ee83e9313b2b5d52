"""Folders and files that are written beside and then swapped in. Only what the series wrote is ever replaced.

A hidden file, MARK, holds names and sizes of what the series wrote into a folder.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from cpt_utils.runtime import files
from cpt_utils.runtime.errors import ExportError

MARK = ".cpt_utils.json"


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of `folder` once all is there.

    After an error the old one stays. An ExportError refuses one that holds anything that the series did not write.
    """
    folder = Path(folder).resolve()  # a link stays one
    with files.writing(folder), replacing(folder, strangers) as partial:
        yield partial
        _mark(partial, *partial.rglob("*"))


@contextlib.contextmanager
def replacing(folder: Path, strangers_of: Callable[[Path], list[str]]) -> Iterator[Path]:
    """`whole_folder` for a caller that holds the folder (files.writing) and tells what in it is not its own."""
    partial, old = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "old"))
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
    if path.exists() and path.read_bytes() != text.encode():
        refuse_strange(path)
    files.write_whole(path, text)
    mark_own(path)


def refuse_strange(path: Path) -> None:
    """Raise an ExportError if a file stands there that the series did not write."""
    if path.name in strangers(path.parent):
        raise ExportError(
            f"{files.shown(path)} was not written by the series, or was changed since: move it away or choose another "
            "name; nothing was replaced."
        )


def mark_own(path: Path) -> None:
    """Remember that the series wrote this file."""
    _mark(path.parent, path)


def _mark(folder: Path, *paths: Path) -> None:
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths if path.is_file()}
    files.write_whole(folder / MARK, json.dumps(_marked(folder) | sizes, indent=1) + "\n")


def _marked(folder: Path) -> dict[str, int]:
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
    return sorted(
        name
        for name, path in found.items()
        if name != MARK and (path.is_symlink() or path.is_file() and own.get(name) != path.stat().st_size)
    )
