"""What else would one do, why mirrored batches, does it generalise, is the judge right: `make ablation`.

Runs the measurements of units.py, two at a time, each in its own process; what is done is kept in
runs/ablation/ and not done again. Then writes benchmarks/results/ablation.json, which notebook 05 draws.
"""

import argparse
import json
import statistics

from comparisons import FULL
from measured import keep, side_by_side
from seeds import SEEDS, run_of

from cpt_utils import runtime
from cpt_utils.plotting import LABELS
from cpt_utils.runtime import files
from cpt_utils.runtime.files import read_jsonl

FOLDER = files.ROOT / "runs" / "ablation"
TRAINED = ("SFT on the chosen", "DPO, rows shuffled", "DPO, mirrored batches", "DPO mirrored + SFT")
RATES = (1e-4, 3e-4, 3e-3)  # besides units.RATE: was shuffled training given a fair chance?
METRICS = ("accuracy", "kendall_tau", "spearman_rho", "degenerate_rate")


def units() -> dict[str, tuple]:
    """Name -> (function of units.py, arguments)."""
    found = {f"dial {which}": ("dial", which) for which in ("base", "cpt")}
    found |= {f"best cpt {SEEDS[0]}": ("best", "cpt", SEEDS[0])}
    found |= {"generalisation": ("generalisation",), "gradients": ("gradients",)}
    each = {
        seed: {f"untrained {seed}": ("untrained", seed), f"best base {seed}": ("best", "base", seed)}
        | {f"method {way} {seed}": ("method", way, seed) for way in TRAINED}
        for seed in SEEDS
    }
    found |= each.pop(SEEDS[0])
    found |= {f"left_out {rubric}": ("left_out", rubric) for rubric in LABELS}
    found |= {
        f"curve {way} {rows} {seed}": ("curve", way, rows, seed)
        for seed in SEEDS
        for way in TRAINED[1:3]
        for rows in (2, 12)
    }
    found |= {f"rate {way} {rate:g}": ("curve", way, 6, SEEDS[0], rate) for way in TRAINED[1:3] for rate in RATES}
    return found | {name: unit for seed in each for name, unit in each[seed].items()}


def path_of(name: str):
    return FOLDER / (name.replace(" ", "_").replace(",", "") + ".json")


def run(name: str) -> None:
    import units as measurements
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    runtime.start("embedded")
    function, *arguments = units()[name]
    files.write_whole(path_of(name), json.dumps(getattr(measurements, function)(*arguments), indent=1))


def over_seeds(runs: list[dict]) -> dict:
    """Mean and standard deviation of what a method's seeds measured, side effects and second judge included."""
    flat = [
        {name: run[name] for name in METRICS}
        | {f"second_{n}": run["second_judge"][n] for n in METRICS[:3]}
        | run["side_effects"]
        | {k: run[k] for k in ("seconds", "both_directions") if k in run}
        for run in runs
    ]
    return {
        name: [statistics.mean(row[name] for row in flat), statistics.stdev(row[name] for row in flat)]
        if len(flat) > 1
        else [flat[0][name], None]
        for name in flat[0]
    } | {"runs": len(flat)}


def full_recipe() -> list[dict]:
    """The notebooks' own training, from the texts of `make seeds`."""
    from units import base_model, scored

    runs, base = [], base_model()
    for seed in SEEDS:
        report = json.loads((run_of(seed) / "report.json").read_text("utf-8"))
        rows = [r for r in read_jsonl(run_of(seed) / "generations.jsonl") if r["model"] == "cpt"]
        first = [r for r in rows if r["sample"] == 0]  # one try at every task, as the other ways have
        runs.append(scored(first, base) | {"both_directions": report["preference"]["cpt"]["both_directions"]})
    return runs


def assemble() -> dict:
    from second_judge import trial
    from units import RATE, STEPS

    def read(name):
        return json.loads(path_of(name).read_text("utf-8"))

    def last(run):
        return run["curve"][-1]["both_directions"]

    untrained = [read(f"untrained {seed}") for seed in SEEDS]
    methods = {
        "base": over_seeds([u["base"] for u in untrained]),
        "base, 3 examples": over_seeds([u["base, 3 examples"] for u in untrained]),
    }
    tried = [read(f"best base {seed}") for seed in SEEDS]
    methods |= {f"base, best of {n}": over_seeds([t["picked"][n] for t in tried]) for n in ("4", "16")}
    trained = {way: [read(f"method {way} {seed}") for seed in SEEDS] for way in TRAINED}
    for way, runs in trained.items():
        methods[way] = over_seeds([r | {"both_directions": last(r)} for r in runs])
    methods[FULL] = over_seeds(full_recipe())
    curves = {
        way: {"6": [run["curve"] for run in trained[way]]}
        | {str(rows): [read(f"curve {way} {rows} {seed}")["curve"] for seed in SEEDS] for rows in (2, 12)}
        for way in TRAINED[1:3]
    }
    rates = {
        way: {f"{rate:g}": [last(read(f"rate {way} {rate:g}"))] for rate in RATES}
        | {f"{RATE:g}": [last(run) for run in trained[way]]}
        for way in TRAINED[1:3]
    }
    left_out = {rubric: read(f"left_out {rubric}")["left out"] for rubric in LABELS}
    return {
        "how": f"make ablation; {len(SEEDS)} seeds (full recipe: {len(SEEDS)}); trained ways see {STEPS * 6} rows; "
        "held-out prompts and targets as in notebook 05; side by side, one thread each, so seconds compare ways only",
        "methods": methods,
        "curves": curves,
        "rates": rates,
        "gradients": read("gradients"),
        "generalisation": read("generalisation")
        | {
            "left_out": left_out,
            "as_many_rows": methods[TRAINED[3]]["spearman_rho"][0],
            "base": methods["base"]["spearman_rho"][0],
        },
        "dial": {which: read(f"dial {which}") for which in ("base", "cpt")},
        "best_of_n": {which: read(f"best {which} {SEEDS[0]}")["curve"] for which in ("base", "cpt")},
        "judge": trial(read_jsonl(run_of(SEEDS[0]) / "generations.jsonl")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", help="units whose name begins with this, then stop")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = [n for n in units() if not path_of(n).exists() and n.startswith(options.only or "")]
    list(side_by_side(run, missing, options.workers))
    if not options.only:
        keep("ablation", assemble())


if __name__ == "__main__":
    main()
