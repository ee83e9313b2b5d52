"""Whole is what can be loaded: cut, emptied and missing files are told by what reads their formats."""

import functools
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from cpt_utils.runtime import files, folders
from cpt_utils.runtime.errors import ModelError, StoreError
from cpt_utils.runtime.keys import one_line
from cpt_utils.runtime.places import writable


def damage(folder: Path, needed: Iterable[str]) -> str:
    """What is wrong with the files of a saved model or checkpoint, in a few words; "" if all can be loaded."""
    if missing := [name for name in needed if not (folder / name).is_file()]:
        return f"{missing[0]} is missing"
    for path in sorted(folder.iterdir()):
        try:
            _load(path)
        except Exception as error:  # every library has its own for a file that is no longer what it was
            return f"{path.name} cannot be loaded: {error if type(error) is ValueError else type(error).__name__}"
    return ""


def _load(path: Path) -> None:
    if path.suffix == ".json":
        if not isinstance(json.loads(path.read_text("utf-8")), dict):
            raise ValueError("it is no object")
    elif path.suffix == ".safetensors":
        _check_weights(path, path.stat().st_size, path.stat().st_mtime_ns)
    elif path.suffix in (".pt", ".pth"):
        with zipfile.ZipFile(path) as archive:  # what PyTorch writes; its sums are compared, nothing is run
            if bad := archive.testzip():
                raise ValueError(f"{bad} is damaged")
    elif path.is_file() and path.stat().st_size == 0:
        raise ValueError("it is empty")


@functools.cache  # once for each state of the file: half a second for the embedded model
def _check_weights(path: Path, size: int, time: int) -> None:
    """Raise unless the file has its length, and its numbers are numbers: a disk leaves zeros where it lost a part."""
    from safetensors import safe_open

    with safe_open(path, "pt") as weights:  # compares its table of tensors with the length of the file
        adapter = any(".lora_" in name for name in weights.keys())
        for name in weights.keys():
            tensor = weights.get_tensor(name)
            if not tensor.isfinite().all():
                raise ValueError(f"{name} has values that are no numbers")
            # Biases may be zeros; in an adapter also what every training begins with, and the place of a padding token.
            full = ".lora_A." in name if adapter else tensor.dim() > 1
            if full and not tensor.any(-1).all():
                raise ValueError(f"a part of {name} is zeros")


def make_once(folder: Path, names: tuple[str, ...], make: Callable[[Path], None]) -> None:
    """Have `make` write these files into a folder of the cache, unless they are there and whole.

    One process does it, and the others wait. A damaged folder is made again; a ModelError says why it cannot be.
    """
    from safetensors import SafetensorError

    if not damage(folder, names):
        return
    shown = files.without_paths(str(folder))
    writable(folder.parent, "CPT_CACHE")
    try:
        with files.writing(folder):
            if not (why := damage(folder, names)):  # another process was faster
                return
            if folder.exists():
                print(f"note: the model in {shown} is damaged ({why}) and made again")
            with folders.replacing(
                folder, lambda old: sorted({path.name for path in old.glob("*")} - {*names})
            ) as place:
                make(place)
    except (OSError, StoreError, SafetensorError) as error:
        reason = files.without_paths(one_line(str(error)))[:160]
        raise ModelError(
            f"The model cannot be kept in {shown} ({reason}): free some space there, or name another "
            "folder in CPT_CACHE."
        ) from None
