"""Stage H, on request: notebooks 03-05 of the embedded profile with three seeds."""

import json
import os
import statistics
import sys

from benchmarks.gpu import processes
from benchmarks.gpu.series import SERIES, summary
from benchmarks.gpu.stage import Stage


def run(stage: Stage) -> None:
    found = []
    for seed in stage.sizes["seeds"]:
        runs = stage.folder / f"seed-{seed}"
        environment = {"CPT_PROFILE": stage.sizes["profile"], "CPT_SEED": str(seed), "CPT_RUNS": str(runs)}
        log = stage.folder / f"H-{seed}.log"
        command = [sys.executable, *SERIES, "--only", "03,04,05"]
        code = processes.run_command(command, log, stage.left(), os.environ | environment)
        if code != 0:
            said = "the limit" if code is None else processes.last_line(log)
            raise RuntimeError(f"seed {seed} stopped: {said}")
        report = json.loads((runs / stage.sizes["profile"] / "report.json").read_text("utf-8"))
        found.append(summary(report))
        stage.keep(**{f"seed_{seed}": found[-1]})
    names = ("accuracy", "kendall_tau", "spearman_rho", "both_directions")
    stage.keep(
        mean={name: statistics.mean(each[name] for each in found) for name in names},
        standard_deviation={name: statistics.stdev(each[name] for each in found) for name in names},
    )
