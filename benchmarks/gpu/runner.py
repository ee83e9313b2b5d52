"""Runs the stages one after the other, prints a line of JSON after each, and keeps all figures in one file."""

import json
import os
import sys
from pathlib import Path

from benchmarks.gpu import processes, stages
from cpt_utils.runtime import files

RESULTS = files.ROOT / "benchmarks" / "results" / "gpu.json"
PREPARATION = 120  # seconds, times the patience


def work_folder(dry: bool) -> Path:
    """Where logs, models and a rehearsal's results lie."""
    return files.ROOT / "runs" / ("gpu-dry" if dry else "gpu")


def results_file(dry: bool) -> Path:
    return work_folder(dry) / "gpu.json" if dry else RESULTS


def merge(path: Path, hardware: str, letter: str, told: dict) -> None:
    """Put one stage's figures into the file, beside those of other stages and other machines; written whole."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known.setdefault(hardware, {})[letter] = told
    known[hardware] = dict(sorted(known[hardware].items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(path, json.dumps(files.rounded(known), indent=1) + "\n")


def prepare(dry: bool, folder: Path, patience: float) -> dict:
    """The hardware's name and the versions, when the models that the stages need are there (prepare.py)."""
    told = processes.run("prepare", "", dry, folder, PREPARATION * patience)
    if "error" in told:
        raise SystemExit(
            f"The machine cannot be made ready ({told['error']}): see {files.shown(folder / 'prepare.log')}."
        )
    if not (dry or told["cuda"]):
        raise SystemExit("PyTorch sees no CUDA GPU here: DRY=1 make gpu tries the stages on the processor.")
    return told


def outcome(told: dict) -> str:
    if "error" in told:
        return "failed"
    return "skipped" if "skipped" in told else "passed"


def main() -> int:
    """Run what STAGES, DRY and PATIENCE ask for; the exit code is 1 if a stage failed."""
    dry, wanted = bool(os.environ.get("DRY")), stages.asked(os.environ.get("STAGES", ""))
    patience = float(os.environ.get("PATIENCE") or (stages.REHEARSAL_PATIENCE if dry else 1))
    folder = work_folder(dry)
    folder.mkdir(parents=True, exist_ok=True)
    machine = prepare(dry, folder, patience)
    print(
        json.dumps({name: machine[name] for name in ("hardware", "versions", "embedded_model", "seconds")}), flush=True
    )
    failed = []
    for letter in wanted:
        limit = stages.LIMITS[letter] * patience
        told = {"outcome": "", **processes.run(letter, "", dry, folder, limit)}
        told |= {"outcome": outcome(told), "limit": limit} | ({"rehearsal": True} if dry else {})
        print(json.dumps({"stage": letter, "what": stages.WHAT[letter]} | told), flush=True)
        merge(results_file(dry), machine["hardware"], letter, told | {"versions": machine["versions"]})
        if told["outcome"] == "failed":
            failed.append(letter)
    print(f"figures: {files.shown(results_file(dry))}; logs: {files.shown(folder)}/*.log", flush=True)
    if failed:
        print(f"failed: {' '.join(failed)}", file=sys.stderr)
    return int(bool(failed))
