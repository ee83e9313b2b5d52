"""Files: the series' own data, the folder of a run, its report, and rows that survive crashes and full disks."""

import contextlib
import copy
import functools
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from cpt_utils.runtime import machine
from cpt_utils.runtime.errors import StoreError
from cpt_utils.runtime.places import ROOT, named_folder, writable

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "scikit-learn", "wordfreq")


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide the results."""
    return {name: metadata.version(name) for name in PACKAGES}


def run_dir(profile: "Profile") -> Path:
    """The folder of this profile's run (CPT_RUNS, else runs/ in the repository), created."""
    return writable(named_folder("CPT_RUNS", "runs") / profile.name, "CPT_RUNS")


def shown(path: Path) -> str:
    """A path as it may be printed: relative to the repository."""
    path = Path(path).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def rounded(values):
    """The same nested dicts and lists as JSON has them: keys are strings, floats have four digits (tiny ones one).

    What could not be measured (nan) is None: JSON has no such number.
    """
    if isinstance(values, dict):
        return {str(k): rounded(v) for k, v in values.items()}
    if isinstance(values, list):
        return [rounded(v) for v in values]
    if isinstance(values, float):
        return None if math.isnan(values) else round(values, 4) or float(f"{values:.1g}")
    return values


def update_report(profile: "Profile", section: str, values: dict) -> dict:
    """Merge values into one section of the run's report.json and return the whole report."""
    path = run_dir(profile) / "report.json"
    report = json.loads(path.read_text("utf-8")) if path.exists() else {}
    report |= {
        "profile": profile.name,
        "seed": profile.seed,
        "hardware": machine.hardware(),
        "versions": versions(),
    }
    report[section] = report.get(section, {}) | rounded(values)
    write_whole(path, json.dumps(report, indent=1) + "\n")
    return report


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` once all is there; after an error the old one stays."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def json_hash(value, letters: int, ascii: bool = False) -> str:
    """The first letters of a hash of plain data, whatever the order of its keys: a name for what belongs to it.

    Names are kept in files, so they must never change. ascii: escape other characters, as half a character (an emoji
    that was cut in two) has no UTF-8.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=ascii)
    return hashlib.sha256(text.encode()).hexdigest()[:letters]


def encodable(text: str) -> str:
    """The text without halves of characters (an emoji that was cut in two), which tokenizers refuse."""
    return text.encode("utf-8", "replace").decode("utf-8")


def read_numbers(path) -> dict[str, dict[str, float]]:
    """Kept measurements: under the key of a model, a number for each key. What is broken is left out, and said."""
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text("utf-8"))
        tables = stored.items()
        return {model: {k: v for k, v in table.items() if type(v) in (int, float)} for model, table in tables}
    except (ValueError, AttributeError, RecursionError):
        print(f"note: {path.name} is broken; what it held is computed again")
        return {}


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


def without_paths(text: str) -> str:
    """The text without the folders of this machine's user."""
    home = str(Path.home())
    text = text.replace(str(ROOT), ".")
    return text.replace(home, "~") if len(home) > 1 else text
