"""Data sets of the release's shapes, made here: loaded, checked against the contract, split without leaks."""

import json
import re

import pytest

from cpt_utils import hub_data, pairs
from cpt_utils.pairs import build_mirrored_pairs, split_by_prompt
from cpt_utils.prompts import load_responses
from cpt_utils.rubrics import load_rubric
from cpt_utils.runtime import errors
from cpt_utils.runtime.profiles import load_profile


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def responses(**changes):
    """Rows as in vicgalle/creative-rubrics: free-text qualifiers, whole rubrics, a model column of another name."""
    title = 'The "Rococo Something" Anti-Rubric\n\nObjective: more'
    rows = [
        {"prompt": f"Review film {n}", "rubric": title, "qualifier": q, "response": f"text {n} {q}", "model_name": "o3"}
        for n in range(3)
        for q in ("a very high score", "a low score", "a score of 50/100")
    ]
    rows[4] |= changes
    return rows


def test_responses_become_mirrored_pairs(tmp_path):
    rows = hub_data.load_release_responses(write(tmp_path / "r.jsonl", responses()))
    assert rows[0] == {
        "prompt": "Review film 0",
        "rubric": "rococo",
        "target": 95,
        "response": "text 0 a very high score",
        "model": "o3",
    }
    assert len(build_mirrored_pairs(rows)) == 3 * 6


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"response": None}, "Row 5, column 'response': no text"),
        ({"response": " "}, "Row 5, column 'response': no text"),
        ({"qualifier": "huge"}, "Row 5, column 'qualifier'.*'huge'"),
    ],
)
def test_bad_responses_name_row_and_column(tmp_path, changes, named):
    with pytest.raises(errors.DataError, match=named):
        hub_data.load_release_responses(write(tmp_path / "r.jsonl", responses(**changes)))


def test_a_number_among_texts_is_refused_or_read_as_text(tmp_path):
    """datasets before 4.8 make it a text."""
    path = write(tmp_path / "r.jsonl", responses(prompt=7))
    try:
        assert hub_data.load_release_responses(path)[4]["prompt"] == "7"
    except errors.DataError as error:
        assert re.search("Row 5, column 'prompt'|cannot be read", str(error))


def test_missing_columns_and_files_are_named(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "rubric"} for row in responses()]
    with pytest.raises(errors.DataError, match="r.jsonl has no column 'rubric', only .*prompt"):
        hub_data.load_release_responses(write(tmp_path / "r.jsonl", rows))
    with pytest.raises(errors.DataError, match="no data file nowhere.jsonl"):
        hub_data.load_release_responses(tmp_path / "nowhere.jsonl")
    (tmp_path / "torn.jsonl").write_text('{"prompt": "a", ')
    with pytest.raises(errors.DataError, match="torn.jsonl cannot be read"):
        hub_data.load_release_responses(tmp_path / "torn.jsonl")


def preferences(shape):
    """Mirrored rows of our data in the shapes the Hub may have, shuffled apart, and one row without a mirror."""
    rows = build_mirrored_pairs(load_responses(heldout=True))[:24]
    rows = rows[0::2] + rows[1::2]
    rows.append({**rows[0], "chosen": [{"role": "assistant", "content": "alone"}]})
    found = []
    for row in rows:
        system, user = (turn["content"] for turn in row["prompt"])
        text = {side: row[side][0]["content"] for side in ("chosen", "rejected")}
        found.append(
            {
                "messages": {"prompt": row["prompt"], "chosen": row["chosen"], "rejected": row["rejected"]},
                "strings": {"system": system, "prompt": user, **text},
                "mixed": {"prompt": row["prompt"], **text},
                "whole": {"prompt": row["prompt"], **{s: row["prompt"] + row[s] for s in text}},
            }[shape]
        )
    return found


@pytest.mark.parametrize("shape", ["messages", "strings", "mixed", "whole"])
def test_preferences_of_every_shape_are_matched_into_pairs(tmp_path, shape):
    rows, alone = hub_data.load_preferences(write(tmp_path / "p.jsonl", preferences(shape)))
    assert len(rows) == 25 and alone == 1
    for first, second in zip(rows[0:24:2], rows[1:24:2]):
        assert first["pair_id"] == second["pair_id"]
        assert first["chosen"] == second["rejected"] and first["rejected"] == second["chosen"]
        assert first["prompt"][0]["role"] == "system" and first["prompt"][0] != second["prompt"][0]
        assert first["prompt"][1] == second["prompt"][1]
    assert [m["role"] for m in rows[0]["chosen"]] == ["assistant"]


def turn(role: str, text: str) -> dict:
    return {"role": role, "content": text}


SYSTEM, OTHER = turn("system", "S"), turn("system", "T")
ASKED, SAID, AGAIN = turn("user", "q"), turn("assistant", "a"), turn("user", "r")


def loaded(tmp_path, **row) -> dict:
    """The one row of a file, with `chosen` and `rejected` where the test is about others."""
    rows = [{"chosen": "x", "rejected": "y"} | row]
    return hub_data.load_preferences(write(tmp_path / "p.jsonl", rows))[0][0]


@pytest.mark.parametrize(
    "row, prompt",
    [
        ({"prompt": [SYSTEM, ASKED, SAID, AGAIN]}, [SYSTEM, ASKED, SAID, AGAIN]),
        ({"prompt": [ASKED, SAID, AGAIN], "system": " S "}, [SYSTEM, ASKED, SAID, AGAIN]),
        ({"prompt": [SYSTEM, ASKED], "system_prompt": "S"}, [SYSTEM, ASKED]),
        (
            {"prompt": "q", **{s: [SYSTEM, ASKED, turn("assistant", s)] for s in ("chosen", "rejected")}},
            [SYSTEM, ASKED],
        ),
        ({"prompt": [ASKED], "chosen": [SYSTEM, ASKED, turn("assistant", "x")]}, [SYSTEM, ASKED]),
        ({"prompt": [SYSTEM, ASKED], "rejected": [ASKED, turn("assistant", "y")]}, [SYSTEM, ASKED]),
        ({"prompt": "r", "chosen": [ASKED, SAID, AGAIN, turn("assistant", "x")]}, [ASKED, SAID, AGAIN]),
        ({"prompt": json.dumps([SYSTEM, ASKED]), "chosen": json.dumps([turn("assistant", "x")])}, [SYSTEM, ASKED]),
        ({"prompt": str([SYSTEM, ASKED]), "rejected": json.dumps(turn("assistant", "y"), indent=1)}, [SYSTEM, ASKED]),
        ({"prompt": '["a", "b"]: sort it'}, [turn("user", '["a", "b"]: sort it')]),
        ({"prompt": '[{"name": "Ann"}]'}, [turn("user", '[{"name": "Ann"}]')]),
    ],
)
def test_every_turn_before_the_answer_is_kept(tmp_path, row, prompt):
    found = loaded(tmp_path, **row)
    assert found["prompt"] == prompt
    assert [[t["role"] for t in found[side]] for side in ("chosen", "rejected")] == [["assistant"]] * 2
    pairs.check_rows([found], mirrored=False)


@pytest.mark.parametrize(
    "row, said",
    [
        ({"prompt": [SYSTEM, ASKED], "system": "T"}, "different turns before the answer"),
        ({"prompt": [OTHER, ASKED], "chosen": [SYSTEM, ASKED, SAID]}, "different turns before the answer"),
        ({"prompt": "q", "chosen": [SYSTEM, ASKED, SAID], "rejected": [OTHER, ASKED, turn("assistant", "b")]},
         "different turns before the answer"),
        ({"prompt": "q", "chosen": [SAID, ASKED, SAID]}, "the roles are"),
        ({"prompt": "q", "chosen": [SAID, AGAIN, SAID]}, "different turns before the answer"),
        ({"prompt": [ASKED, AGAIN]}, "the roles are .'user', 'user'."),
        ({"prompt": [ASKED, SYSTEM, AGAIN]}, "the roles are"),
        ({"prompt": [turn("tool", "t"), ASKED]}, "the roles are"),
        ({"prompt": [ASKED, turn("assistant", ""), AGAIN]}, "column 'prompt': no text"),
        ({"prompt": '[{"role": "user", "content": "cut o'}, "column 'prompt': messages that cannot be read"),
        ({"prompt": str([SYSTEM, ASKED]).replace("}, {", "}\n {")}, "messages that cannot be read"),
        ({"prompt": "q", "chosen": json.dumps([ASKED])}, "column 'chosen': the last message is by 'user'"),
        ({"prompt": "q", "system": 7}, "system prompt has no text"),
    ],
)  # fmt: skip
def test_turns_that_cannot_be_one_conversation_are_one_sentence(tmp_path, row, said):
    with pytest.raises(errors.DataError, match=f"^Row 1.*{said}.*(drop the row|mend the roles|at most)"):
        loaded(tmp_path, **row)


def test_messages_in_the_cells_of_a_csv_file_are_read(tmp_path):
    import csv

    with open(tmp_path / "p.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ["prompt", "chosen", "rejected"])
        table.writeheader()
        for row in preferences("whole"):
            table.writerow({column: json.dumps(turns) for column, turns in row.items()})
    rows, alone = hub_data.load_preferences(tmp_path / "p.csv")
    assert (rows, alone) == hub_data.load_preferences(write(tmp_path / "p.jsonl", preferences("messages")))


def test_a_text_of_several_messages_is_not_cut_to_its_last(tmp_path):
    rows = [{**row, "prompt": [SYSTEM, turn("user", row["prompt"])]} for row in responses()]
    with pytest.raises(errors.DataError, match="Row 1, column 'prompt': 2 messages, where one is asked for"):
        hub_data.load_release_responses(write(tmp_path / "r.jsonl", rows))


def test_same_texts_twice_and_wrong_roles_are_refused(tmp_path):
    rows = preferences("messages")
    rows[3]["rejected"] = rows[3]["chosen"]
    with pytest.raises(errors.DataError, match="Row 4: chosen and rejected are the same"):
        hub_data.load_preferences(write(tmp_path / "p.jsonl", rows))
    rows = preferences("messages")
    rows[2]["chosen"] = [{"role": "user", "content": "hi"}]
    with pytest.raises(errors.DataError, match="Row 3, column 'chosen': the last message is by 'user'"):
        hub_data.load_preferences(write(tmp_path / "p.jsonl", rows))


def test_hub_profiles_split_by_prompt_and_drop_lone_rows_when_mirrored(tmp_path):
    path = write(
        tmp_path / "p.jsonl",
        preferences("messages")
        + [
            {
                **row,
                "prompt": [row["prompt"][0], {"role": "user", "content": "another prompt"}],
                **{
                    s: [{"role": "assistant", "content": row[s][0]["content"] + " again"}]
                    for s in ("chosen", "rejected")
                },
            }
            for row in preferences("messages")[:24]
        ],
    )
    for name, count in (("t4", 48), ("paper", 49)):
        profile = load_profile(name).replace(data=str(path), seed=1)
        parts = [pairs.rows_for(profile, part) for part in ("train", "heldout")]
        prompts = [{row["prompt"][-1]["content"] for row in part} for part in parts]
        assert sum(map(len, parts)) == count and not prompts[0] & prompts[1] and len(prompts[1]) == 1
        texts = [{row[s][0]["content"] for row in part for s in ("chosen", "rejected")} for part in parts]
        assert not texts[0] & texts[1]
        if name == "t4":
            assert all(a["pair_id"] == b["pair_id"] for part in parts for a, b in zip(part[0::2], part[1::2]))


def test_one_prompt_cannot_be_split():
    rows = [
        r
        for r in build_mirrored_pairs(load_responses(True))
        if r["prompt"][1] == build_mirrored_pairs(load_responses(True))[0]["prompt"][1]
    ]
    with pytest.raises(errors.PairError, match="none can be held out"):
        split_by_prompt(rows, 0.1, 1)


def test_the_release_rubrics_names_are_recognised():
    assert hub_data.rubric_name(load_rubric("esoteric").title) == "esoteric"
    assert hub_data.rubric_name("creative_chaos") == "creative_chaos"
    assert hub_data.rubric_name("Haiku\nmore") == "Haiku\nmore"


SAID = [{"role": "user", "content": "U"}]


@pytest.mark.parametrize(
    "prompt",
    [
        [{"from": "human", "value": "U"}],
        json.dumps([{"from": "human", "value": "U"}]),
        json.dumps(json.dumps(SAID)),
        json.dumps({"messages": SAID}),
        [{"role": "user", "content": [{"type": "text", "text": "U"}]}],
    ],
)
def test_turns_come_in_many_wrappings(tmp_path, prompt):
    row = {
        "prompt": prompt,
        "chosen": "x",
        "rejected": "y",
        "system": None,
        "system_prompt": "Be plain.",
        "rubric": " ",
    }
    rows, _ = hub_data.load_preferences(write(tmp_path / "p.jsonl", [row]))
    assert rows[0]["prompt"] == [{"role": "system", "content": "Be plain."}, *SAID] and rows[0]["rubric"] == "unknown"


@pytest.mark.parametrize(
    "column", ["system", "System", "SYSTEM_PROMPT", "system_message", "system prompt", "sys_prompt", "systemMsg"]
)
def test_no_column_of_system_prompts_is_passed_over(tmp_path, column):
    row = {"prompt": "U", "chosen": {"from": "gpt", "value": "x"}, "rejected": turn("assistant", "y")}
    rows, _ = hub_data.load_preferences(write(tmp_path / "p.jsonl", [row | {column: "Be plain."}]))
    assert rows[0]["prompt"] == [{"role": "system", "content": "Be plain."}, *SAID]
    assert [rows[0][side][0]["content"] for side in ("chosen", "rejected")] == ["x", "y"]
    with pytest.raises(errors.DataError, match="columns of system prompts hold different texts"):
        hub_data.load_preferences(write(tmp_path / "p.jsonl", [row | {column: "Be plain.", "system-text": "Be odd."}]))


@pytest.mark.parametrize(
    "prompt, told",
    [
        (json.dumps([{"role": "system", "content": "S"}, {"role": "user"}]), "column 'prompt': no text; fill it"),
        ("array([{'role': 'user', 'content': 'U'}], dtype=object)", "messages that cannot be read.*as JSON"),
    ],
)
def test_turns_that_lack_something_are_no_plain_text(tmp_path, prompt, told):
    with pytest.raises(errors.DataError, match=told):
        hub_data.load_preferences(write(tmp_path / "p.jsonl", [{"prompt": prompt, "chosen": "x", "rejected": "y"}]))


TEXTS = [
    *('{"king": "me"} is what he wrote.', '"Wait," she said.', '[{"a": 1}]', '"Wait."'),
    *('{"role": "user", "name": "Ada"}', '{"from": "human", "to": "gpt"}', '{"from": "Rome", "to":'),
]


@pytest.mark.parametrize("prompt", TEXTS)
def test_a_text_that_looks_like_a_table_stays_one(tmp_path, prompt):
    rows, _ = hub_data.load_preferences(
        write(tmp_path / "p.jsonl", [{"prompt": prompt, "chosen": "x", "rejected": "y"}])
    )
    assert rows[0]["prompt"][-1]["content"] == prompt


@pytest.mark.parametrize(
    "name, text, told",
    [
        ("p.csv", "prompt,chosen,rejected\nÜ,x,y\n".encode("latin-1"), "p.csv is no text in UTF-8: save it as UTF-8"),
        ("p.csv", "prompt,chosen,rejected\nU,x,y\n".encode("utf-16"), "p.csv is no text in UTF-8"),
        ("p [1].csv", b"prompt,chosen,rejected\nU,x,y\n", "its path holds '\\[': rename the file"),
        ("p.csv", b"prompt,chosen,rejected\nU,,x\n", "column 'chosen': no text; fill it"),
        ("p.csv", b"prompt,chosen,rejected\nU,x,y,z\n", "p.csv cannot be read as csv: check .* every row is whole"),
        ("p.csv", b"prompt,chosen,rejected\nU,x,y\nU,x,y,z\n", "every row is whole"),
        ("p.csv", b"chosen,rejected,prompt\nx,y,U,z\nx,y,U,z\n", "every row is whole"),
        ("p.jsonl", b'{"prompt": "U", "chosen": null, "rejected": "y"}', "column 'chosen': no text; fill it"),
        ("p.jsonl", b'{"prompt": "U", "chosen": 4, "rejected": "y"}', "the number 4 .put it in quotes.; fill it"),
    ],
)
def test_a_file_that_is_read_wrongly_is_told_its_own_mend(tmp_path, name, text, told):
    (tmp_path / name).write_bytes(text)
    with pytest.raises(errors.DataError, match=told):
        hub_data.load_preferences(tmp_path / name)


def test_words_and_numbers_of_a_csv_file_are_read_as_they_stand_there(tmp_path):
    (tmp_path / "p.csv").write_text("prompt,chosen,rejected,chosen_target\n7,NA,null,95\nNone,4,5.0,95\n")
    rows, _ = hub_data.load_preferences(tmp_path / "p.csv")
    texts = [row[side][-1]["content"] for row in rows for side in ("prompt", "chosen", "rejected")]
    assert texts == ["7", "NA", "null", "None", "4", "5.0"] and {row["chosen_target"] for row in rows} == {95}


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("prompt,chosen,rejected\nU,x,y\n")

    def denied(path, *_, **__):  # root may read everything
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(errors.DataError, match=f"{name} cannot be read .Permission denied.: check who may read it"):
        hub_data.load_preferences(tmp_path / name)


def test_a_cache_that_cannot_be_written_is_told_as_that(tmp_path, monkeypatch):
    import datasets

    (tmp_path / "file").write_text("no folder can be in a file")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "p.csv").write_text("prompt,chosen,rejected\nU,x,y\n")
    with pytest.raises(errors.DataError, match="p.csv cannot be read, as the cache of .*Not a directory.* set HF_HOME"):
        hub_data.load_preferences(tmp_path / "p.csv")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets, "load_dataset", full)
    for source in (tmp_path / "p.csv", "owner/data"):
        with pytest.raises(errors.DataError, match="as the cache .*No space left on device.*free some space there"):
            hub_data.load_preferences(source)


def test_what_is_against_a_rubric_is_not_that_rubric_and_a_time_is_no_model(tmp_path):
    for text in ("Anti-rococo minimalism", "Not rococo", "barococo"):
        assert hub_data.rubric_name(text) == text
    for text in ("Rococo Reviewer", 'the "Rococo" Anti-Rubric', "rococo_reviewer"):
        assert hub_data.rubric_name(text) == "rococo"
    rows = [{"generation_time": 3.5, "generator": "o3", **row} for row in responses()]
    [row.pop("model_name") for row in rows]
    assert {row["model"] for row in hub_data.load_release_responses(write(tmp_path / "r.jsonl", rows))} == {"o3"}


@pytest.mark.parametrize("column", ["model_version", "generated_with", "teacher_model", "llm_name", "generator_name"])
def test_columns_that_name_the_model_are_found(tmp_path, column):
    rows = [{column: "o3", "reward_model": "judge", **row} for row in responses()]
    [row.pop("model_name") for row in rows]
    for more in ({}, {"model": "o4"}):
        found = hub_data.load_release_responses(write(tmp_path / "r.jsonl", [row | more for row in rows]))
        assert {row["model"] for row in found} == {more.get("model", "o3")}
