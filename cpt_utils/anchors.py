"""A judge made by hand, for a rubric that has no graded texts."""

import numpy as np

from cpt_utils.judging import UNREADABLE, Judgement
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import JudgeError
from cpt_utils.ways import Counted, Way, flaw


class AnchorJudge:
    """A judge made by hand, for a rubric without graded texts: one way to score for each criterion (ways.py).

    `anchors` maps each criterion's name to a way, or to (measure, value worth 0, value worth 100): a style measure
    that is counted. Between the two values the score moves in a straight line, beyond them it stays. The whole is
    weighed as the rubric says. It sees only what it counts.
    """

    def __init__(self, rubric: Rubric, anchors: dict[str, tuple[str, float, float] | Way]):
        self.rubric = rubric
        names = {criterion.name for criterion in rubric.criteria}
        if odd := names ^ set(anchors):
            raise JudgeError(
                f"Criteria and anchors must have the same names, and {sorted(odd)[0]!r} is only in one of them."
            )
        self.ways = {name: _way(name, anchor).checked(name) for name, anchor in anchors.items()}

    def score(self, rubric: str | Rubric, prompt: str, response: str) -> Judgement:
        """Judge one response by the weights of `rubric` (a name: those it was made with)."""
        name = getattr(rubric, "name", rubric)
        if name != self.rubric.name:
            raise JudgeError(f"This judge knows the rubric {self.rubric.name!r} only, not {name!r}.")
        reason = flaw(response)
        if reason == "empty":
            return Judgement(0.0, True, reason=reason)
        scores = {criterion: way.scores([response])[0] for criterion, way in self.ways.items()}
        if None in scores.values():
            return Judgement(None, bool(reason), reason=reason or UNREADABLE)
        criteria = (self.rubric if isinstance(rubric, str) else rubric).criteria
        total = sum(c.weight * scores[c.name] for c in criteria) / 100
        return Judgement(float(np.clip(total, 0, 100)), bool(reason), scores, reason)


def _way(name: str, anchor) -> Way:
    """A way as it is; (measure, low, high) as a counted one."""
    if isinstance(anchor, Way):
        return anchor
    if not isinstance(anchor, (tuple, list)) or len(anchor) != 3:
        raise JudgeError(f"{name!r}: an anchor is (measure, value worth 0, value worth 100), and this is {anchor!r}.")
    return Counted(*anchor)
