"""Do mirrored rows pull against each other, and does a step's gradient point where all pairs together do?"""

import torch

from benchmarks.answers import mean_and_error
from benchmarks.trainings import ROWS, STEPS, build, settings, some_rows
from cpt_utils.training import dpo_gradient


def gradients() -> dict:
    """`alignment` of the trained recipe's mirrored rows, at the start and at the end of a training."""
    measured = {}
    for steps in (0, STEPS):
        trainer = build("DPO, mirrored batches", 42, steps=STEPS)
        if steps:
            trainer.train()
        rows = [dpo_gradient(trainer, [row]) for row in some_rows(settings(), STEPS * ROWS)]
        measured[steps] = alignment(torch.stack(rows).unflatten(0, (-1, ROWS // 2, 2)))
        del trainer
    return measured


def alignment(each: torch.Tensor, draws: int = 200) -> dict:
    """From gradients (blocks, pairs, 2, weights): what the rows of a pair share, and the aim of a step.

    A mirrored step takes one block, as in training; a shuffled one as many rows, wherever they come from.
    """
    blocks, count = each.shape[:2]
    pairs = each.flatten(0, 1)
    one, other = pairs.unbind(1)
    sums = one.square().sum(-1) + other.square().sum(-1)
    unconditional = (one - other).square().sum(-1) / (2 * sums)  # the part that wants one text whatever s says
    mirrored = []
    for block in range(blocks):
        used = list(range(block * count, (block + 1) * count))
        mirrored.append(aim(pairs, used, each[block].mean((0, 1))))
    shuffled, chance = [], torch.Generator().manual_seed(0)
    for _ in range(draws):
        rows = torch.randperm(2 * len(pairs), generator=chance)[: 2 * count]
        shuffled.append(aim(pairs, (rows // 2).unique().tolist(), pairs.flatten(0, 1)[rows].mean(0)))
    return {
        "pairs": len(pairs),
        "cosine": mean_and_error(torch.cosine_similarity(one, other, dim=-1).tolist()),
        "unconditional_share": mean_and_error(unconditional.tolist()),
        "aim": {"mirrored": mean_and_error(mirrored), "shuffled": mean_and_error(shuffled)},
    }


def aim(pairs: torch.Tensor, used: list[int], step: torch.Tensor) -> float:
    """Cosine between a step's gradient and the sum over all pairs of which the step holds no row."""
    others = pairs.mean(1).sum(0) - pairs[used].mean(1).sum(0)
    return torch.cosine_similarity(step, others, dim=0).item()
