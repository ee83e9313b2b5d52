"""Pins that agree, a light import, and nothing of the author's machine in the repository."""

import lzma
import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from cpt_utils.runtime import packages
from cpt_utils.runtime.files import ROOT
from cpt_utils.runtime.profiles import load_profile

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOWEST = os.environ.get("CPT_TEST_OLD_PACKAGES")  # set where the lower ends of the ranges are tried on purpose
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()


def requirements():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def test_every_requirement_has_a_pin_within_its_range():
    for requirement in requirements():
        assert requirement.name in PINS, requirement
        assert Version(PINS[requirement.name]) in requirement.specifier, requirement


@pytest.mark.skipif(bool(LOWEST), reason="CPT_TEST_OLD_PACKAGES: other versions are meant to be here")
def test_installed_versions_are_the_pins():
    from importlib.metadata import version

    for name in ("torch", "transformers", "trl", "peft", "datasets", "accelerate"):
        assert Version(version(name)).public == PINS[name]


def test_environment_yml_names_the_series_packages_and_no_other_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert "-c constraints.txt" in pip and not [p for p in pip if "==" in p]
    named = {Requirement(line).name for line in pip if not line.startswith("-")}
    for name in (
        "jupyterlab",
        "anywidget",
        "torch",
        "transformers",
        "trl",
        "peft",
        "unsloth",
        "bitsandbytes",
        "datasets",
        "matplotlib",
        "ipywidgets",
    ):
        assert name in named and name in PINS


def test_import_is_light():
    code = (
        "import time, sys; t = time.perf_counter(); import cpt_utils; d = time.perf_counter() - t;"
        "heavy = {'torch', 'transformers', 'numpy', 'sklearn', 'matplotlib'} & set(sys.modules);"
        "print(d, heavy or '')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert float(out[0]) < 0.5 and len(out) == 1


def test_public_names_resolve():
    import cpt_utils

    for name in cpt_utils.__all__:
        assert getattr(cpt_utils, name)
    with pytest.raises(AttributeError):
        _ = cpt_utils.nothing


def test_modules_stay_small():
    for path in [*(ROOT / "cpt_utils").rglob("*.py"), *(ROOT / "tools").glob("*.py")]:
        assert len(path.read_text().splitlines()) <= 260, path.name


@pytest.mark.skipif(not TRACKED, reason="not a git checkout")
def test_no_machine_paths_pickles_or_remote_code():
    for name in TRACKED:
        path = ROOT / name
        assert path.suffix not in {".bin", ".pt", ".pkl", ".pickle"}
        if path.suffix in {".png", ".safetensors"} or name.startswith("tests/") or not path.exists():
            continue
        packed = path.suffix == ".xz"  # the texts of measurements
        text = lzma.decompress(path.read_bytes()).decode("utf-8") if packed else path.read_text("utf-8")
        assert not re.search(r"/root/|/home/\w|/work/main|trust_remote_code=True|pypi\.org|index-url", text), name


def test_profiles():
    assert load_profile("smoke").student == "embedded" and load_profile("smoke").name == "smoke"
    with pytest.raises(ValueError, match="use one of embedded, full, smoke"):
        load_profile("huge")


def test_html_of_model_text_is_escaped():
    from cpt_utils.plotting import side_by_side

    page = side_by_side({"<b>m": ["<script>alert(1)</script>"]}, ["<i>x"]).data
    assert "<script>" not in page and "&lt;script&gt;" in page and "<b>m" not in page and "<i>x" not in page


def without_make() -> list[str]:
    """The commands that README gives to a machine without `make`."""
    block = (ROOT / "README.md").read_text("utf-8").split("Without `make`")[1].split("```")[1]
    return block.strip().splitlines()


def test_readme_sets_up_without_make_in_three_lines_with_the_pins():
    commands = without_make()
    assert len(commands) <= 3 and all(command.startswith("python -m ") for command in commands)
    for name, version in re.findall(r"([\w-]+)==([\w.]+)", " ".join(commands)):
        assert PINS[name] == version
    assert all(f"{name}=={PINS[name]}" in commands[1] for name in packages.WEIGHTS_ONLY)
    assert commands[-1].startswith("python -m cpt_utils")


@pytest.mark.slow
def test_readme_without_make_is_followed_literally(tmp_path):
    import os
    import shlex
    import shutil

    copy = tmp_path / "series"
    for name in TRACKED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "own"], check=True)
    folder = tmp_path / "own" / ("Scripts" if os.name == "nt" else "bin")
    own = os.environ | {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "CPT_PROFILE": "smoke",
        "CPT_RUNS": str(tmp_path / "runs"),
        "MPLBACKEND": "agg",
    }
    for command in [*without_make(), "python -m cpt_utils run"]:
        done = subprocess.run(shlex.split(command), cwd=copy, env=own, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
    assert (tmp_path / "runs" / "smoke" / "report.json").exists()
