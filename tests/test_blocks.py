"""Pairs over two user prompts: mirrored, balanced, from the right texts; and blocks that stay together."""

from collections import Counter

import pytest

from cpt_utils.blocks import with_prompt_pairs
from cpt_utils.pairs import PairError, build_mirrored_pairs, check_rows, rows_for
from cpt_utils.prompts import load_responses
from cpt_utils.runtime.profiles import load_profile

RECORDED = load_responses(heldout=False)
ROWS = build_mirrored_pairs(RECORDED)
MIXED = with_prompt_pairs(ROWS, seed=42)
PAIRS = [MIXED[start + 6 : start + 8] for start in range(0, len(MIXED), 8)]


def text(prompt, rubric, target, words):
    return {"prompt": prompt, "rubric": rubric, "target": target, "response": words, "model": "m"}


def test_each_prompt_and_rubric_keeps_its_rows_and_gets_one_pair():
    assert len(MIXED) == len(ROWS) // 6 * 8
    check_rows(MIXED, mirrored=True, where="here")
    own = [row for start in range(0, len(MIXED), 8) for row in MIXED[start : start + 6]]
    assert [{**row, "pair_id": ""} for row in own] == [{**row, "pair_id": ""} for row in ROWS]
    assert [row["pair_id"] for row in MIXED] == [f"{place // 2:05d}" for place in range(len(MIXED))]


def test_a_pair_differs_in_its_user_prompt_alone():
    written = {(row["prompt"], row["rubric"], row["target"]): row["response"].strip() for row in RECORDED}
    for one, other in PAIRS:
        assert one["prompt"][0] == other["prompt"][0] and one["prompt"][1] != other["prompt"][1]
        assert one["chosen"] == other["rejected"] and one["rejected"] == other["chosen"]
        assert one["chosen_target"] == one["rejected_target"] == other["chosen_target"]
        for row in (one, other):  # chosen is what was written for this very prompt
            asked = row["prompt"][1]["content"], row["rubric"], row["chosen_target"]
            assert row["chosen"][0]["content"] == written[asked]


def test_without_user_prompts_the_pairs_prefer_nothing_and_all_targets_take_turns():
    balance = Counter()
    for one, other in PAIRS:
        for row in (one, other):
            balance[row["chosen"][0]["content"]] += 1
            balance[row["rejected"][0]["content"]] -= 1
    assert balance and not any(balance.values())
    turns = Counter((pair[0]["rubric"], pair[0]["chosen_target"]) for pair in PAIRS)
    assert len(turns) == 12 and max(turns.values()) - min(turns.values()) <= 1


def test_the_seed_decides_who_meets_whom_and_every_prompt_meets_one_other_each_way():
    assert MIXED == with_prompt_pairs(ROWS, seed=42) != with_prompt_pairs(ROWS, seed=43)
    met = Counter((row["prompt"][1]["content"], row["rubric"]) for pair in PAIRS for row in pair)
    assert set(met.values()) == {2} and len(met) == len(PAIRS)


def test_two_prompts_and_a_missing_target_are_enough():
    rows = [text("P", "r", 10, "a"), text("P", "r", 95, "b"), text("Q", "r", 10, "c"), text("Q", "r", 50, "d")]
    mixed = with_prompt_pairs(build_mirrored_pairs(rows, lambda rubric, target: f"{rubric} {target}"), 0)
    assert len(mixed) == 8
    assert {row["prompt"][0]["content"] for row in (*mixed[2:4], *mixed[6:8])} == {"r 10"}


@pytest.mark.parametrize(
    "rows, why",
    [
        ([text("P", "r", 10, "a"), text("P", "r", 95, "b")], "'r' has one user prompt"),
        (
            [text("P", "r", 10, "a"), text("P", "r", 50, "b"), text("Q", "r", 60, "c"), text("Q", "r", 95, "d")],
            "No other prompt has a text under a system prompt of 'P'",
        ),
        (
            [text("P", "r", 10, "a"), text("P", "r", 95, "b"), text("Q", "r", 10, "a"), text("Q", "r", 95, "b")],
            "have one text",
        ),
    ],
)
def test_what_cannot_be_paired_is_said(rows, why):
    with pytest.raises(PairError, match=why):
        with_prompt_pairs(build_mirrored_pairs(rows, lambda rubric, target: f"{rubric} {target}"), 0)


def test_training_rows_have_them_where_the_profile_says_so_and_held_out_rows_never():
    profile = load_profile("embedded")
    assert len(rows_for(profile, "train")) == len(MIXED)
    assert len(rows_for(profile.replace(prompt_pairs=False), "train")) == len(ROWS)
    assert all(a["prompt"][0] != b["prompt"][0] for a, b in zip(*[iter(rows_for(profile, "heldout"))] * 2))
