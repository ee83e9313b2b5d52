"""The shipped prompts, system prompts and recorded responses, and the words that we send to teachers."""

import re

from cpt_utils.rubrics import Rubric, load_rubric, shipped_rubrics
from cpt_utils.runtime.errors import PairError, PromptError
from cpt_utils.runtime.files import load_data

TARGETS = {"low": 10, "mid": 50, "high": 95}
"""Target scores out of 100, by the qualifier that the data sets use."""


def load_prompts(heldout: bool | None = None) -> list[dict]:
    """Prompts as {id, kind, heldout, prompt}: all (None), the training ones, or the held-out ones."""
    return [p for p in load_data("prompts.yaml") if heldout is None or p["heldout"] == heldout]


def load_responses(heldout: bool | None = None) -> list[dict]:
    """The recorded teacher's rows {prompt, rubric, qualifier, response, model}, filtered like prompts."""
    wanted = {p["prompt"] for p in load_prompts(heldout)}
    return [dict(row) for row in load_data("responses.jsonl") if row["prompt"] in wanted]


def system_prompt(rubric: str, qualifier: str, paraphrase: bool = False) -> str:
    """The short system prompt s for a shipped rubric and target; paraphrases serve evaluation only."""
    try:
        return load_data("system_prompts.yaml")[rubric][qualifier]["paraphrase" if paraphrase else "prompt"]
    except (KeyError, TypeError):
        raise PromptError(
            f"There is no system prompt for ({rubric!r}, {qualifier!r}): rubrics are "
            f"{', '.join(shipped_rubrics())}, qualifiers {', '.join(TARGETS)}."
        ) from None


def _target(qualifier: str) -> int:
    if qualifier not in TARGETS:
        raise PromptError(f"There is no target {qualifier!r}: use one of {', '.join(TARGETS)}.")
    return TARGETS[qualifier]


def messages(user: str, system: str | None = None) -> list[dict]:
    """A conversation of one user turn, with a system prompt if there is one."""
    turns = [{"role": "system", "content": system}] if system else []
    return [*turns, {"role": "user", "content": user}]


def teacher_messages(prompt: str, rubric: str | Rubric, qualifier: str) -> list[dict]:
    """Ask a teacher for a response to `prompt` that would get the target score under the rubric."""
    rubric = load_rubric(rubric) if isinstance(rubric, str) else rubric
    return messages(
        f"Task: {prompt}\n\nWrite one response of 45 to 95 words that would score "
        f"{_target(qualifier)} out of 100 under the rubric, neither more nor less. Stay on the task's "
        "subject. Do not mention the rubric or the score. Give the response only.",
        f"You write texts that match a rubric at a requested level.\n\n{rubric.to_markdown()}",
    )


def summary_messages(rubric: str | Rubric, qualifier: str) -> list[dict]:
    """Ask a teacher to compress (rubric, target) into a system prompt s (arXiv 2506.11702, section 3)."""
    rubric = load_rubric(rubric) if isinstance(rubric, str) else rubric
    return messages(
        f"{rubric.to_markdown()}\n\nWrite a system prompt of at most 40 words that tells a writer how a "
        f"text scoring {_target(qualifier)} out of 100 reads. Describe the style itself; name neither the "
        "rubric nor the score. Give the system prompt only."
    )


def target_of(qualifier: str) -> int:
    """Target score of a qualifier: ours ("low"), or free text with "high", "low" or "50/100" in it."""
    words = {"mid": r"\b50\s*/\s*100\b|\bmid\b|\bmedium\b", "high": r"\bhigh(er|est|ly)?\b", "low": r"\blow(er|est)?\b"}
    for name, pattern in words.items():
        if re.search(pattern, qualifier.lower()):
            return TARGETS[name]
    raise PairError(f"Qualifier {qualifier!r} names no target: it needs 'low', 'high' or '50/100'.")
