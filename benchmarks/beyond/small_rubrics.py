"""Sixteen small rubrics: two system prompts each, and short texts for low and high on twelve shared prompts."""

import functools
import json
import random
from pathlib import Path

import yaml

from cpt_utils.rows import TARGETS, Response, target_name

DATA = Path(__file__).parent / "data"


@functools.cache
def small_rubrics() -> dict[str, dict]:
    """Name -> {title, low, high}, of which low and high hold a system prompt and its paraphrase."""
    return yaml.safe_load((DATA / "small_rubrics.yaml").read_text("utf-8"))


def small_responses(names: list[str] | None = None) -> list[Response]:
    """Rows {prompt, rubric, target, response, model} of all small rubrics, or of some; targets are low and high."""
    lines = (DATA / "small_rubrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if names is None or row["rubric"] in names]


def small_system_prompt(rubric: str, target: int, paraphrase: bool = False) -> str:
    """The system prompt of a small rubric for the target 10 or 95."""
    return small_rubrics()[rubric][target_name(target)]["paraphrase" if paraphrase else "prompt"]


def drawn(count: int, seed: int) -> list[str]:
    """So many small rubrics, drawn by the seed; a larger count holds those of a smaller one."""
    return random.Random(seed).sample(sorted(small_rubrics()), len(small_rubrics()))[:count]


def likeness(judge) -> dict[str, dict[str, float]]:
    """Mean score of each small rubric's high texts under each of the judge's rubrics: how unlike they are."""
    scores: dict[str, dict[str, list[float]]] = {}
    for row in small_responses():
        if row["target"] == TARGETS["high"]:
            for rubric in sorted(judge.models):
                score = judge.score(rubric, row["prompt"], row["response"]).score
                if score is not None:
                    scores.setdefault(row["rubric"], {}).setdefault(rubric, []).append(score)
    return {name: {rubric: sum(found) / len(found) for rubric, found in mine.items()} for name, mine in scores.items()}
