"""Squares of two user prompts and two system prompts: mirrored both ways, balanced, made of the right texts."""

from collections import Counter

import pytest

from cpt_utils.blocks import mirrored_squares
from cpt_utils.pairs import PairError, build_mirrored_pairs, check_rows, rows_for
from cpt_utils.prompts import load_responses
from cpt_utils.runtime.profiles import load_profile

RECORDED = load_responses(heldout=False)
ROWS = build_mirrored_pairs(RECORDED)
MIXED = mirrored_squares(ROWS, seed=42)
SQUARES = [MIXED[start : start + 8] for start in range(0, len(MIXED), 8)]


def text(prompt, rubric, target, words):
    return {"prompt": prompt, "rubric": rubric, "target": target, "response": words, "model": "m"}


def squares_of(texts, seed=0):
    return mirrored_squares(build_mirrored_pairs(texts, lambda rubric, target: f"{rubric} {target}"), seed)


def halves(row):
    return tuple(turn["content"] for turn in row["prompt"])


def words(row, side):
    return row[side][0]["content"]


def test_every_mirrored_pair_stands_in_one_square():
    assert len(MIXED) == 2 * len(ROWS)
    check_rows(MIXED, mirrored=True, where="here")
    own = [row | {"pair_id": ""} for square in SQUARES for row in square[:4]]
    for row in ROWS:
        assert own.count(row | {"pair_id": ""}) == 1
    assert [row["pair_id"] for row in MIXED] == [f"{place // 2:05d}" for place in range(len(MIXED))]


def test_each_conversation_prefers_its_own_text_to_that_of_either_neighbour():
    written = {(row["prompt"], row["rubric"], row["target"]): row["response"].strip() for row in RECORDED}
    for square in SQUARES:
        texts = {}  # of the four conversations
        for row in square:
            texts[halves(row)] = words(row, "chosen")
            assert texts[halves(row)] == written[halves(row)[1], row["rubric"], row["chosen_target"]]
        assert len(texts) == 4 and len(set(texts.values())) == 4
        wanted = set()
        for mine, text_of_mine in texts.items():
            for other, text_of_other in texts.items():
                if sum(a != b for a, b in zip(mine, other)) == 1:  # a neighbour: one half of the conversation differs
                    wanted.add((mine, text_of_mine, text_of_other))
        assert {(halves(row), words(row, "chosen"), words(row, "rejected")) for row in square} == wanted


def test_either_half_of_the_conversation_alone_prefers_nothing():
    for half in (0, 1):
        chosen, rejected = Counter(), Counter()
        for square in SQUARES:
            pairs = [square[at : at + 2] for at in range(0, 8, 2)]
            for one, other in pairs:
                if halves(one)[half] == halves(other)[half]:  # mirrored over the other half
                    for row in (one, other):
                        chosen[halves(row)[half], words(row, "chosen")] += 1
                        rejected[halves(row)[half], words(row, "rejected")] += 1
        assert chosen == rejected and chosen


def test_the_seed_decides_who_meets_whom():
    assert MIXED == mirrored_squares(ROWS, seed=42) != mirrored_squares(ROWS, seed=43)
    met = {frozenset(halves(row)[1] for row in square) for square in SQUARES}
    assert {len(prompts) for prompts in met} == {2} and len(met) > 60


def test_one_that_is_left_over_meets_the_first():
    texts = [text(prompt, "r", target, f"{prompt} {target}") for prompt in "PQR" for target in (10, 95)]
    rows = squares_of(texts)
    assert len(rows) == 16 and sorted(Counter(halves(row)[1] for row in rows).values()) == [4, 4, 8]


@pytest.mark.parametrize(
    "rows, why",
    [
        ([text("P", "r", 10, "a"), text("P", "r", 95, "b")], "'r' has texts under 'r 10' and 'r 95' for one user"),
        (
            [text("P", "r", 10, "a"), text("P", "r", 50, "b"), text("Q", "r", 10, "c"), text("Q", "r", 95, "d")],
            "'r' has texts under 'r 10' and 'r 50' for one user prompt only",
        ),
        (
            [text("P", "r", 10, "a"), text("P", "r", 95, "b"), text("Q", "r", 10, "a"), text("Q", "r", 95, "b")],
            "have one text",
        ),
    ],
)
def test_what_makes_no_square_is_said(rows, why):
    with pytest.raises(PairError, match=why):
        squares_of(rows)


def test_training_rows_make_squares_where_the_profile_says_so_and_held_out_rows_never():
    profile = load_profile("embedded")
    assert len(rows_for(profile, "train")) == len(MIXED)
    assert len(rows_for(profile.replace(squares=False), "train")) == len(ROWS)
    assert all(a["prompt"][0] != b["prompt"][0] for a, b in zip(*[iter(rows_for(profile, "heldout"))] * 2))
