"""A judge made by hand, for a rubric that has no graded texts."""

from pathlib import Path

import numpy as np

from cpt_utils.degenerate import degeneracy
from cpt_utils.judging import UNREADABLE, Judgement
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.reading import Reading, bound
from cpt_utils.rows import Response
from cpt_utils.rubrics import Criterion, Rubric
from cpt_utils.runtime.errors import JudgeError, brief
from cpt_utils.runtime.places import at_home
from cpt_utils.ways import WAYS, Counted, Way, write_ways


class AnchorJudge:
    """A judge made by hand, for a rubric without graded texts: one way to score for each criterion (ways.py).

    `anchors` maps each criterion's name to a way, or to (measure, value worth 0, value worth 100): a style measure
    that is counted. Between the two values the score moves in a straight line, beyond them it stays. The whole is
    weighed as the rubric says; a criterion of weight 0 may lack a score. It sees only what it counts. Criteria that a
    chat model reads (ways.Read) need that model among the `readers`: they are asked what has no verdict yet, and
    nothing by a criterion of weight 0.
    """

    def __init__(
        self, rubric: Rubric, anchors: dict[str, tuple[str, float, float] | Way], readers: "list[LLMJudge]" = ()
    ):
        self.rubric = rubric
        names = [criterion.name for criterion in rubric.criteria]
        if set(names) != set(anchors):
            raise JudgeError(
                f"The judge of {rubric.title} needs an anchor for each criterion ({', '.join(names)}), and has them "
                f"for {', '.join(map(str, anchors)) or 'none'}: give each criterion one, under its name."
            )
        self.said = {name: _way(name, anchor).checked(name) for name, anchor in anchors.items()}
        self.tasks: dict[str, str] = {}
        self.ways = bound(rubric, self.said, {reader.teacher.name: reader for reader in readers}, self.tasks)

    def score(self, rubric: str | Rubric, prompt: str, response: str) -> Judgement:
        """Judge one response by the weights of `rubric` (a name: those it was made with)."""
        name = getattr(rubric, "name", rubric)
        if name != self.rubric.name:
            raise JudgeError(f"This judge knows the rubric {self.rubric.name!r} only, not {name!r}.")
        reason = degeneracy(response)
        if reason == "empty":
            return Judgement(0.0, True, reason=reason)
        self.tasks[response] = prompt
        weighed = self._weighed(rubric)
        idle = self.ways.keys() - {c.name for c in weighed}
        scores = {
            name: way.at_hand(response) if name in idle and isinstance(way, Reading) else way.scores([response])[0]
            for name, way in self.ways.items()
        }
        if any(scores[c.name] is None for c in weighed):
            reading = [way for c in weighed if isinstance(way := self.ways[c.name], Reading)]
            unread = [why for way in reading for why in way.unclear([response])]
            return Judgement(None, bool(reason), reason=reason or (unread or [UNREADABLE])[0])
        total = sum(c.weight * scores[c.name] for c in weighed) / 100
        known = {name: score for name, score in scores.items() if score is not None}
        return Judgement(float(np.clip(total, 0, 100)), bool(reason), known, reason)

    def score_all(self, rows: list[Response]) -> list[Judgement]:
        """Judge rows {rubric, prompt, response}; readers are asked about many at a time."""
        self.tasks |= {row["response"]: row.get("prompt", "") for row in rows}
        whole = [row for row in rows if degeneracy(row["response"]) != "empty"]
        for name, way in self.ways.items():
            if isinstance(way, Reading):
                way.ask([r["response"] for r in whole if name in (c.name for c in self._weighed(r["rubric"]))])
        return [self.score(row["rubric"], row.get("prompt", ""), row["response"]) for row in rows]

    def _weighed(self, rubric: str | Rubric) -> list[Criterion]:
        """The criteria that weigh something: no chat model is asked for the others."""
        return [c for c in (self.rubric if isinstance(rubric, str) else rubric).criteria if c.weight]

    def save(self, path: Path | str) -> None:
        """Write how the criteria are scored beside the rubric's file, where studio and desk find it."""
        write_ways(at_home(path).with_suffix(WAYS), self.said)


def _way(name: str, anchor) -> Way:
    """A way as it is; (measure, low, high) as a counted one."""
    if isinstance(anchor, Way):
        return anchor
    if not isinstance(anchor, (tuple, list)) or len(anchor) != 3:
        raise JudgeError(
            f"{name!r}: an anchor is (measure, value worth 0, value worth 100), and this is {brief(anchor)}."
        )
    return Counted(*anchor)
