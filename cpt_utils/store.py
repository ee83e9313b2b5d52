"""Responses in a JSONL file that survives crashes, full disks and a second process."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from cpt_utils.runtime.errors import CptError

COLUMNS = ("prompt", "rubric", "qualifier", "response", "model")
KEY = ("prompt", "rubric", "qualifier", "model")
ASKED = "asked"
"""The column that follows the five: a hash of the messages that the response answers."""


class StoreError(CptError, ValueError):
    """A file of rows cannot be read or written; the message names the line and the mend."""


def digest(messages: list[dict]) -> str:
    """A hash of a conversation: it changes with any word of the rubric or prompt that was sent."""
    told = json.dumps(messages, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def read_jsonl(path: Path) -> list[dict]:
    """Rows of a JSONL file. What a crash left of a last line is passed over; the next append cuts it off."""
    path = Path(path)
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{path.name} cannot be read ({error.strerror}): check the path.") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _parsed(line)
            if row is None and number == len(lines):
                break
            if row is None:
                raise StoreError(f"{path.name}, line {number}: not JSON; mend or delete the line.")
            rows.append(row)
    return rows


def _parsed(line: bytes) -> dict | None:
    """The row of a line, or None. No strict beginning of a row is a row: its closing brace comes last."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def read_responses(path: Path) -> list[dict]:
    """Rows {prompt, rubric, qualifier, response, model} of a file, all versions, oldest first, checked."""
    rows = read_jsonl(path)
    for number, row in enumerate(rows, 1):
        if wrong := [c for c in COLUMNS if not isinstance(row.get(c), str)]:
            place = f"{Path(path).name}, row {number}"
            raise StoreError(f"{place}: no text in column {wrong[0]!r}; mend or delete the row.")
    return rows


def key(row: dict) -> tuple:
    return tuple(row[column] for column in KEY)


def finder(rows: list[dict]) -> Callable[[dict], dict | None]:
    """A function that finds the row answering a request {*KEY, asked}, or None.

    That is the newest row with the request's hash; failing that, the newest of its key if it has no hash
    (shipped data, older files), since nothing can be told about what it answers.
    """
    exact, newest = {}, {}
    for row in rows:
        newest[key(row)] = row
        exact[key(row), row.get(ASKED)] = row

    def find(request: dict) -> dict | None:
        if same := exact.get((key(request), request[ASKED])):
            return same
        last = newest.get(key(request))
        return None if last is None or last.get(ASKED) else last

    return find


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Hold the file for one writer, across processes; others wait, then see what it wrote.

    The system lets go of the lock when its holder dies, however it dies.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"another process writes to {path.name}: waiting for it to finish")
            lock.acquire()
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield
    finally:
        lock.release()


def append(path: Path, rows: list[dict]) -> None:
    """Add rows to the end, all or none, and wait until they are on the disk."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
    try:
        with open(path, "a+b", buffering=0) as file:
            start = _mend_end(file)
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(start)  # a part of a row is of no use to anyone
                raise
    except OSError as error:
        raise _unwritable(path, error) from None


def _mend_end(file) -> int:
    """Cut off what is left of a torn last line, close a whole one, and return where to append."""
    end = file.seek(0, os.SEEK_END)
    if end == 0 or (file.seek(end - 1), file.read(1))[1] == b"\n":
        return end
    file.seek(0)
    data = file.read()
    start = data.rfind(b"\n") + 1
    if _parsed(data[start:]) is None:
        file.truncate(start)
    else:
        file.write(b"\n")
    return file.seek(0, os.SEEK_END)


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path.name} cannot be written ({error.strerror}): free some space or choose another path, and run "
        "the same call again; what was written before is kept."
    )
