"""The pins install without a compiler on every system and Python that the README names; needs the registry."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from cpt_utils.runtime.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = ("run", "lab", "site", "test", "gpu")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "macos", "windows")
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
}
ONLY_BY_EXTRA = {"unsloth", "unsloth-zoo"}  # where the platform markers of the extra "gpu" let them in
OUR_MACOS = "14.0"  # the oldest macOS that torch has a wheel for


def uv(*arguments, where):
    """Run uv in a folder; its output, or a failure that says what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments],
        capture_output=True,
        text=True,
        cwd=where,
        env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": OUR_MACOS},
    )
    if done.returncode:
        pytest.fail(
            "The package registry cannot be reached, or the packages do not fit together. "
            f"uv {' '.join(arguments)} said:\n{done.stderr[-2000:]}",
            pytrace=False,
        )
    return done.stdout + done.stderr


def locked(where, source, *options):
    """One resolution for all systems and Pythons, with the wheels of every package, in `where`."""
    uv(
        "pip",
        "compile",
        str(source),
        "--quiet",
        "--universal",
        "--python-version",
        PYTHONS[0],
        "--only-binary",
        ":all:",
        "-c",
        str(ROOT / "constraints.txt"),
        "-o",
        str(where / "pylock.toml"),
        *options,
        where=ROOT,
    )
    return where


def planned(lock, python: str, platform: str) -> dict[str, str]:
    """What would be installed from wheels alone on another machine: {name: version}."""
    said = uv(
        "pip",
        "install",
        "--dry-run",
        "--preview-features",
        "pylock",
        "-r",
        "pylock.toml",
        "--only-binary",
        ":all:",
        "--target",
        str(lock / "nowhere"),
        "--python-version",
        python,
        "--python-platform",
        platform,
        where=lock,
    )
    return dict(re.findall(r"^ \+ ([\w.-]+)==(\S+)$", said, re.M))


def names_for(requirements: list[str], platform: str) -> set[str]:
    """The names that a platform's markers let in."""
    system = {"macos": "darwin", "windows": "win32"}.get(platform, "linux")
    wanted = map(Requirement, requirements)
    return {
        canonicalize_name(one.name)
        for one in wanted
        if one.marker is None or one.marker.evaluate({"sys_platform": system})
    }


@pytest.fixture(scope="module")
def of_the_project(tmp_path_factory):
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    return locked(tmp_path_factory.mktemp("project"), ROOT / "pyproject.toml", *extras)


@pytest.fixture(scope="module")
def of_conda(tmp_path_factory):
    """The pip part of environment.yml."""
    parts = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    (lines,) = [part["pip"] for part in parts if isinstance(part, dict)]
    where = tmp_path_factory.mktemp("conda")
    named = [line for line in lines if not line.startswith("-")]
    assert [line for line in lines if line.startswith("-e")] == ["-e .[run]"]
    named += PROJECT["dependencies"] + PROJECT["optional-dependencies"]["run"]
    (where / "in.txt").write_text("\n".join(named), "utf-8")
    return locked(where, where / "in.txt")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_pins_install_from_wheels_everywhere(of_the_project, platform, python):
    plan = planned(of_the_project, python, platform)
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in EXTRAS)]
    wanted = names_for([line for group in groups for line in group], platform)
    assert {name: plan.get(name) for name in wanted} == {name: PINS[name] for name in wanted}
    moved = {name: plan[name] for name in plan if name in PINS and plan[name] != PINS[name]}
    assert not moved
    assert ONLY_BY_EXTRA.isdisjoint(plan) == (platform == "macos")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_conda_environment_installs_from_wheels(of_conda, platform):
    parts = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    (python,) = [part.removeprefix("python=") for part in parts if str(part).startswith("python=")]
    plan = planned(of_conda, python, platform)
    assert python in PYTHONS and {"jupyterlab", "bitsandbytes"} <= set(plan)
    assert {name for name in plan if name in PINS and plan[name] != PINS[name]} == set()
    assert ONLY_BY_EXTRA.isdisjoint(plan) == (platform == "macos")


def test_a_missing_wheel_is_noticed(of_the_project):
    with pytest.raises(pytest.fail.Exception, match="no binary distribution"):
        planned(of_the_project, "3.15", PLATFORMS[0])


def test_the_supported_pythons_are_the_ones_resolved():
    supported = Requirement(f"python{PROJECT['requires-python']}").specifier
    minors = [f"3.{minor}" for minor in range(8, 20) if supported.contains(f"3.{minor}")]
    assert minors == list(PYTHONS)
    assert " to ".join((PYTHONS[0], PYTHONS[-1])) in (ROOT / "Makefile").read_text("utf-8")


def test_the_lower_ends_fit_together(tmp_path):
    """On Colab's Python. TRL asks for a newer datasets than Colab has, so only that one is not at its lower end."""
    uv(
        "pip",
        "compile",
        "pyproject.toml",
        "--quiet",
        "--resolution",
        "lowest-direct",
        "--python-version",
        "3.13",
        "--python-platform",
        PLATFORMS[0],
        "--only-binary",
        ":all:",
        "-o",
        str(tmp_path / "low.txt"),
        where=ROOT,
    )
    low = dict(re.findall(r"^([\w.-]+)==(\S+)$", (tmp_path / "low.txt").read_text(), re.M))
    for requirement in map(Requirement, PROJECT["dependencies"]):
        name = canonicalize_name(requirement.name)
        (least,) = [one.version for one in requirement.specifier if one.operator == ">="]
        chosen = Version(low[name])
        if name == "datasets":
            assert Version("4.0.0") == Version(least) < chosen < Version("5")
        else:  # a bound such as >=5.9 stands for the first release of that line
            assert chosen.release[: len(Version(least).release)] == Version(least).release, (name, low[name])
