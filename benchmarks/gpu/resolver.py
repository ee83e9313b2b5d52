"""Which versions requirements come to on another machine, by uv's resolver: `make gpu-wheels`, and Colab's image."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cpt_utils.runtime.packages import plain


class ResolverError(Exception):
    """What uv said."""


def resolve(
    requirements: list[str],
    python: str,
    platform: str,
    constraints: list[str] = (),
    overrides: list[str] = (),
    seconds: float | None = None,
) -> dict[str, str]:
    """Versions by package name of the requirements and all that they need, for a Python and a platform of uv's.

    Constraints are versions to keep where a package is needed, overrides replace what packages ask of each other.
    Raises a ResolverError, and subprocess.TimeoutExpired after so many seconds; it needs the package registry.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", python, "--python-platform", platform]
    with tempfile.TemporaryDirectory() as folder:
        for option, lines in (("constraint", constraints), ("override", overrides)):
            path = Path(folder) / f"{option}s.txt"
            path.write_text("\n".join(lines), "utf-8")
            command += [f"--{option}", str(path)]
        done = subprocess.run(
            command, input="\n".join(requirements), capture_output=True, encoding="utf-8", timeout=seconds
        )
    if done.returncode:
        raise ResolverError(done.stderr.strip())
    lines = re.findall(r"^([\w.-]+)(?:\[.*?\])?==(\S+)", done.stdout, re.MULTILINE)
    return {plain(name): version for name, version in lines}
