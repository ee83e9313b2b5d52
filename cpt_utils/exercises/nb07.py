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
        return centred(rewards) / np.std(rewards, ddof=1)

    def forgets_the_spread(rewards):
        """You take the mean away and stop there: divide by the standard deviation of the group."""
        return centred(rewards)

    def forgets_the_mean(rewards):
        """Every text is praised: take the mean of the group away first."""
        return np.asarray(rewards, float) / np.std(rewards, ddof=1)

    def divides_by_n(rewards):
        """That is the standard deviation of a whole population: of a sample (n - 1), ddof=1 in NumPy."""
        return centred(rewards) / np.std(rewards)

    def divides_by_variance(rewards):
        """It looks as if you divide by the variance: its root is the standard deviation."""
        return centred(rewards) / np.var(rewards, ddof=1)

    def divides_by_range(rewards):
        """It looks as if you divide by the distance of best and worst: by the standard deviation, please."""
        return centred(rewards) / (max(rewards) - min(rewards))

    def turns_around(rewards):
        """The best text gets the lowest advantage: reward minus mean, not mean minus reward."""
        return -right(rewards)

    def only_praises(rewards):
        """Texts below the mean get 0: keep what is negative, as it makes bad texts less likely."""
        return np.maximum(right(rewards), 0)

    def none_better(rewards):
        return np.zeros(len(rewards))

    def divides_by_nothing(rewards):
        """Four equal rewards give nan: there 0 is divided by 0, so ask for a spread of 0 first."""
        return np.full(len(rewards), np.nan)

    def praises_equals(rewards):
        """Four equal texts are praised all alike: none is better than its neighbours, so each gets 0."""
        return np.ones(len(rewards))

    cases = {
        "rewards 0.2, 0.4, 0.6, 0.8": ([0.2, 0.4, 0.6, 0.8],),
        "one text that is better than three": ([0.1, 0.1, 0.9, 0.1],),
        "two texts": ([0.3, 0.7],),
    }
    slips = [
        forgets_the_spread,
        forgets_the_mean,
        divides_by_n,
        divides_by_variance,
        divides_by_range,
        turns_around,
        only_praises,
    ]
    compare(advantages, cases, right, slips)
    equal = {"four equal rewards": ([0.5, 0.5, 0.5, 0.5],)}
    compare(advantages, equal, none_better, [divides_by_nothing, praises_equals])


@exercise("return a number from guarded(first, second, degenerate).", "what only one judge likes earns nothing extra.")
def check_guarded(guarded):
    """guarded(first, second, degenerate): the lower of two judges' rewards, and 0 for a degenerate text."""

    def right(first, second, degenerate):
        return 0.0 if degenerate else min(first, second)

    def takes_the_mean(first, second, degenerate):
        """A mean still pays for fooling one of them: take the lower one."""
        return 0.0 if degenerate else (first + second) / 2

    def takes_the_harmonic_mean(first, second, degenerate):
        """A harmonic mean lies near the lower one, and still above it: take the lower one itself."""
        return 0.0 if degenerate else 2 * first * second / (first + second)

    def multiplies(first, second, degenerate):
        """A product pays less than either judge, even where both grant the same: take the lower one."""
        return 0.0 if degenerate else first * second

    def takes_the_higher(first, second, degenerate):
        """The higher one pays for fooling either: take the lower one."""
        return 0.0 if degenerate else max(first, second)

    def pays_for_degenerate_texts(first, second, degenerate):
        """A degenerate text earns something: it is worth 0, whatever the judges say."""
        return min(first, second)

    def pays_only_degenerate_texts(first, second, degenerate):
        """Sound texts get 0 and degenerate ones are paid: turn the question around."""
        return min(first, second) if degenerate else 0.0

    def trusts_the_first(first, second, degenerate):
        """The second judge has no say: take the lower of both."""
        return 0.0 if degenerate else first

    def trusts_the_second(first, second, degenerate):
        """The first judge has no say: take the lower of both."""
        return 0.0 if degenerate else second

    cases = {
        "0.9 and 0.4, sound": (0.9, 0.4, False),
        "0.3 and 0.8, sound": (0.3, 0.8, False),
        "0.6 and 0.6, sound": (0.6, 0.6, False),
        "0.9 and 0.8, degenerate": (0.9, 0.8, True),
    }
    slips = [
        takes_the_mean,
        takes_the_harmonic_mean,
        multiplies,
        takes_the_higher,
        pays_for_degenerate_texts,
        pays_only_degenerate_texts,
        trusts_the_first,
        trusts_the_second,
    ]
    compare(guarded, cases, right, slips)
