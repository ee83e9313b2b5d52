"""The rows that go from notebook 02 to 05, and what their words mean everywhere.

A target is a number asked for, of 0 to 100. A score is a number judged, on the same scale. A level is a step of a
criterion's ladder in a rubric (rubrics.LEVEL_SCORES). A qualifier is the Hub's free text for a target, such as
"a very high score": it is read once, on loading (hub_data).
"""

import re
from typing import NotRequired, TypedDict

from cpt_utils.runtime.errors import PairError

TARGETS = {"low": 10, "mid": 50, "high": 95}
"""The three targets of the series, out of 100, by their names."""

_NAMES = {target: name for name, target in TARGETS.items()}
_PATTERNS = {
    "mid": r"\b50\s*/\s*100\b|\bmid\b|\bmedium\b",
    "high": r"\bhigh(er|est|ly)?\b",
    "low": r"\blow(er|est)?\b",
}
_DENIED = re.compile(
    r"\b(?:not?|non|never|neither|nor|without|hardly|barely|scarcely|cannot|\w+n['’]t|far from|anything but"
    r"|rather than|instead of|less than|below|under|none|nowhere|rarely|seldom|except|exclud\w+|other than|apart from"
    r"|opposite|contrary|unlike|avoid\w*|lack\w*)\b.*?(?=\bbut\b|[,;.:()—–]|$)",
    re.DOTALL,
)
"""From a denial to the end of its clause: what is named there is not meant."""


class Task(TypedDict):
    """What is asked for: a response to `prompt` in the style of `rubric`, at `target`."""

    prompt: str
    rubric: str
    target: int
    system: NotRequired[str]  # evaluation: the system prompt, which says the same to a student


class Response(Task):
    """A response and the task that it answers; later steps add what is not required."""

    response: str
    model: NotRequired[str]  # who wrote it: always there in files
    asked: NotRequired[str]  # generation, in files only: a hash of the messages that it answers
    sample: NotRequired[int]  # evaluation: which answer to the task, from 0
    attempt: NotRequired[int]  # best-of-N: which try at the task, from 1
    score: NotRequired[float | None]  # judging; None: the judge gave no answer
    degenerate: NotRequired[bool]  # judging
    asked_target: NotRequired[int]  # best-of-N: the target that it was written for; `target` is the one it serves
    distance: NotRequired[float]  # best-of-N: between score and target, in points


class PreferenceRow(TypedDict):
    """Two responses to one conversation, of which the first is preferred (pairs.build_mirrored_pairs).

    `prompt` holds a system and a user message, and from data sets of the Hub also the turns before it; `chosen` and
    `rejected` hold an assistant's each. The two rows of a pair share their `pair_id`. Targets are None where a data
    set of the Hub does not name them.
    """

    prompt: list[dict]
    chosen: list[dict]
    rejected: list[dict]
    rubric: str
    chosen_target: int | None
    rejected_target: int | None
    pair_id: str
    ref_chosen_logps: NotRequired[float]  # logps.with_reference: of the whole response under the reference, in nats
    ref_rejected_logps: NotRequired[float]


def target_of(target: int | float | str) -> int:
    """A target as a number, given as such, by name ("high") or by the Hub's qualifier ("a score of 50/100").

    Raises PairError if it is none.
    """
    number = str(target).strip().removesuffix(".0")  # tables and CSV files make 95.0 or "95" of it
    if number.isdecimal() and len(number) < 10 and int(number) <= 100:
        return int(number)
    meant = _DENIED.sub(" ", str(target).lower())
    named = [name for name, pattern in _PATTERNS.items() if re.search(pattern, meant)]
    if named[:1] == ["mid"] or len(named) == 1:  # "50/100, between low and high" is 50
        return TARGETS[named[0]]
    raise PairError(
        f"Qualifier {target!r} names no target: it needs one of 'low', 'high' or '50/100', without a 'not'."
    )


def can_be_answered(roles: list) -> bool:
    """Whether turns by these roles wait for an answer: one system turn at most, then user and assistant in turn."""
    rest = roles[roles[:1] == ["system"] :]
    return len(rest) % 2 == 1 and rest == (["user", "assistant"] * len(rest))[: len(rest)]


def target_name(target: int) -> str:
    """The name of a target ("high" for 95), or the number as text if it has none."""
    return _NAMES.get(target, str(target))


def nearest_target(score: float) -> int:
    """The target a score is nearest to."""
    return min(TARGETS.values(), key=lambda target: abs(target - score))
