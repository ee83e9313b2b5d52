"""How the settings of the profile `embedded` were chosen, never on the held-out prompts: `make recipe`.

Each trial trains without nine of the training prompts, four of the recorded teacher's and five of the corpus, and
writes on those nine (one sample, seed 42). Kept in benchmarks/results/recipe.json, with the texts
beside it; what is there is not run again. "former" holds the trials of the recipe before, which did not ask for the
subject: four prompts kept aside, two samples, two trials at a time, and the first judge, which knew one hand.
"""

import argparse
from functools import partial

from benchmarks.measured import keep, keep_texts, machines, side_by_side, so_far
from cpt_utils import runtime
from cpt_utils.overall import mean_of
from cpt_utils.rows import TARGETS, PreferenceRow, Response
from cpt_utils.runtime import machine

HOW = "make recipe; judged on nine training prompts kept aside, one sample; seed 42, or the named one"
PAIRS = {"rows": "pairs", "rows_per_batch": 6}
"""The rows of one prompt and rubric a step: nothing asks for the subject."""
SQUARES, BLOCKS, TEN = {"rows": "squares"}, {"rows": "blocks"}, {"rows": "ten", "rows_per_batch": 10}
"""As many rows for the subject as for the style, a third as many, and two thirds as many (cpt_utils.blocks)."""
TRIALS = {  # settings of the profile; "corpus": the hands of the corpus as well; "texts": whose, if not the recorded
    "six rows on 135 tokens": PAIRS | {"max_length": 135},
    "squares on 135 tokens": SQUARES | {"max_length": 135},
    "squares on 110 tokens, 150 steps": SQUARES | {"max_length": 110, "max_steps": 150},
    "squares on 110 tokens, 150 steps, more hands": SQUARES | {"max_length": 110, "max_steps": 150, "corpus": True},
    "squares on 120 tokens, rate 3e-3": SQUARES | {"max_length": 120, "learning_rate": 3e-3},
    "squares on whole texts, 60 steps": SQUARES | {"max_length": 512, "max_steps": 60},
    "squares on 135 tokens, beta 0.1": SQUARES | {"max_length": 135, "beta": 0.1},
    "squares on 110 tokens": SQUARES | {"max_length": 110},
    "squares on the student's texts, 160 tokens": SQUARES | {"max_length": 160, "texts": "the student"},
    "squares on texts of both, 160 tokens": SQUARES | {"max_length": 160, "texts": "both"},
    "squares on 110 tokens, 150 steps, seed 43": SQUARES | {"max_length": 110, "max_steps": 150, "seed": 43},
    "blocks on 110 tokens, 150 steps": BLOCKS | {"max_length": 110, "max_steps": 150},
    "blocks on 110 tokens, 150 steps, seed 43": BLOCKS | {"max_length": 110, "max_steps": 150, "seed": 43},
    "ten rows on 110 tokens, 112 steps": TEN | {"max_length": 110, "max_steps": 112},
    "ten rows on 110 tokens, 112 steps, seed 43": TEN | {"max_length": 110, "max_steps": 112, "seed": 43},
}


def kept_aside() -> list[str]:
    """The nine training prompts on which trials are judged."""
    return recorded_aside() + list(dict.fromkeys(row["prompt"] for row in hands()))[2::6]


def recorded_aside() -> list[str]:
    """Those of them to which the recorded teacher wrote."""
    from cpt_utils.prompts import load_prompts

    return [prompt["prompt"] for prompt in load_prompts(heldout=False)][3::5]


def hands() -> list[Response]:
    """The texts of the corpus that may train a student: short ones in six hands."""
    from cpt_utils.prompts import load_corpus

    return [row for row in load_corpus(heldout=False) if row["kind"] == "hand"]


def trial(name: str) -> tuple[dict, list[Response]]:
    """Train by these settings and measure, in a process of its own: the figures, and the texts."""
    from benchmarks import answers, trainings
    from benchmarks.second_judge import ngram_judge
    from cpt_utils.evaluation import evaluation_tasks, side_effects, steerability
    from cpt_utils.judging import judge_rows
    from cpt_utils.overall import with_sense

    runtime.start("embedded")
    changes = {"max_steps": 120, **TRIALS[name]}
    kind, sets = changes.pop("rows"), texts_of(changes.pop("texts", "recorded"))
    sets[0] = sets[0] + (hands() if changes.pop("corpus", False) else [])
    profile = trainings.settings().replace(**changes, eval_steps=10_000)
    rows = [row for texts in sets for row in rows_of(texts, kind, profile.seed)]
    trainer = trainings.trainer_of(profile, rows, rows[:2])
    trainer.train()
    model, base = answers.kept_model(trainer, f"recipe/{name}"), answers.base_model()
    tasks = evaluation_tasks(kept_aside(), trainings.RUBRICS)
    written = with_sense(answers.answers(model, tasks, profile), base, trainings.FOLDER)
    figures = steerability(written, resamples=0) | side_effects([row["response"] for row in written], base)
    figures["second_judge"] = steerability(judge_rows(ngram_judge(), written), resamples=0)["spearman_rho"]
    return figures | {"by_target": by_target(written), "columns": columns(trainer, profile.max_steps)}, written


def texts_of(source: str) -> list[list[Response]]:
    """Sets of texts for the training prompts: the recorded teacher's, the student's own (student_texts.py), or both."""
    from benchmarks.student_texts import chosen
    from cpt_utils.prompts import load_responses

    sets = {"recorded": lambda: [load_responses(heldout=False)], "the student": lambda: [chosen()]}
    return sets[source]() if source in sets else [texts for of in sets.values() for texts in of()]


def rows_of(texts: list[Response], kind: str, seed: int) -> list[PreferenceRow]:
    """Mirrored rows of the texts that do not answer a prompt that is kept aside."""
    from cpt_utils.blocks import mirrored_squares, training_blocks
    from cpt_utils.pairs import build_mirrored_pairs

    aside = kept_aside()
    mirrored = build_mirrored_pairs([row for row in texts if row["prompt"] not in aside])
    blocks = {"squares": mirrored_squares, "blocks": training_blocks, "ten": partial(training_blocks, subject_pairs=2)}
    return blocks[kind](mirrored, seed) if kind in blocks else mirrored


def by_target(rows: list[Response]) -> dict[str, dict[str, float]]:
    """Mean score, share of texts on their subject, and overall, by the name of the target."""
    found = {}
    for name, target in TARGETS.items():
        mine = [row for row in rows if row["target"] == target]
        topic = mean_of([row["topic_rank"] == 1 for row in mine])
        means = {key: mean_of([row[key] for row in mine if row[key] is not None]) for key in ("score", "overall")}
        found[name] = means | {"topic": topic}
    return found


def columns(trainer, steps: int) -> int:
    """What a training computes, padding included, in columns of tokens: its cost, whatever the machine."""
    size, rows = trainer.args.per_device_train_batch_size, trainer.train_dataset
    starts = range(0, min(len(rows), steps * size), size)
    batches = [trainer.data_collator([rows[i] for i in range(start, start + size)]) for start in starts]
    return sum(batch["input_ids"].numel() for batch in batches) * steps // len(batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="trials whose name begins with this")
    wanted = parser.parse_args().only or ""
    told = so_far("recipe")
    trials = told.get("trials", {})
    missing = [name for name in TRIALS if name not in trials and name.startswith(wanted)]
    for name, (figures, texts) in side_by_side(trial, missing, workers=1):
        trials[name] = {"settings": TRIALS[name], "hardware": machine.hardware()} | figures
        keep_texts("recipe", name, texts)
        keep("recipe", {"how": HOW, "hardware": machines(trials), "trials": trials, "former": told.get("former", {})})


if __name__ == "__main__":
    main()
