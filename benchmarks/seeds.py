"""Train and evaluate with several seeds (notebooks 04 and 05): `make seeds`.

Writes benchmarks/results/seeds.json. Seed 42 is taken from the last `make run`, if there is one.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from measured import keep

from cpt_utils.runtime import files

SEEDS = (42, 43, 44)
RUNS = files.ROOT / "runs"


def run_of(seed: int) -> Path:
    """The folder of a seed's training."""
    return (RUNS if seed == SEEDS[0] else RUNS / f"seed-{seed}") / "embedded"


def report_of(seed: int) -> dict:
    folder = run_of(seed)
    if not (folder / "generations.jsonl").exists():
        shutil.rmtree(folder, ignore_errors=True)
        choice = {"CPT_SEED": str(seed), "CPT_RUNS": str(folder.parent), "CPT_PROFILE": "embedded"}
        command = [sys.executable, "-m", "cpt_utils", "run", "--only", "03,04,05"]
        if subprocess.run(command, env=os.environ | choice).returncode:
            sys.exit(f"seed {seed} failed; its notebooks are in {files.shown(folder)}")
    return json.loads((folder / "report.json").read_text("utf-8"))


def main() -> None:
    reports = {seed: report_of(seed) for seed in SEEDS}
    flat = {}
    for seed, report in reports.items():
        flat[seed] = (
            {"both_directions": report["preference"]["cpt"]["both_directions"]}
            | {
                f"{model}_{name}": report["steerability"][model][name]
                for model in ("base", "cpt", "cpt_paraphrased")
                for name in ("accuracy", "kendall_tau", "spearman_rho", "degenerate_rate")
            }
            | {f"cpt_{name}": value for name, value in report["side_effects"]["cpt"].items()}
        )
    mean = {k: statistics.mean(row[k] for row in flat.values()) for k in flat[SEEDS[0]]}
    spread = {k: statistics.stdev(row[k] for row in flat.values()) for k in mean}
    result = {
        "hardware": reports[SEEDS[0]]["hardware"],
        "versions": reports[SEEDS[0]]["versions"],
        "by_seed": flat,
        "mean": mean,
        "standard_deviation": spread,
    }
    keep("seeds", result)
    for name in mean:
        print(f"{name:28} {mean[name]:7.3f} +- {spread[name]:.3f}")


if __name__ == "__main__":
    main()
