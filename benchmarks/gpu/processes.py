"""One stage, or one part of a stage, in a process of its own, with a time limit."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil

from cpt_utils.runtime import QUIET
from cpt_utils.runtime.files import ROOT

ERROR = re.compile(r"[\w.]+(Error|Exception)\b")
GRACE = 5  # seconds that a stopped process has to end its own children
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "UNSLOTH_DISABLE_STATISTICS": "1"}


def result_file(folder: Path, letter: str, part: str = "") -> Path:
    """Where a stage's process leaves what it found."""
    name = f"{letter}-{part}" if part else letter
    return folder / f"{name}.json"


def environment(dry: bool, folder: Path) -> dict[str, str]:
    """What the processes see: no network, this repository, programs of this Python; in a rehearsal no GPU."""
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    programs = [str(Path(sys.executable).parent), *(f"{path}/bin" for path in paths[1:] if path)]
    told = (
        os.environ
        | QUIET
        | OFFLINE
        | {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PATH": os.pathsep.join([*programs, os.environ.get("PATH", "")]),
            "PYTHONUNBUFFERED": "1",
            "OMP_WAIT_POLICY": "passive",
            "CPT_RUNS": str(folder / "runs"),
        }
    )
    if dry:
        told |= {"CUDA_VISIBLE_DEVICES": "", "CPT_DEVICE": "cpu", "DRY": "1"}
    if (folder / "hub").exists():  # a stand-in for the embedded model (students.stand_in)
        told["HF_HUB_CACHE"] = str(folder / "hub")
    return told


def run(letter: str, part: str, dry: bool, folder: Path, limit: float, changes: dict | None = None) -> dict:
    """What the process found, with its seconds; "error" says what went wrong, also past the limit of seconds."""
    result = result_file(folder, letter, part)
    result.unlink(missing_ok=True)
    log = result.with_suffix(".log")
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu",
        "--stage",
        letter,
        "--part",
        part,
        "--folder",
        str(folder),
        "--seconds",
        f"{limit:.0f}",
        *["--dry"] * dry,
    ]
    started = time.time()
    code = run_command(command, log, limit, environment(dry, folder) | (changes or {}))
    found = json.loads(result.read_text("utf-8")) if result.exists() else {}
    if code is None:
        found["error"] = f"stopped after its limit of {limit:.0f} s"
    elif code and "error" not in found:
        found["error"] = f"ended with code {code}: {last_line(log)}"
    return {"seconds": round(time.time() - started, 1)} | found


def run_command(command: list[str], log: Path, limit: float, environment: dict, folder: Path = ROOT) -> int | None:
    """Exit code of a command whose output goes to `log`; None if it was stopped after `limit` seconds."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        return process.wait(max(limit, 0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """End a process and all that it started, kernels of notebooks among them."""
    if process.poll() is not None:
        return
    parent = psutil.Process(process.pid)
    family = [*parent.children(recursive=True), parent]
    for member in family:
        try:
            member.terminate()
        except psutil.NoSuchProcess:
            pass
    _, alive = psutil.wait_procs(family, timeout=GRACE)
    for member in alive:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            pass
    process.wait()


def last_line(log: Path) -> str:
    """The last line that names an error, other than that of a command which failed; else the last line."""
    lines = log.read_text("utf-8", errors="replace").strip().splitlines() or ["it wrote nothing"]
    errors = [line for line in lines if ERROR.match(line) and "CalledProcessError" not in line]
    return (errors or lines)[-1][:200]
