"""Checks of the exercises in notebook 04: the implicit reward and the DPO loss."""

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

    def averages_all_columns(policy, reference, mask, beta):
        """It looks as if .mean is taken where .sum is meant: probabilities of tokens multiply, so logarithms add."""
        return beta * ((policy - reference) * mask).mean(1)

    def masks_the_policy_only(policy, reference, mask, beta):
        """The mask is on the policy only: the reference keeps its prompt and padding tokens. Mask the difference."""
        return beta * (policy * mask - reference).sum(1)

    def masks_the_reference_only(policy, reference, mask, beta):
        """The mask is on the reference only: the policy keeps its prompt and padding tokens. Mask the difference."""
        return beta * (policy - reference * mask).sum(1)

    def divides_logarithms(policy, reference, mask, beta):
        """It looks as if policy is divided by reference: a ratio of probabilities is the DIFFERENCE of logarithms."""
        return beta * (policy / reference * mask).sum(1)

    def divides_sums(policy, reference, mask, beta):
        """It looks as if policy is divided by reference: a ratio of probabilities is the DIFFERENCE of logarithms."""
        return beta * (policy * mask).sum(1) / (reference * mask).sum(1)

    def divides_probabilities(policy, reference, mask, beta):
        """That is a ratio of probabilities, which needs its logarithm: leave .exp() away."""
        return beta * (((policy - reference) * mask).sum(1)).exp()

    def sums_the_wrong_axis(policy, reference, mask, beta):
        """You sum along the wrong axis: .sum(0) adds rows up and leaves one number a token; use .sum(1)."""
        return beta * ((policy - reference) * mask).sum(0)

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
        averages_all_columns,
        masks_the_policy_only,
        masks_the_reference_only,
        divides_logarithms,
        divides_sums,
        divides_probabilities,
        sums_the_wrong_axis,
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

    def forgets_one_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
        """The reference is forgotten for the rejected response: both rewards are changes against it."""
        return loss(chosen, rejected, ref_chosen, 0, beta)

    def forgets_the_other_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
        """The reference is forgotten for the chosen response: both rewards are changes against it."""
        return loss(chosen, rejected, 0, ref_rejected, beta)

    def scales_the_chosen_side(chosen, rejected, ref_chosen, ref_rejected, beta):
        """Beta is on the chosen side only: it multiplies both rewards."""
        return -logsigmoid(beta * (chosen - ref_chosen) - (rejected - ref_rejected)).mean()

    def scales_the_rejected_side(chosen, rejected, ref_chosen, ref_rejected, beta):
        """Beta is on the rejected side only: it multiplies both rewards."""
        return -logsigmoid((chosen - ref_chosen) - beta * (rejected - ref_rejected)).mean()

    def divides_logarithms(chosen, rejected, ref_chosen, ref_rejected, beta):
        """It looks as if log-probabilities are divided: the logarithm of a ratio is their DIFFERENCE."""
        return -logsigmoid(beta * (chosen / ref_chosen - rejected / ref_rejected)).mean()

    def takes_logarithms_again(chosen, rejected, ref_chosen, ref_rejected, beta):
        """The result is nan: the four numbers are logarithms already, below 0, and a second log of them is none."""
        return chosen.log().mean()

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
        forgets_one_reference,
        forgets_the_other_reference,
        scales_the_chosen_side,
        scales_the_rejected_side,
        divides_logarithms,
        takes_logarithms_again,
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
