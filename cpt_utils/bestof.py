"""Best-of-N: let a weak teacher try often, and keep for each target the try that comes nearest to it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cpt_utils.degenerate import degeneracy
from cpt_utils.generation import generate_responses
from cpt_utils.judging import judge_rows
from cpt_utils.prompts import teacher_messages
from cpt_utils.rows import Response, Task
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import CutOffError, EndpointError, PairError
from cpt_utils.teachers import Teacher

MISS = 100.0
"""The distance that a degenerate text counts as, in points: it has missed every target."""


def fingerprint(*parts) -> str:
    """Eight letters that stand for what a teacher is told: in a file's name, they keep old answers out."""
    return files.json_hash(parts, 8)


def whole_sentences(text: str) -> str:
    """The text up to its last finished sentence; all of it if no sentence is finished."""
    ends = [match.end() for match in re.finditer(r"[.!?…]+[\"'”’)\]]*(?=\s|$)", text)]
    return text[: ends[-1]].strip() if ends else text.strip()


def candidates(
    attempt: Callable[[int], Teacher],
    tasks: list[Task],
    n: int,
    judge,
    path: Path,
    to_messages=teacher_messages,
) -> list[Response]:
    """`n` judged tries at every task {prompt, rubric, target}: rows with attempt, score, degenerate added.

    `attempt(i)` is the teacher of try i = 1..n. A local model needs another seed for each; an endpoint
    samples afresh anyway. Every try is a row of the JSONL file `path`, its model named "...#i", so a
    stopped run goes on and a larger `n` asks only for what is new. Texts that the token limit cut off
    end at their last whole sentence.
    """
    rows = []
    for i in range(1, n + 1):
        teacher = attempt(i)

        def answer(conversations: list, ask=teacher.texts) -> list[str | EndpointError]:
            # An answer that is empty or cut off is a bad try, not a fault: the same seed would give it again.
            given = ("" if isinstance(one, CutOffError) else one or "" for one in ask(conversations))
            return [one if isinstance(one, EndpointError) else one.strip() or "(no answer)" for one in given]

        numbered = replace(teacher, name=f"{teacher.name}#{i}", answer=answer)
        for row in generate_responses(numbered, tasks, path, to_messages):
            rows.append({**row, "attempt": i, "response": whole_sentences(row["response"])})
    return judge_rows(judge, rows)


def nearest(rows: list[Response]) -> list[Response]:
    """For each (prompt, rubric) and target, the candidate whose score is nearest to it.

    All candidates of a prompt compete for all of its targets, whatever they were asked for (`asked_target`);
    none is taken twice, and no degenerate or unjudged one. A prompt with too few candidates is left out.
    """
    groups: dict[tuple, list[Response]] = {}
    for row in rows:
        groups.setdefault((row["prompt"], row["rubric"]), []).append(row)
    chosen = []
    for group in groups.values():
        targets = list(dict.fromkeys(row["target"] for row in group))
        fine = {row["response"]: row for row in group if not row["degenerate"] and row["score"] is not None}
        places = sorted(
            ((abs(row["score"] - target), text, target) for text, row in fine.items() for target in targets),
            key=lambda place: place[0],
        )
        taken: dict[int, Response] = {}
        for distance, text, target in places:
            if target not in taken and text in fine:
                row = fine.pop(text)
                taken[target] = {**row, "asked_target": row["target"], "target": target, "distance": distance}
        if len(taken) == len(targets):
            chosen += [taken[target] for target in targets]
    return chosen


def best_of_n(
    attempt: Callable[[int], Teacher],
    tasks: list[Task],
    n: int,
    judge,
    path: Path,
    to_messages=teacher_messages,
    gains: Callable[[list[str]], np.ndarray] | None = None,
) -> tuple[list[Response], list[Response]]:
    """The chosen rows (nearest) and all candidates: `n` tries at every task, see candidates.

    `gains(texts)`, for instance sense.order_gains of a model: a chosen text whose words might as well stand in any
    order is marked degenerate, and its place goes to the next. Only chosen texts are asked about, as this is dear.
    """
    pool = candidates(attempt, tasks, n, judge, path, to_messages)
    chosen = nearest(pool)
    while gains and chosen:
        found = gains([row["response"] for row in chosen])
        salads = {row["response"] for row, gain in zip(chosen, found.tolist()) if degeneracy(row["response"], gain)}
        if not salads:
            break
        pool = [{**row, "degenerate": row["degenerate"] or row["response"] in salads} for row in pool]
        chosen = nearest(pool)
    if not chosen:
        broken = np.mean([row["degenerate"] for row in pool])
        raise PairError(
            f"No prompt has a usable text for every target ({broken:.0%} of {len(pool)} are degenerate): "
            "raise n or max_new_tokens, or ask the teacher in other words."
        )
    return chosen, pool


def score_table(pool: list[Response]) -> tuple[np.ndarray, np.ndarray]:
    """Scores (tasks, tries) and targets (tasks,), as evaluation.best_of_n takes them; degenerate texts MISS."""
    tasks: dict[tuple, list[float]] = {}
    for row in pool:
        broken = row["degenerate"] or row["score"] is None
        key = (row["prompt"], row["rubric"], row["target"])
        tasks.setdefault(key, []).append(row["target"] + MISS if broken else row["score"])
    return np.array(list(tasks.values())), np.array([target for *_, target in tasks])
