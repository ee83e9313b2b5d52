"""How far a judge agrees with people, and people with each other; and what marks suggest for a rubric."""

import math
import warnings
from collections import Counter

import numpy as np

from cpt_utils.marks import LEVELS, Mark, about
from cpt_utils.measures import style_measures
from cpt_utils.rows import nearest_target, target_name
from cpt_utils.ways import LEAST_EXAMPLES, Counted, Likened, rounded, says

LEAST = 4
"""Marked texts below which nothing is said: any order of three texts comes about by chance one time in six."""
LIMITS = {"tentative": 0.667, "reliable": 0.8}
"""Krippendorff's (Content Analysis, 2004): alpha below the first says that people do not mean the same."""
RESAMPLES = 1000


def level_of(score: float) -> str:
    """The level whose target a score is nearest to."""
    return target_name(nearest_target(score))


def rank_agreement(scores: list[float], points: list[float]) -> dict[str, float | None]:
    """Spearman's rho of scores and people's points {rho, low, high, n}; the interval is a bootstrap's over texts.

    Values are None where there is nothing to rank: fewer than LEAST texts, or all alike on one side.
    """
    n = len(scores)
    rho = spearman(scores, points) if n >= LEAST else None
    if rho is None:
        return {"rho": None, "low": None, "high": None, "n": n}
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    draws = _rhos(np.array(scores)[drawn], np.array(points)[drawn])
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return {"rho": rho, "low": float(low), "high": float(high), "n": n}


def spearman(scores: list[float], points: list[float]) -> float | None:
    """Spearman's rho; None where one side is all alike."""
    rho = _rhos(np.array([scores], float), np.array([points], float))[0] if len(scores) else np.nan
    return None if np.isnan(rho) else float(rho)


def _rhos(scores: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Spearman's rho of each row of two arrays (draws, texts); nan where one side is all alike."""
    from scipy.stats import rankdata

    ranks = [rankdata(side, axis=1) for side in (scores, points)]
    one, other = (side - side.mean(1, keepdims=True) for side in ranks)
    spread = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    return np.divide((one * other).sum(1), spread, out=np.full(len(spread), np.nan), where=spread > 0)


def confusion(scores: list[float], points: list[float]) -> np.ndarray:
    """Counts (level marked, level judged), both by the nearest target: (3, 3)."""
    table = np.zeros((len(LEVELS), len(LEVELS)), int)
    for score, point in zip(scores, points, strict=True):
        table[LEVELS.index(level_of(point)), LEVELS.index(level_of(score))] += 1
    return table


def kappa(scores: list[float], points: list[float]) -> float | None:
    """Cohen's kappa with quadratic weights between marked and judged levels; None where both know one level only."""
    from sklearn.metrics import cohen_kappa_score

    marked, judged = ([level_of(value) for value in values] for values in (points, scores))
    if not marked or len({*marked, *judged}) < 2:
        return None
    return float(cohen_kappa_score(marked, judged, labels=list(LEVELS), weights="quadratic"))


def farthest(scores: dict[str, float], points: dict[str, float]) -> list[tuple[str, float]]:
    """(text, score minus points) of the texts that have both, those first where judge and people part most."""
    apart = [(text, scores[text] - points[text]) for text in points if text in scores]
    return sorted(apart, key=lambda pair: -abs(pair[1]))


def alpha(marks: list[Mark]) -> float | None:
    """Krippendorff's alpha of people's marks of the same texts, ordinal (Content Analysis, 2004, section 11.3).

    None where no text was marked twice, or all marks are alike. (The packages for it are under the GPL, which this
    series is not.)
    """
    of_text: dict[str, np.ndarray] = {}  # how often each level was given
    for mark in marks:
        of_text.setdefault(mark["response"], np.zeros(len(LEVELS)))[LEVELS.index(mark["level"])] += 1
    together = np.zeros((len(LEVELS), len(LEVELS)))  # how often two people gave a text one level and the other
    for given in of_text.values():
        if given.sum() > 1:
            together += (np.outer(given, given) - np.diag(given)) / (given.sum() - 1)
    counts = together.sum(1)
    if np.count_nonzero(counts) < 2:
        return None
    upto = np.cumsum(counts) - counts / 2  # marks below the middle of each level
    apart = (upto[:, None] - upto) ** 2
    expected = (np.outer(counts, counts) * apart).sum() / (counts.sum() - 1)
    return float(1 - (together * apart).sum() / expected)


def meaning(alpha: float, n: int) -> str:
    """What an alpha of n texts says of a room, by the usual limits; of fewer than LEAST, how many are lacking."""
    if lacking := max(LEAST - n, 0):
        return f"{lacking} more {'are' if lacking > 1 else 'is'} needed"
    if alpha >= LIMITS["reliable"]:
        return "reliable"
    return "tentative" if alpha >= LIMITS["tentative"] else "people do not mean the same"


def alphas(marks: list[Mark], criteria: list[str]) -> dict[str, dict[str, float | None]]:
    """{alpha, n} of the whole texts' marks (under "") and of each criterion's; n texts have two people's marks."""
    given = {criterion: about(marks, criterion) for criterion in ("", *criteria)}
    return {criterion: {"alpha": alpha(each), "n": _shared(each)} for criterion, each in given.items()}


def _shared(marks: list[Mark]) -> int:
    """How many texts at least two people marked: of one criterion there is one mark of a person and a text."""
    return sum(people > 1 for people in Counter(mark["response"] for mark in marks).values())


def suggest_weights(table: dict[str, list[float]], points: list[float]) -> dict[str, float] | None:
    """Weights in percent under which the criteria's scores come nearest to people's points (least squares, none < 0).

    `table`: the scores of the marked texts by criterion. None where there are too few of them, all marks are alike, or
    no weights help.
    """
    from scipy.optimize import nnls

    if not table or len(points) < max(LEAST, len(table)) or len(set(points)) < 2:
        return None
    scores = np.array(list(table.values())).T  # (texts, criteria)
    fitted, _ = nnls(scores, np.array(points, float))
    if not fitted.sum():
        return None
    return dict(zip(table, (100 * fitted / fitted.sum()).tolist()))


def suggest_anchors(texts: list[str], points: list[float], measure: str | None = None) -> Counted | None:
    """The measure that ranks marked texts most as people do (or the one named), with anchors from a straight line.

    None where there are too few texts, or the measure does not change with their marks, or cannot read them.
    """
    if len(texts) < LEAST or len(set(points)) < 2:
        return None
    names = [measure] if measure else list(style_measures(""))
    names = [name for name in names if all(says(name, text) for text in texts)]
    values = {name: np.array([style_measures(text)[name] for text in texts]) for name in names}
    ranked = {name: abs(spearman(column, points) or 0.0) for name, column in values.items()}
    best = max(ranked, key=ranked.get, default=None)
    if best is None or not ranked[best]:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of a poor fit: what comes of it is looked at below
        slope, middle = np.polyfit(values[best], points, 1)
    low, high = -middle / slope if slope else math.nan, (100 - middle) / slope if slope else math.nan
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return None
    return Counted(best, *rounded(max(low, 0.0), max(high, 0.0))) if max(low, high) > 0 else None


def suggest_examples(points: dict[str, float], most: int = 4) -> Likened | None:
    """The marked texts of both ends as examples, the clearest first; None where an end has fewer than two."""
    ends = {}
    for end, sign in (("low", 1), ("high", -1)):
        mine = sorted((text for text in points if level_of(points[text]) == end), key=lambda t: sign * points[t])
        ends[end] = tuple(mine[:most])
    return Likened(**ends) if min(map(len, ends.values())) >= LEAST_EXAMPLES else None
