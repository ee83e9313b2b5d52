"""Stage H, on request: notebooks 03-05 of the embedded profile with three seeds."""

import json
import os
import statistics
import sys

from benchmarks.gpu import processes
from benchmarks.gpu.series import SERIES, summary
from benchmarks.gpu.stage import Stage


def run(stage: Stage) -> None:
    summaries = []
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
        summaries.append(summary(report))
        stage.keep(**{f"seed_{seed}": summaries[-1]})
    mean, spread = {}, {}
    for name in ("accuracy", "kendall_tau", "spearman_rho", "both_directions"):
        values = [each[name] for each in summaries]
        mean[name], spread[name] = statistics.mean(values), statistics.stdev(values)
    stage.keep(mean=mean, standard_deviation=spread)
