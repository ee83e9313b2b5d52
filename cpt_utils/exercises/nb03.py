"""Checks of the exercises in notebook 03: mirrored pairs."""

import copy
import math
from collections import Counter
from itertools import combinations, product

from cpt_utils.exercises.checking import call, compare, exercise
from cpt_utils.prompts import messages
from cpt_utils.runtime.errors import Mistake


def example_row(prompt="Describe a bridge.", rubric="rococo", chosen=10, rejected=95, pair_id="7") -> dict:
    """A preference row in the format of the series, with short texts."""

    def said(target):
        return [{"role": "assistant", "content": f"{prompt} {rubric} {target}"}]

    return {
        "prompt": messages(prompt, f"Write {rubric} of {chosen}."),
        "chosen": said(chosen),
        "rejected": said(rejected),
        "rubric": rubric,
        "chosen_target": chosen,
        "rejected_target": rejected,
        "pair_id": pair_id,
    }


@exercise("return the partner of the row.", "the same two texts, and the system prompt decides between them.")
def check_mirror(mirror):
    """mirror(row, other_system): the second row of the pair, the first one left as it is."""
    row, other = example_row(), "Write rococo of 95."
    kept = copy.deepcopy(row)
    got = call(lambda _: mirror(row, other), 0)
    right = example_row(chosen=95, rejected=10)
    if row != kept:
        raise Mistake("The given row has changed, so the pair is lost: work on copy.deepcopy(row).")
    if not isinstance(got, dict) or set(got) != set(row):
        raise Mistake(f"The partner needs the same columns as the row: {', '.join(row)}.")
    if got["prompt"] == row["prompt"]:
        raise Mistake("Both rows have the same system prompt, so they contradict: put in other_system.")
    if got["prompt"] != right["prompt"]:
        raise Mistake("`prompt` must hold two messages: other_system as system, then the same user turn.")
    if got["chosen"] == row["chosen"]:
        raise Mistake("The same text is chosen under either system prompt: swap chosen and rejected.")
    if got["rejected"] != right["rejected"]:
        raise Mistake("Chosen and rejected are the same text: keep one before you overwrite it.")
    if got["chosen_target"] == row["chosen_target"]:
        raise Mistake("The texts are swapped but not their targets: swap chosen_target and rejected_target.")
    if got["pair_id"] != row["pair_id"]:
        raise Mistake("The pair_id has changed: it is what says that the two rows belong together.")
    if got != right:
        raise Mistake(f"Something else differs: {[k for k in right if got[k] != right[k]]}.")


@exercise("return two lists of rows.", "no prompt is on both sides, so the test asks something new.")
def check_split(split):
    """split(rows, share, seed): train and test rows; a share of the prompts, whole, is in the test."""
    pairs = product([f"Prompt {i}" for i in range(10)], ("rococo", "esoteric"), combinations((10, 50, 95), 2))
    rows = [
        example_row(prompt, rubric, *targets, f"{number:05d}")
        for number, (prompt, rubric, pair) in enumerate(pairs)
        for targets in (pair, pair[::-1])
    ]

    def question(row):
        return row["prompt"][-1]["content"]

    def pair_of(row):
        return row["pair_id"]

    def turns(row):
        return str(row["prompt"])

    train, test = call(split, rows, 0.2, 0)
    if not test or not train:
        raise Mistake(f"One side is empty: {len(train)} rows for training, {len(test)} for the test.")
    returned = Counter(map(str, [*train, *test]))
    if returned != Counter(map(str, rows)):
        lost, doubled = len(rows) - len(returned), sum(returned.values()) - len(returned)
        raise Mistake(f"Each row must be on one side, once: {lost} are lost and {doubled} are doubled.")
    both = {way: len(set(map(way, train)) & set(map(way, test))) for way in (question, pair_of, turns)}
    if both[question]:
        unit = "rows are split"
        if not both[turns]:
            unit = "conversations are split, though several share a question"
        elif not both[pair_of]:
            unit = "pairs are split, though several share one"
        raise Mistake(f"{both[question]} of 10 questions are on both sides. Perhaps {unit}: draw questions.")
    held = len(set(map(question, test)))
    if held == 8:
        raise Mistake("8 of 10 questions are in the test for share=0.2: return train first, then test.")
    if held != 2:
        raise Mistake(f"{held} of 10 questions are in the test for share=0.2: there should be 2.")
    # Five times: two draws of 2 from 10 questions are the same once in 45 times by luck.
    if any(call(split, rows, 0.2, 0)[1] != test for _ in range(5)):
        raise Mistake("The same seed gives two different splits: draw with random.Random(seed).")
    if all(call(split, rows, 0.2, seed)[1] == test for seed in range(1, 6)):
        raise Mistake("Every seed gives the same split: draw with random.Random(seed).")


@exercise("return a number.", "rows grow with the square of the targets: 3 targets give 6 rows, 5 give 20.")
def check_count_rows(count_rows):
    """count_rows(prompts, rubrics, targets): rows of all mirrored pairs."""

    def right(prompts, rubrics, targets):
        return prompts * rubrics * targets * (targets - 1)

    def forgets_the_mirror(prompts, rubrics, targets):
        """The mirror is forgotten: every pair gives two rows, one for each of its system prompts."""
        return prompts * rubrics * math.comb(targets, 2)

    def forgets_the_pairs(prompts, rubrics, targets):
        """The pairs are forgotten: those are the responses, and a row needs two of them."""
        return prompts * rubrics * targets

    def pairs_a_target_with_itself(prompts, rubrics, targets):
        """It looks as if a target is paired with itself: its partner has to be one of the k - 1 others."""
        return prompts * rubrics * targets * targets

    def pairs_neighbours(prompts, rubrics, targets):
        """It looks as if only neighbouring targets are paired: low and high make a pair as well."""
        return prompts * rubrics * 2 * (targets - 1)

    def doubles_targets(prompts, rubrics, targets):
        """It looks as if every target gives two rows: three targets give three pairs, but five give ten."""
        return prompts * rubrics * 2 * targets

    def forgets_rubrics(prompts, rubrics, targets):
        """The rubrics are missing: prompts are answered under each one."""
        return prompts * targets * (targets - 1)

    def forgets_prompts(prompts, rubrics, targets):
        """The prompts are missing: multiply by them."""
        return rubrics * targets * (targets - 1)

    def forgets_both(prompts, rubrics, targets):
        """Prompts and rubrics are missing: multiply by both."""
        return targets * (targets - 1)

    cases = {}
    for prompts, rubrics, targets in ((1, 1, 3), (1, 1, 2), (20, 4, 3), (10, 2, 5), (6, 3, 1)):
        cases[f"{prompts} prompts, {rubrics} rubrics, {targets} targets"] = (prompts, rubrics, targets)
    slips = [
        forgets_the_mirror,
        forgets_the_pairs,
        pairs_a_target_with_itself,
        pairs_neighbours,
        doubles_targets,
        forgets_rubrics,
        forgets_prompts,
        forgets_both,
    ]
    compare(count_rows, cases, right, slips)
