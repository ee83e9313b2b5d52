"""What else would one do, why mirrored batches, does it generalise, is the judge right: `make ablation`.

Runs the measurements of units.py, two at a time, each in its own process. What one came to is kept at once in
benchmarks/results/ablation_units.json, its texts in ablation.jsonl.xz beside it, and is not measured again, on another
machine neither: delete both when recipe, data or judge change. Then writes ablation.json, which notebook 08 draws.
"""

import argparse
import statistics
from functools import cache

from benchmarks.comparisons import FULL
from benchmarks.measured import kept_texts, machines, result, resume, so_far
from benchmarks.seeds import SEEDS
from cpt_utils import runtime
from cpt_utils.plotting import LABELS

TRAINED = ("SFT on the chosen", "DPO, rows shuffled", "DPO, mirrored batches", "DPO mirrored + SFT")
CURVES = TRAINED[1:3]  # the ways whose curves are compared
OTHER_ROWS = (2, 12)  # rows a step, besides six
STEERED = {"base, steering vector": "steering alone", "base, steering + system": "steering prompted"}
"""Method -> its unit, which chooses layer and strength once and measures every seed."""
RATES = (1e-4, 3e-4, 3e-3)  # besides trainings.RATE: was shuffled training given a fair chance?
TRIES = (16, 4)
"""Of the base model, of which the best is taken: for the first seed, which also draws the curve, and for others."""
METRICS = ("accuracy", "kendall_tau", "spearman_rho")
SENSE = ("overall", "follows", "topic", "order_gain", "degenerate_rate")


def units() -> dict[str, tuple]:
    """Name -> (function of units.py, its arguments); what is of most interest comes first."""
    first, *others = SEEDS
    planned = {"dial base": ("dial", "base"), "dial cpt": ("dial", "cpt")}
    planned["best cpt"] = ("best_tuned", first)
    planned |= {"generalisation": ("generalisation",), "gradients": ("gradients",)}
    planned |= {unit: ("steering", unit == "steering prompted") for unit in STEERED.values()}
    planned |= units_of_seed(first)
    for rubric in LABELS:
        planned[f"left_out {rubric}"] = ("left_out", rubric)
    for seed in SEEDS:
        for way in CURVES:
            for rows in OTHER_ROWS:
                planned[f"curve {way} {rows} {seed}"] = ("curve", way, rows, seed)
    for way in CURVES:
        for rate in RATES:
            planned[f"rate {way} {rate:g}"] = ("curve", way, 6, first, rate)
    for seed in others:
        planned |= units_of_seed(seed)
    return planned


def units_of_seed(seed: int) -> dict[str, tuple]:
    """Those that every seed measures."""
    planned = {f"untrained {seed}": ("untrained", seed)}
    planned[f"best base {seed}"] = ("best_base", seed, TRIES[0] if seed == SEEDS[0] else TRIES[1])
    for way in TRAINED:
        planned[f"method {way} {seed}"] = ("method", way, seed)
    return planned


def run(name: str) -> dict:
    """What a unit comes to."""
    from transformers.utils import logging as transformers_logging

    from benchmarks.units import UNITS

    transformers_logging.set_verbosity_error()
    runtime.start("embedded")
    function, *arguments = units()[name]
    return UNITS[function](*arguments)


@cache
def all_kept() -> dict[str, dict]:
    """What the units that were measured came to, by their names."""
    return so_far("ablation_units")


def kept(name: str) -> dict:
    """What a unit came to."""
    return all_kept()[name]["found"]


def over_seeds(runs: list[dict]) -> dict:
    """Mean and standard deviation of what a method's seeds measured, side effects and second judge included."""
    flat = [flattened(run) for run in runs]
    shared = [name for name in flat[0] if all(name in measured for measured in flat)]  # kept runs may lack new ones
    spans = {}
    for name in shared:
        values = [measured[name] for measured in flat]
        spans[name] = [statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None]
    return spans | {"runs": len(flat)}


def flattened(run: dict) -> dict[str, float]:
    """A run's figures by one name each."""
    figures = {name: run[name] for name in (*SENSE, *METRICS)}
    for name in METRICS:
        figures[f"second_{name}"] = run["second_judge"][name]
    figures |= run["side_effects"]
    return figures | {name: run[name] for name in ("rows", "both_directions") if name in run}


def full_recipe() -> list[dict]:
    """The notebooks' own training, from the texts of `make seeds`."""
    from benchmarks.answers import base_model, scored
    from benchmarks.trainings import PROMPTS, settings
    from cpt_utils.pairs import rows_for

    seen = {"rows": settings().epochs * len(rows_for(settings(), "train"))}
    runs, base, measured = [], base_model(), result("seeds")["by_seed"]
    for seed in SEEDS:
        rows = [row for row in kept_texts("seeds", str(seed)) if row["model"] == "cpt" and row["prompt"] in PROMPTS]
        first = [row for row in rows if row["sample"] == 0]  # one try at every task, as the other ways have
        runs.append(scored(first, base) | seen | {"both_directions": measured[str(seed)]["both_directions"]})
    return runs


def both_directions(run: dict) -> float:
    """Share of held-out pairs that are right in both directions at the end of a training."""
    return run["curve"][-1]["both_directions"]


def all_methods(trained: dict[str, list[dict]]) -> dict[str, dict]:
    """Every way's figures over its seeds, from the plainest on; "rows" are those that it was trained on."""
    from benchmarks.trainings import ROWS, STEPS

    untrained = [kept(f"untrained {seed}") for seed in SEEDS]
    methods = {name: over_seeds([run[name] for run in untrained]) for name in ("base", "base, 3 examples")}
    tries = [kept(f"best base {seed}")["picked"] for seed in SEEDS]
    for n in sorted(TRIES):
        methods[f"base, best of {n}"] = over_seeds([run[str(n)] for run in tries if str(n) in run])
    for way, unit in STEERED.items():
        methods[way] = over_seeds(kept(unit)["runs"])
    for way, runs in trained.items():
        seen = {"rows": STEPS * ROWS}
        methods[way] = over_seeds([run | seen | {"both_directions": both_directions(run)} for run in runs])
    return methods | {FULL: over_seeds(full_recipe())}


def base_by_rubric() -> dict[str, float]:
    """Spearman's rho of the untuned model under each rubric, the mean over seeds."""
    found = [kept(f"untrained {seed}")["base"]["by_rubric"] for seed in SEEDS]
    return {rubric: statistics.mean(one[rubric]["spearman_rho"] for one in found) for rubric in LABELS}


def chosen_of(unit: dict) -> dict:
    """Layer and strength of a steered way, and what they were chosen from; its runs are among the methods."""
    return {name: value for name, value in unit.items() if name != "runs"}


def all_curves(trained: dict[str, list[dict]]) -> dict[str, dict]:
    """Curves by way and rows a step, one for each seed."""
    curves = {}
    for way in CURVES:
        curves[way] = {"6": [run["curve"] for run in trained[way]]}
        for rows in OTHER_ROWS:
            curves[way][str(rows)] = [kept(f"curve {way} {rows} {seed}")["curve"] for seed in SEEDS]
    return curves


def all_rates(trained: dict[str, list[dict]]) -> dict[str, dict]:
    """Pairs right in both directions in the end, by way and learning rate."""
    from benchmarks.trainings import RATE

    rates = {}
    for way in CURVES:
        rates[way] = {f"{rate:g}": [both_directions(kept(f"rate {way} {rate:g}"))] for rate in RATES}
        rates[way][f"{RATE:g}"] = [both_directions(run) for run in trained[way]]
    return rates


def assemble() -> dict:
    """All that results/ablation.json holds, from what the units came to."""
    from benchmarks.second_judge import trial
    from benchmarks.trainings import ROWS, STEPS

    trained = {way: [kept(f"method {way} {seed}") for seed in SEEDS] for way in TRAINED}
    methods = all_methods(trained)
    compared = {
        "left_out": {rubric: kept(f"left_out {rubric}")["left out"] for rubric in LABELS},
        "as_many_rows": methods[TRAINED[3]]["spearman_rho"][0],
        "base": methods["base"]["spearman_rho"][0],
        "base_by_rubric": base_by_rubric(),
    }
    return {
        "how": f"make ablation; {len(SEEDS)} seeds; trained ways see {STEPS * ROWS} rows; held-out prompts and targets "
        "as in notebook 05",
        "hardware": machines(all_kept()),
        "methods": methods,
        "curves": all_curves(trained),
        "rates": all_rates(trained),
        "gradients": kept("gradients"),
        "generalisation": kept("generalisation") | compared,
        "dial": {which: kept(f"dial {which}") for which in ("base", "cpt")},
        "steering": {way: chosen_of(kept(unit)) for way, unit in STEERED.items()},
        "best_of_n": {"base": kept(f"best base {SEEDS[0]}")["curve"], "cpt": kept("best cpt")["curve"]},
        "judge": trial(kept_texts("seeds", str(SEEDS[0]))),
        "former": so_far("ablation")["former"],  # the methods' rho by the judge before, with the recipe before
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", help="units whose name begins with this, then stop")
    options = parser.parse_args()
    resume("ablation", list(units()), run, assemble, options.workers, options.only or "")


if __name__ == "__main__":
    main()
