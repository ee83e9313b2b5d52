"""Judges that work offline: texts to scores."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cpt_utils.measures import repetition, style_measures, words_of
from cpt_utils.rows import Response
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import JudgeError


@dataclass(frozen=True)
class Judgement:
    """A score of 0-100 (None: no answer), whether the text is degenerate and why, and criterion scores."""

    score: float | None
    degenerate: bool
    by_criterion: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def degeneracy(text: str) -> str:
    """Why a text is no real answer: "empty", "repetition", "keyword salad", or "" if it is fine."""
    words = words_of(text)
    if len(words) < 8:
        return "empty"
    if repetition(text, 3) > 0.25 or len(set(words)) / len(words) ** 0.9 < 0.55:
        return "repetition"
    measures = style_measures(text)
    marks = measures["punctuation"] + measures["line_breaks"]
    if measures["function"] < 8 and marks < 4:
        return "keyword salad"
    return ""


class StyleJudge:
    """Scores style from measures: one ridge regression per rubric, and one per criterion.

    Fitted on rows {rubric, target, response}. The score comes from the regression over all measures;
    a criterion's regression sees only the measures named for it in `judge_measures.yaml`.
    """

    def __init__(self, rows: list[Response], alpha: float = 30.0):
        from cpt_utils.runtime.files import load_data

        self.parts: dict[str, dict[str, list[str]]] = load_data("judge_measures.yaml")
        self.models = {}
        for rubric in sorted({row["rubric"] for row in rows}):
            mine = [row for row in rows if row["rubric"] == rubric]
            targets = np.array([row["target"] for row in mine], float)
            measures = [style_measures(row["response"]) for row in mine]
            subsets = {"": list(measures[0])} | self.parts.get(rubric, {})
            self.models[rubric] = {
                name: (names, _stretched_ridge(_matrix(measures, names), targets, alpha))
                for name, names in subsets.items()
            }

    def score(self, rubric: str | Rubric, prompt: str, response: str) -> Judgement:
        """Judge one response; `prompt` is not used, as style shows in the text alone."""
        name = getattr(rubric, "name", rubric)
        if name not in self.models:
            raise JudgeError(f"The judge knows no rubric {name!r}, only {', '.join(self.models)}.")
        reason = degeneracy(response)
        if reason == "empty":
            return Judgement(0.0, True, reason=reason)
        measures = [style_measures(response)]
        scores = {
            part: float(np.clip(model(_matrix(measures, names))[0], 0, 100))
            for part, (names, model) in self.models[name].items()
        }
        return Judgement(scores.pop(""), bool(reason), scores, reason)


def _matrix(measures: list[dict[str, float]], names: list[str]) -> np.ndarray:
    values = np.array([[m[name] for name in names] for m in measures])
    return np.sign(values) * np.log1p(np.abs(values))


def _stretched_ridge(features: np.ndarray, targets: np.ndarray, alpha: float) -> Callable:
    """Ridge on standardised features; predictions stretched about their mean to the targets' spread."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ridge = make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(features, targets)
    fitted = ridge.predict(features)
    slope = np.cov(fitted, targets)[0, 1] / max(fitted.var(ddof=1), 1e-9)
    # A measure far outside what the fit has seen must not run away with the score.
    low, high = features.min(0), features.max(0)
    middle = targets.mean()
    return lambda x: middle + slope * (ridge.predict(np.clip(x, low, high)) - middle)


@functools.cache
def embedded_judge() -> StyleJudge:
    """The offline judge, fitted on the recorded responses to the training prompts (about a second)."""
    from cpt_utils.prompts import load_responses

    return StyleJudge(load_responses(heldout=False))


class AnchorJudge:
    """A judge made by hand, for a rubric without graded texts: one style measure per criterion.

    `anchors` maps each criterion's name to (measure, value worth 0, value worth 100). Between the two the
    score moves in a straight line, beyond them it stays; the second may be the smaller one. The whole is
    weighed as the rubric says. It sees only what it counts.
    """

    def __init__(self, rubric: Rubric, anchors: dict[str, tuple[str, float, float]]):
        self.rubric, self.anchors, known = rubric, anchors, style_measures("")
        names = {criterion.name for criterion in rubric.criteria}
        if odd := names ^ set(anchors):
            raise JudgeError(
                f"Criteria and anchors must have the same names, and {sorted(odd)[0]!r} is only in one of them."
            )
        for name, (measure, low, high) in anchors.items():
            if measure not in known:
                raise JudgeError(f"{name!r}: there is no measure {measure!r}, only {', '.join(known)}.")
            if low == high:
                raise JudgeError(f"{name!r}: both anchors are {low:g}; they must differ.")

    def score(self, rubric: str | Rubric, prompt: str, response: str) -> Judgement:
        """Judge one response by the weights of `rubric` (a name: those it was made with)."""
        name = getattr(rubric, "name", rubric)
        if name != self.rubric.name:
            raise JudgeError(f"This judge knows the rubric {self.rubric.name!r} only, not {name!r}.")
        reason = degeneracy(response)
        if reason == "empty":
            return Judgement(0.0, True, reason=reason)
        measures = style_measures(response)
        scores = {
            criterion: float(np.clip(100 * (measures[measure] - low) / (high - low), 0, 100))
            for criterion, (measure, low, high) in self.anchors.items()
        }
        criteria = (self.rubric if isinstance(rubric, str) else rubric).criteria
        total = sum(c.weight * scores[c.name] for c in criteria) / 100
        return Judgement(float(np.clip(total, 0, 100)), bool(reason), scores, reason)


def judge_rows(judge, rows: list[Response]) -> list[Response]:
    """The rows {rubric, prompt, response} with score and degenerate added, in their order.

    A judge that asks another model does so about all of them at a time (llm_judging.LLMJudge.score_all).
    """
    score_all = getattr(judge, "score_all", None)
    if score_all:
        judged = score_all(rows)
    else:
        judged = [judge.score(row["rubric"], row["prompt"], row["response"]) for row in rows]
    return [{**row, "score": j.score, "degenerate": j.degenerate} for row, j in zip(rows, judged)]
