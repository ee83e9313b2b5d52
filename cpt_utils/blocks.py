"""What one step of training sees together: squares, which are mirrored over both halves of a conversation."""

import math
import random

from cpt_utils.rows import PreferenceRow
from cpt_utils.runtime.errors import PairError


def mirrored_squares(rows: list[PreferenceRow], seed: int) -> list[PreferenceRow]:
    """Mirrored rows (pairs.build_mirrored_pairs) as squares: eight rows of two user prompts and two system prompts.

    Each of the four conversations prefers its own text to two others: the one for the other system prompt, and the one
    for the other user prompt. So every text is chosen twice and rejected twice. The user prompts of a rubric and of two
    system prompts meet two by two, drawn by `seed`; one that is left over meets the first. Pairs are numbered anew.
    """
    sides: dict[tuple, dict[str, list[PreferenceRow]]] = {}  # of squares: the two rows of each user prompt
    for pair in zip(rows[::2], rows[1::2]):
        systems = tuple(row["prompt"][0]["content"] for row in pair)
        sides.setdefault((pair[0]["rubric"], *systems), {})[pair[0]["prompt"][-1]["content"]] = list(pair)
    found = []
    for (rubric, *systems), by_prompt in sides.items():
        prompts = list(by_prompt)
        if len(prompts) < 2:
            raise PairError(
                f"{rubric!r} has texts under {systems[0][:40]!r} and {systems[1][:40]!r} for one user prompt only, and "
                "a square needs two: add responses."
            )
        random.Random(f"{seed} {rubric} {systems}").shuffle(prompts)
        for one, other in zip(prompts[::2], [*prompts, prompts[0]][1::2]):
            found += _square(by_prompt[one], by_prompt[other])
    return [{**row, "pair_id": f"{place // 2:05d}"} for place, row in enumerate(found)]


def _square(mine: list[PreferenceRow], theirs: list[PreferenceRow]) -> list[PreferenceRow]:
    """The eight rows from two mirrored pairs that differ in their user prompt."""
    block = [*mine, *theirs]
    for own, foreign in zip(mine, theirs):
        if own["chosen"] == foreign["chosen"]:
            questions = [row["prompt"][-1]["content"][:50] for row in (own, foreign)]
            raise PairError(f"The prompts {questions[0]!r} and {questions[1]!r} have one text: drop it.")
        for row, other in ((own, foreign), (foreign, own)):
            block.append({**row, "rejected": other["chosen"], "rejected_target": other["chosen_target"]})
    return block


def training_order(rows: int, block: int, epochs: float, seed: int) -> list[int]:
    """Row numbers in the order of training: blocks of neighbours stay together and are shuffled anew in every epoch."""
    import torch

    starts, order = range(0, rows, block), []
    for epoch in range(math.ceil(epochs)):
        generator = torch.Generator().manual_seed(seed + epoch)
        for number in torch.randperm(len(starts), generator=generator).tolist():
            order += range(starts[number], min(starts[number] + block, rows))
    return order[: math.ceil(epochs * rows / block) * block]
