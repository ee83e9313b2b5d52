"""Judges that work offline: texts to scores, from style measures, from sentence embeddings, or from both."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cpt_utils.degenerate import degeneracy, readable
from cpt_utils.measures import style_matrix, style_measures
from cpt_utils.rows import TARGETS, Response
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import JudgeError

KINDS = ("style", "meaning", "both")
FEATURES = "judge_features.safetensors"
FOREIGN = "none"
"""The `rubric` of texts that have none of the styles."""
ALPHA = 100.0
OTHERS_WEIGHT = 0.1
"""What a text of another style counts in a rubric's fit."""
MEANING_WEIGHT = 0.5
"""What a dimension of the embedding counts beside a style measure. All three: by cross-validation over prompts."""
UNREADABLE = "not English, and this judge reads nothing else"


@dataclass(frozen=True)
class Judgement:
    """A score of 0-100 (None: no answer), whether the text is degenerate and why, and criterion scores."""

    score: float | None
    degenerate: bool
    by_criterion: dict[str, float] = field(default_factory=dict)
    reason: str = ""


class FittedJudge:
    """Scores style by one ridge regression per rubric, and one per criterion, fitted on graded texts.

    Rows {rubric, target, response}; a rubric's regression also sees the other rubrics' texts and foreign ones, all as
    texts without the style, so that it learns its own style and not ornament in general. `kind`: the features are
    style measures ("style"), sentence embeddings ("meaning") or both. A criterion's regression always sees the
    measures named for it in `judge_measures.yaml` only. `embeddings`: (rows, 384), if they are at hand.
    """

    def __init__(self, rows: list[Response], kind: str = "both", embeddings: np.ndarray | None = None):
        from cpt_utils.runtime.files import load_data

        if kind not in KINDS:
            raise JudgeError(f"There is no judge of kind {kind!r}: use one of {', '.join(KINDS)}.")
        self.kind, names = kind, list(style_measures(""))
        self.parts: dict[str, dict[str, list[str]]] = load_data("judge_measures.yaml")
        measures = style_matrix([row["response"] for row in rows])
        features = self._features(measures, [row["response"] for row in rows], embeddings)
        rubrics, targets = np.array([row["rubric"] for row in rows]), np.array([row["target"] for row in rows], float)
        weights = np.ones(features.shape[1])
        if kind == "both":
            weights[measures.shape[1] :] = MEANING_WEIGHT
        self.models, self.criteria = {}, {}
        for rubric in sorted(set(rubrics) - {FOREIGN}):
            own = rubrics == rubric
            self.models[rubric] = _stretched_ridge(features, targets, own, weights)
            self.criteria[rubric] = {}
            for part, chosen in self.parts.get(rubric, {}).items():
                columns = [names.index(name) for name in chosen]
                fitted = _stretched_ridge(measures[own][:, columns], targets[own], own[own], np.ones(len(columns)))
                self.criteria[rubric][part] = columns, fitted

    def score(self, rubric: str | Rubric, prompt: str, response: str) -> Judgement:
        """Judge one response; `prompt` is not used, as style shows in the text alone."""
        name = getattr(rubric, "name", rubric)
        if name not in self.models:
            raise JudgeError(f"The judge knows no rubric {name!r}, only {', '.join(self.models)}.")
        reason = degeneracy(response)
        if reason == "empty":
            return Judgement(0.0, True, reason=reason)
        if not readable(response):
            return Judgement(None, bool(reason), reason=reason or UNREADABLE)
        measures = style_matrix([response])
        score = self.models[name](self._features(measures, [response]))
        parts = self.criteria[name].items()
        by_criterion = {part: float(model(measures[:, columns])[0]) for part, (columns, model) in parts}
        return Judgement(float(score[0]), bool(reason), by_criterion, reason)

    def _features(self, measures: np.ndarray, texts: list[str], embeddings: np.ndarray | None = None) -> np.ndarray:
        """What the judge of this kind sees: (texts, features)."""
        if self.kind == "style":
            return measures
        if embeddings is None:
            from cpt_utils.models.embedding import embedder

            embeddings = embedder()(texts)
        return embeddings if self.kind == "meaning" else np.hstack([measures, embeddings])


def _stretched_ridge(features: np.ndarray, targets: np.ndarray, own: np.ndarray, weights: np.ndarray) -> Callable:
    """Ridge on standardised features; predictions stretched about their mean to the own texts' spread of targets.

    `own`: which rows are of the style; all others count as texts without it, and less. `weights`: of the features.
    """
    from sklearn.linear_model import Ridge

    low, high = features.min(0), features.max(0)
    centre, spread = features.mean(0), features.std(0) + 1e-9

    def scaled(x: np.ndarray) -> np.ndarray:
        # A measure far outside what the fit has seen must not run away with the score.
        return (np.clip(x, low, high) - centre) / spread * weights

    wanted = np.where(own, targets, min(TARGETS.values()))
    ridge = Ridge(alpha=ALPHA).fit(scaled(features), wanted, np.where(own, 1.0, OTHERS_WEIGHT))
    predicted = ridge.predict(scaled(features[own]))
    slope = np.cov(predicted, targets[own])[0, 1] / max(predicted.var(ddof=1), 1e-9)

    def score(x: np.ndarray) -> np.ndarray:
        return np.clip(targets[own].mean() + slope * (ridge.predict(scaled(x)) - predicted.mean()), 0, 100)

    return score


@functools.cache
def embedded_judge(kind: str = "both") -> FittedJudge:
    """The series' judge of that kind, fitted on the graded texts of the package (some seconds, once a process)."""
    from cpt_utils.prompts import graded_texts
    from cpt_utils.runtime.files import load_arrays

    return FittedJudge(graded_texts(), kind, load_arrays(FEATURES)["embeddings"].astype(np.float32))


def judge_rows(judge, rows: list[Response]) -> list[Response]:
    """The rows {rubric, prompt, response} with score and degenerate added, in their order."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row.get("response"), str):
            kind = type(row.get("response")).__name__
            raise JudgeError(f"Row {number} of {len(rows)} has no text under 'response' but {kind}: fill or drop it.")
    judged = judgements(judge, rows)
    return [{**row, "score": j.score, "degenerate": j.degenerate} for row, j in zip(rows, judged)]


def judgements(judge, rows: list[Response]) -> list[Judgement]:
    """The judgement of each row {rubric, prompt, response}.

    A judge that asks another model does so about all of them at a time (llm_judging.LLMJudge.score_all).
    """
    if score_all := getattr(judge, "score_all", None):
        return score_all(rows)
    return [judge.score(row["rubric"], row.get("prompt", ""), row["response"]) for row in rows]
