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

    def right(policy, reference, mask, beta):
        return beta * ((policy - reference) * mask).sum(1)

    def averages_tokens(policy, reference, mask, beta):
        """It looks as if tokens are averaged: sum them, as probabilities of tokens multiply."""
        return right(policy, reference, mask, beta) / mask.sum(1)

    def forgets_the_mask(policy, reference, mask, beta):
        """It looks as if the mask is forgotten: prompt and padding tokens must not count."""
        return beta * (policy - reference).sum(1)

    def forgets_beta(policy, reference, mask, beta):
        """It looks as if beta is forgotten: multiply by it."""
        return right(policy, reference, mask, 1.0)

    def subtracts_the_policy(policy, reference, mask, beta):
        """The sign is wrong: subtract the reference from the policy."""
        return -right(policy, reference, mask, beta)

    def forgets_the_reference(policy, reference, mask, beta):
        """It looks as if the reference is forgotten: subtract its log-probabilities."""
        return beta * (policy * mask).sum(1)

    def sums_over_rows(policy, reference, mask, beta):
        """You sum over rows as well: use .sum(1), for one reward per row."""
        return right(policy, reference, mask, beta).sum()

    slips = [
        averages_tokens,
        forgets_the_mask,
        forgets_beta,
        subtracts_the_policy,
        forgets_the_reference,
        sums_over_rows,
    ]
    compare(reward, cases, right, slips)


@exercise("return the loss.", "the chosen reward has to exceed the rejected one; nothing else counts.")
def check_dpo_loss(dpo_loss):
    """dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta): the mean loss of the rows."""
    import torch
    from torch.nn.functional import logsigmoid

    from cpt_utils import dpo

    loss = dpo.dpo_loss

    def margin(chosen, rejected, ref_chosen, ref_rejected, beta):
        return beta * ((chosen - ref_chosen) - (rejected - ref_rejected))

    def swaps_the_sides(chosen, rejected, ref_chosen, ref_rejected, beta):
        """It looks as if chosen and rejected are swapped: the margin is chosen reward minus rejected reward."""
        return loss(rejected, chosen, ref_rejected, ref_chosen, beta)

    def forgets_the_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
        """It looks as if the reference is forgotten: subtract its log-probabilities first."""
        return loss(chosen, rejected, 0, 0, beta)

    def adds_the_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
        """It looks as if the reference is added: subtract it."""
        return loss(chosen, rejected, -ref_chosen, -ref_rejected, beta)

    def forgets_beta(chosen, rejected, ref_chosen, ref_rejected, beta):
        """It looks as if beta is forgotten: multiply the margin by it."""
        return loss(chosen, rejected, ref_chosen, ref_rejected, 1.0)

    def multiplies_the_loss(chosen, rejected, ref_chosen, ref_rejected, beta):
        """It looks as if beta stands outside the logarithm: it belongs to the margin."""
        return beta * loss(chosen, rejected, ref_chosen, ref_rejected, 1.0)

    def sums_rows(*row):
        """It looks as if rows are summed: take the mean, or a larger batch has a larger loss."""
        return len(row[0]) * loss(*row)

    def takes_no_mean(*row):
        """That is one loss per row: take the mean."""
        return -logsigmoid(margin(*row))

    def forgets_the_minus(*row):
        """The minus sign is missing: log-sigmoid is negative, and its negative is to be made small."""
        return -loss(*row)

    def forgets_the_logarithm(*row):
        """It looks as if the logarithm is missing: use logsigmoid, not sigmoid."""
        return -torch.sigmoid(margin(*row)).mean()

    def takes_the_complement(*row):
        """That is 1 - sigmoid, without a logarithm: use -logsigmoid."""
        return torch.sigmoid(-margin(*row)).mean()

    def returns_the_margin(*row):
        """That is the margin alone: put it into -logsigmoid."""
        return -margin(*row).mean()

    def averages_margins(*row):
        """It looks as if the mean is taken before logsigmoid: take it last."""
        return -logsigmoid(margin(*row).mean())

    numbers = ([-8.0, -10.1, -5.0], [-9.5, -7.0, -4.0], [-9.0, -9.9, -8.0], [-8.8, -7.5, -7.0])
    rows = [torch.tensor(side) for side in numbers]
    cases = {f"three rows and beta {beta}": (*rows, beta) for beta in (0.1, 0.5)}
    slips = [
        swaps_the_sides,
        forgets_the_reference,
        adds_the_reference,
        forgets_beta,
        multiplies_the_loss,
        sums_rows,
        takes_no_mean,
        forgets_the_minus,
        forgets_the_logarithm,
        takes_the_complement,
        returns_the_margin,
        averages_margins,
    ]
    compare(dpo_loss, cases, loss, slips)
    # A margin of -2990, where sigmoid is 0 and its logarithm infinite.
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

    def climbs(*weights):
        """The signs are those of climbing: the gradient of a loss points to where the loss grows."""
        return (-np.array(pair(*weights))).tolist()

    def forgets_beta(a, b, beta):
        """It looks as if beta is forgotten: it is in both margins, and by the chain rule in front, too."""
        return pair(a, b, 1.0)

    def forgets_the_chain_rule(a, b, beta):
        """It looks as if beta is missing in front: the chain rule multiplies by the margin's own slope."""
        return (np.array(pair(a, b, beta)) / beta).tolist()

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
        keeps_the_text,
        keeps_the_system_prompt,
        repeats_the_row,
        sums_the_rows,
        swaps_the_rows,
    ]
    compare(gradients, cases, pair, slips)
