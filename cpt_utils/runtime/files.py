"""Files: the series' own data, the folder of a run, and rows that survive crashes and full disks."""

import contextlib
import copy
import functools
import hashlib
import itertools
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from cpt_utils.runtime import aside, locks
from cpt_utils.runtime.errors import StoreError
from cpt_utils.runtime.places import ROOT, named_folder, writable
from cpt_utils.runtime.torn import lines_of, mend_end, row_of

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile

READINGS = 4
"""So often a file is read that changes meanwhile: readers hold no lock, and may meet a line that is being written."""
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "scikit-learn", "wordfreq")


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide the results."""
    return {name: metadata.version(name) for name in PACKAGES}


def run_dir(profile: "Profile") -> Path:
    """The folder of this profile's run (CPT_RUNS, else runs/ in the repository), created; that of RUBRICS inside."""
    inside = f"rubrics/{'+'.join(profile.rubrics)}" if profile.rubrics else ""
    return writable(named_folder("CPT_RUNS", "runs") / profile.name / inside, "CPT_RUNS")


def shown(path: Path) -> str:
    """A path as it may be printed: relative to the repository."""
    path = Path(path).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def rounded(values):
    """The same nested dicts and lists as JSON has them: keys are strings, floats have four digits (tiny ones one).

    What could not be measured (nan) is None, and infinity too: JSON has no such numbers. A StoreError names what it has
    no form for.
    """
    if hasattr(values, "tolist"):  # NumPy's and PyTorch's
        values = values.tolist()
    if isinstance(values, dict):
        return {str(k): rounded(v) for k, v in values.items()}
    if isinstance(values, (list, tuple)):
        return [rounded(v) for v in values]
    if isinstance(values, float):
        return round(values, 4) or float(f"{values:.1g}") if math.isfinite(values) else None
    if values is None or isinstance(values, (str, int)):
        return values
    raise StoreError(
        f"A value of type {type(values).__name__} ({str(values)[:50]!r}) has no form in JSON: pass numbers, texts, or "
        "lists and dicts of them."
    )


def write_whole(path: Path, content: str | bytes, meet: Callable[[Path], None] | None = None) -> None:
    """Write a file whole or not at all; each writer has a file beside it of its own.

    `meet(path)` may set aside or refuse what stands there, once the new content is on the disk.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        partial.write_bytes(content) if isinstance(content, bytes) else partial.write_text(content, encoding="utf-8")
        if meet:
            meet(path)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def set_aside(path: Path, name: str) -> Path:
    """Give what is damaged another name beside it, one that is free, and return its new path."""
    stem, suffix = aside.parted(name)
    names = itertools.chain([name], (f"{stem}-{number}{suffix}" for number in itertools.count(2)))
    free = next(place for place in map(path.with_name, names) if not os.path.lexists(place))
    return path.rename(free)


def before_now(name: str) -> str:
    """A name with the time for what stood under `name` until now; it ends and sorts as that does."""
    stem, suffix = aside.parted(name)
    return f"{stem}-before-{time.strftime('%Y%m%d-%H%M%S')}{suffix}"


def json_hash(value, letters: int, ascii: bool = False) -> str:
    """The first letters of a hash of plain data, whatever the order of its keys: a name for what belongs to it.

    Names are kept in files, so they must never change. ascii: escape other characters, as half a character (an emoji
    that was cut in two) has no UTF-8.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=ascii)
    return hashlib.sha256(text.encode()).hexdigest()[:letters]


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encodable(text: str) -> str:
    """The text without halves of characters (an emoji that was cut in two), which tokenizers and pages refuse."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")  # joins what a stream parted
    return whole.encode("utf-8", "replace").decode("utf-8")


def load_data(name: str):
    """A shipped YAML, JSON or JSONL file under data/, read once; each caller gets a copy of its own."""
    return copy.deepcopy(_read_data(name))


def load_arrays(name: str) -> dict:
    """The numpy arrays of a shipped safetensors file under data/."""
    from safetensors.numpy import load

    return load(resources.files("cpt_utils").joinpath(f"data/{name}").read_bytes())


@functools.cache
def _read_data(name: str):
    text = resources.files("cpt_utils").joinpath(f"data/{name}").read_text("utf-8")
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in text.split("\n") if line]
    if name.endswith(".json"):
        return json.loads(text)
    import yaml  # not on top: see the room's __init__

    return yaml.safe_load(text)


def read_jsonl(path: Path) -> list[dict]:
    """Rows of a JSONL file. What a crash left of a last line is passed over; the next append puts it aside."""
    path = Path(path)
    try:
        for _ in range(READINGS - 1):
            before = path.stat()
            try:
                return _rows(path)
            except StoreError:
                after = path.stat()
                if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                    raise
        return _rows(path)
    except FileNotFoundError:
        return []
    except StoreError:
        raise
    except (OSError, ValueError) as error:
        raise StoreError(f"{_name(path)} cannot be read ({why(error)}): check the path.") from None


def _rows(path: Path) -> list[dict]:
    with open(path, "rb") as file:  # a line at a time: a file may be larger than its rows need
        return [row for number, line in enumerate(file, 1) if (row := row_of(line, number, path)) is not None]


@contextlib.contextmanager
def writing(path: Path, name: str = "", quiet: bool = False) -> Iterator[Path]:
    """Hold the file for one writer, across processes; others wait, then see what it wrote. Gives the lock's path.

    name: of the lock, where files of a folder share one, or parts of a file have one each. quiet: waiting is usual.
    The system lets go of the lock when its holder dies, however.
    """
    from filelock import Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = locks.lock_at(path.with_name(name or f".{path.name}.lock"))
        try:
            lock.acquire(timeout=-1 if quiet else 0.5)  # a short wait is not worth a word
        except Timeout:
            print(f"another process writes to {path.name}: waiting for it to finish")
            lock.acquire()
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None
    try:
        yield Path(lock.lock_file)
    finally:
        lock.release()


def append(path: Path, rows: list[dict]) -> None:
    """Add rows to the end, all or none, and wait until they are on the disk.

    A file that begins or ends with anything but a row is refused.
    """
    data = lines_of(rows).encode("utf-8")
    try:
        with open(path, "a+b", buffering=0) as file:
            with open(path, "rb") as reader:
                row_of(reader.readline(), 1, path)  # of another encoding, for one
            start = mend_end(file, path)
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(start)  # a part of a row is of no use to anyone
                raise
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError | ValueError) -> StoreError:
    """What to say of a file that could not be written; a ValueError tells of a name that no file can have."""
    return StoreError(
        f"{_name(path)} cannot be written ({why(error)}): free some space or choose another path, and run the same "
        "call again; what was written before is kept."
    )


def _name(path: Path) -> str:
    return path.name if path.name.isprintable() else ascii(path.name)


def why(error: OSError | ValueError) -> str:
    """What an error says, without its number and path."""
    return getattr(error, "strerror", None) or str(error)


def without_paths(text: str) -> str:
    """The text without the folders of this machine's user."""
    home = os.path.expanduser("~")  # it stays "~" where there is none
    text = text.replace(str(ROOT), ".")
    return text.replace(home, "~") if len(home) > 1 else text
