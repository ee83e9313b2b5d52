"""Does following a system prompt that was never trained grow with the number of rubrics? `make unseen`.

Two of the four rubrics are held out, and the student is trained on the other two with 0, 8 or 16 small rubrics beside
them, for as many steps each time. What it writes under the held-out rubrics is judged by the series' judges, which saw
recorded texts and took no part in the training. Every rubric is held out once; beside it stand the untuned model with
the same system prompts, and with three examples in its context. Writes benchmarks/results/unseen.json.

Equal in all trainings: steps, rows a step, and so rows in all; the settings; the order drawn by the seed. Not equal:
small rubrics take the place of rows of the two large ones, so that more styles also means fewer rows, and fewer times
the same row, of each large one; and small rubrics have shorter texts and two targets. So no change is of variety alone.
"rows_seen" tells for each training how many rows of large and of small rubrics it saw.
"""

import numpy as np

from benchmarks.answers import answers, base_model, kept_model, options
from benchmarks.beyond.columns import other_judges, texts_of
from benchmarks.beyond.drawings import draw_unseen
from benchmarks.beyond.running import hardware_of, run
from benchmarks.beyond.small_rubrics import drawn, likeness, small_responses, small_system_prompt
from benchmarks.beyond.summary import training_of
from benchmarks.measured import so_far
from benchmarks.trainings import FOLDER, PROMPTS, RUBRICS, settings, trainer_of
from benchmarks.units import with_examples
from cpt_utils.blocks import training_blocks
from cpt_utils.evaluation import evaluation_tasks, steerability
from cpt_utils.judging import embedded_judge, judge_rows
from cpt_utils.models.conversation import chat
from cpt_utils.models.loading import load_student
from cpt_utils.models.logps import with_reference
from cpt_utils.overall import with_sense
from cpt_utils.pairs import build_mirrored_pairs, rows_for
from cpt_utils.prompts import load_responses
from cpt_utils.rows import PreferenceRow, Response
from cpt_utils.runtime.profiles import Profile

NAME = "unseen"
FOLDS = (("esoteric", "rococo"), ("chaos_cinema", "creative_chaos"))
"""Held out together: the other two are trained."""
COUNTS = (0, 8, 16)
SEEDS = (42, 43)
SIZES = {  # steps: of 8 rows; two rubrics and 16 small ones are 136
    False: {"steps": 150, "prompts": len(PROMPTS), "samples": 2, "new_tokens": settings().max_new_tokens},
    True: {"steps": 2, "prompts": 1, "samples": 1, "new_tokens": 12},
}
RESAMPLES = 1000
UNTUNED = ("base", "base, 3 examples")


def units(tiny: bool) -> dict[str, tuple]:
    """Name -> (function, its arguments); the first fold is whole before the second begins."""
    size, seeds = SIZES[tiny], SEEDS[: 1 if tiny else None]
    planned = {f"untuned {seed}": (untuned, seed, size) for seed in seeds}
    for held in FOLDS[: 1 if tiny else None]:
        for seed in seeds:
            for count in COUNTS[:2] if tiny else COUNTS:
                planned[f"{' '.join(held)}, {count} small, {seed}"] = (trained, held, count, seed, size)
    return planned


def rows_of(held: tuple[str, ...], names: list[str], profile: Profile) -> list[PreferenceRow]:
    """Blocks of the rubrics that are not held out, and of these small ones."""
    mirrored = rows_for(profile.replace(asks_subject=False), "train")
    rows = [row for row in mirrored if row["rubric"] not in held]
    small = build_mirrored_pairs(small_responses(names), small_system_prompt) if names else []
    return training_blocks(rows + small, profile.seed)


def trained(held: tuple[str, ...], count: int, seed: int, size: dict) -> dict:
    """What a student writes under all four rubrics that was trained without two of them."""
    profile = sized(seed, size).replace(max_steps=size["steps"], eval_steps=10_000)
    names = drawn(count, seed)
    blocks = rows_of(held, names, profile)[-8 * size["steps"] :]  # of a tiny run the last ones, which are small
    rows = with_reference(load_student(profile), blocks, profile)
    trainer = trainer_of(profile, rows, rows[:2])
    trainer.train()
    model = kept_model(trainer, f"unseen-{'-'.join(held)}-{count}-{seed}-of-{size['steps']}")
    texts = answers(model, evaluation_tasks(PROMPTS[: size["prompts"]], RUBRICS), profile, size["samples"])
    seen = rows_seen(trainer.train_dataset["rubric"])
    return {"small": names, "rows_seen": seen, "written": with_sense(texts, base_model(), FOLDER)}


def rows_seen(rubrics: list[str]) -> dict[str, int]:
    """How many rows were of the large rubrics and of the small ones: `rubrics` of each row in the order of training
    (training.in_training_order), where a row of a second epoch stands again."""
    large = sum(rubric in RUBRICS for rubric in rubrics)
    return {"large": large, "small": len(rubrics) - large}


def sized(seed: int, size: dict) -> Profile:
    return settings(seed).replace(max_new_tokens=size["new_tokens"])


def untuned(seed: int, size: dict) -> dict:
    """What the untuned model writes under the same system prompts, and with three recorded examples of the target."""
    base, profile, chance = base_model(), sized(seed, size), np.random.default_rng(seed)
    tasks = evaluation_tasks(PROMPTS[: size["prompts"]], RUBRICS)
    recorded = load_responses(heldout=False)
    plain = answers(base, tasks, profile, size["samples"])
    taught = [task | {"sample": sample} for task in tasks for sample in range(size["samples"])]
    conversations = [with_examples(task, recorded, chance) for task in taught]
    texts = chat(base, conversations, **options(profile) | {"batch_size": 24})
    shown = judge_rows(embedded_judge(), [{**task, "response": text} for task, text in zip(taught, texts)])
    rows = [row | {"way": way} for way, found in zip(UNTUNED, (plain, shown)) for row in found]
    return {"written": with_sense(rows, base, FOLDER)}


def figures(rows: list[Response]) -> dict:
    """Steerability with overall and its parts, intervals over prompts, and rho by the judges of meaning and letters."""
    found = steerability(rows, RESAMPLES)
    for name, judge in other_judges().items():
        told = steerability(judge_rows(judge, rows), RESAMPLES)
        found |= {f"{name}_rho": told["spearman_rho"], f"{name}_ci95": told["ci95"].get("spearman_rho")}
    return found


def of_training(unit: str) -> dict[str, float]:
    """Rho and overall of one training under the rubrics that it held out: how far seeds and folds lie apart."""
    held, *_ = training_of(unit)
    found = steerability([row for row in texts_of(NAME, unit) if row["rubric"] in held], resamples=0)
    return {name: found[name] for name in ("spearman_rho", "overall")}


def assemble(planned: list[str]) -> dict:
    """Figures by number of small rubrics, for held-out and for trained rubrics; texts of all folds and seeds pooled."""
    held, seen = {}, {}
    trainings = [unit for unit in planned if "," in unit]
    for unit in trainings:
        fold, count, _ = training_of(unit)
        for row in texts_of(NAME, unit):
            (held if row["rubric"] in fold else seen).setdefault(count, []).append(row)
    plain = [row for unit in planned if unit not in trainings for row in texts_of(NAME, unit)]
    ever = {row["rubric"] for rows in held.values() for row in rows}
    beside = {way: [row for row in plain if row["way"] == way and row["rubric"] in ever] for way in UNTUNED}
    kept = {unit: found["found"] for unit, found in so_far(f"{NAME}_units").items() if "," in unit}
    return {
        "how": f"make unseen; {len(planned)} units; held-out prompts; seeds pooled, intervals over prompts",
        "hardware": hardware_of(NAME),
        "held_out": {count: figures(rows) for count, rows in held.items()},
        "trained": {count: figures(rows) for count, rows in seen.items()},
        "untuned": {way: figures(rows) for way, rows in beside.items()},
        "by_training": {unit: of_training(unit) for unit in trainings},
        **{name: {unit: found[name] for unit, found in kept.items()} for name in ("small", "rows_seen")},
        "likeness": likeness(embedded_judge()),
    }


if __name__ == "__main__":
    run(NAME, "benchmarks.beyond.unseen", assemble, draw_unseen)
