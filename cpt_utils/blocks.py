"""What one step of training sees together: rows that are mirrored over both halves of a conversation."""

import math
import random

from cpt_utils.rows import PreferenceRow
from cpt_utils.runtime.errors import PairError

Sides = dict[str, list[PreferenceRow]]


def mirrored_squares(rows: list[PreferenceRow], seed: int) -> list[PreferenceRow]:
    """Mirrored rows (pairs.build_mirrored_pairs) as squares: eight rows of two user prompts and two system prompts.

    Each of the four conversations prefers its own text to two others: the one for the other system prompt, and the one
    for the other user prompt. So every text is chosen twice and rejected twice. The user prompts of a rubric and of two
    system prompts meet two by two, drawn by `seed`; one that is left over meets the first. Pairs are numbered anew.
    """
    pairs = [list(pair) for pair in zip(rows[::2], rows[1::2])]
    found = []
    for prompts in _drawn(pairs, seed):
        order = list(prompts)
        for one, other in zip(order[::2], [*order, order[0]][1::2]):
            found += prompts[one] + prompts[other]
            for own, foreign in zip(prompts[one], prompts[other]):
                found += _over_prompts(own, foreign)
    return _numbered(found)


def training_blocks(rows: list[PreferenceRow], seed: int, subject_pairs: int = 1) -> list[PreferenceRow]:
    """Mirrored rows as blocks: those of one user prompt and rubric, and `subject_pairs` pairs that ask for the subject.

    Such a pair is mirrored over the user prompt, as in a square, with the next prompt of the rubric in an order drawn
    by `seed`. It stands under one of the targets above the lowest, in turn: at the lowest a model keeps its subject
    without being asked. Three targets and one such pair make eight rows, and blocks of three targets come first:
    training takes as many rows a step as these have.
    """
    groups: dict[tuple, list[PreferenceRow]] = {}
    for row in rows:
        groups.setdefault((row["rubric"], row["prompt"][-1]["content"]), []).append(row)
    blocks = []
    for prompts in _drawn(list(groups.values()), seed):
        order = list(prompts)
        for one, other in zip(order, [*order[1:], order[0]]):
            targets = sorted({row["chosen_target"] for row in prompts[one]})[1:]
            block = list(prompts[one])
            for place in range(subject_pairs):
                asked = targets[(len(blocks) + place) % len(targets)]
                pair = [next(row for row in prompts[name] if row["chosen_target"] == asked) for name in (one, other)]
                block += _over_prompts(*pair)
            blocks.append(block)
    blocks.sort(key=lambda block: len(block) != 6 + 2 * subject_pairs)
    return _numbered([row for block in blocks for row in block])


def _drawn(groups: list[list[PreferenceRow]], seed: int) -> list[Sides]:
    """The rows of each user prompt, in an order drawn by `seed`, for each rubric and its same system prompts."""
    sides: dict[tuple, Sides] = {}
    for group in groups:
        systems = dict.fromkeys(row["prompt"][0]["content"] for row in group)
        sides.setdefault((group[0]["rubric"], *systems), {})[group[0]["prompt"][-1]["content"]] = group
    found = []
    for (rubric, *systems), by_prompt in sides.items():
        prompts = list(by_prompt)
        if len(prompts) < 2:
            told = " and ".join(repr(system[:40]) for system in systems)
            raise PairError(
                f"{rubric!r} has texts under {told} for one user prompt only, and two have to meet: add responses."
            )
        random.Random(f"{seed} {rubric} {systems}").shuffle(prompts)
        found.append({prompt: by_prompt[prompt] for prompt in prompts})
    return found


def _over_prompts(own: PreferenceRow, foreign: PreferenceRow) -> list[PreferenceRow]:
    """Two rows under one system prompt, mirrored over the user prompt: each prefers its own text."""
    if own["chosen"] == foreign["chosen"]:
        questions = [row["prompt"][-1]["content"][:50] for row in (own, foreign)]
        raise PairError(f"The prompts {questions[0]!r} and {questions[1]!r} have one text: drop it.")
    return [
        {**row, "rejected": other["chosen"], "rejected_target": other["chosen_target"]}
        for row, other in ((own, foreign), (foreign, own))
    ]


def _numbered(rows: list[PreferenceRow]) -> list[PreferenceRow]:
    return [{**row, "pair_id": f"{place // 2:05d}"} for place, row in enumerate(rows)]


def training_order(rows: int, block: int, epochs: float, seed: int) -> list[int]:
    """Row numbers in the order of training: blocks of neighbours stay together and are shuffled anew in every epoch."""
    import torch

    starts, order = range(0, rows, block), []
    for epoch in range(math.ceil(epochs)):
        generator = torch.Generator().manual_seed(seed + epoch)
        for number in torch.randperm(len(starts), generator=generator).tolist():
            order += range(starts[number], min(starts[number] + block, rows))
    return order[: math.ceil(epochs * rows / block) * block]
