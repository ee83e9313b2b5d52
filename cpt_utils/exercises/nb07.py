"""Checks of the exercises in notebook 07: advantages within a group, and a reward that two judges have to grant."""

import numpy as np

from cpt_utils.exercises.checking import compare, exercise


@exercise(
    "return the advantages of one group from advantages(rewards), a list of numbers.",
    "a text is praised for being better than its neighbours, so a prompt that is hard for all costs nothing.",
)
def check_advantages(advantages):
    """advantages(rewards): (reward - mean) / standard deviation of the group (n - 1), 0 where all are equal."""

    def centred(rewards):
        return np.asarray(rewards, float) - np.mean(rewards)

    def right(rewards):
        spread = np.std(rewards, ddof=1)
        return (centred(rewards) / spread).tolist() if spread > 1e-9 else [0.0] * len(rewards)

    def forgets_the_spread(rewards):
        """You take the mean away and stop there: divide by the standard deviation of the group."""
        return centred(rewards).tolist()

    def forgets_the_mean(rewards):
        """Every text is praised: take the mean of the group away first."""
        return (np.asarray(rewards, float) / max(np.std(rewards, ddof=1), 1e-9)).tolist()

    def divides_by_n(rewards):
        """That is the standard deviation of a whole population: of a sample (n - 1), ddof=1 in NumPy."""
        spread = np.std(rewards)
        return (centred(rewards) / spread).tolist() if spread > 1e-9 else [0.0] * len(rewards)

    def turns_around(rewards):
        """The best text gets the lowest advantage: reward minus mean, not mean minus reward."""
        return [-value for value in right(rewards)]

    cases = {
        "rewards 0.2, 0.4, 0.6, 0.8": ([0.2, 0.4, 0.6, 0.8],),
        "one text that is better than three": ([0.1, 0.1, 0.9, 0.1],),
        "two texts": ([0.3, 0.7],),
        "four equal rewards": ([0.5, 0.5, 0.5, 0.5],),
    }
    compare(advantages, cases, right, [forgets_the_spread, forgets_the_mean, divides_by_n, turns_around])


@exercise("return a number from guarded(first, second, broken).", "what only one judge likes earns nothing extra.")
def check_guarded(guarded):
    """guarded(first, second, broken): the lower of two judges' rewards, and 0 for a broken text."""

    def right(first, second, broken):
        return 0.0 if broken else min(first, second)

    def takes_the_mean(first, second, broken):
        """A mean still pays for fooling one of them: take the lower one."""
        return 0.0 if broken else (first + second) / 2

    def takes_the_higher(first, second, broken):
        """The higher one pays for fooling either: take the lower one."""
        return 0.0 if broken else max(first, second)

    def pays_for_broken_texts(first, second, broken):
        """A broken text earns something: it is worth 0, whatever the judges say."""
        return min(first, second)

    def trusts_the_first(first, second, broken):
        """The second judge has no say: take the lower of both."""
        return 0.0 if broken else first

    cases = {
        "0.9 and 0.4, sound": (0.9, 0.4, False),
        "0.3 and 0.8, sound": (0.3, 0.8, False),
        "0.6 and 0.6, sound": (0.6, 0.6, False),
        "0.9 and 0.8, broken": (0.9, 0.8, True),
    }
    compare(guarded, cases, right, [takes_the_mean, takes_the_higher, pays_for_broken_texts, trusts_the_first])
