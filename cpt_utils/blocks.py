"""What one step of training sees together: mirrored rows of one user prompt, and a pair over two user prompts."""

import math
import random

from cpt_utils.rows import PreferenceRow
from cpt_utils.runtime.errors import PairError


def with_prompt_pairs(rows: list[PreferenceRow], seed: int) -> list[PreferenceRow]:
    """Mirrored rows, and behind those of each (user prompt, rubric) one pair that is mirrored over the user prompt.

    Two user prompts x1 and x2 under one system prompt: under x1 the text for x1 is chosen and the text for x2
    rejected, under x2 the other way round. Each x1 meets one other prompt of its rubric, drawn by `seed`; the targets
    take turns. Pairs are numbered anew.
    """
    groups: dict[tuple[str, str], list[PreferenceRow]] = {}
    for row in rows:
        groups.setdefault((row["prompt"][-1]["content"], row["rubric"]), []).append(row)
    partners: dict[tuple, tuple] = {}
    for rubric in dict.fromkeys(rubric for _, rubric in groups):
        around = [group for group in groups if group[1] == rubric]
        if len(around) < 2:
            raise PairError(f"{rubric!r} has one user prompt, and a pair over user prompts needs two: add responses.")
        random.Random(f"{seed} {rubric}").shuffle(around)
        partners |= dict(zip(around, around[1:] + around[:1]))
    mixed = []
    for number, (group, own) in enumerate(groups.items()):
        mine, theirs = ({row["prompt"][0]["content"]: row for row in groups[side]} for side in (group, partners[group]))
        shared = [system for system in mine if system in theirs]
        if not shared:
            raise PairError(f"No other prompt has a text under a system prompt of {group[0][:50]!r}: add responses.")
        system = shared[number % len(shared)]
        one, other = mine[system], theirs[system]
        if one["chosen"] == other["chosen"]:
            raise PairError(f"The prompts {group[0][:50]!r} and {partners[group][0][:50]!r} have one text: drop it.")
        pair = []
        for row, foreign in ((one, other), (other, one)):
            pair.append({**row, "rejected": foreign["chosen"], "rejected_target": foreign["chosen_target"]})
        mixed += own + pair
    return [{**row, "pair_id": f"{place // 2:05d}"} for place, row in enumerate(mixed)]


def training_order(rows: int, block: int, epochs: float, seed: int) -> list[int]:
    """Row numbers in the order of training: blocks of neighbours stay together and are shuffled anew in every epoch."""
    import torch

    starts, order = range(0, rows, block), []
    for epoch in range(math.ceil(epochs)):
        generator = torch.Generator().manual_seed(seed + epoch)
        for number in torch.randperm(len(starts), generator=generator).tolist():
            order += range(starts[number], min(starts[number] + block, rows))
    return order[: math.ceil(epochs * rows / block) * block]
