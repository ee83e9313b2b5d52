"""Checks of the exercises in notebook 09: is a difference one, is it luck, and what two orders do to each other."""

from itertools import product

import numpy as np

from cpt_utils.exercises.checking import compare, exercise


@exercise("return (gap, standard error).", "texts on one prompt resemble each other, so prompts are what is counted.")
def check_gap(gap):
    """gap(rows): mean over prompts of the mean score under high less that under low, and its standard error."""

    def by_prompt(rows, sides=("high", "low")) -> list[float]:
        prompts = dict.fromkeys(row["prompt"] for row in rows)
        means = [[scores_of(rows, side, prompt) for side in sides] for prompt in prompts]
        return [np.mean(one) - np.mean(other) for one, other in means]

    def scores_of(rows, side, prompt=None) -> list[float]:
        return [row["score"] for row in rows if row["side"] == side and prompt in (None, row["prompt"])]

    def result(gaps, ddof=1, power=0.5):
        return np.mean(gaps), np.std(gaps, ddof=ddof) / len(gaps) ** power

    def right(rows):
        return result(by_prompt(rows))

    def takes_high_from_low(rows):
        """The sign is turned around: high less low, so that a gap above 0 says that the order is followed."""
        return result(by_prompt(rows, ("low", "high")))

    def counts_texts(rows):
        """It looks as if every text is counted by itself: texts on one prompt resemble each other, so take a gap of
        each prompt first, and the error from these."""
        high, low = (np.array(scores_of(rows, side)) for side in ("high", "low"))
        return np.mean(high) - np.mean(low), (np.var(high, ddof=1) / len(high) + np.var(low, ddof=1) / len(low)) ** 0.5

    def counts_pairs(rows):
        """It looks as if every pair of texts is counted by itself: average them within their prompt first."""
        return result(np.subtract(scores_of(rows, "high"), scores_of(rows, "low")))

    def takes_another_deviation(rows):
        """Prompts are a sample, so their deviation is taken with n - 1: np.std(..., ddof=1)."""
        return result(by_prompt(rows), ddof=0)

    def gives_the_deviation(rows):
        """That is how far prompts lie apart: the error of their mean is smaller, divide by the root of their number."""
        return result(by_prompt(rows), power=0.0)

    def forgets_the_root(rows):
        """It looks as if the deviation is divided by the number of prompts: divide by the root of it."""
        return result(by_prompt(rows), power=1.0)

    cases = {
        "three prompts": (texts([(80, 20)], [(60, 40)], [(90, 10)]),),
        "two prompts with two texts a side": (texts([(80, 20), (70, 30)], [(40, 35), (45, 30)]),),
        "a model that does the opposite": (texts([(20, 60)], [(30, 35)], [(25, 45)]),),
        "a prompt with more texts than the other": (texts([(80, 20), (82, 18), (84, 16)], [(30, 28)]),),
    }
    slips = [
        takes_high_from_low,
        counts_pairs,
        counts_texts,
        takes_another_deviation,
        gives_the_deviation,
        forgets_the_root,
    ]
    compare(gap, cases, right, slips, form=tuple)


def texts(*prompts: list[tuple[float, float]]) -> list[dict]:
    """Rows {prompt, side, score} of the scores (high, low) that each prompt has."""
    rows = []
    for number, pairs in enumerate(prompts, 1):
        for scores in pairs:
            rows += [{"prompt": f"prompt {number}", "side": s, "score": v} for s, v in zip(("high", "low"), scores)]
    return rows


@exercise(
    "return a share, 0 to 1.", "what could as well have been otherwise says how surprising it is that it was not."
)
def check_luck(luck):
    """luck(differences): the share of all patterns of signs whose mean is at least as large as the measured one."""

    def means(differences) -> np.ndarray:
        patterns = np.array(list(product((1, -1), repeat=len(differences))))
        return patterns @ np.array(differences, float) / len(differences)

    def reached(differences, slack=1e-9):
        return means(differences) >= np.mean(differences) - slack

    def right(differences):
        return np.mean(reached(differences))

    def leaves_the_own_out(differences):
        """The pattern that was measured is one of them: count what is at least as large, with itself."""
        return np.mean(reached(differences, slack=-1e-9))

    def looks_at_both_sides(differences):
        """It looks as if a fall of the same size is counted, too: only means at least as large are asked for."""
        return np.mean(np.abs(means(differences)) >= abs(np.mean(differences)) - 1e-9)

    def counts_signs_only(differences):
        """It looks as if only rises are counted: the size of each difference counts as well."""
        rises = [sum(pattern) for pattern in product((1, 0), repeat=len(differences))]
        return np.mean(np.array(rises) >= sum(value > 0 for value in differences))

    def gives_the_number(differences):
        """That is a number of patterns: divide it by how many there are, two for each difference."""
        return np.sum(reached(differences))

    def gives_the_rest(differences):
        """That is the share of the smaller means: the others are asked for."""
        return 1 - right(differences)

    cases = {
        "four rises": ([0.5, 0.4, 0.3, 0.2],),
        "three rises and a small fall": ([0.5, 0.4, -0.1, 0.2],),
        "as much up as down": ([0.3, -0.3],),
        "five falls": ([-0.1, -0.2, -0.2, -0.3, -0.1],),
        "one great rise among small falls": ([0.6, -0.1, -0.05, -0.1, -0.02],),
    }
    slips = [leaves_the_own_out, looks_at_both_sides, counts_signs_only, gives_the_number, gives_the_rest]
    compare(luck, cases, right, slips)


@exercise("return (own, other).", "a slider has two effects, and the second one is easily overlooked.")
def check_slopes(slopes):
    """slopes(asked, judged): points judged for a point asked of the style itself, and of the other (least squares)."""

    def fitted(asked, judged, constant=True, places=(0, 1)):
        asked = np.array(asked, float)[:, places]
        ones = np.ones((len(asked), 1)) if constant else np.empty((len(asked), 0))
        return np.linalg.lstsq(np.hstack([asked, ones]), np.array(judged, float), rcond=None)[0]

    def right(asked, judged):
        return tuple(fitted(asked, judged)[:2])

    def swaps_the_two(asked, judged):
        """The two are swapped: first the slope of the style that is judged, then that of the other."""
        return right(asked, judged)[::-1]

    def forgets_the_constant(asked, judged):
        """A constant is missing: a text has some points before anything is asked. Add a column of ones."""
        return tuple(fitted(asked, judged, constant=False))

    def fits_one_at_a_time(asked, judged):
        """It looks as if each slope is fitted alone: what was asked of one style often goes with what was asked of the
        other, so fit both together."""
        return fitted(asked, judged, places=(0,))[0], fitted(asked, judged, places=(1,))[0]

    def gives_the_constant_too(asked, judged):
        """That is one number too many: leave the constant out of what you return."""
        return tuple(fitted(asked, judged))

    def fits_the_other_way(asked, judged):
        """It looks as if what was asked is fitted to what was judged: judged points are what has to be explained."""
        return tuple(np.polyfit(judged, column, 1)[0] for column in np.array(asked, float).T)

    grid = [(own, other) for own in (0, 50, 100) for other in (0, 50, 100)]
    noisy = [12, 9, 11, 33, 25, 30, 47, 49, 35]
    cases = {
        "a grid": (grid, [10 + 0.4 * own - 0.1 * other for own, other in grid]),
        "a grid with noise": (grid, noisy),
        "amounts that rise together": ([(0, 0), (20, 10), (60, 70), (100, 90), (80, 20)], [5, 14, 31, 52, 44]),
        "sliders that do nothing": (grid, [30] * len(grid)),
    }
    slips = [
        swaps_the_two,
        forgets_the_constant,
        gives_the_constant_too,
        fits_one_at_a_time,
        fits_the_other_way,
    ]
    compare(slopes, cases, right, slips, form=tuple)
