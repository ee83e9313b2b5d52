"""The DPO loss and the numbers beside it, as pure functions."""

import math

import pytest
import torch

from cpt_utils.dpo import dpo_loss, implicit_reward, pair_metrics


def tensors(rows: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [-50 + 20 * torch.randn(rows, generator=generator, dtype=torch.float64) for _ in range(4)]


def test_before_the_first_step_the_loss_is_the_logarithm_of_two():
    chosen, rejected, *_ = tensors(6)
    for beta in (0.01, 0.1, 1.0):
        assert dpo_loss(chosen, rejected, chosen, rejected, beta).item() == pytest.approx(math.log(2), abs=1e-12)


def test_loss_is_that_of_the_formula_row_by_row():
    chosen, rejected, ref_chosen, ref_rejected = tensors(5)
    by_hand = []
    for row in range(5):
        margin = 0.1 * ((chosen[row] - ref_chosen[row]) - (rejected[row] - ref_rejected[row])).item()
        by_hand.append(math.log1p(math.exp(-margin)))
    found = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, 0.1).item()
    assert found == pytest.approx(sum(by_hand) / 5, rel=1e-12)


def test_gradient_asks_for_chosen_against_rejected_and_leaves_the_reference_alone():
    values = [x.requires_grad_() for x in tensors(4)]
    dpo_loss(*values, 0.1).backward()
    chosen, rejected = values[0].grad, values[1].grad
    assert (chosen < 0).all() and torch.allclose(chosen, -rejected)
    margins = implicit_reward(values[0], values[2], 0.1) - implicit_reward(values[1], values[3], 0.1)
    assert torch.allclose(chosen, -0.1 * torch.sigmoid(-margins.detach()) / 4)


def test_large_margins_neither_overflow_nor_vanish():
    far, near, zero = torch.tensor([1e4]), torch.tensor([-1e4]), torch.zeros(1)
    assert dpo_loss(near, far, zero, zero, 1.0).item() == 2e4 and dpo_loss(far, near, zero, zero, 1.0).item() == 0


def test_metrics_count_rows_and_pairs():
    chosen = torch.tensor([1.0, 2.0, 3.0, -1.0])
    rejected = torch.tensor([0.0, 1.0, 0.0, 1.0])
    found = {name: value.item() for name, value in pair_metrics(chosen, rejected).items()}
    assert found == {
        "rewards/chosen": 1.25,
        "rewards/rejected": 0.5,
        "rewards/margins": 0.75,
        "rewards/accuracies": 0.75,
        "rewards/both_directions": 0.5,
    }


def test_a_tie_is_not_right():
    found = pair_metrics(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]))
    assert found["rewards/accuracies"] == 0.5 and found["rewards/both_directions"] == 0
