"""What users get wrong, in one table: one sentence names each case, with its place and mend, and no file changes."""

import copy
import json
import pathlib
import shutil
import tempfile

import pytest
import torch
from pydantic import ValidationError

from cpt_utils import hub_data, pairs, plotting, runtime
from cpt_utils.commands import series
from cpt_utils.evaluation import steerability
from cpt_utils.fast.decoding import generate
from cpt_utils.generation import generate_responses
from cpt_utils.models import adapters, embedded, embedding, loading
from cpt_utils.models.conversation import ChatModel
from cpt_utils.pairs import PairError, build_mirrored_pairs
from cpt_utils.prompts import load_responses, system_prompt, teacher_messages
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime import files, needs, profiles
from cpt_utils.runtime.errors import (
    DataError,
    GenerationError,
    JudgeError,
    ModelError,
    PromptError,
    RubricError,
    StoreError,
)
from cpt_utils.runtime.profiles import SettingsError, check_profile
from cpt_utils.teachers import Teacher

EMBEDDED = profiles.load_profile("embedded").replace(seed=1)


def one_sentence(error, named):
    said = str(error)
    assert "\n" not in said and "Traceback" not in said and 20 < len(said) < 420, said
    assert any(mark in said for mark in (";", ":", ",")), f"no mend: {said}"
    for part in named if isinstance(named, tuple) else (named,):
        assert part in said, said


def snapshot(folder):
    """Everything under a folder; a first call may leave the lock of a store."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


# Rubric files: (the file's bytes or a change of a valid one, what the message names)


def changed(**values):
    return load_rubric("rococo").model_dump() | values


def in_criterion(number=1, **values):
    data = changed()
    data["criteria"][number] |= values
    return data


SECOND = "criterion 2 ('Winding syntax'): "
TEXT = load_rubric("rococo").to_yaml()
RUBRICS = {
    "empty file": (b"", "top level"),
    "a list": (b"- a\n- b\n", "top level"),
    "one word": (b"rococo", "top level"),
    "open bracket": (b"title: [1, 2\nname: x", "line 2"),
    "a tab as indent": (b"title: x\ncriteria:\n\t- name: a", "line 3"),
    "two documents": (TEXT.encode() + b"---\n" + TEXT.encode(), "not valid YAML"),
    "Latin-1": ("title: Rococo à la carte\n".encode("latin-1"), "UTF-8"),
    "UTF-16": (TEXT.encode("utf-16"), "UTF-8"),
    "binary": (bytes(range(256)) * 20, "UTF-8"),
    "a date that is none": (b"title: 2024-13-45", "not valid YAML"),
    "a Python object": (b"title: !!python/object/apply:os.system ['true']", "line 1"),
    "deep brackets": (b"title: " + b"[" * 5000, "not valid YAML"),
    "a list that holds itself": (b"title: x\ncriteria: &a [*a]\n", "rubric.yaml"),
    "one MB": (b"title: " + b"x" * 2**20, "at most 100000"),
    "a key twice": (TEXT.encode() + b"title: Another\n", ("'title'", "line 1")),
    "a key twice in a criterion": (
        TEXT.replace("  weight: 30.0", "  weight: 30.0\n  weight: 20.0").encode(),
        "'weight'",
    ),
    "no name": ({k: v for k, v in changed().items() if k != "name"}, "the rubric's name: is missing"),
    "no criteria": (
        {k: v for k, v in changed().items() if k != "criteria"},
        "the list of the rubric's criteria: is missing",
    ),
    "empty list of criteria": (changed(criteria=[]), "the list of the rubric's criteria: has 0 entries"),
    "no title text": (changed(title="  "), "the rubric's title: nothing in it can be seen"),
    "null objective": (changed(objective=None), "the rubric's objective: is no text"),
    "unknown key": (changed(wieght=1), "the rubric's key 'wieght': there is no such key"),
    "a number as key": (changed() | {7: "x"}, "7"),
    "a name with spaces": (changed(name="My Rubric"), "the rubric's name: has to start with a small letter"),
    "principles as text": (
        changed(guiding_principles="be rich"),
        "the rubric's guiding principles: is no list",
    ),
    "criteria as a mapping": (changed(criteria={"a": 1}), "the list of the rubric's criteria: is no list"),
    "a criterion as text": (changed(criteria=["a"]), "criterion 1: is no group of keys"),
    "four levels": (
        in_criterion(levels=["a"] * 4),
        SECOND + "the list of its levels: has 4 entries; write 5",
    ),
    "six levels": (
        in_criterion(levels=["a"] * 6),
        SECOND + "the list of its levels: has more than 5 entries",
    ),
    "four level names": (changed(levels=["a"] * 4), "the list of the rubric's levels: has 4 entries"),
    "an empty level": (
        in_criterion(levels=["a", "", "c", "d", "e"]),
        SECOND + "the second of its levels",
    ),
    "an invisible level": (
        in_criterion(levels=["a", "\u200b\u2060", "c", "d", "e"]),
        SECOND + "the second of its levels",
    ),
    "a number as level": (
        in_criterion(levels=[1, 2, 3, 4, 5]),
        SECOND + "the first of its levels: is no text",
    ),
    "doubled criterion": (in_criterion(name="Ornamental diction"), "two criteria are called 'Ornamental diction'"),
    "weights below 100": (in_criterion(weight=1), "sum to 76"),
    "negative weight": (in_criterion(weight=-5), SECOND + "its weight: has to be 0 or more"),
    "weight above 100": (in_criterion(weight=130), SECOND + "its weight: has to be 100"),
    "weight in words": (in_criterion(weight="25%"), SECOND + "its weight: is no number"),
    "weight not a number": (
        in_criterion(weight=float("nan")),
        SECOND + "its weight: is no number; write one",
    ),
    "endless weight": (in_criterion(weight=float("inf")), SECOND + "its weight"),
    "null weight": (in_criterion(weight=None), SECOND + "its weight: is no number"),
    "a control character": (changed(title="a\x00b"), ("the rubric's title", "'\\x00'")),
    "half a character": (changed(title="a\ud800b"), "title"),
    "5001 characters": (changed(objective="x" * 5001), "the rubric's objective: is too long: at most 5000"),
    "a key that copies keys": (b"a: &a {title: x}\nb:\n  <<: *a\n", ("line 3", "a key is no word")),
    "a list as key": (b"title: x\n[a, b]: 1\n", ("line 2", "a key is no word")),
    "a group as key": (b"? {a: 1}\n: 2\n", ("line 1", "a key is no word")),
    "a long list as key, many times": (
        b"a: &a [" + b"x, " * 9000 + b"]\nb: {" + b"*a : 1, " * 9000 + b"}",
        ("line 1", "a key is no word"),
    ),
    "14,000 keys": (b"{" + b", ".join(b"%d:" % n for n in range(10_000)) + b"}", "rubric.yaml"),
    "14,000 criteria that are one": (
        TEXT.split("criteria:")[0].encode() + b"criteria:\n- &a {name: x, weight: 1}\n" + b"- *a\n" * 14_000,
        "the list of the rubric's criteria: has more than 100 entries",
    ),
    "14,000 principles that are one": (
        b"guiding_principles:\n- &a x\n" + b"- *a\n" * 14_000 + TEXT.replace("guiding_principles", "levels").encode(),
        "'levels'",
    ),
    "101 principles": (
        changed(guiding_principles=["x"] * 101),
        "the rubric's guiding principles: has more than 100 entries",
    ),
    "weight of yes": (
        TEXT.replace("weight: 30.0", "weight: yes").encode(),
        ("criterion 1 ('Ornamental diction'): its weight", "is no number"),
    ),
    "weight of off": (in_criterion(weight=False), SECOND + "its weight: is no number"),
    "title of yes": (TEXT.replace("title: Rococo", "title: yes").encode(), "the rubric's title: is no text"),
    "title of a date": (TEXT.replace("title: Rococo", "title: 2024-01-02").encode(), "the rubric's title: is no text"),
    "levels of yes": (
        in_criterion(levels=[True] * 5),
        SECOND + "the first of its levels: is no text",
    ),
    "a name of no": (changed(name=False), "the rubric's name: is no text"),
    "weight as a list": (in_criterion(weight=[20]), SECOND + "its weight: is no number"),
    "weight beyond floats": (in_criterion(weight=float("1e999")), SECOND + "its weight"),
    "a criterion's name in capitals": (in_criterion(name="ORNAMENTAL DICTION"), "called 'ORNAMENTAL DICTION'"),
    "a criterion's name with two spaces": (in_criterion(name="Ornamental  diction"), "two criteria are called"),
    "a criterion's name with a hidden letter": (in_criterion(name="Orna\u00admental dic\u200btion"), "are called"),
    "a criterion's name in wide letters": (in_criterion(name="Ｏrnamental\u00a0diction"), "two criteria are called"),
    "unknown key of a criterion": (
        in_criterion(wieght=1),
        SECOND + "its key 'wieght': there is no such key",
    ),
    "a null level": (
        in_criterion(levels=["a", None, "c", "d", "e"]),
        SECOND + "the second of its levels: is no text",
    ),
    "a principle without words": (
        changed(guiding_principles=["x"] * 20 + [" "]),
        "number 21 of the rubric's guiding principles: nothing in it can be seen",
    ),
    "a criterion without a name": (in_criterion(name=None), "criterion 2: its name: is no text"),
    "notes as a list": (changed(scoring_notes=["a"]), "the rubric's scoring notes: is no text"),
    "a name with a line break": (changed(name="rococo\nx"), "the rubric's name: has to start with a small letter"),
    "a name that leaves its folder": (changed(name="../rococo"), "the rubric's name: has to start with a small letter"),
    "null": (b"~\n", "top level"),
    "a number": (b"42\n", "top level"),
    "an unknown alias": (b"title: *nowhere\n", "line 1"),
    "a number of 9,000 digits": (b"title: " + b"9" * 9000, "not valid YAML"),
}


@pytest.mark.parametrize("case", RUBRICS)
def test_rubric_files(case, tmp_path):
    content, named = RUBRICS[case]
    path = tmp_path / "rubric.yaml"
    if isinstance(content, bytes):
        path.write_bytes(content)

        def attempt():
            return load_rubric(path)

    else:

        def attempt():
            return Rubric.checked(content, "rubric.yaml")

    before = snapshot(tmp_path)
    with pytest.raises(RubricError) as caught:
        attempt()
    one_sentence(caught.value, named)
    assert "rubric" in str(caught.value) and snapshot(tmp_path) == before


# Where rubrics are read from and written to: (what is tried in a folder, what the message names)


STANDING = {  # what no rubric replaces
    "empty.yaml": b"",
    "notes.txt": b"years of work",
    "settings.yaml": b"title: mine\ncriteria: [a]\n",
    "half_done.yaml": TEXT.replace("weight: ", "weight: 9", 1).encode(),
    "two.yaml": f"{TEXT}---\n{TEXT}".encode(),
    "latin.yaml": TEXT.encode() + b"# caf\xe9\n",
    "long.yaml": TEXT.encode() + b"# years\n" * 20000,
    "data.bin": bytes(range(256)),
}


def rubric_places(folder):
    (folder / "folder.yaml").mkdir()
    (folder / "file").write_text("x")
    for name, content in STANDING.items():
        (folder / name).write_bytes(content)
    (folder / "link.yaml").symlink_to(folder / "notes.txt")
    (folder / "round.yaml").symlink_to(folder / "round.yaml")

    def over(name):
        return lambda: rubric.to_yaml(folder / name), f"{name} is there already and is no rubric: move it away"

    rubric, missing = load_rubric("rococo"), folder / "no" / "rubric.yaml"
    return {
        "a folder": (lambda: load_rubric(folder / "folder.yaml"), "folder.yaml cannot be read"),
        "a folder by its name": (lambda: load_rubric(str(folder / "folder.yaml")), "folder.yaml cannot be read"),
        "this folder": (lambda: load_rubric(pathlib.Path(".")), ". cannot be read"),
        "no file": (lambda: load_rubric(missing), "no rubric file"),
        "no file by its name": (lambda: load_rubric(str(missing)), "no rubric file"),
        "no file, read as text": (lambda: Rubric.from_yaml(str(missing)), "no rubric file"),
        "a path below a file": (lambda: load_rubric(folder / "file" / "rubric.yaml"), "cannot be read"),
        "no name": (lambda: load_rubric(""), "no rubric ''"),
        "nothing": (lambda: load_rubric(None), "no rubric None"),
        "a list": (lambda: load_rubric(["rococo"]), "no rubric ['rococo']"),
        "another spelling": (lambda: load_rubric("Rococo"), "use one of chaos_cinema, rococo"),
        "a way out of the package": (lambda: load_rubric("../profiles"), "no rubric '../profiles'"),
        "written to a folder": (lambda: rubric.to_yaml(folder / "folder.yaml"), "it is a folder"),
        "written to a folder by its name": (lambda: rubric.to_yaml(str(folder / "folder.yaml")), "it is a folder"),
        "written where no folder is": (lambda: rubric.to_yaml(missing), "cannot be written"),
        "written below a file": (lambda: rubric.to_yaml(folder / "file" / "rubric.yaml"), "cannot be written"),
        "written to half a character": (lambda: rubric.to_yaml(folder / "a\ud800.yaml"), "cannot be written"),
        "a number as text": (lambda: Rubric.from_yaml(7), "of type int"),
        "a home of nobody's": (lambda: load_rubric("~nobodys-name/r.yaml"), "no rubric file ~nobodys-name"),
        "written to a home of nobody's": (lambda: rubric.to_yaml("~nobodys-name/r.yaml"), "cannot be written"),
        "written to a link to itself": (lambda: rubric.to_yaml(folder / "round.yaml"), "round.yaml"),
        **{f"written over {name}": over(name) for name in [*STANDING, "link.yaml"]},
    }


@pytest.mark.parametrize("case", rubric_places(pathlib.Path(tempfile.mkdtemp())))
def test_places_of_rubrics(case, tmp_path):
    attempt, named = rubric_places(tmp_path)[case]
    before = snapshot(tmp_path)
    with pytest.raises(RubricError) as caught:
        attempt()
    one_sentence(caught.value, named)
    assert snapshot(tmp_path) == before


def table(*rows, head="Criterion\tA\tB\tC\tD\tE\tWeight"):
    return "\n".join(["A Title", "Objective: be good", head, *rows, "Scoring:", "add up"])


LAYOUTS = {
    "nothing": ("", "no tab-separated table"),
    "no table": ("A title\nObjective: x", "no tab-separated table"),
    "spaces for tabs": (table().replace("\t", "  "), "no tab-separated table"),
    "a column short": (table("a\t1\t2\t3\t4\t100%"), ("line 4", "6 columns")),
    "a column more": (table("a\t1\t2\t3\t4\t5\t6\t100%"), ("line 4", "8 columns")),
    "a weight in words": (table("a\t1\t2\t3\t4\t5\theavy"), "'heavy'"),
    "no weight": (table("a\t1\t2\t3\t4\t5\t%"), "'%'"),
    "weights of 90": (table("a\t1\t2\t3\t4\t5\t90%"), "sum to 90"),
    "no rows": (table(), "the list of the rubric's criteria: has 0 entries"),
    "an empty level": (table("a\t1\t\t3\t4\t5\t100%"), "criterion 1 ('a'): the second of its levels: nothing in it"),
    "no objective": (table("a\t1\t2\t3\t4\t5\t100%").replace("Objective: be good\n", ""), "objective"),
    "one name twice": (table(*["a\t1\t2\t3\t4\t5\t50%"] * 2), "called 'a'"),
    "one MB": (table() + "x" * 2**20, "at most 100000"),
    "bytes": (table().encode(), "bytes"),
    "nothing at all": (None, "NoneType"),
    "a weight that is no number": (
        table("a\t1\t2\t3\t4\t5\tnan%"),
        "criterion 1 ('a'): its weight: is no number; write one",
    ),
    "an endless weight": (table("a\t1\t2\t3\t4\t5\tinf"), "criterion 1 ('a'): its weight"),
    "a negative weight": (table("a\t1\t2\t3\t4\t5\t-100%"), "criterion 1 ('a'): its weight: has to be 0 or more"),
    "one name in two spellings": (
        table("Wit here\t1\t2\t3\t4\t5\t50%", "wit  HERE\t1\t2\t3\t4\t5\t50%"),
        "two criteria are called",
    ),
    "a head with four levels": (
        table("a\t1\t2\t3\t4\t5\t100%", head="Criterion\tA\tB\tC\tD\tWeight"),
        ("line 3", "6 columns"),
    ),
    "an empty head": (
        table("a\t1\t2\t3\t4\t5\t100%", head="Criterion\tA\t\tC\tD\tE\tWeight"),
        "the second of the rubric's levels",
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_rubrics_in_the_layout_of_the_release(case):
    content, named = LAYOUTS[case]
    with pytest.raises(RubricError) as caught:
        Rubric.from_text(content)
    one_sentence(caught.value, named)


# Data: (what is done in a folder, the error, what it names)


def responses(folder, **changes):
    rows = [{"prompt": "P", "rubric": "rococo", "qualifier": q, "response": f"text {q}"} for q in ("low", "high")]
    rows[1] |= changes
    return write(folder, "responses.jsonl", [{k: v for k, v in r.items() if v != "gone"} for r in rows])


def write(folder, name, rows):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def preferences(change=lambda rows: None):
    rows = build_mirrored_pairs(load_responses(heldout=True))[:6]
    rows = copy.deepcopy(rows)
    change(rows)
    return rows


def trained_on(folder, part="train", mirrored=True, **parts):
    """What notebook 04 does with the files of notebook 03."""
    run = folder / "embedded"
    run.mkdir()
    for name, rows in parts.items():
        (run / f"{name}.jsonl").write_bytes(
            rows if isinstance(rows, bytes) else "".join(json.dumps(r) + "\n" for r in rows).encode()
        )
    return lambda: pairs.load_rows(EMBEDDED.replace(mirrored=mirrored), part)


def long_prompts(folder, tokenizer):
    def lengthen(rows):
        for row in rows[2:4]:
            row["prompt"][1]["content"] = "so very " * 300

    return lambda: pairs.check_lengths(preferences(lengthen), tokenizer, 512)


def of(function, *values):
    return lambda: function(*values)


def build(change):
    rows = [dict(r, response=f"text {n}") for n, r in enumerate(load_responses()[:3])]
    return lambda: build_mirrored_pairs(change(rows))


DATA = {
    "no file": (lambda f, t: of(hub_data.load_preferences, f / "x.jsonl"), DataError, "x.jsonl"),
    "an empty file": (lambda f, t: of(hub_data.load_preferences, write(f, "e.jsonl", [])), DataError, "e.jsonl"),
    "an empty table": (
        lambda f, t: of(hub_data.load_preferences, put(f / "e.csv", "prompt,chosen,rejected\n")),
        DataError,
        "e.csv",
    ),
    "torn JSON": (lambda f, t: of(hub_data.load_preferences, put(f / "t.jsonl", '{"prompt": ')), DataError, "t.jsonl"),
    "a picture": (lambda f, t: of(hub_data.load_preferences, put(f / "p.parquet", "PNG")), DataError, "p.parquet"),
    "an unknown data set": (
        lambda f, t: of(hub_data.load_preferences, "nobody/nothing"),
        DataError,
        "'nobody/nothing'",
    ),
    "a missing column": (
        lambda f, t: of(hub_data.load_release_responses, responses(f, rubric="gone")),
        DataError,
        "'rubric'",
    ),
    "a null response": (
        lambda f, t: of(hub_data.load_release_responses, responses(f, response=None)),
        DataError,
        ("Row 2", "'response'"),
    ),
    "an unknown qualifier": (
        lambda f, t: of(hub_data.load_release_responses, responses(f, qualifier="huge")),
        DataError,
        ("Row 2", "'huge'"),
    ),
    "wrong roles": (
        lambda f, t: of(
            hub_data.load_preferences,
            write(f, "p.jsonl", preferences(lambda rows: rows[1]["chosen"][0].update(role="user"))),
        ),
        DataError,
        ("Row 2", "'chosen'", "'user'"),
    ),
    "an empty system prompt": (
        lambda f, t: of(
            hub_data.load_preferences,
            write(f, "p.jsonl", preferences(lambda rows: rows[1]["prompt"][0].update(content=""))),
        ),
        DataError,
        ("Row 2", "system prompt"),
    ),
    "chosen as rejected": (
        lambda f, t: of(
            hub_data.load_preferences,
            write(f, "p.jsonl", preferences(lambda rows: rows[3].update(chosen=rows[3]["rejected"]))),
        ),
        DataError,
        ("Row 4", "same text"),
    ),
    "no responses": (lambda f, t: build(lambda rows: []), PairError, "no responses"),
    "rows as text": (lambda f, t: build(lambda rows: ["text"]), PairError, "Response 1"),
    "one target only": (lambda f, t: build(lambda rows: rows[:1]), PairError, "two targets"),
    "the same text twice": (
        lambda f, t: build(lambda rows: [rows[0], rows[1] | {"response": rows[0]["response"]}]),
        PairError,
        "two different texts",
    ),
    "an unknown rubric": (
        lambda f, t: build(lambda rows: [r | {"rubric": "haiku"} for r in rows]),
        PromptError,
        "'haiku'",
    ),
    "no prompt": (lambda f, t: build(lambda rows: [rows[0] | {"prompt": None}]), PairError, ("Response 1", "'prompt'")),
    "a prompt that fills the context": (long_prompts, PairError, ("2 of 6 rows", "max_length=512", "row 3")),
    "a leaked prompt": (
        lambda f, t: trained_on(f, train=preferences(), heldout=preferences()),
        PairError,
        "Held-out prompts stand",
    ),
    "a leaked prompt in capitals": (
        lambda f, t: of(pairs.check_leaks, preferences(), [preferences()[0]["prompt"][1]["content"].upper() + " "]),
        PairError,
        "Held-out prompts stand",
    ),
    "rows cut off in writing": (
        lambda f, t: trained_on(f, train=json.dumps(preferences()[0]).encode()[:-9]),
        PairError,
        ("train.jsonl", "cut off"),
    ),
    "no rows": (lambda f, t: trained_on(f, train=b""), PairError, "train.jsonl is empty"),
    "a mirror that is lost": (
        lambda f, t: trained_on(f, train=preferences(lambda rows: rows.pop(1))),
        PairError,
        ("row 1", "mirror"),
    ),
    "rows in another order": (
        lambda f, t: trained_on(f, train=preferences(lambda rows: rows.sort(key=lambda r: r["chosen_target"]))),
        PairError,
        "mirror",
    ),
    "text for messages": (
        lambda f, t: trained_on(f, train=preferences(lambda rows: rows[1].update(chosen="x"))),
        PairError,
        ("row 2", "'chosen'"),
    ),
    "the system turn last": (
        lambda f, t: trained_on(f, train=preferences(lambda rows: rows[0]["prompt"].reverse())),
        PairError,
        ("row 1", "roles"),
    ),
    "two user turns in a row": (
        lambda f, t: trained_on(f, train=preferences(lambda rows: rows[0]["prompt"].append(rows[0]["prompt"][1]))),
        PairError,
        ("row 1", "roles in 'prompt'"),
    ),
    "a line that is no JSON": (
        lambda f, t: trained_on(f, train=b"prompt\n{}\n"),
        StoreError,
        ("train.jsonl", "line 1"),
    ),
    "a task without a rubric": (
        lambda f, t: lambda: generate_responses(Teacher("t", None), [{"prompt": "p", "target": 10}], f / "r.jsonl"),
        GenerationError,
        ("Task 1", "'rubric'"),
    ),
    "a task without a target": (
        lambda f, t: (
            lambda: generate_responses(Teacher("t", None), [{"prompt": "p", "rubric": "rococo"}], f / "r.jsonl")
        ),
        GenerationError,
        ("Task 1", "'target'"),
    ),
    "a response without a target": (
        lambda f, t: build(lambda rows: [rows[0] | {"target": None}]),
        PairError,
        ("Response 1", "'target'"),
    ),
    "a target above 100": (lambda f, t: of(teacher_messages, "p", "rococo", 101), PromptError, "101"),
    "a target without a system prompt": (lambda f, t: of(system_prompt, "rococo", 42), PromptError, "42"),
    "a task with a target that is none": (
        lambda f, t: of(teacher_messages, "p", "rococo", "huge"),
        PromptError,
        "'huge'",
    ),
    "a system prompt that is none": (lambda f, t: of(system_prompt, "rococo", "huge"), PromptError, "'huge'"),
}


def put(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("case", DATA)
def test_data(case, tmp_path, monkeypatch, tokenizer):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    prepare, error, named = DATA[case]
    attempt = prepare(tmp_path, tokenizer)
    before = snapshot(tmp_path)
    with pytest.raises(error) as caught:
        attempt()
    one_sentence(caught.value, named)
    assert snapshot(tmp_path) == before


# Models: a tiny student on the disk with an adapter, and what happens to them


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    folder = tmp_path_factory.mktemp("model")
    tokenizer = AutoTokenizer.from_pretrained(embedded.embedded_model_path())
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
        )
    )
    for part in (tokenizer, model):
        part.save_pretrained(folder / "student")
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    adapters.save_adapter(get_peft_model(model, lora), folder / "adapter", "student")
    return folder


def edit(path, **values):
    data = json.loads(path.read_text())
    data.update(values)
    path.write_text(json.dumps({k: v for k, v in data.items() if v != "gone"}))


def cut(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def changed_weights(place, change):
    """Harm: what `change` makes of a file's weights by name."""

    def harm(folder):
        from safetensors.torch import load_file, save_file

        weights = {name: weight.contiguous() for name, weight in change(load_file(folder / place)).items()}
        save_file(weights, folder / place, {"format": "pt"})

    return harm


def adapter_weights(change):
    return changed_weights(ADAPTER, change)


def one_value(name, value):
    """Harm: a value in the midst of one of the student's weights."""

    def change(weights):
        weights[name].view(-1)[7] = float(value)
        return weights

    return changed_weights(WEIGHTS, change)


def of_each(change):
    return adapter_weights(lambda weights: {name: change(weight) for name, weight in weights.items()})


def some(weights, share):
    return dict(list(weights.items())[: int(len(weights) * share)])


def third_rank(name, weight):
    return weight.new_zeros(3, weight.shape[1]) if "lora_A" in name else weight.new_zeros(weight.shape[0], 3)


def adapter_setting(**values):
    return lambda folder: edit(folder / CONFIGS[1], **values)


def own_code(folder):
    (folder / "student" / "model.py").write_text("raise SystemExit('it was run')")
    auto_map = {"AutoConfig": "model.Config", "AutoModelForCausalLM": "model.Model"}
    edit(folder / CONFIGS[0], model_type="fancy", auto_map=auto_map)


def pickled(name):
    def harm(folder):
        from safetensors.torch import load_file

        torch.save(load_file(folder / WEIGHTS), folder / "student" / name)
        (folder / WEIGHTS).unlink()

    return harm


def listed_pickles(folder):
    from safetensors.torch import load_file

    weights = load_file(folder / WEIGHTS)
    torch.save(weights, folder / "student" / "weights.bin")
    (folder / WEIGHTS).unlink()
    listed = {"metadata": {}, "weight_map": dict.fromkeys(weights, "weights.bin")}
    (folder / "student" / "model.safetensors.index.json").write_text(json.dumps(listed))


FIRST = torch.tensor([0])
WEIGHTS, ADAPTER = "student/model.safetensors", "adapter/adapter_model.safetensors"
CONFIGS = ("student/config.json", "adapter/adapter_config.json")
MODELS = {
    "no chat template": (lambda f: (f / "student/chat_template.jinja").unlink(), "no chat template"),
    "cut weights": (lambda f: cut(f / WEIGHTS), ("student", "cut off")),
    "weights cut in their header": (lambda f: cut(f / WEIGHTS, 0.001), "cut off"),
    "empty weights": (lambda f: (f / WEIGHTS).write_bytes(b""), "cut off"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "student cannot be loaded"),
    "no config": (lambda f: (f / CONFIGS[0]).unlink(), "student"),
    "cut config": (lambda f: cut(f / CONFIGS[0]), "student"),
    "a weight that is no number": (
        one_value("model.layers.1.mlp.down_proj.weight", "nan"),
        ("student", "no numbers, in model.layers.1.mlp.down_proj.weight"),
    ),
    "a norm without end": (one_value("model.norm.weight", "inf"), ("student", "no numbers, in model.norm.weight")),
    "a word without end": (one_value("model.embed_tokens.weight", "-inf"), "no numbers, in model.embed_tokens"),
    "another width": (lambda f: edit(f / CONFIGS[0], hidden_size=32), ("student", "config.json")),
    "more layers": (lambda f: edit(f / CONFIGS[0], num_hidden_layers=3), "lack"),
    "another architecture": (
        lambda f: edit(f / CONFIGS[0], model_type="gpt2", architectures=["GPT2LMHeadModel"]),
        "student",
    ),
    "an unknown architecture": (lambda f: edit(f / CONFIGS[0], model_type="fancy"), "student"),
    "an encoder-decoder": (lambda f: edit(f / CONFIGS[0], model_type="t5"), "causal language model"),
    "no tokenizer": (
        lambda f: [(f / "student" / n).unlink() for n in ("tokenizer.json", "tokenizer_config.json")],
        "student",
    ),
    "an empty adapter folder": (lambda f: [p.unlink() for p in (f / "adapter").iterdir()], "no adapter_config.json"),
    "an adapter without weights": (lambda f: (f / ADAPTER).unlink(), "no adapter_model.safetensors"),
    "an adapter without config": (lambda f: (f / CONFIGS[1]).unlink(), "no adapter_config.json"),
    "cut adapter": (lambda f: cut(f / ADAPTER), "in adapter are damaged"),
    "cut adapter config": (lambda f: cut(f / CONFIGS[1]), "adapter_config.json in adapter is damaged"),
    "another kind of adapter": (lambda f: edit(f / CONFIGS[1], peft_type="IA3"), "'IA3'"),
    "an adapter of another size": (of_each(lambda weight: weight[:, :4]), "does not fit"),
    "half an adapter": (adapter_weights(lambda weights: some(weights, 0.5)), "lacks 14 of its 28 weights"),
    "all but one weight": (adapter_weights(lambda weights: some(weights, 0.99)), "lacks 1 of its 28 weights"),
    "no weight": (adapter_weights(lambda weights: {}), "lacks 28 of its 28 weights"),
    "one side of an adapter": (
        adapter_weights(lambda weights: {name: w for name, w in weights.items() if "lora_A" in name}),
        "lacks 14 of its 28 weights, such as",
    ),
    "weights that are no numbers": (of_each(lambda weight: weight * float("nan")), "no numbers"),
    "weights without end": (of_each(lambda weight: weight.fill_(float("inf"))), "no numbers"),
    "one value that is no number": (
        adapter_weights(
            lambda weights: (
                weights | {min(weights): weights[min(weights)].fill_(0).index_fill_(0, torch.tensor([0]), float("nan"))}
            )
        ),
        "no numbers",
    ),
    "another rank": (
        adapter_weights(lambda weights: {name: third_rank(name, w) for name, w in weights.items()}),
        "another rank",
    ),
    "another rank in the config": (adapter_setting(r=3), "another rank"),
    "another rank for one kind": (adapter_setting(rank_pattern={"q_proj": 7}), "another rank"),
    "a rank of 0": (adapter_setting(r=0), ("adapter_config.json", "peft cannot use")),
    "a rank in words": (adapter_setting(r="two"), ("adapter_config.json", "peft cannot use")),
    "an alpha in words": (adapter_setting(lora_alpha="x"), ("adapter_config.json", "peft cannot use")),
    "an alpha that is no number": (adapter_setting(lora_alpha=float("nan")), "adapter_config.json in adapter is dam"),
    "an alpha of 0": (adapter_setting(lora_alpha=0), "lora_alpha is 0"),
    "a base that is a number": (adapter_setting(base_model_name_or_path=5), "adapter_config.json in adapter is dam"),
    "a broken pattern of layers": (adapter_setting(target_modules="("), ("adapter_config.json", "peft cannot use")),
    "a package that is not there": (adapter_setting(megatron_config={"a": 1}), ("peft cannot use", "megatron")),
    "an adapter for classes": (adapter_setting(task_type="SEQ_CLS"), ("SEQ_CLS", "writes text")),
    "whole numbers": (of_each(lambda weight: weight.to(torch.int8)), ("of type I8", "copy the whole folder")),
    "layers that are not there": (adapter_setting(target_modules=["q_porj"]), ("peft cannot use", "q_porj")),
    "layers that it does not name": (adapter_setting(target_modules=["q_proj"]), "layers that it does not name"),
    "a weight of nothing": (
        adapter_weights(lambda weights: weights | {"base_model.model.none.lora_A.weight": torch.zeros(2, 16)}),
        "does not fit",
    ),
    "a norm for each layer that is not there": (adapter_setting(use_dora=True), "lora_magnitude_vector"),
    "a list as adapter config": (lambda f: (f / CONFIGS[1]).write_text("[]"), "adapter_config.json"),
    "pickled weights": (pickled("pytorch_model.bin"), ("student", "safetensors")),
    "pickled weights of another name": (pickled("model.pt"), ("student", "safetensors")),
    "code of its own": (own_code, ("student", "code of its own", "never run")),
    "pickled weights in the list of a whole model's": (listed_pickles, ("model.safetensors.index.json", "weights.bin")),
    "a list of weights that is none": (
        lambda f: (f / "student/model.safetensors.index.json").write_text("{}"),
        "student cannot be loaded",
    ),
    "a size in words": (lambda f: edit(f / CONFIGS[0], num_attention_heads="two"), "num_attention_heads"),
    "heads that do not share a width": (lambda f: edit(f / CONFIGS[0], num_attention_heads=3), "student cannot be"),
    "a tokenizer of an unknown kind": (
        lambda f: edit(f / "student/tokenizer.json", model={"type": "New"}),
        "student cannot be loaded",
    ),
    "a column for a weight": (of_each(lambda weight: weight.flatten()), "does not fit"),
    "a number for a weight": (of_each(lambda weight: weight.sum()), "does not fit"),
    "first halves of zeros": (
        adapter_weights(lambda weights: {name: w * ("lora_B" in name) for name, w in weights.items()}),
        "has lost a part of base_model",
    ),
    "a row of zeros": (
        adapter_weights(lambda weights: weights | {min(weights): weights[min(weights)].index_fill(0, FIRST, 0)}),
        "which is zeros: copy the whole folder",
    ),
    "an adapter config without end": (lambda f: (f / CONFIGS[1]).write_text('{"a":' * 5000), "adapter_config.json"),
    "no such adapter": (lambda f: shutil.rmtree(f / "adapter"), "adapter"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models(case, tmp_path, student):
    harm, named = MODELS[case]
    shutil.copytree(student, tmp_path, dirs_exist_ok=True)
    harm(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(ModelError) as caught:
        loading.load_chat_model(EMBEDDED.replace(student=str(tmp_path / "student")), tmp_path / "adapter")
    one_sentence(caught.value, named)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "kind, value", [("float16", 6e4), ("bfloat16", 3e38), ("float32", 3e38), ("float8_e4m3fn", float("nan"))]
)
def test_large_numbers_are_numbers_and_packed_ones_are_passed_over(kind, value):
    from cpt_utils.models.checks import check_numbers

    model = torch.nn.Linear(40, 40)
    packed = torch.full((40, 40), value).to(getattr(torch, kind))
    model.weight = torch.nn.Parameter(packed, requires_grad=False)
    check_numbers("student", model)
    check_numbers("student", torch.nn.Linear(4, 4, device="meta"))


def test_the_unharmed_student_loads_with_its_adapter(student):
    assert (
        loading.load_chat_model(EMBEDDED.replace(student=str(student / "student")), student / "adapter").name
        == "student+cpt"
    )


def test_an_adapter_of_another_base_is_refused_by_its_name(student, tmp_path):
    from cpt_utils.models.checks import check_adapter

    shutil.copytree(student / "adapter", tmp_path / "adapter")
    edit(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path="unsloth/qwen3-4b-unsloth-bnb-4bit")
    with pytest.raises(ModelError) as caught:
        check_adapter(tmp_path / "adapter", EMBEDDED, torch.nn.Module())
    one_sentence(caught.value, ("unsloth/qwen3-4b-unsloth-bnb-4bit", "embedded", "load it on its own base"))
    with pytest.raises(ModelError, match="does not fit"):  # the name of the same model passes, its shapes do not
        check_adapter(tmp_path / "adapter", EMBEDDED.replace(student="qwen3-4b"), torch.nn.Module())


def test_a_wrong_hash_of_the_embedded_model(monkeypatch):
    monkeypatch.setattr(embedded, "GGUF_SHA256", "0" * 64)
    with pytest.raises(ModelError) as caught:
        embedded.embedded_model_path()
    one_sentence(caught.value, ("sha256", "reinstall"))


# Settings


def profile(**changes):
    return lambda: EMBEDDED.replace(**changes)


def capstone(**settings):
    return profile(capstone={"candidates": 2, "watch_prompts": 1, "settings": settings})


SETTINGS = {
    "unknown profile": (lambda m: profiles.load_profile("huge"), "'huge'"),
    "unknown setting": (lambda m: runtime.start("embedded", learing_rate=1), "'learing_rate'"),
    "unknown student": (profile(student="gpt-9"), "'gpt-9'"),
    "empty student": (profile(student=""), "student: is empty"),
    "mirrored with odd batches": (profile(rows_per_batch=3), "rows_per_batch is 3"),
    "mirrored with another loss": (profile(loss={"ipo": 1.0}), "'ipo'"),
    "no loss": (profile(loss={}), "loss"),
    "lora without alpha": (profile(lora={"r": 8, "modules": "all-linear"}), "lora.alpha: is missing"),
    "lora of rank 0": (profile(lora={"r": 0, "alpha": 1, "modules": "all-linear"}), "lora.r: has to be above 0"),
    "lora on nothing": (profile(lora={"r": 8, "alpha": 1, "modules": []}), "lora.modules"),
    "a rate as text": (profile(learning_rate="1e-3"), "learning_rate: is no number"),
    "endless rate": (profile(learning_rate=float("inf")), "learning_rate"),
    "negative beta": (profile(beta=-0.1), "beta: has to be above 0"),
    "a batch of none": (profile(rows_per_batch=0), "rows_per_batch"),
    "half a batch": (profile(rows_per_batch=2.5), "rows_per_batch: is no whole number"),
    "no steps": (profile(max_steps=0), "max_steps is 0"),
    "a tiny length": (profile(max_length=4), "max_length"),
    "four_bit in words": (profile(four_bit="yes"), "four_bit: is neither true nor false"),
    "another engine": (profile(engine="llama.cpp"), "engine: has to be 'transformers' or 'unsloth'"),
    "another precision": (profile(generation_dtype="int8"), "generation_dtype"),
    "top_p of 2": (profile(sampling=dict(EMBEDDED.sampling) | {"top_p": 2.0}), "sampling.top_p"),
    "a misspelt key": (profile(sampling={"temprature": 1.0}), "sampling"),
    "a schedule that is none": (profile(scheduler="cosin"), ("scheduler", "'cosin'", "is it cosine?")),
    "a schedule in capitals": (profile(scheduler="Linear"), "is it linear?"),
    "a schedule that needs more settings": (profile(scheduler="cosine_with_min_lr"), "scheduler"),
    "an empty schedule": (profile(scheduler=""), "scheduler"),
    "an optimizer that is none": (profile(optimizer="adam"), ("optimizer", "'adam'", "is it adamw_torch?")),
    "an optimizer of another library": (profile(optimizer="paged_adamw"), "is it paged_adamw_32bit?"),
    "a loss that is none": (profile(mirrored=False, loss={"sigmoyd": 1.0}), ("loss", "is it sigmoid?")),
    "a loss of none": (profile(loss={"sigmoid": 0.0}), ("loss", "trains nothing")),
    "a negative loss": (profile(loss={"sigmoid": -1.0}), "loss.sigmoid"),
    "a seed below 0": (profile(seed=-1), "seed: has to be 0 or more"),
    "a seed above NumPy's": (profile(seed=2**32), "seed: has to be 4294967295 or less"),
    "a seed in words on starting": (lambda m: runtime.start("embedded", seed="lucky"), "seed: is no whole number"),
    "half a seed": (profile(seed=1.5), "seed: is no whole number"),
    "a seed of true": (profile(seed=True), "seed: is no whole number"),
    "a seed below 0 in CPT_SEED": (of(runtime._seed, "-1"), "'-1'"),
    "a seed above NumPy's in CPT_SEED": (of(runtime._seed, str(2**32)), "at most 4294967295"),
    "a seed of 5,000 digits in CPT_SEED": (of(runtime._seed, "9" * 5000), "CPT_SEED"),
    "a power in CPT_SEED": (of(runtime._seed, "1e3"), "'1e3'"),
    "a name that leaves runs": (profile(name="../mine"), ("name", "'../mine'")),
    "a name that is a whole path": (profile(name="/mine"), "name"),
    "a name with a backslash": (profile(name="..\\mine"), "name"),
    "a name of two dots": (profile(name=".."), "name"),
    "no name": (profile(name=""), "name"),
    "a name with a line break": (profile(name="mine\n"), "name"),
    "a name of 300 letters": (profile(name="x" * 300), "name"),
    "data that are none": (profile(data="recoded"), ("data", "'recoded'", "is it recorded?")),
    "no data": (profile(data=""), "data: is empty"),
    "a student's folder that is not there": (profile(student="/no/such/folder"), ("student", "no folder")),
    "a student's folder in the home that is not there": (profile(student="~/no such/folder"), "no folder"),
    "a student with an address": (profile(student="https://example.org/model"), ("student", "no folder")),
    "a student that leads up": (profile(student="../no-such-student"), ("student", "no folder")),
    "a capstone with a misspelt key": (capstone(epoch=1), ("capstone", "'epoch'", "is it epochs?")),
    "a capstone with a wrong value": (capstone(epochs=-1), ("capstone", "epochs: has to be above 0")),
    "a capstone with a wrong word": (capstone(scheduler="cosin"), ("capstone", "is it cosine?")),
    "a capstone with an odd batch": (capstone(rows_per_batch=3), ("capstone", "rows_per_batch is 3")),
    "a capstone of misspelt sizes": (profile(capstone={"candidats": 3}), ("'candidats'", "is it candidates?")),
    "a capstone without settings": (profile(capstone={"candidates": 3, "watch_prompts": 1}), "settings: is missing"),
    "a number as key": (lambda m: check_profile({**EMBEDDED.model_dump(), 7: 1}), "'7'"),
    "a misspelt key of lora": (profile(lora={"rank": 8}), ("lora", "'rank'")),
    "a list as profile": (of(profiles.load_profile, ["embedded"]), "no profile ['embedded']"),
    "nothing as profile": (of(profiles.load_profile, None), "no profile None"),
    "a profile in capitals": (of(profiles.load_profile, "Embedded"), "'Embedded'"),
    "epochs without end": (profile(epochs=float("inf")), "epochs"),
    "a warm-up below 0": (profile(warmup=-1), "warmup: has to be 0 or more"),
    "a temperature of 9": (profile(sampling=dict(EMBEDDED.sampling) | {"temperature": 9.0}), "sampling.temperature"),
    "no key at all": (of(check_profile, {}), "'?'"),
    "the name alone": (of(check_profile, "embedded"), "no group of keys"),
    "a training too big for the GPU": (
        of(needs.check_memory, profiles.load_profile("paper").replace(student="phi4"), 15.0),
        ("phi4", "15 are free"),
    ),
    "weights too big without 4 bits": (
        of(needs.check_memory, profiles.load_profile("paper").replace(four_bit=False), 8.0),
        "four_bit=True",
    ),
    "4 bits without bitsandbytes": (
        lambda m: (
            m.setattr("importlib.util.find_spec", lambda name: None)
            or loading.load_student(profiles.load_profile("t4"))
        ),
        ("bitsandbytes", "four_bit=False"),
    ),
    "a seed in words": (of(runtime._seed, "lucky"), "'lucky'"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings(case, monkeypatch):
    attempt, named = SETTINGS[case]
    with pytest.raises(SettingsError) as caught:
        attempt() if attempt.__code__.co_argcount == 0 else attempt(monkeypatch)
    one_sentence(caught.value, named)


@pytest.mark.parametrize(
    "named, near",
    [(["q_porj"], "q_proj"), (["q_proj", "v_prj"], "v_proj"), (["layers.0.mlp.up"], "up_proj"), (["all-linear"], "")],
)
def test_layers_that_a_model_has_not_are_named_before_a_training(tiny_model, named, near):
    """peft alone passes over them if others are there."""
    mine = EMBEDDED.replace(lora={"r": 2, "alpha": 2, "modules": named})
    with pytest.raises(SettingsError) as caught:
        adapters.prepare_for_lora(ChatModel(tiny_model, None, "tiny"), adapters.lora_config(mine), mine)
    one_sentence(caught.value, ("lora.modules", near))


# Folders that the environment names, and where they cannot be


def places(folder):
    (folder / "file").write_text("x")
    below, nobody = str(folder / "file" / "below"), "~nobody-of-this-name/x"
    return {
        "results below a file": ("CPT_RUNS", below, files.run_dir, "CPT_RUNS"),
        "results in a file": ("CPT_RUNS", str(folder), lambda p: files.run_dir(p.replace(name="file")), "CPT_RUNS"),
        "results of nobody": ("CPT_RUNS", nobody, files.run_dir, ("CPT_RUNS", nobody)),
        "a cache below a file": ("CPT_CACHE", below, lambda p: embedded.embedded_model_path(), "CPT_CACHE"),
        "a cache of nobody": ("CPT_CACHE", nobody, lambda p: embedded.embedded_model_path(), "CPT_CACHE"),
        "a cache of meanings below a file": ("CPT_CACHE", below, lambda p: embedding.embedding_source(), "CPT_CACHE"),
        "figures below a file": ("CPT_FIGURES", below, figure_of, "CPT_FIGURES"),
        "a home below a file": ("HOME", below, lambda p: embedded.embedded_model_path(), "CPT_CACHE"),
    }


def figure_of(mine):
    fig, _ = plotting.figure()
    plotting.save(fig, mine, "name", "title")


@pytest.mark.parametrize("case", places(pathlib.Path(tempfile.mkdtemp())))
def test_places_that_cannot_be_written(case, tmp_path, monkeypatch):
    variable, value, attempt, named = places(tmp_path)[case]
    monkeypatch.delenv("CPT_CACHE", raising=False) if variable == "HOME" else None
    monkeypatch.setenv("CPT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        attempt(EMBEDDED)
    one_sentence(caught.value, named)


# Numbers that a generation or a measurement cannot do with


SAMPLING = {
    "no tokens": {"max_new_tokens": 0},
    "fewer than none": {"max_new_tokens": -5},
    "a negative temperature": {"temperature": -0.1},
    "a temperature that is no number": {"temperature": float("nan")},
    "no probability": {"top_p": 0.0},
    "more than all": {"top_p": 1.5},
    "no penalty": {"repetition_penalty": 0.0},
    "an endless penalty": {"repetition_penalty": float("inf")},
}


@pytest.mark.parametrize("case", SAMPLING)
def test_sampling(case, tiny_model):
    ids = torch.tensor([[5, 6]])
    settings = {"max_new_tokens": 1, "ends": [2], "pad_token_id": 2} | SAMPLING[case]
    with pytest.raises(SettingsError) as caught:
        generate(tiny_model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, **settings)
    one_sentence(caught.value, tuple(SAMPLING[case]))


def text_with(score):
    return {"prompt": "p", "rubric": "rococo", "target": 10, "score": score, "degenerate": False}


@pytest.mark.parametrize(
    "rows, named",
    [
        ([], "no texts to measure"),
        ([text_with(None)] * 3, "None of the 3 texts has a score"),
        ([text_with(float("nan"))] * 2, "None of the 2 texts has a score"),
        ([text_with(None), text_with(float("inf"))], "None of the 2 texts has a score"),
    ],
)
def test_texts_without_a_score(rows, named):
    with pytest.raises(JudgeError) as caught:
        steerability(rows)
    one_sentence(caught.value, named)


@pytest.mark.parametrize("only", ["99", "", " ", "1", "01;02", "01,one", "../01", "*"])
def test_notebooks_that_are_not_there(only, capsys):
    with pytest.raises(SystemExit) as stop:
        series.main(["--only", only])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert stop.value.code == 2 and "such as 01,02,03,04,05,06" in last and repr(only) in last


@pytest.mark.parametrize("name", ["embedded", "smoke", "t4", "paper"])
def test_the_shipped_profiles_pass(name):
    whole = profiles.load_profile(name)
    assert whole.replace(seed=1).seed == 1 and needs.check_memory(whole, 24.0) > 1
    assert needs.check_memory(whole.replace(student="nobody/unknown"), 0.1) is None


def test_a_profile_changes_only_by_a_checked_copy(monkeypatch, tmp_path):
    with pytest.raises(ValidationError, match="frozen"):
        EMBEDDED.beta = 0.5
    other = EMBEDDED.replace(beta=0.5, lora={"r": 2, "alpha": 4, "modules": ["q_proj"]})
    assert (other.beta, other.lora.modules, EMBEDDED.beta) == (0.5, ["q_proj"], 0.05)
    capstone = EMBEDDED.for_capstone()
    assert capstone.epochs == EMBEDDED.capstone.settings["epochs"] != EMBEDDED.epochs
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-student").mkdir()  # a folder may have no slash in its name
    assert EMBEDDED.replace(student="my-student").student == "my-student"
