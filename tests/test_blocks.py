"""Squares, and blocks of training: mirrored over both halves of a conversation, balanced, of the right texts."""

from collections import Counter

import pytest

from cpt_utils.blocks import mirrored_squares, training_blocks
from cpt_utils.pairs import PairError, build_mirrored_pairs, check_rows, rows_for
from cpt_utils.prompts import load_responses
from cpt_utils.runtime.profiles import load_profile

RECORDED = load_responses(heldout=False)
ROWS = build_mirrored_pairs(RECORDED)
MIXED = mirrored_squares(ROWS, seed=42)
SQUARES = [MIXED[start : start + 8] for start in range(0, len(MIXED), 8)]


def text(prompt, rubric, target, words):
    return {"prompt": prompt, "rubric": rubric, "target": target, "response": words, "model": "m"}


def rows_of(texts):
    return build_mirrored_pairs(texts, lambda rubric, target: f"{rubric} {target}")


def squares_of(texts, seed=0):
    return mirrored_squares(rows_of(texts), seed)


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


BLOCKED = training_blocks(ROWS, seed=42)
BLOCKS = [BLOCKED[start : start + 8] for start in range(0, len(BLOCKED), 8)]


def test_a_block_holds_all_pairs_of_a_prompt_and_rubric_and_one_over_the_prompt():
    check_rows(BLOCKED, mirrored=True, where="here")
    unnumbered = [row | {"pair_id": ""} for row in BLOCKED]
    styles = [row for start in range(0, len(BLOCKED), 8) for row in unnumbered[start : start + 6]]
    assert len(styles) == len(ROWS) and all(row | {"pair_id": ""} in styles for row in ROWS)
    for block in BLOCKS:
        prompts = [halves(row)[1] for row in block]
        assert len(set(prompts[:7])) == 1 and prompts[7] != prompts[0]
        own, foreign = block[6:]
        assert halves(own)[0] == halves(foreign)[0] and own["chosen_target"] == own["rejected_target"] > 10
        assert own["rubric"] == foreign["rubric"] == block[0]["rubric"]
        assert (words(own, "chosen"), words(own, "rejected")) == (words(foreign, "rejected"), words(foreign, "chosen"))
        written = {(halves(row), words(row, "chosen")) for row in block}
        assert len(written) == 4  # in a block every conversation chooses one text, its own
    assert [row["pair_id"] for row in BLOCKED] == [f"{place // 2:05d}" for place in range(len(BLOCKED))]


def test_every_prompt_of_a_rubric_meets_two_others_once_each_way():
    met, asked = Counter(), Counter((block[6]["rubric"], block[6]["chosen_target"]) for block in BLOCKS)
    assert set(asked.values()) == {10} and len(asked) == 8  # four rubrics, the two targets above the lowest
    for block in BLOCKS:
        met.update((block[0]["rubric"], halves(row)[1]) for row in block[6:])
    assert set(met.values()) == {2} and len(met) == len(BLOCKS)
    assert BLOCKED == training_blocks(ROWS, seed=42) != training_blocks(ROWS, seed=43)


def test_a_block_can_ask_for_the_subject_under_both_targets_above_the_lowest():
    rows = training_blocks(ROWS, seed=42, subject_pairs=2)
    check_rows(rows, mirrored=True, where="here")
    assert len(rows) == len(BLOCKS) * 10
    for start in range(0, len(rows), 10):
        block = rows[start : start + 10]
        assert len({halves(row)[1] for row in block[:6]}) == 1
        assert sorted(row["chosen_target"] for row in block[6:]) == [50, 50, 95, 95]
        assert len({halves(row)[1] for row in block[6:]}) == 2, "both meet the same other prompt"


def test_blocks_of_other_sizes_come_last_so_that_no_step_of_eight_rows_tears_one():
    two = [text(p, "small", t, f"{p} {t}") for p in "PQR" for t in (10, 95)]
    three = [text(p, "three", t, f"{p} {t}") for p in "ST" for t in (10, 50, 95)]
    rows = training_blocks(rows_of(two + three), seed=0)
    assert [row["rubric"] for row in rows] == ["three"] * 16 + ["small"] * 12
    for start in range(16, 28, 4):
        block = rows[start : start + 4]
        assert len({halves(row)[1] for row in block}) == 2 and len({halves(row)[1] for row in block[:3]}) == 1


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
def test_what_makes_no_square_and_no_block_is_said(rows, why):
    with pytest.raises(PairError, match=why):
        squares_of(rows)
    with pytest.raises(PairError, match=why):
        training_blocks(rows_of(rows), 0)


def test_training_rows_make_blocks_where_the_profile_says_so_and_held_out_rows_never():
    profile = load_profile("embedded")
    assert rows_for(profile, "train") == training_blocks(ROWS, profile.seed)
    assert len(rows_for(profile.replace(asks_subject=False), "train")) == len(ROWS)
    assert all(a["prompt"][0] != b["prompt"][0] for a, b in zip(*[iter(rows_for(profile, "heldout"))] * 2))


def test_the_recipe_trains_a_hundred_and_fifty_steps():
    profile = load_profile("embedded")
    assert len(BLOCKS) * profile.epochs == 150 and profile.rows_per_batch == 8
