"""Checks of the exercises in notebook 05: what to make of judged texts."""

import math

import numpy as np

from cpt_utils.exercises.checking import call, compare, exercise
from cpt_utils.rows import TARGETS
from cpt_utils.runtime.errors import Mistake


def judged(targets: list, scores: list, degenerate=(), rubric: str = "rococo") -> list[dict]:
    """Rows {rubric, target, score, degenerate}; `degenerate` holds the places of degenerate texts."""
    return [
        {"rubric": rubric, "target": target, "score": float(score), "degenerate": place in degenerate}
        for place, (target, score) in enumerate(zip(targets, scores))
    ]


@exercise("return a share.", "a degenerate text stays in the count and never counts as right.")
def check_accuracy(accuracy):
    """accuracy(rows): share of rows whose score is nearest to their target and that are not degenerate."""

    def nearest(score):
        return min(TARGETS.values(), key=lambda target: abs(target - score))

    def hits(rows, near=nearest):
        return [near(row["score"]) == row["target"] for row in rows]

    def right(rows, near=nearest):
        return np.mean([hit and not row["degenerate"] for hit, row in zip(hits(rows, near), rows)])

    def ignores_the_flag(rows):
        """Degenerate texts with a lucky score count as right: they must count as wrong."""
        return np.mean(hits(rows))

    def drops_degenerate_texts(rows):
        """Degenerate texts are left out: keep them in the denominator, or a model gains by breaking texts."""
        return np.mean([hit for hit, row in zip(hits(rows), rows) if not row["degenerate"]])

    def cuts_into_thirds(rows):
        """It looks as if the scale is cut into thirds: ask which of 10, 50 and 95 is nearest to the score."""
        return right(rows, near=third)

    def third(score):
        if score < 100 / 3:
            return 10
        return 50 if score < 200 / 3 else 95

    def asks_for_ten_points(rows):
        """It looks as if a score within 10 of its target is right: ask which target is nearest."""
        return np.mean([abs(row["score"] - row["target"]) <= 10 and not row["degenerate"] for row in rows])

    def gives_a_percentage(rows):
        """That is a percentage: return a share between 0 and 1."""
        return 100 * right(rows)

    def gives_a_count(rows):
        """That is a count: divide by the number of rows."""
        return len(rows) * right(rows)

    targets = [10, 50, 95, 10, 50, 95]
    cases = {
        "six clean texts": (judged(targets, [5, 60, 99, 40, 80, 20]),),
        "scores near the borders": (judged(targets, [29, 31, 74, 40, 70, 60]),),
        "two degenerate texts with the right score": (judged(targets, [12, 50, 95, 60, 52, 90], degenerate=(0, 2)),),
        "one degenerate text with the wrong score": (judged(targets, [12, 50, 95, 9, 90, 92], degenerate=(4,)),),
    }
    slips = [
        ignores_the_flag,
        drops_degenerate_texts,
        cuts_into_thirds,
        asks_for_ten_points,
        gives_a_percentage,
        gives_a_count,
    ]
    compare(accuracy, cases, right, slips)


@exercise("return a number.", "pooled, differences between rubrics can hide steering or fake it.")
def check_macro_spearman(macro_rho):
    """macro_rho(rows): Spearman of target and score in each rubric, averaged; a constant rubric gives 0."""
    from scipy.stats import pearsonr, spearmanr

    def rho(rows, measure=spearmanr, constant=0.0):
        scores = [row["score"] for row in rows]
        if len(set(scores)) == 1:
            return constant
        return measure([row["target"] for row in rows], scores)[0]

    def groups(rows):
        by_rubric = {}
        for row in rows:
            by_rubric.setdefault(row["rubric"], []).append(row)
        return list(by_rubric.values())

    def values(rows, **how):
        return [rho(group, **how) for group in groups(rows)]

    def right(rows):
        return float(np.mean(values(rows)))

    def gives_nan(rows):
        """A rubric whose scores are all equal has no ranking and gives nan: count it as 0."""
        return float(np.mean(values(rows, constant=math.nan)))

    def pools(rows):
        """It looks as if all rows are pooled: compute rho within each rubric, then average."""
        return rho(rows)

    def weighs_by_size(rows):
        """It looks as if larger rubrics weigh more: average the rubrics' values, one vote each."""
        return float(np.average(values(rows), weights=[len(group) for group in groups(rows)]))

    def drops_constant_rubrics(rows):
        """It looks as if rubrics without a ranking are left out: they show no steering, so count them as 0."""
        return np.nanmean(values(rows, constant=math.nan))

    def takes_pearson(rows):
        """That is Pearson's correlation, of the values: use spearmanr, of the ranks."""
        return float(np.mean(values(rows, measure=pearsonr)))

    targets = [10, 10, 50, 50, 95, 95]
    hidden = judged(targets, [1, 3, 4, 6, 8, 9]) + judged(targets, [80, 83, 82, 90, 88, 97], rubric="esoteric")
    uneven = judged(targets * 2, [5, 8, 30, 55, 60, 99, 7, 12, 50, 41, 52, 80])
    uneven += judged(targets, [9, 7, 8, 5, 3, 4], rubric="esoteric")
    stuck = judged(targets, [5, 8, 30, 55, 60, 99]) + judged(targets, [50] * 6, rubric="esoteric")
    cases = {
        "rubrics on different levels": (hidden,),
        "rubrics of different sizes": (uneven,),
        "one rubric with a single score": (stuck,),
    }
    compare(macro_rho, cases, right, [gives_nan, pools, weighs_by_size, drops_constant_rubrics, takes_pearson])


def clustered_rows(prompts: int = 20, each: int = 6, seed: int = 0) -> list[dict]:
    """Rows {prompt, distance}, in which answers to one prompt are much alike."""
    rng = np.random.default_rng(seed)
    return [
        {"prompt": f"Prompt {i}", "distance": float(middle + rng.normal(0, 4))}
        for i, middle in enumerate(rng.normal(40, 12, prompts))
        for _ in range(each)
    ]


@exercise(
    "return (low, high) from interval(rows, draws, rng).",
    "answers to one prompt are alike, so the prompts, and not the rows, decide how sure we are.",
)
def check_bootstrap(interval):
    """interval(rows, draws, rng): 95% interval of the mean distance, from resampled prompts."""
    rows = clustered_rows()
    three = [call(interval, rows, 2000, np.random.default_rng(seed)) for seed in range(3)]
    low, high = np.mean([[float(low), float(high)] for low, high in three], axis=0)
    means = np.array([row["distance"] for row in rows]).reshape(-1, 6).mean(1)
    draws = np.random.default_rng(2).choice(means, (10_000, len(means))).mean(1)
    bounds = np.percentile(draws, [2.5, 97.5])
    if low > high:
        raise Mistake("The lower bound is above the upper one: return (low, high).")
    if high < means.mean() - 1:
        raise Mistake("Both bounds are below the mean: np.percentile takes percents, so 2.5 and not 0.025.")
    ratio = (high - low) / (bounds[1] - bounds[0])
    says = f"Your interval has {ratio:.0%} of the right width. "
    if ratio < 0.02:
        raise Mistake(says + "It looks as if you draw without replacement: every draw is the same set.")
    if ratio < 0.65:
        raise Mistake(says + "It looks as if rows are drawn: draw whole prompts, each with all its rows.")
    if ratio < 0.82:
        raise Mistake(says + "It looks as if a prompt drawn twice counts once: loop over the draw.")
    if ratio < 0.93:
        raise Mistake(says + "It looks as if it is a 90% interval: take the percentiles 2.5 and 97.5.")
    if ratio > 1.1:
        raise Mistake(says + "Draw as many prompts as there are, and take the percentiles 2.5 and 97.5.")
    if abs(low + high - bounds.sum()) / 2 > 1:
        raise Mistake(f"The interval is not where it should be: near [{bounds[0]:.1f}, {bounds[1]:.1f}].")
