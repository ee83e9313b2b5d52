"""Wheels in parts that can be carried one by one: split here, join there, install without a network.

`python -m benchmarks.gpu.parts` joins the parts in .gpu/ and installs what this Python lacks into .gpu/site.
It needs nothing but Python and pip, and runs before anything else is there.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from cpt_utils.runtime.packages import ROOT, plain, project  # needs Python alone

FOLDER = ROOT / ".gpu"
PART_BYTES = 50 * 2**20 - 2**16  # of a part; the rest is for its manifest
HELD = {"torch", "torchvision", "torchaudio", "triton", "numpy"}
"""Never installed: torch and what is built for it stay as the machine has them."""


class PartsError(RuntimeError):
    """Parts cannot be used; the message says which and why."""


def split(files: list[Path], folder: Path, python: str, limit: int = PART_BYTES) -> list[Path]:
    """Write the files, in order, into folder/part1, part2, ... of at most `limit` bytes each; returns these.

    A file that crosses a border is cut there. Each part has a manifest with what it holds.
    """
    for old in folder.glob("part*"):
        shutil.rmtree(old)
    manifests: list[list[dict]] = [[]]
    for path in files:
        content, start, pieces = path.read_bytes(), 0, []
        while start < len(content) or not pieces:
            room = limit - sum(piece["bytes"] for piece in manifests[-1])
            if room <= 0:
                manifests.append([])
                continue
            piece = {
                "file": path.name,
                "sha256": hashlib.sha256(content).hexdigest(),
                "start": start,
                "bytes": min(room, len(content) - start),
                "total": len(content),
            }
            place = folder / f"part{len(manifests)}" / f"{path.name}.{start}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content[start : start + piece["bytes"]])
            manifests[-1].append(piece)
            pieces.append(piece)
            start += piece["bytes"]
    for number, pieces in enumerate(manifests, 1):
        told = {"python": python, "part": number, "parts": len(manifests), "pieces": pieces}
        (folder / f"part{number}" / "manifest.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return [folder / f"part{number}" for number in range(1, len(manifests) + 1)]


def read_manifests(folder: Path) -> list[dict]:
    """The manifests of the parts that are here; a PartsError if they are of different gatherings."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("part*/manifest.json"))]
    if len({(told["python"], told["parts"]) for told in found}) > 1:
        raise PartsError(f"The parts in {folder.name} are of different gatherings: delete them and copy all again.")
    return found


def join(folder: Path) -> tuple[list[Path], list[str]]:
    """Whole files in folder/wheels, and the names of those of which a part is still missing.

    Every file is checked by its hash; a damaged one is a PartsError.
    """
    pieces: dict[str, dict[int, dict]] = {}
    for told in read_manifests(folder):
        for piece in told["pieces"]:
            place = folder / f"part{told['part']}" / f"{piece['file']}.{piece['start']}"
            pieces.setdefault(piece["file"], {})[piece["start"]] = piece | {"place": place}
    target = folder / "wheels"
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        if old.name not in pieces:
            old.unlink()
    whole, missing = [], []
    for name, found in sorted(pieces.items()):
        parts = [found[start] for start in sorted(found)]
        if sum(piece["bytes"] for piece in parts) < parts[0]["total"]:
            missing.append(name)
            continue
        content = b"".join(piece["place"].read_bytes() for piece in parts)
        if hashlib.sha256(content).hexdigest() != parts[0]["sha256"]:
            damaged = ", ".join(sorted({piece["place"].parent.name for piece in parts}))
            raise PartsError(f"{name} is damaged: copy {damaged} again.")
        (target / name).write_bytes(content)
        whole.append(target / name)
    return whole, missing


def ranges() -> dict:
    """The series' own requirements: version ranges by package name."""
    from packaging.requirements import Requirement

    table = project()
    extra = table["optional-dependencies"]
    texts = table["dependencies"] + extra["run"] + extra["gpu"]
    return {plain(each.name): each.specifier for each in map(Requirement, texts)}


def lacking(wheels: list[Path], site: Path) -> list[Path]:
    """The wheels to install: of packages that are absent, or outside the range that the series names.

    What is there within the range stays, whatever the wheel's version, and HELD stays in any case.
    """
    elsewhere = [path for path in sys.path if Path(path or ".").resolve() != site.resolve()]
    there = {plain(each.name): each.version for each in metadata.distributions(path=elsewhere) if each.name}
    mine = {plain(each.name): each.version for each in metadata.distributions(path=[str(site)])}
    wanted, found = ranges(), []
    for wheel in wheels:
        name, version = plain(wheel.name.split("-")[0]), wheel.name.split("-")[1]
        fits = name in there and (name not in wanted or wanted[name].contains(there[name], prereleases=True))
        if name not in HELD and not fits and mine.get(name) != version:
            found.append(wheel)
    return found


def install(folder: Path = FOLDER) -> list[str]:
    """Join what is here and install what is lacking into folder/site; returns the names of the wheels."""
    manifests = read_manifests(folder)
    if not manifests:
        raise PartsError(f"There is no part in {folder.name}: run make gpu-wheels on a machine with a network.")
    here, meant = f"{sys.version_info.major}.{sys.version_info.minor}", manifests[0]["python"]
    if here != meant:
        raise PartsError(
            f"The wheels are for Python {meant}, and this is {here}: run make gpu-wheels "
            f"PYTHON_VERSION={here}, or make gpu PYTHON=/path/to/python{meant}."
        )
    files, missing = join(folder)
    for archive in (path for path in files if path.suffix == ".zip"):
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder / archive.stem)
    wheels = lacking([path for path in files if path.suffix == ".whl"], folder / "site")
    if wheels:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--no-compile",
            "--upgrade",
            "--target",
            str(folder / "site"),
            *map(str, wheels),
        ]
        if subprocess.run(command).returncode:
            raise PartsError("pip could not install the wheels; its lines above say why.")
    print(
        f"{len(manifests)} of {manifests[0]['parts']} parts; installed {len(wheels)} packages into {folder.name}/site"
        + (f"; not whole yet: {', '.join(missing)}" if missing else "")
    )
    return [wheel.name for wheel in wheels]


if __name__ == "__main__":
    try:
        install()
    except PartsError as problem:
        sys.exit(str(problem))
