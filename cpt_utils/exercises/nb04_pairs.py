"""Checks of the exercises in notebook 04 about a mirrored pair: what it costs, and what cancels in it."""

import math

import numpy as np

from cpt_utils.exercises.checking import compare, exercise
from cpt_utils.runtime.errors import Mistake


@exercise("fill in each number.", "ln 2 is the loss of not knowing; ignoring s costs more than that.")
def check_loss_predictions(predictions: dict):
    """Four DPO losses, predicted: before the first step, for another beta, ignoring s, following s."""

    def soft(margin):
        return math.log1p(math.exp(-margin))

    right = {
        "start": soft(0),
        "start, beta 0.5": soft(0),
        "ignores s": (soft(2) + soft(-2)) / 2,
        "follows s": soft(2),
    }
    if set(predictions) != set(right):
        raise Mistake(f"Keep the four keys as they are: {', '.join(right)}.")
    twice = "It looks as if beta is applied twice: margins are differences of rewards, and beta is in those already."
    otherwise = {
        "start": "Before the first step the policy is the reference, so every margin is 0: what is -log sigmoid of 0?",
        "start, beta 0.5": "Beta multiplies a margin of 0, so it cannot change the first loss.",
        "ignores s": "Put the margins +2 and -2 into log(1 + exp(-m)), and take the mean of the two losses.",
        "follows s": "Put the margin +2 into log(1 + exp(-m)); both rows have the same loss.",
    }
    known = {
        ("start", 0.0): "Every margin is 0, but that is not yet the loss: put 0 into -log sigmoid.",
        ("start", 0.5): "0.5 is sigmoid(0), a probability: the loss is minus its natural logarithm.",
        ("start", 1.0): "That is the logarithm to base 2: use the natural one, math.log.",
        ("start", -soft(0)): "The loss is minus the logarithm, so it is positive.",
        ("ignores s", soft(0)): "It looks as if you average the margins: average the losses of 2 and of -2.",
        ("ignores s", soft(2)): "That is row 1 alone: its mirrored row has the margin -2. Average both.",
        ("ignores s", soft(2) + soft(-2)): "That is the sum of the two losses: take their mean.",
        ("follows s", soft(-2)): "The sign is wrong: both rows are right, so both margins are +2.",
        ("ignores s", (soft(0.2) + soft(-0.2)) / 2): twice,
        ("ignores s", 2.0): "2 is the margin: the loss of a margin m is log(1 + exp(-m)). Average those of 2 and -2.",
        ("follows s", 0.0): "Being right never costs exactly 0: the margin is 2, not infinite.",
        ("follows s", soft(0.2)): twice,
        ("follows s", 2.0): "2 is the margin: its loss is log(1 + exp(-2)).",
        ("start, beta 0.5", soft(0.5)): "Beta is not a margin: it multiplies one, and that is 0 before the first step.",
    }
    for name, wanted in right.items():
        got = float(predictions[name])
        if abs(got - wanted) > 0.006:
            near = [(abs(got - value), why) for (key, value), why in known.items() if key == name]
            distance, why = min(near, default=(1.0, ""))
            if distance > 0.006:
                why = f"{got:g} is not it. {otherwise[name]}"
            raise Mistake(f"{name!r}: {why}")


@exercise(
    "return two gradients from gradients(a, b, beta).",
    "at a = 0 the pair's a-parts cancel and its b-parts add; elsewhere their sum pulls a back to 0.",
)
def check_mirrored_gradients(gradients):
    """gradients(a, b, beta): ((da, db), (da, db)) of the losses of a mirrored pair in a two-weight model."""

    def pair(a, b, beta, one=(1, 1), other=(-1, 1)):
        """-log sigmoid(beta (p a + q b)) has the gradient -beta sigmoid(-margin) (p, q)."""

        def slope(p, q):
            return -beta / (1 + math.exp(beta * (p * a + q * b)))

        return [[slope(p, q) * p, slope(p, q) * q] for p, q in (one, other)]

    def climbs(*weights):
        """The signs are those of climbing: the gradient of a loss points to where the loss grows."""
        return (-np.array(pair(*weights))).tolist()

    def forgets_beta(a, b, beta):
        """It looks as if beta is forgotten: it is in both margins, and by the chain rule in front, too."""
        return pair(a, b, 1.0)

    def forgets_the_chain_rule(a, b, beta):
        """It looks as if beta is missing in front: the chain rule multiplies by the margin's own slope."""
        return (np.array(pair(a, b, beta)) / beta).tolist()

    def takes_the_margin(a, b, beta):
        """That is the gradient of the margins: put -log sigmoid around each, the loss is what training lowers."""
        return [[beta, beta], [-beta, beta]]

    def takes_the_negative_margin(a, b, beta):
        """That is the gradient of the negative margins: the loss is -log sigmoid of a margin, not minus it."""
        return [[-beta, -beta], [beta, -beta]]

    def keeps_the_text(*weights):
        """Row 2 is not mirrored: under s2 text B is chosen, so its margin is minus (a - b)."""
        return pair(*weights, other=(1, -1))

    def keeps_the_system_prompt(*weights):
        """It looks as if both rows are under s1, so a AND b cancel and nothing is learnt: row 2 is under s2."""
        return pair(*weights, other=(-1, -1))

    def repeats_the_row(*weights):
        """That is the same row twice: row 2 has the margin beta * (b - a)."""
        return pair(*weights, other=(1, 1))

    def sums_the_rows(*weights):
        """You return the sum of the two rows: return both, so that the cancelling can be seen."""
        return np.array(pair(*weights)).sum(0).tolist()

    def swaps_the_rows(*weights):
        """The two rows are in the wrong order: row 1 is under s1."""
        return pair(*weights)[::-1]

    cases = {}
    for a, b, beta in ((0.0, 0.0, 0.1), (2.0, 0.5, 0.5), (-1.0, 3.0, 1.0)):
        cases[f"a={a}, b={b}, beta={beta}"] = (a, b, beta)
    slips = [
        climbs,
        forgets_beta,
        forgets_the_chain_rule,
        takes_the_margin,
        takes_the_negative_margin,
        keeps_the_text,
        keeps_the_system_prompt,
        repeats_the_row,
        sums_the_rows,
        swaps_the_rows,
    ]
    compare(gradients, cases, pair, slips)
