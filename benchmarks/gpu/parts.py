"""Wheels in parts that can be carried one by one: split here, join there, install without a network.

`python -m benchmarks.gpu.parts` joins the parts in .gpu/ and installs what this Python lacks into .gpu/site.
It needs nothing but Python and pip, and runs before anything else is there.
"""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
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


def split(files: list[Path], folder: Path, python: str, limit: int = PART_BYTES, cuda: str = "") -> list[Path]:
    """Write the files, in order, into folder/part1, part2, ... of at most `limit` bytes each; returns these.

    A file that crosses a border is cut there. Each part has a manifest with what it holds, and for which Python and
    major version of CUDA.
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
        told = {"python": python, "cuda": cuda, "part": number, "parts": len(manifests), "pieces": pieces}
        (folder / f"part{number}" / "manifest.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return [folder / f"part{number}" for number in range(1, len(manifests) + 1)]


def read_manifests(folder: Path) -> list[dict]:
    """The manifests of the parts that are here; a PartsError if they are of different gatherings."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("part*/manifest.json"))]
    if len({(told["python"], told["cuda"], told["parts"]) for told in found}) > 1:
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
    there, mine, wanted = versions_beside(site), versions_in([str(site)]), ranges()
    found = []
    for wheel in wheels:
        name, version = named(wheel)
        fits = name in there and (name not in wanted or wanted[name].contains(there[name], prereleases=True))
        if name not in HELD and not fits and mine.get(name) != version:
            found.append(wheel)
    return found


def named(wheel: Path) -> tuple[str, str]:
    """Name and version of the package in a wheel, by the wheel's name."""
    name, version = wheel.name.split("-")[:2]
    return plain(name), version


def versions_in(places: list[str]) -> dict[str, str]:
    """Versions by package name of what is installed in these folders."""
    return {plain(each.name): each.version for each in metadata.distributions(path=places) if each.name}


def versions_beside(site: Path) -> dict[str, str]:
    """The same for what this Python sees outside of `site`."""
    return versions_in([path for path in sys.path if Path(path or ".").resolve() != site.resolve()])


def put(wheels: list[Path], site: Path) -> None:
    """Install wheels into `site`, beside those of an earlier call.

    pip's own --target would replace what two calls share, such as the folder bin with the command `trl`.
    """
    with tempfile.TemporaryDirectory(dir=site.parent) as fresh:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        if subprocess.run([*command, "--target", fresh, *map(str, wheels)]).returncode:
            raise PartsError("pip could not install the wheels; its lines above say why.")
        shutil.copytree(fresh, site, dirs_exist_ok=True, copy_function=shutil.move)


def cuda_of_torch() -> str:
    """The major version of the CUDA that this Python's torch is built for; "" where there is none. Imports nothing."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return ""
    told = re.search(r"""^cuda\b.*=\s*["'](\d+)""", Path(found.origin).with_name("version.py").read_text("utf-8"), re.M)
    return told[1] if told else ""


def check_machine(manifest: dict) -> None:
    """Raise a PartsError unless the wheels are for this Python and for its torch's CUDA."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != manifest["python"]:
        raise PartsError(
            f"The wheels are for Python {manifest['python']}, and this is {here}: run make gpu-wheels "
            f"PYTHON_VERSION={here}, or make gpu PYTHON=/path/to/python{manifest['python']}."
        )
    cuda = cuda_of_torch()
    if cuda and manifest["cuda"] and cuda != manifest["cuda"]:
        raise PartsError(
            f"The wheels are for CUDA {manifest['cuda']}, and the torch here is built for CUDA {cuda}: run "
            f"make gpu-wheels PYTHON_VERSION={here} CUDA={cuda}."
        )


def install(folder: Path = FOLDER) -> list[str]:
    """Join what is here and install what is lacking into folder/site; returns the names of the wheels."""
    manifests = read_manifests(folder)
    if not manifests:
        raise PartsError(f"There is no part in {folder.name}: run make gpu-wheels on a machine with a network.")
    check_machine(manifests[0])
    files, missing = join(folder)
    for archive in (path for path in files if path.suffix == ".zip"):
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder / archive.stem)
    whole, site = [path for path in files if path.suffix == ".whl"], folder / "site"
    mine, wheels = versions_in([str(site)]), lacking(whole, site)
    if any(mine.get(name, version) != version for name, version in map(named, wheels)):  # of another gathering
        shutil.rmtree(site)
        wheels = lacking(whole, site)
    if wheels:
        put(wheels, site)
    tell_unfit({named(wheel)[0] for wheel in whole}, site)
    print(
        f"{len(manifests)} of {manifests[0]['parts']} parts; installed {len(wheels)} packages into {folder.name}/site"
        + (f"; not whole yet: {', '.join(missing)}" if missing else "")
    )
    return [wheel.name for wheel in wheels]


def tell_unfit(gathered: set[str], site: Path) -> None:
    """One line for what the machine has in a version that the series was not tried with, and no wheel replaces."""
    there = versions_beside(site)
    for name, wanted in ranges().items():
        stays = name in there and (name in HELD or name not in gathered)
        if stays and not wanted.contains(there[name], prereleases=True):
            print(f"note: this Python has {name} {there[name]}; the series was tried with {wanted}")


if __name__ == "__main__":
    try:
        install()
    except PartsError as problem:
        sys.exit(str(problem))
