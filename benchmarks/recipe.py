"""How the settings of the profile `embedded` were chosen, never on the held-out prompts: `make recipe`.

Each trial trains on 16 of the 20 training prompts and writes on the other four (two samples); seed 42
where none is named, two trials at a time with one thread each. Kept in benchmarks/results/recipe.json; what is
there is not run again.
"""

import time

from benchmarks.measured import RESULTS, keep, result, side_by_side
from cpt_utils import runtime

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]  # all linear layers, by name
ONE, LOW, NONE = ({"sigmoid": 1.0, "sft": 1.0}, {"sigmoid": 1.0, "sft": 0.3}, {"sigmoid": 1.0})
SIX = {"loss": ONE, "learning_rate": 1e-3, "epochs": 1, "rows_per_batch": 6}
TWO = SIX | {"loss": LOW, "rows_per_batch": 2}
FAST = SIX | {"loss": LOW, "learning_rate": 2e-3}
HALF = FAST | {"epochs": 1.5}
TRIALS = {  # settings of the profile
    "one and a half epochs, 2e-3, SFT 0.3": HALF,
    "one and a half epochs, 2e-3, SFT 0.3, seed 43": HALF | {"seed": 43},
    "one and a half epochs, 2e-3, DPO only": HALF | {"loss": NONE},
    "one and a half epochs, 2e-3, DPO only, seed 43": HALF | {"loss": NONE, "seed": 43},
    "two epochs": SIX | {"epochs": 2},
    "two epochs, DPO only": SIX | {"epochs": 2, "loss": NONE},
    "two epochs, upper half of the layers": SIX
    | {"epochs": 2, "layers": [15, 30], "lora": {"r": 8, "alpha": 16, "modules": SEVEN}},
    "one epoch": SIX,
    "one epoch, 2e-3": SIX | {"learning_rate": 2e-3},
    "one epoch, 2e-3, DPO only": FAST | {"loss": NONE},
    "one epoch, 2e-3, SFT 0.15": FAST | {"loss": {"sigmoid": 1.0, "sft": 0.15}},
    "one epoch, 2e-3, SFT 0.3": FAST,
    "one epoch, 2e-3, SFT 0.3, seed 43": FAST | {"seed": 43},
    "one epoch, 3e-3, SFT 0.3": FAST | {"learning_rate": 3e-3},
    "one epoch, 3e-3, SFT 0.3, seed 43": FAST | {"learning_rate": 3e-3, "seed": 43},
    "one epoch, 2 rows a step": SIX | {"rows_per_batch": 2},
    "one epoch, 2 rows a step, SFT 0.3": TWO,
    "one epoch, 2 rows a step, SFT 0.3, seed 43": TWO | {"seed": 43},
    "two thirds of an epoch, 2 rows a step, SFT 0.3": TWO | {"max_steps": 128},
}


def trial(name: str) -> dict:
    """Train by these settings and measure, in a process of its own: both judges, side effects, held-out pairs."""
    from benchmarks import answers, trainings
    from cpt_utils.evaluation import evaluation_tasks
    from cpt_utils.models.adapters import save_adapter
    from cpt_utils.models.loading import hub_name
    from cpt_utils.pairs import rows_for
    from cpt_utils.prompts import load_prompts

    runtime.start("embedded")
    changes = dict(TRIALS[name])
    layers = changes.pop("layers", None)
    profile = trainings.settings().replace(**changes, eval_steps=10_000)
    watched = [prompt["prompt"] for prompt in load_prompts(heldout=False)][3::5]
    parts = {False: [], True: []}
    for row in rows_for(profile, "train"):
        parts[row["prompt"][-1]["content"] in watched].append(row)
    trainer = trainings.trainer_of(profile, parts[False], parts[True], layers=layers and list(range(*layers)))
    started = time.time()
    trainer.train()
    seconds, place = time.time() - started, trainings.FOLDER / "recipe" / name.replace(" ", "_")
    preferences = trainer.evaluate()
    save_adapter(trainer.model, place, hub_name(profile))
    tasks = evaluation_tasks(watched, trainings.RUBRICS)
    rows = answers.answers(answers.tuned_model(place), tasks, profile, 2)
    scored = answers.scored(rows, answers.base_model())
    figures = {metric: scored[metric] for metric in ("accuracy", "kendall_tau", "spearman_rho", "degenerate_rate")}
    return {
        **figures,
        **scored["side_effects"],
        "both_directions": preferences["eval_rewards/both_directions"],
        "seconds": seconds,
        "second_spearman_rho": scored["second_judge"]["spearman_rho"],
    }


def main() -> None:
    trials = result("recipe")["trials"] if (RESULTS / "recipe.json").exists() else {}
    for name, found in side_by_side(trial, [name for name in TRIALS if name not in trials]):
        trials[name] = {"settings": TRIALS[name]} | found
        keep(
            "recipe",
            {"how": "make recipe; 16 training prompts, judged on 4 others; one thread a trial", "trials": trials},
        )


if __name__ == "__main__":
    main()
