"""A judge made by hand, for a rubric that has no graded texts."""

import math

import numpy as np

from cpt_utils.degenerate import degeneracy, readable
from cpt_utils.judging import UNREADABLE, Judgement
from cpt_utils.measures import ENGLISH, style_measures
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import JudgeError


class AnchorJudge:
    """A judge made by hand, for a rubric without graded texts: one style measure per criterion.

    `anchors` maps each criterion's name to (measure, value worth 0, value worth 100). Between the two the
    score moves in a straight line, beyond them it stays; the second may be the smaller one. The whole is
    weighed as the rubric says. It sees only what it counts.
    """

    def __init__(self, rubric: Rubric, anchors: dict[str, tuple[str, float, float]]):
        self.rubric, known = rubric, style_measures("")
        names = {criterion.name for criterion in rubric.criteria}
        if odd := names ^ set(anchors):
            raise JudgeError(
                f"Criteria and anchors must have the same names, and {sorted(odd)[0]!r} is only in one of them."
            )
        self.anchors = {name: _numbers(name, anchor) for name, anchor in anchors.items()}
        for name, (measure, low, high) in self.anchors.items():
            if measure not in known:
                raise JudgeError(f"{name!r}: there is no measure {measure!r}, only {', '.join(known)}.")
            if low == high:
                raise JudgeError(f"{name!r}: both anchors are {low:g}; they must differ.")
        self.english = bool(ENGLISH & {measure for measure, *_ in self.anchors.values()})

    def score(self, rubric: str | Rubric, prompt: str, response: str) -> Judgement:
        """Judge one response by the weights of `rubric` (a name: those it was made with)."""
        name = getattr(rubric, "name", rubric)
        if name != self.rubric.name:
            raise JudgeError(f"This judge knows the rubric {self.rubric.name!r} only, not {name!r}.")
        reason = degeneracy(response)
        if reason == "empty":
            return Judgement(0.0, True, reason=reason)
        if self.english and not readable(response):
            return Judgement(None, bool(reason), reason=reason or UNREADABLE)
        measures = style_measures(response)
        scores = {
            criterion: float(np.clip(100 * (measures[measure] - low) / (high - low), 0, 100))
            for criterion, (measure, low, high) in self.anchors.items()
        }
        criteria = (self.rubric if isinstance(rubric, str) else rubric).criteria
        total = sum(c.weight * scores[c.name] for c in criteria) / 100
        return Judgement(float(np.clip(total, 0, 100)), bool(reason), scores, reason)


def _numbers(name: str, anchor) -> tuple[str, float, float]:
    """The anchor of a criterion with its two values as numbers, or a JudgeError."""
    try:
        measure, low, high = anchor
        values = float(low), float(high)
    except (TypeError, ValueError):
        values = (float("nan"),)
    if not all(map(math.isfinite, values)):
        raise JudgeError(f"{name!r}: an anchor is (measure, value worth 0, value worth 100), and this is {anchor!r}.")
    return measure, *values
