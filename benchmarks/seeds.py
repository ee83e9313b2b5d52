"""Train and evaluate with several seeds (notebooks 04 and 05): `make seeds`.

Writes benchmarks/results/seeds.json, from all held-out prompts with two samples each (profile "full").
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.measured import keep
from cpt_utils.runtime import files

SEEDS = (42, 43, 44)
RUNS = files.ROOT / "runs"


def run_of(seed: int) -> Path:
    """The folder of a seed's training."""
    return RUNS / f"seed-{seed}" / "full"


def report_of(seed: int) -> dict:
    folder = run_of(seed)
    if not (folder / "generations.jsonl").exists():
        shutil.rmtree(folder, ignore_errors=True)
        choice = {"CPT_SEED": str(seed), "CPT_RUNS": str(folder.parent), "CPT_PROFILE": "full"}
        command = [sys.executable, "-m", "cpt_utils", "run", "--only", "03,04,05"]
        if subprocess.run(command, env=os.environ | choice).returncode:
            sys.exit(f"seed {seed} failed; its notebooks are in {files.shown(folder)}")
    return json.loads((folder / "report.json").read_text("utf-8"))


def figures_of(report: dict) -> dict[str, float]:
    """What a run's report measured, by one name each."""
    figures = {"both_directions": report["preference"]["cpt"]["both_directions"]}
    for model in ("base", "cpt", "cpt_paraphrased", "teacher"):
        for name in (
            "overall",
            "follows",
            "topic",
            "order_gain",
            "accuracy",
            "kendall_tau",
            "spearman_rho",
            "degenerate_rate",
        ):
            figures[f"{model}_{name}"] = report["steerability"][model][name]
    for name, value in report["side_effects"]["cpt"].items():
        figures[f"cpt_{name}"] = value
    return figures


def main() -> None:
    reports = {seed: report_of(seed) for seed in SEEDS}
    by_seed = {seed: figures_of(report) for seed, report in reports.items()}
    mean, spread = {}, {}
    for name in by_seed[SEEDS[0]]:
        values = [figures[name] for figures in by_seed.values()]
        mean[name], spread[name] = statistics.mean(values), statistics.stdev(values)
        print(f"{name:28} {mean[name]:7.3f} +- {spread[name]:.3f}")
    first = reports[SEEDS[0]]
    keep(
        "seeds",
        {
            "hardware": first["hardware"],
            "versions": first["versions"],
            "by_seed": by_seed,
            "mean": mean,
            "standard_deviation": spread,
        },
    )


if __name__ == "__main__":
    main()
