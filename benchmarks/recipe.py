"""How the settings of the profile `embedded` were chosen, never on the held-out prompts: `make recipe`.

Each trial trains on 16 of the 20 training prompts and writes on the other four (two samples); seed 42
where none is named, two trials at a time with one thread each. Kept in benchmarks/results/recipe.json; what is
there is not run again.
"""

import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from cpt_utils import runtime

RESULT = runtime.ROOT / "benchmarks" / "results" / "recipe.json"
BOTH = {"sigmoid": 1.0, "sft": 1.0}
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]  # all linear layers, by name
LOW = {"sigmoid": 1.0, "sft": 0.3}
TRIALS = {  # what differs from 6 rows a step, all linear layers
    "two epochs": {"loss": BOTH, "learning_rate": 1e-3, "epochs": 2},
    "two epochs, DPO only": {"loss": {"sigmoid": 1.0}, "learning_rate": 1e-3, "epochs": 2},
    "two epochs, upper half of the layers": {"loss": BOTH, "learning_rate": 1e-3, "epochs": 2, "layers": [15, 30],
                                             "lora": {"r": 8, "alpha": 16, "modules": SEVEN}},
    "one epoch": {"loss": BOTH, "learning_rate": 1e-3, "epochs": 1},
    "one epoch, 2e-3": {"loss": BOTH, "learning_rate": 2e-3, "epochs": 1},
    "one epoch, 2e-3, DPO only": {"loss": {"sigmoid": 1.0}, "learning_rate": 2e-3, "epochs": 1},
    "one epoch, 2e-3, SFT 0.15": {"loss": {"sigmoid": 1.0, "sft": 0.15}, "learning_rate": 2e-3, "epochs": 1},
    "one epoch, 2e-3, SFT 0.3": {"loss": LOW, "learning_rate": 2e-3, "epochs": 1},
    "one epoch, 2e-3, SFT 0.3, seed 43": {"loss": LOW, "learning_rate": 2e-3, "epochs": 1, "seed": 43},
    "one epoch, 3e-3, SFT 0.3": {"loss": LOW, "learning_rate": 3e-3, "epochs": 1},
    "one epoch, 3e-3, SFT 0.3, seed 43": {"loss": LOW, "learning_rate": 3e-3, "epochs": 1, "seed": 43},
    "one epoch, 2 rows a step": {"loss": BOTH, "learning_rate": 1e-3, "epochs": 1, "rows_per_batch": 2},
    "one epoch, 2 rows a step, SFT 0.3": {"loss": LOW, "learning_rate": 1e-3, "epochs": 1, "rows_per_batch": 2},
}


def trial(name: str) -> dict:
    import units
    from cpt_utils.evaluation import evaluation_tasks
    from cpt_utils.models import hub_name, save_adapter
    from cpt_utils.pairs import rows_for
    from cpt_utils.prompts import load_prompts

    runtime.start("embedded")
    changes = dict(TRIALS[name])
    layers = changes.pop("layers", None)
    profile = units.settings() | changes | {"eval_steps": 10_000}
    watched = [p["prompt"] for p in load_prompts(heldout=False)][3::5]
    parts = {False: [], True: []}
    for row in rows_for(profile, "train"):
        parts[row["prompt"][-1]["content"] in watched].append(row)
    trainer = units.trainer_of(profile, parts[False], parts[True], layers=layers and list(range(*layers)))
    started = time.time()
    trainer.train()
    seconds, place = time.time() - started, units.FOLDER / "recipe" / name.replace(" ", "_")
    found = trainer.evaluate()
    save_adapter(trainer.model, place, hub_name(profile))
    rows = units.answers(units.tuned_model(place), evaluation_tasks(watched, units.RUBRICS), profile, 2)
    scored = units.scored(rows, units.base_model())
    told = {n: scored[n] for n in ("accuracy", "kendall_tau", "spearman_rho", "degenerate_rate")}
    return told | scored["side_effects"] | {
        "both_directions": found["eval_rewards/both_directions"], "seconds": seconds,
        "second_spearman_rho": scored["second_judge"]["spearman_rho"]}


def main() -> None:
    told = json.loads(RESULT.read_text()) if RESULT.exists() else {"trials": {}}
    missing = [name for name in TRIALS if name not in told["trials"]]
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
    failed = 0
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        work = {pool.submit(trial, name): name for name in missing}
        for job in as_completed(work):
            if job.exception():
                failed += 1
                print(f"{work[job]}: {job.exception()!r}", flush=True)
                continue
            told["trials"][work[job]] = {"settings": TRIALS[work[job]]} | runtime.rounded(job.result())
            told |= {"how": told.get("how", "make recipe; 16 training prompts, judged on 4 others; one thread a trial"),
                     "hardware": runtime.hardware(), "versions": runtime.versions()}
            RESULT.write_text(json.dumps(told, indent=1) + "\n")
            print(f"{work[job]}: {told['trials'][work[job]]}", flush=True)
    if failed:
        sys.exit(f"{failed} trials failed; the others are kept: run it again.")


if __name__ == "__main__":
    main()
