"""The DPO loss and what is watched while it falls: plain functions of log-probabilities.

Every argument is a tensor of shape (rows,), one summed log-probability of a response for each preference row, in
nats. Rows 2k and 2k+1 are a mirrored pair where that matters.
"""

import torch
from torch.nn.functional import logsigmoid


def implicit_reward(policy: torch.Tensor, reference: torch.Tensor, beta: float) -> torch.Tensor:
    """beta (log pi - log pi_ref) of one response a row: (rows,) (Rafailov et al. 2023, section 4)."""
    return beta * (policy - reference)


def dpo_loss(
    chosen: torch.Tensor, rejected: torch.Tensor, ref_chosen: torch.Tensor, ref_rejected: torch.Tensor, beta: float
) -> torch.Tensor:
    """Mean DPO loss of the rows, a scalar (Rafailov et al. 2023, eq. 7): -log sigmoid of the margin of rewards.

    Before the first step the policy is the reference, every margin is 0, and the loss is ln 2.
    """
    margins = implicit_reward(chosen, ref_chosen, beta) - implicit_reward(rejected, ref_rejected, beta)
    return -logsigmoid(margins).mean()


def pair_metrics(chosen_rewards: torch.Tensor, rejected_rewards: torch.Tensor) -> dict[str, torch.Tensor]:
    """Means by TRL's names: rewards, margins, rows that prefer the chosen response, pairs that do so in both rows."""
    margins = chosen_rewards - rejected_rewards
    right = (margins > 0).float()
    return {
        "rewards/chosen": chosen_rewards.mean(),
        "rewards/rejected": rejected_rewards.mean(),
        "rewards/margins": margins.mean(),
        "rewards/accuracies": right.mean(),
        "rewards/both_directions": (right[0::2] * right[1::2]).mean(),
    }
