import pytest

from cpt_utils.pairs import PairError, build_mirrored_pairs
from cpt_utils.prompts import load_responses, system_prompt
from cpt_utils.rows import TARGETS, target_name, target_of


def responses(**changes):
    rows = [
        {"prompt": "P", "rubric": "rococo", "target": target, "response": f"text {name}", "model": "m"}
        for name, target in TARGETS.items()
    ]
    rows[0] |= changes
    return rows


def test_three_targets_give_three_mirrored_pairs():
    rows = build_mirrored_pairs(responses())
    assert len(rows) == 6
    for first, second in zip(rows[0::2], rows[1::2]):
        assert first["pair_id"] == second["pair_id"]
        assert first["chosen"] == second["rejected"] and first["rejected"] == second["chosen"]
        assert first["prompt"][0] != second["prompt"][0] and first["prompt"][1] == second["prompt"][1]
        assert first["chosen_target"] == second["rejected_target"]
    assert {(r["chosen_target"], r["rejected_target"]) for r in rows} == {
        (10, 50),
        (50, 10),
        (10, 95),
        (95, 10),
        (50, 95),
        (95, 50),
    }
    assert len({r["pair_id"] for r in rows}) == 3


def test_the_system_prompt_asks_for_the_chosen_text():
    for row in build_mirrored_pairs(load_responses(False)):
        asked = system_prompt(row["rubric"], row["chosen_target"])
        assert row["prompt"][0] == {"role": "system", "content": asked}
        assert [turn["role"] for turn in row["prompt"]] == ["system", "user"]


def test_without_system_prompts_the_data_prefers_nothing():
    """Each (user prompt, text) is chosen exactly as often as it is rejected."""
    balance = {}
    for row in build_mirrored_pairs(load_responses(False)):
        for side, sign in (("chosen", 1), ("rejected", -1)):
            key = (row["prompt"][1]["content"], row[side][0]["content"])
            balance[key] = balance.get(key, 0) + sign
    assert balance and set(balance.values()) == {0}


@pytest.mark.parametrize(
    "text, target",
    [
        ("low", 10),
        ("a score of 50/100", 50),
        ("a very HIGH score", 95),
        ("mid", 50),
        ("the highest score", 95),
        ("Low.", 10),
        ("slow but high", 95),
        ("a score of 50 / 100, not low", 50),
    ],
)
def test_targets_of_free_text(text, target):
    assert target_of(text) == target


def test_a_target_is_a_number_a_name_or_a_qualifier():
    assert {target_of(target) for target in (95, "high", "a very high score", "95", 95.0)} == {95}
    assert (target_of(0), target_of(42)) == (0, 42)
    assert [target_name(target) for target in (10, 50, 95, 42)] == ["low", "mid", "high", "42"]
    assert system_prompt("rococo", 95) == system_prompt("rococo", "high")
    for wrong in ("huge", "slow", 101, -1, 50.5, True, None):
        with pytest.raises(PairError, match=f"Qualifier {wrong!r} names no target"):
            target_of(wrong)


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"response": " "}, "Response 1 has no text in column 'response'"),
        ({"response": None}, "'response'"),
        ({"target": "huge"}, "no target in column 'target'"),
        ({"target": None}, "no target in column 'target'"),
        ({"response": "text high"}, "two different texts"),
    ],
)
def test_bad_responses_are_named(changes, named):
    with pytest.raises(PairError, match=named):
        build_mirrored_pairs(responses(**changes))
