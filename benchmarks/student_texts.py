"""Texts that a small model can say, the tuned student's own, the best of several tries at a task: `make student-texts`.

The recorded teacher writes what a model of 135 million weights would never say (their perplexity under it is some ten
times that of its own texts). So the student that was trained on them answers the training prompts again and again, each
answer is cut at its last whole sentence, and the best of a task is kept: rejection sampling, as in the training of
Llama 2 (Touvron et al. 2023, arXiv 2307.09288, section 3.2.3). All tries are kept in results/student_texts.jsonl.xz,
figures of the chosen ones in student_texts.json.
"""

import argparse

from benchmarks.answers import base_model, options, tuned_model
from benchmarks.measured import kept_texts, resume
from benchmarks.trainings import FOLDER, RUBRICS, settings
from cpt_utils import runtime
from cpt_utils.bestof import whole_sentences
from cpt_utils.evaluation import evaluation_tasks, steerability
from cpt_utils.judging import KINDS, embedded_judge, judge_rows
from cpt_utils.models.conversation import chat
from cpt_utils.overall import REACH, harmonic_mean, with_sense
from cpt_utils.prompts import load_prompts, messages
from cpt_utils.rows import Response

NAME = "student_texts"
TRIES = 8
NEW_TOKENS = 75
"""At most, of a text: it is short enough to be trained on whole, so that the student learns to end."""


def units() -> list[str]:
    return [f"try {number}" for number in range(1, TRIES + 1)]


def run(unit: str) -> dict:
    """One answer to every training prompt under each rubric and target, judged by every kind of judge."""
    runtime.start("embedded")
    number = int(unit.split()[1])
    profile = settings(1000 + number).replace(max_new_tokens=NEW_TOKENS)  # no seed of an evaluation
    tasks = evaluation_tasks([prompt["prompt"] for prompt in load_prompts(heldout=False)], RUBRICS)
    texts = chat(tuned_model(), [messages(task["prompt"], task["system"]) for task in tasks], **options(profile))
    rows = [{**task, "response": whole_sentences(text)} for task, text in zip(tasks, texts, strict=True)]
    by_kind = {kind: judge_rows(embedded_judge(kind), rows) for kind in KINDS}
    rows = with_sense(by_kind["both"], base_model(), FOLDER)
    for place, row in enumerate(rows):
        row["scores"] = {kind: judged[place]["score"] for kind, judged in by_kind.items()}
    return steerability(rows, resamples=0) | {"written": rows}


def worth(row: Response) -> float:
    """The row's overall score by the judge that is farthest from its target; 0 if one cannot read it."""
    scores = list(row["scores"].values())
    if None in scores or row["degenerate"]:
        return 0.0
    distance = max(abs(score - row["target"]) for score in scores)
    follows = 2 * (1 - min(1, distance / REACH))
    return harmonic_mean({name: row[name] for name in ("subject", "language")} | {"follows": follows}) or 0.0


def best(rows: list[Response]) -> list[Response]:
    """Of each prompt, rubric and target the row of most worth; none where all are worth nothing."""
    found: dict[tuple, Response] = {}
    for row in rows:
        task = (row["prompt"], row["rubric"], row["target"])
        if worth(row) > max(0.0, worth(found[task]) if task in found else 0.0):
            found[task] = row
    return list(found.values())


def chosen() -> list[Response]:
    """The best of all tries that are kept, as rows to train on: {prompt, rubric, target, response, model}."""
    tries = [row for unit in units() for row in kept_texts(NAME, unit)]
    columns = ("prompt", "rubric", "target", "response")
    return [{name: row[name] for name in columns} | {"model": "the student"} for row in best(tries)]


def assemble() -> dict:
    """What the best of 1, 2, 4 ... tries come to."""
    tries, counts = [kept_texts(NAME, unit) for unit in units()], [1]
    while 2 * counts[-1] <= TRIES:
        counts.append(2 * counts[-1])
    found = {count: best([row for rows in tries[:count] for row in rows]) for count in counts}
    return {
        "how": f"make student-texts; {TRIES} tries of {NEW_TOKENS} tokens at every training prompt, rubric and target",
        "best_of": {count: {"texts": len(rows)} | steerability(rows, resamples=0) for count, rows in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    resume(NAME, units(), run, assemble, parser.parse_args().workers)


if __name__ == "__main__":
    main()
