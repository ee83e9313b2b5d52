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

from benchmarks.measured import keep, keep_all_texts
from cpt_utils.evaluation import steerability
from cpt_utils.judging import embedded_judge, judge_rows
from cpt_utils.measures import style_measures
from cpt_utils.overall import mean_of
from cpt_utils.prompts import load_responses
from cpt_utils.rows import Response
from cpt_utils.runtime import files
from cpt_utils.runtime.files import read_jsonl
from cpt_utils.sense import copied

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


def figures_of(report: dict, rows: list[Response]) -> dict[str, float]:
    """What a run's report and its texts tell, by one name each."""
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
        if not name.endswith("_percent"):  # texts_figures has these of the teacher, too
            figures[f"cpt_{name}"] = value
    return figures | texts_figures(rows)


def texts_figures(rows: list[Response]) -> dict[str, float]:
    """What the report does not tell of a run's texts: the judge of meaning alone, copied runs of words, odd words."""
    found, sources = {}, [row["response"] for row in load_responses(heldout=False)]
    written = [row for row in rows if row["model"] == "cpt"]
    for model, mine in (("cpt", written), ("teacher", load_responses(heldout=True))):
        texts = [row["response"] for row in mine]
        read = steerability(judge_rows(embedded_judge("meaning"), mine), resamples=0)
        found[f"{model}_meaning_spearman_rho"] = read["spearman_rho"]
        found[f"{model}_copied"] = copied(texts, sources)
        found[f"{model}_unknown_words"] = mean_of([style_measures(text)["unknown_words"] / 100 for text in texts])
    return found


def main() -> None:
    reports = {seed: report_of(seed) for seed in SEEDS}
    texts = {seed: read_jsonl(run_of(seed) / "generations.jsonl") for seed in SEEDS}
    by_seed = {seed: figures_of(report, texts[seed]) for seed, report in reports.items()}
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
    keep_all_texts("seeds", {str(seed): rows for seed, rows in texts.items()})


if __name__ == "__main__":
    main()
