"""Checks of the exercises in notebook 04: the DPO loss."""

import math

import numpy as np

from cpt_utils.exercises.checking import call, compare, exercise, same
from cpt_utils.runtime.errors import Mistake


@exercise("return one reward per row.", "a reward is a change against the reference, summed over tokens.")
def check_implicit_reward(reward):
    """reward(policy, reference, mask, beta): beta times summed log-ratios of the response tokens."""
    import torch

    policy = torch.tensor([[-1.0, -2.0, -0.5, -3.0], [-0.2, -1.5, -2.5, -1.0]])
    reference = torch.tensor([[-2.0, -2.5, -0.75, -1.0], [-0.4, -1.0, -2.0, -3.0]])
    mask = torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    cases = {f"beta {beta}": (policy, reference, mask, beta) for beta in (0.1, 0.5)}
    compare(
        reward,
        cases,
        lambda p, r, m, beta: beta * ((p - r) * m).sum(1),
        {
            "It looks as if tokens are averaged: sum them, as probabilities of tokens multiply.": lambda p, r, m, beta: (
                beta * ((p - r) * m).sum(1) / m.sum(1)
            ),
            "It looks as if the mask is forgotten: prompt and padding tokens must not count.": lambda p, r, m, beta: (
                beta * (p - r).sum(1)
            ),
            "It looks as if beta is forgotten: multiply by it.": lambda p, r, m, beta: ((p - r) * m).sum(1),
            "The sign is wrong: subtract the reference from the policy.": lambda p, r, m, beta: (
                beta * ((r - p) * m).sum(1)
            ),
            "It looks as if the reference is forgotten: subtract its log-probabilities.": lambda p, r, m, beta: (
                beta * (p * m).sum(1)
            ),
            "You sum over rows as well: use .sum(1), for one reward per row.": lambda p, r, m, beta: (
                beta * ((p - r) * m).sum()
            ),
        },
    )


@exercise("return the loss.", "the chosen reward has to exceed the rejected one; nothing else counts.")
def check_dpo_loss(dpo_loss):
    """dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta): the mean loss of the rows."""
    import torch
    from torch.nn.functional import logsigmoid

    from cpt_utils import dpo

    rows = [
        torch.tensor(numbers)
        for numbers in ([-8.0, -10.1, -5.0], [-9.5, -7.0, -4.0], [-9.0, -9.9, -8.0], [-8.8, -7.5, -7.0])
    ]
    loss = dpo.dpo_loss

    def margin(c, r, rc, rr, beta):
        return beta * ((c - rc) - (r - rr))

    cases = {f"three rows and beta {beta}": (*rows, beta) for beta in (0.1, 0.5)}
    compare(
        dpo_loss,
        cases,
        loss,
        {
            "It looks as if chosen and rejected are swapped: the margin is chosen reward minus rejected reward.": lambda c, r, rc, rr, beta: (
                loss(r, c, rr, rc, beta)
            ),
            "It looks as if the reference is forgotten: subtract its log-probabilities first.": lambda c, r, rc, rr, beta: (
                loss(c, r, 0, 0, beta)
            ),
            "It looks as if the reference is added: subtract it.": lambda c, r, rc, rr, beta: loss(
                c, r, -rc, -rr, beta
            ),
            "It looks as if beta is forgotten: multiply the margin by it.": lambda *a: loss(*a[:4], 1.0),
            "It looks as if beta stands outside the logarithm: it belongs to the margin.": lambda *a: (
                a[4] * loss(*a[:4], 1.0)
            ),
            "It looks as if rows are summed: take the mean, or a larger batch has a larger loss.": lambda *a: (
                3 * loss(*a)
            ),
            "That is one loss per row: take the mean.": lambda *a: -logsigmoid(margin(*a)),
            "The minus sign is missing: log-sigmoid is negative, and its negative is to be made small.": lambda *a: (
                -loss(*a)
            ),
            "It looks as if the logarithm is missing: use logsigmoid, not sigmoid.": lambda *a: (
                -torch.sigmoid(margin(*a)).mean()
            ),
            "That is 1 - sigmoid, without a logarithm: use -logsigmoid.": lambda *a: torch.sigmoid(-margin(*a)).mean(),
            "That is the margin alone: put it into -logsigmoid.": lambda *a: -margin(*a).mean(),
            "It looks as if the mean is taken before logsigmoid: take it last.": lambda *a: (
                -logsigmoid(margin(*a).mean())
            ),
        },
    )
    far = [torch.tensor([value], requires_grad=True) for value in (-3000.0, -10.0, -1500.0, -1500.0)]
    got = call(lambda _: dpo_loss(*far, 1.0), 0)
    if not same(got, 2990.0):
        raise Mistake("Right, but a margin of -2990 overflows: use logsigmoid, not log(sigmoid).")
    if not getattr(got, "requires_grad", False):
        raise Mistake("The value is right but has no gradient: return a tensor, without .item() or float().")


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
    known = {
        ("start", 0.0): "Every margin is 0, but that is not yet the loss: put 0 into -log sigmoid.",
        ("start", 0.5): "0.5 is sigmoid(0), a probability: the loss is minus its natural logarithm.",
        ("start", 1.0): "That is the logarithm to base 2: use the natural one, math.log.",
        ("start", -soft(0)): "The loss is minus the logarithm, so it is positive.",
        ("ignores s", soft(0)): "It looks as if you average the margins: average the losses of 2 and of -2.",
        ("ignores s", soft(2)): "That is row 1 alone: its mirrored row has the margin -2. Average both.",
        ("ignores s", soft(2) + soft(-2)): "That is the sum of the two losses: take their mean.",
        ("follows s", soft(-2)): "The sign is wrong: both rows are right, so both margins are +2.",
        ("follows s", 0.0): "Being right never costs exactly 0: the margin is 2, not infinite.",
    }
    for name, wanted in right.items():
        got = float(predictions[name])
        if abs(got - wanted) > 0.006:
            why = f"{got:g} is not it. Work out both margins first."
            if name == "start, beta 0.5":
                why = "Beta multiplies a margin of 0, so it cannot change the first loss."
            for (key, value), text in known.items():
                why = text if key == name and abs(got - value) < 0.006 else why
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

    cases = {
        f"a={a}, b={b}, beta={beta}": (a, b, beta)
        for a, b, beta in ((0.0, 0.0, 0.1), (2.0, 0.5, 0.5), (-1.0, 3.0, 1.0))
    }
    compare(
        gradients,
        cases,
        pair,
        {
            "The signs are those of climbing: the gradient of a loss points to where the loss grows.": lambda *w: (
                -np.array(pair(*w))
            ).tolist(),
            "It looks as if beta is forgotten: it is in both margins, and by the chain rule in front, too.": lambda a, b, beta: (
                pair(a, b, 1.0)
            ),
            "It looks as if beta is missing in front: the chain rule multiplies by the margin's own slope.": lambda *w: (
                (np.array(pair(*w)) / w[2]).tolist()
            ),
            "Row 2 is not mirrored: under s2 text B is chosen, so its margin is minus (a - b).": lambda *w: pair(
                *w, other=(1, -1)
            ),
            "It looks as if both rows are under s1, so a AND b cancel and nothing is learnt: row 2 is under s2.": lambda *w: (
                pair(*w, other=(-1, -1))
            ),
            "That is the same row twice: row 2 has the margin beta * (b - a).": lambda *w: pair(*w, other=(1, 1)),
            "You return the sum of the two rows: return both, so that the cancelling can be seen.": lambda *w: (
                np.array(pair(*w)).sum(0).tolist()
            ),
            "The two rows are in the wrong order: row 1 is under s1.": lambda *w: pair(*w)[::-1],
        },
    )
