"""The picture in PackedCollator's docstring is what the collator makes of the rows beside it."""

import re

import pytest
import torch

from cpt_utils.fast.packing import NO_LABEL, PADDING, PROMPT, PackedCollator

PICTURE = PackedCollator.__doc__
TENSORS = ("input_ids", "position_ids", "segment", "labels", "chosen", "rejected")
BRACKETS = re.compile(r"\[.*?\]")


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def drawn_rows() -> list[dict]:
    """The two rows above the picture."""
    drawn = re.findall(r"^ +prompt ([\d ]+) chosen ([\d ]+) rejected ([\d ]+)$", PICTURE, re.MULTILINE)
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    return [dict(zip(names, map(numbers, sides), strict=True)) for sides in drawn]


def drawn_tensor(name: str) -> list[str]:
    """The text of each line of one tensor of the picture: behind its name, and below that."""
    (drawn,) = re.findall(rf"^ +{name} +([-\d\[].*(?:\n +[-\d\[][-\d \[\]]*$)*)", PICTURE, re.MULTILINE)
    return drawn.split("\n")


def drawn_masks() -> list[tuple[list[int], list[int], list[list[bool]]]]:
    """Of each line of the batch: the tokens across, the tokens down, and what each of these sees."""
    _, below = PICTURE.split("each token sees\n")
    across, *grid = below.split("\n\n")[0].splitlines()
    halves = [re.findall(r"(\d+) +((?:[x.] *)+)", row) for row in grid]
    masks = []
    for half, tokens in enumerate(re.split(r" {4,}", across.strip())):
        down = [int(row[half][0]) for row in halves]
        sees = [[mark == "x" for mark in row[half][1].split()] for row in halves]
        masks.append((numbers(tokens), down, sees))
    return masks


@pytest.fixture
def batch():
    return PackedCollator(pad_token_id=0)(drawn_rows())


def test_the_example_has_two_responses_behind_each_prompt_and_the_second_prompt_is_shorter():
    lengths = [[len(tokens) for tokens in row.values()] for row in drawn_rows()]
    assert lengths == [[3, 2, 3], [2, 3, 1]]


@pytest.mark.parametrize("name", TENSORS)
def test_the_drawn_tensor_is_the_collators(batch, name):
    lines = [numbers(BRACKETS.sub("", line)) for line in drawn_tensor(name)]
    assert torch.equal(batch[name].view(len(lines), -1), torch.tensor(lines))


def test_what_is_in_brackets_are_the_columns_before_those_that_predict(batch):
    cut = [numbers(BRACKETS.search(line).group()) for line in drawn_tensor("segment")]
    assert cut == [[PROMPT, PROMPT], [PADDING, PROMPT]]
    length, kept = batch["input_ids"].shape[1], batch["labels"].shape[1]
    assert length - kept == len(cut[0]) and NO_LABEL in batch["labels"]


def test_the_drawn_attention_is_the_mask(batch):
    masks = drawn_masks()
    assert len(masks) == len(batch["input_ids"])
    for (across, down, sees), ids, mask in zip(masks, batch["input_ids"], batch["attention_mask"], strict=True):
        assert across == down == ids.tolist() and sees == mask[0].tolist()


def test_columns_stand_above_each_other_in_the_picture():
    """A label is drawn below the token that predicts it: their numbers end in the same place."""
    ends = {}
    for name in ("input_ids", "segment", "labels"):
        (line,) = re.findall(rf"^ +{name} +[-\d\[].*$", PICTURE, re.MULTILINE)
        ends[name] = [number.end() for number in re.finditer(r"-?\d+", line)]
    assert ends["input_ids"] == ends["segment"] and ends["input_ids"][2:] == ends["labels"]
