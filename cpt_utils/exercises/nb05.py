"""Checks of the exercises in notebook 05: what to make of judged texts."""

import math
from itertools import combinations

import numpy as np

from cpt_utils.exercises.checking import call, compare, exercise
from cpt_utils.rows import TARGETS
from cpt_utils.runtime.errors import Mistake


def judged(targets: list, scores: list, broken=(), rubric: str = "rococo") -> list[dict]:
    """Rows {rubric, target, score, degenerate}; `broken` holds the places of degenerate texts."""
    return [
        {"rubric": rubric, "target": target, "score": float(score), "degenerate": place in broken}
        for place, (target, score) in enumerate(zip(targets, scores))
    ]


@exercise("return a share.", "a broken text stays in the count and never counts as right.")
def check_accuracy(accuracy):
    """accuracy(rows): share of rows whose score is nearest to their target and that are not degenerate."""

    def share(rows, near=lambda s: min(TARGETS.values(), key=lambda t: abs(t - s)), broken="wrong"):
        fine = [broken != "wrong" or not row["degenerate"] for row in rows]
        right = [near(row["score"]) == row["target"] and ok for row, ok in zip(rows, fine)]
        if broken == "dropped":
            right = [hit for hit, row in zip(right, rows) if not row["degenerate"]]
        return sum(right) / len(right)

    t = [10, 50, 95, 10, 50, 95]
    cases = {
        "six clean texts": (judged(t, [5, 60, 99, 40, 80, 20]),),
        "scores near the borders": (judged(t, [29, 31, 74, 40, 70, 60]),),
        "two degenerate texts with the right score": (judged(t, [12, 50, 95, 60, 52, 90], broken=(0, 2)),),
        "one degenerate text with the wrong score": (judged(t, [12, 50, 95, 9, 90, 92], broken=(4,)),),
    }
    compare(
        accuracy,
        cases,
        share,
        {
            "Degenerate texts with a lucky score count as right: they must count as wrong.": lambda rows: share(
                rows, broken="ignored"
            ),
            "Degenerate texts are left out: keep them in the denominator, or a model gains by breaking texts.": lambda rows: (
                share(rows, broken="dropped")
            ),
            "It looks as if the scale is cut into thirds: ask which of 10, 50 and 95 is nearest to the score.": lambda rows: (
                share(rows, lambda s: 10 if s < 100 / 3 else 50 if s < 200 / 3 else 95)
            ),
            "It looks as if a score within 10 of its target is right: ask which target is nearest.": lambda rows: (
                np.mean([abs(r["score"] - r["target"]) <= 10 and not r["degenerate"] for r in rows])
            ),
            "That is a percentage: return a share between 0 and 1.": lambda rows: 100 * share(rows),
            "That is a count: divide by the number of rows.": lambda rows: len(rows) * share(rows),
        },
    )


@exercise("return a number.", "pooled, differences between rubrics can hide steering or fake it.")
def check_macro_spearman(macro_rho):
    """macro_rho(rows): Spearman of target and score in each rubric, averaged; a constant rubric gives 0."""
    from scipy.stats import pearsonr, spearmanr

    def rho(rows, measure=spearmanr, constant=0.0):
        scores = [row["score"] for row in rows]
        return measure([row["target"] for row in rows], scores)[0] if len(set(scores)) > 1 else constant

    def macro(rows, weighted=False, **how):
        groups = {row["rubric"]: [r for r in rows if r["rubric"] == row["rubric"]] for row in rows}
        weights = [len(group) if weighted else 1 for group in groups.values()]
        return float(np.average([rho(group, **how) for group in groups.values()], weights=weights))

    t = [10, 10, 50, 50, 95, 95]
    hidden = judged(t, [1, 3, 4, 6, 8, 9]) + judged(t, [80, 83, 82, 90, 88, 97], rubric="esoteric")
    uneven = judged(t * 2, [5, 8, 30, 55, 60, 99, 7, 12, 50, 41, 52, 80])
    uneven += judged(t, [9, 7, 8, 5, 3, 4], rubric="esoteric")
    stuck = judged(t, [5, 8, 30, 55, 60, 99]) + judged(t, [50] * 6, rubric="esoteric")
    cases = {
        "rubrics on different levels": (hidden,),
        "rubrics of different sizes": (uneven,),
        "one rubric with a single score": (stuck,),
    }
    compare(
        macro_rho,
        cases,
        macro,
        {
            "A rubric whose scores are all equal has no ranking and gives nan: count it as 0.": lambda rows: macro(
                rows, constant=math.nan
            ),
            "It looks as if all rows are pooled: compute rho within each rubric, then average.": rho,
            "It looks as if larger rubrics weigh more: average the rubrics' values, one vote each.": lambda rows: macro(
                rows, weighted=True
            ),
            "It looks as if rubrics without a ranking are left out: they show no steering, so count them as 0.": lambda rows: (
                np.nanmean(
                    [
                        macro([r for r in rows if r["rubric"] == name], constant=math.nan)
                        for name in {r["rubric"] for r in rows}
                    ]
                )
            ),
            "That is Pearson's correlation, of the values: use spearmanr, of the ranks.": lambda rows: macro(
                rows, measure=pearsonr
            ),
        },
    )


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


@exercise("return a number.", "more tries come nearer to the target, with ever smaller gains.")
def check_best_of_n(best_of):
    """best_of(distances, n): mean over all choices of n of the distances, of the smallest chosen one."""

    def expected(d, n, best=min):
        return float(np.mean([best(chosen) for chosen in combinations(d, n)]))

    distances = [20.0, 5.0, 40.0, 1.0, 9.0]
    cases = {f"distances {distances} and n={n}": (distances, n) for n in (2, 3, 1, 5)}

    def repeated(d, n):  # the smallest of n draws with replacement
        ranked = sorted(d)
        left = [((len(d) - i) / len(d)) ** n for i in range(len(d) + 1)]
        return sum(value * (left[i] - left[i + 1]) for i, value in enumerate(ranked))

    compare(
        best_of,
        cases,
        expected,
        {
            "It looks as if the first n are taken: average over all choices of n, with itertools.combinations.": lambda d, n: (
                min(d[:n])
            ),
            "It looks as if the n smallest are averaged: take the smallest of each choice, then the mean.": lambda d, n: (
                float(np.mean(sorted(d)[:n]))
            ),
            "That is the smallest of all, for every n: with few tries the best one is often not among them.": lambda d, n: (
                min(d)
            ),
            "It looks as if the largest distance is taken: near is good, so use min.": lambda d, n: expected(d, n, max),
            "It looks as if the mean of each choice is taken: best-of-n keeps the smallest.": lambda d, n: expected(
                d, n, np.mean
            ),
            "It looks as if a text can be drawn twice: choose n different ones, as combinations does.": repeated,
            "It looks as if you sum over the choices: take the mean.": lambda d, n: (
                expected(d, n) * math.comb(len(d), n)
            ),
        },
    )
