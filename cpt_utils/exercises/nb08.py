"""Checks of the exercises in notebook 08: what comparisons of ways and of judges can say."""

import math
from itertools import combinations, permutations

import numpy as np

from cpt_utils.exercises.checking import call, compare, exercise, same
from cpt_utils.runtime.errors import Mistake


@exercise("return a list of pairs.", "where two judges part, the order of the ways is a matter of taste.")
def check_opposed(opposed):
    """opposed(first, second): pairs of ways that two judges {way: score} put in opposite orders."""

    def gaps(first, second, pairs=combinations):
        return {pair: [scores[pair[0]] - scores[pair[1]] for scores in (first, second)] for pair in pairs(first, 2)}

    def right(first, second):
        return unordered(pair for pair, (one, other) in gaps(first, second).items() if one * other < 0)

    def counts_ties(first, second):
        """A tie is no order, so nothing can be opposite to it: ask for a product below 0."""
        return unordered(pair for pair, (one, other) in gaps(first, second).items() if one * other <= 0)

    def takes_those_that_agree(first, second):
        """Those are the pairs on which both judges agree: the differences have to have opposite signs."""
        return unordered(pair for pair, (one, other) in gaps(first, second).items() if one * other > 0)

    def names_pairs_twice(first, second):
        """Every pair is there twice, once from each end: itertools.combinations gives each once."""
        return unordered(pair for pair, (one, other) in gaps(first, second, permutations).items() if one * other < 0)

    def compares_neighbours(first, second):
        """It looks as if only neighbours are compared: go through all pairs, with itertools.combinations."""
        names = list(first)
        near = set(zip(names, names[1:]))
        return unordered(p for p, (one, other) in gaps(first, second).items() if one * other < 0 and p in near)

    def compares_the_judges(first, second):
        """It looks as if the judges' scores of one way are compared: compare two ways, by each judge."""
        moved = {name: first[name] - second[name] for name in first}
        return unordered(pair for pair in combinations(first, 2) if moved[pair[0]] * moved[pair[1]] < 0)

    ways = ["base", "examples", "best of 16", "tuned"]
    cases = {
        "two judges of four ways": (dict(zip(ways, (0.1, 0.5, 0.9, 0.8))), dict(zip(ways, (0.3, 0.2, 0.6, 0.7)))),
        "a tie": (dict(zip(ways, (0.1, 0.1, 0.9, 0.8))), dict(zip(ways, (0.3, 0.2, 0.6, 0.7)))),
        "judges that turn each other around": (dict(zip(ways, (1, 2, 3, 4))), dict(zip(ways, (4, 3, 2, 1)))),
        "judges that agree": (dict(zip(ways, (1, 2, 3, 4))), dict(zip(ways, (0.1, 0.2, 0.3, 0.4)))),
    }
    slips = [counts_ties, takes_those_that_agree, names_pairs_twice, compares_neighbours, compares_the_judges]
    compare(opposed, cases, right, slips, form=unordered)


def unordered(pairs) -> list[list]:
    """Pairs of names in one order, whichever way they and their names came."""
    try:
        return sorted(sorted(pair) for pair in pairs)
    except TypeError:
        raise Mistake("Return a list of pairs of names, such as [('base', 'tuned')].") from None


@exercise("return a number.", "more tries come nearer to the target, with ever smaller gains.")
def check_best_of_n(best_of):
    """best_of(distances, n): mean over all choices of n of the distances, of the smallest chosen one."""

    def expected(distances, n, best=min):
        return float(np.mean([best(chosen) for chosen in combinations(distances, n)]))

    def takes_the_first(distances, n):
        """It looks as if the first n are taken: average over all choices of n, with itertools.combinations."""
        return min(distances[:n])

    def averages_the_smallest(distances, n):
        """It looks as if the n smallest are averaged: take the smallest of each choice, then the mean."""
        return float(np.mean(sorted(distances)[:n]))

    def takes_the_best_of_all(distances, n):
        """That is the smallest of all, for every n: with few tries the best one is often not among them."""
        return min(distances)

    def takes_the_largest(distances, n):
        """It looks as if the largest distance is taken: near is good, so use min."""
        return expected(distances, n, max)

    def averages_each_choice(distances, n):
        """It looks as if the mean of each choice is taken: best-of-n keeps the smallest."""
        return expected(distances, n, np.mean)

    def draws_with_replacement(distances, n):
        """It looks as if a text can be drawn twice: choose n different ones, as combinations does."""
        ranked, count = sorted(distances), len(distances)
        none_nearer = [
            ((count - place) / count) ** n for place in range(count + 1)
        ]  # chance that n draws miss the best
        return sum(value * (none_nearer[i] - none_nearer[i + 1]) for i, value in enumerate(ranked))

    def sums_choices(distances, n):
        """It looks as if you sum over the choices: take the mean."""
        return expected(distances, n) * math.comb(len(distances), n)

    def drops_equal_ones(distances, n):
        """It looks as if equal distances count once: two texts with one distance are two texts."""
        return expected(dict.fromkeys(distances), n)

    distances, equal = [20.0, 5.0, 40.0, 1.0, 9.0], [5.0, 5.0, 20.0]
    draws = [call(best_of, distances, 2) for _ in range(4)]
    if any(not same(draw, draws[0]) for draw in draws):
        raise Mistake(
            "Called again, your function gives another number, so it draws at random: go through all choices, with "
            "itertools.combinations."
        )
    if all(_near_but_wrong(call(best_of, distances, n), expected(distances, n)) for n in (2, 3)):
        raise Mistake("Near, but not exact, as random draws would be: go through all choices (itertools.combinations).")
    cases = {f"distances {distances} and n={n}": (distances, n) for n in (2, 3, 1, 5)}
    cases |= {f"distances {equal} and n={n}": (equal, n) for n in (2, 1)}
    slips = [
        takes_the_first,
        averages_the_smallest,
        takes_the_best_of_all,
        takes_the_largest,
        averages_each_choice,
        draws_with_replacement,
        sums_choices,
        drops_equal_ones,
    ]
    compare(best_of, cases, expected, slips)


def _near_but_wrong(got: float, right: float) -> bool:
    return not same(got, right) and abs(float(got) - right) < 0.1 * right
