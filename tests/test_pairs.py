import json
from pathlib import Path

import pytest

from cpt_utils.models.logps import row_tokens
from cpt_utils.pairs import PairError, build_mirrored_pairs, check_lengths, load_rows, rows_for, write_rows
from cpt_utils.prompts import load_responses, system_prompt
from cpt_utils.rows import TARGETS, target_name, target_of
from cpt_utils.runtime.profiles import load_profile


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
        ("50/100: neither high nor low", 50),
        ("50/100, between low and high", 50),
        ("a low score, not a high one", 10),
        ("not low but high", 95),
        ("high rather than low", 95),
        ("very high, no less", 95),
    ],
)
def test_targets_of_free_text(text, target):
    assert target_of(text) == target


@pytest.mark.parametrize(
    "text",
    ["not high", "not a very high score", "isn't low", "isn’t low", "neither high nor low", "never low", "hardly high",
     "anything but high", "non-high", "less than high", "not 50/100", "high or low", "low-high", "NOT HIGH",
     "avoid a high score", "the opposite of high", "anything except high", "none high", "nowhere near high",
     "rarely high", "other than high", "unlike the high ones", "excluding high"],
)  # fmt: skip
def test_a_target_that_is_denied_or_one_of_two_is_none(text):
    with pytest.raises(PairError, match=f"Qualifier {text!r} names no target.*without a 'not'"):
        target_of(text)


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


@pytest.fixture
def smoke(tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    return load_profile("smoke").replace(seed=1)


def test_rows_come_back_as_notebook_03_wrote_them(smoke):
    written = {part: rows_for(smoke, part) for part in ("train", "heldout")}
    for part, rows in written.items():
        path = write_rows(smoke, part, rows)
        assert load_rows(smoke, part) == (rows, f"notebook 03 ({path.name})")


def test_rows_of_former_data_are_passed_over_and_named(smoke, tmp_path, capsys):
    for part in ("train", "heldout"):
        write_rows(smoke, part, rows_for(smoke, part))
    mine = tmp_path / "mine.jsonl"
    row = {"system": "S", "chosen": "a", "rejected": "b"}
    mine.write_text("".join(json.dumps(row | {"prompt": f"Q{i}"}) + "\n" for i in range(20)))
    other = smoke.replace(data=str(mine), mirrored=False)
    rows, where = load_rows(other, "train")
    assert rows == rows_for(other, "train") and rows[0]["prompt"][-1]["content"].startswith("Q")
    told = "note: train.jsonl was written by notebook 03 before a change of {}: its rows, yours too if you put some in"
    assert where == str(mine) and told.format("data, mirrored, file") in (said := capsys.readouterr().out)
    assert "are passed over; to train on them set it back, or run notebook 03 again" in said
    path = write_rows(other, "train", rows)
    mine.write_text(mine.read_text().replace("Q", "Why "))  # the same name and settings
    assert load_rows(other, "train")[1] == str(mine) and told.format("file") in capsys.readouterr().out
    path.write_text(path.read_text().replace("Q", "My own "))  # a choice of one's own is taken, whatever was before
    assert load_rows(other, "train")[0][0]["prompt"][-1]["content"].startswith("My own")


def test_rows_that_someone_changed_are_kept(smoke, capsys):
    rows = rows_for(smoke, "heldout")
    path = write_rows(smoke, "heldout", rows)
    path.write_text("mine")
    write_rows(smoke, "heldout", rows)
    (kept,) = path.parent.glob("heldout-before-*.jsonl")
    assert kept.read_text() == "mine" and f"it is kept as {kept.name}" in capsys.readouterr().out


def test_a_stop_in_writing_leaves_the_rows_that_were_there(smoke, monkeypatch):
    rows = rows_for(smoke, "heldout")
    write_rows(smoke, "heldout", rows)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_rows(smoke, "heldout", rows[:2])
    assert load_rows(smoke, "heldout")[0] == rows


def test_responses_that_lose_their_end_are_counted_in_one_line(rows, tokenizer, capsys):
    check_lengths(rows, tokenizer, 128)
    assert capsys.readouterr().out.startswith("max_length=128 cuts the end off a response in 24 of 24 rows (100%): ")
    sizes = [max(len(t["prompt_ids"] + t[s]) for s in ("chosen_ids", "rejected_ids")) for t in
             (row_tokens(tokenizer, row) for row in rows)]  # fmt: skip
    middle = sorted(sizes)[11] - 1  # without the line break behind the end mark
    check_lengths(rows, tokenizer, middle)
    said, expected = capsys.readouterr().out, sum(size - 1 > middle for size in sizes)
    assert f"in {expected} of 24 rows" in said and said.count("\n") == 1 and 0 < expected < 24
    check_lengths(rows, tokenizer, max(sizes) - 1)
    assert capsys.readouterr().out == ""
