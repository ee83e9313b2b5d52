"""JSON objects that several kernels add to: the report of a run, and kept measurements. None loses another's part."""

import contextlib
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from cpt_utils.runtime import files, machine

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile


def update_report(profile: "Profile", section: str, values: dict) -> dict:
    """Merge values into one section of the run's report.json and return the whole report."""
    origin = {
        "profile": profile.name,
        "seed": profile.seed,
        "hardware": machine.hardware(),
        "versions": files.versions(),
    }
    with _open_object(files.run_dir(profile) / "report.json", section, indent=1) as report:
        report |= origin
        report[section] |= files.rounded(values)
    return report


def begin_report(folder: Path) -> None:
    """Put the report of a former run aside, under a name with the time: none of its sections get into the next one."""
    path = folder / "report.json"
    with files.writing(path):
        try:
            files.set_aside(path, files.before_now(path.name))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise files.unwritable(path, error) from None


def keep_numbers(path: Path, key: str, numbers: dict[str, float]) -> None:
    """Add measurements under the key of a model to a file of them."""
    with _open_object(path, key, indent=0) as tables:
        tables[key] |= numbers


def read_numbers(path) -> dict[str, dict[str, float]]:
    """Kept measurements: under the key of a model, a number for each key. What is broken is left out, and said."""
    if not path.is_file():
        return {}
    try:
        tables = _parsed(path.read_text("utf-8-sig")).items()
        return {model: {k: v for k, v in table.items() if type(v) in (int, float)} for model, table in tables}
    except (ValueError, AttributeError):
        print(f"note: {path.name} is broken; what it held is computed again")
        return {}


def known_numbers(name: str, folder: Path | None, key: str) -> dict[str, float]:
    """Measurements under the key of a model: those that the package ships in a file of this name, and `folder`'s."""
    shipped = read_numbers(resources.files("cpt_utils").joinpath("data", name))
    stored = read_numbers(folder / name) if folder else {}
    return shipped.get(key, {}) | stored.get(key, {})


@contextlib.contextmanager
def _open_object(path: Path, part: str, indent: int) -> Iterator[dict]:
    """The JSON object of a file, to change its `part`: read and written again while no other process does so."""
    with files.writing(path):
        value = {part: {}} | _read_or_set_aside(path, part)
        yield value
        try:
            files.write_whole(path.resolve(), json.dumps(value, indent=indent) + "\n")  # a link stays one
        except OSError as error:
            raise files.unwritable(path, error) from None


def _read_or_set_aside(path: Path, part: str) -> dict:
    try:
        value = _parsed(path.read_text("utf-8-sig"))  # an editor may have put a mark of bytes before it
        if isinstance(value.get(part, {}), dict):
            return value
    except FileNotFoundError:
        return {}
    except ValueError:
        pass
    except OSError as error:
        raise files.unwritable(path, error) from None
    kept = files.set_aside(path, f"{path.name}.broken")
    print(f"note: {path.name} is damaged and begun anew; the damaged file is kept as {kept.name}")
    return {}


def _parsed(text: str) -> dict:
    """The JSON object of a text, or a ValueError."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value
