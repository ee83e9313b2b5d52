import os

import pytest

from cpt_utils import rubric_text
from cpt_utils.rubrics import Criterion, Rubric, load_rubric, shipped_rubrics
from cpt_utils.runtime.errors import RubricError


@pytest.mark.parametrize("name", shipped_rubrics())
def test_shipped_rubric_is_complete_and_survives_yaml(name, tmp_path):
    rubric = load_rubric(name)
    assert rubric.name == name and rubric.scoring_notes and len(rubric.guiding_principles) >= 3
    assert len(rubric.criteria) == 5
    assert sum(c.weight for c in rubric.criteria) == 100
    assert all(len(set(c.levels)) == 5 for c in rubric.criteria)
    rubric.to_yaml(tmp_path / "r.yaml")
    assert load_rubric(tmp_path / "r.yaml") == rubric


def test_markdown_holds_every_criterion_level_and_weight_in_one_table():
    rubric = load_rubric("esoteric")
    text = rubric.to_markdown()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 5
    assert {line.count(" | ") for line in table} == {6}
    for criterion in rubric.criteria:
        assert f"**{criterion.name}**" in text and f"{criterion.weight:g}%" in text
        assert all(level in text for level in criterion.levels)


def test_a_pipe_in_a_level_does_not_break_the_table():
    data = load_rubric("rococo").model_dump()
    data["criteria"][0]["levels"][0] = "one | two\nthree"
    line = next(x for x in Rubric.checked(data).to_markdown().splitlines() if "two" in x and "one" in x)
    assert "one \\| two three" in line


def broken(change):
    data = load_rubric("rococo").model_dump()
    change(data)
    return data


CASES = {
    "weights": (lambda d: d["criteria"][0].update(weight=40), "sum to 110"),
    "four levels": (lambda d: d["criteria"][2]["levels"].pop(), "criterion 3 .*: the list of its levels: has 4"),
    "empty level": (
        lambda d: d["criteria"][1]["levels"].__setitem__(0, "  "),
        "criterion 2 .*: the first of its levels",
    ),
    "doubled name": (lambda d: d["criteria"][1].update(name=d["criteria"][0]["name"]), "Ornamental diction"),
    "negative weight": (lambda d: d["criteria"][0].update(weight=-1), "criterion 1 .*: its weight"),
    "no title": (lambda d: d.pop("title"), "title"),
    "unknown key": (lambda d: d.update(wieght=3), "wieght"),
    "bad name": (lambda d: d.update(name="My Rubric!"), "name"),
}


@pytest.mark.parametrize("case", CASES)
def test_invalid_rubric_says_where(case):
    change, named = CASES[case]
    with pytest.raises(RubricError, match=named) as error:
        Rubric.checked(broken(change), "mine.yaml")
    assert str(error.value).startswith("mine.yaml") and "\n" not in str(error.value)


def test_a_fault_is_placed_in_a_readers_words_whatever_the_field():
    """For each field of the schema, also one that comes to it later."""
    told = {}
    for field in Rubric.model_fields:
        with pytest.raises(RubricError) as error:
            Rubric.checked(load_rubric("rococo").model_dump() | {field: 7}, "the pasted text")
        told[field] = str(error.value)
    for field in Criterion.model_fields:
        with pytest.raises(RubricError) as error:
            Rubric.checked(broken(lambda d, field=field: d["criteria"][2].update({field: {}})), "the pasted text")
        told[f"its {field}"] = str(error.value)
    assert not any(mark in words for words in told.values() for mark in ("_", "criteria.", "levels."))
    assert "the pasted text: the list of the rubric's levels: is no list" in told["levels"]
    assert "the pasted text: the rubric's scoring notes: is no text" in told["scoring_notes"]
    assert "the pasted text: criterion 3 ('Excess and accumulation'): its weight: is no" in told["its weight"]


def test_bad_files_are_named(tmp_path):
    (tmp_path / "syntax.yaml").write_text("title: [1, 2\nname: x")
    with pytest.raises(RubricError, match="syntax.yaml, line"):
        load_rubric(tmp_path / "syntax.yaml")
    (tmp_path / "list.yaml").write_text("- a\n- b")
    with pytest.raises(RubricError, match="list.yaml"):
        load_rubric(tmp_path / "list.yaml")
    with pytest.raises(RubricError, match="no rubric file"):
        load_rubric(tmp_path / "missing.yaml")
    with pytest.raises(RubricError, match="use one of chaos_cinema"):
        load_rubric("rokoko")


def release_text(rubric, weights=None):
    """A rubric of ours in the text layout of the original release."""
    weights = weights or [f"{c.weight:g}%" for c in rubric.criteria]
    table = ["\t".join(["Criterion", *rubric.levels, "Weight"])]
    table += ["\t".join([c.name, *c.levels, w]) for c, w in zip(rubric.criteria, weights)]
    principles = [f"Rule {i}: {text}" for i, text in enumerate(rubric.guiding_principles)]
    return "\n".join(
        [
            rubric.title,
            "",
            f"Objective: {rubric.objective}",
            "",
            "Guiding Principles:",
            "",
            *principles,
            "Evaluation Criteria (ours):",
            "",
            *table,
            "Scoring:",
            "",
            rubric.scoring_notes,
            "",
        ]
    )


@pytest.mark.parametrize("name", shipped_rubrics())
def test_import_of_the_release_layout(name):
    rubric = load_rubric(name)
    read = Rubric.from_text(release_text(rubric))
    assert read.title == rubric.title and read.objective == rubric.objective and read.levels == rubric.levels
    assert [(c.name, c.weight, c.levels) for c in read.criteria] == [
        (c.name, c.weight, c.levels) for c in rubric.criteria
    ]
    assert len(read.guiding_principles) == len(rubric.guiding_principles)
    assert read.scoring_notes == rubric.scoring_notes
    assert Rubric.from_yaml(read.to_yaml()) == read
    assert all(level in read.to_markdown() for level in rubric.levels)


LAYOUT = """A Style
Objective: To be.
Guiding Principles:
Be brief: always.
Leave out what can be left out.
Criterion\tA\tB\tC\tD\tE\tWeight
Air\t1\t2\t3\t4\t5\t62.5%
Earth\t1\t2\t3\t4\t5\t37.5%"""


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\t", " \t "),
        lambda text: text.replace("Objective: To be.", "Objective:\n\nTo be."),
        lambda text: text.replace(":", "：", 1).replace("Principles:", "Principles："),
        lambda text: text.replace("%", "％"),
        lambda text: text.replace("2.5%", "2,5 %").replace("7.5%", "7,5 %"),
    ],
)
def test_the_layout_is_read_as_editors_and_keyboards_of_many_countries_write_it(changed):
    assert Rubric.from_text(changed(LAYOUT)) == Rubric.from_text(LAYOUT)
    assert Rubric.from_text(LAYOUT).guiding_principles == ["Be brief: always.", "Leave out what can be left out."]


def test_a_break_within_a_cell_ends_no_row():
    for sign in ("\v", "\u2028"):
        rubric = Rubric.from_text(LAYOUT.replace("Air\t1", f"Air\t1{sign}and more"))
        assert "".join(rubric.criteria[0].levels[0].split()) == "1andmore" and len(rubric.criteria) == 2


def test_a_rubric_in_another_script_is_whole_and_has_a_name_of_its_own():
    read = Rubric.from_text(LAYOUT.replace("A Style", "夜记").replace("Be brief: always.", "简洁：总是简短。"))
    assert read.title == "夜记" and read.guiding_principles[0] == "简洁：总是简短。"
    names = [rubric_text.plain_name(words) for words in ("夜记", "晨记", "عمر", "Été 2", "A Style", "2 fast", "!", "")]
    assert len(set(names[:6])) == 6 and names[3:] == ["ete_2", "a_style", "rubric_2_fast", "rubric", "rubric"]
    assert all(Rubric.checked(read.model_dump() | {"name": name}) for name in names)
    assert read.name == names[0]


def test_bad_release_text_says_where():
    rubric = load_rubric("rococo")
    with pytest.raises(RubricError, match="no tab-separated table"):
        Rubric.from_text("A title\n\nObjective: nothing else")
    with pytest.raises(RubricError, match="'heavy' is not a weight"):
        Rubric.from_text(release_text(rubric, ["30%", "heavy", "20%", "15%", "10%"]))
    with pytest.raises(RubricError, match="sum to 95"):
        Rubric.from_text(release_text(rubric, ["25%", "25%", "20%", "15%", "10%"]))
    with pytest.raises(RubricError, match="6 columns instead of 7"):
        Rubric.from_text(release_text(rubric).replace("\t25%", ""))


def test_only_a_rubric_is_replaced_and_a_link_to_one_stays_a_link(tmp_path):
    path, link = tmp_path / "r.yaml", tmp_path / "link.yaml"
    link.symlink_to(path)
    for name in ("rococo", "esoteric"):
        load_rubric(name).to_yaml(link)
        assert load_rubric(path).name == name and link.is_symlink()
    load_rubric("rococo").to_yaml(path)
    assert load_rubric(link).name == "rococo"
    assert sorted(load_rubric(p).name for p in tmp_path.glob("r-before-*")) == ["esoteric", "rococo"]


def test_a_rubric_that_someone_wrote_is_kept(tmp_path, capsys):
    """By hand, or in the studio, where notebooks 01 and 06 write theirs."""
    path, mine = tmp_path / "my_rubric.yaml", load_rubric("rococo")
    with_notes = "# why 30: see my notes\n" + mine.to_yaml(path)
    path.write_text(with_notes)
    mine.to_yaml(path)
    assert path.read_text() == with_notes and capsys.readouterr().out == ""
    edited = with_notes.replace(f"title: {mine.title}", "title: An evening of work")
    path.write_text(edited)
    mine.to_yaml(path)
    (kept,) = tmp_path.glob("my_rubric-before-*.yaml")
    assert load_rubric(path) == mine and kept.read_text() == edited
    said = f"note: my_rubric.yaml held another rubric ('An evening of work'), which is kept as {kept.name}\n"
    assert capsys.readouterr().out == said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such pipes")
def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(RubricError, match="pipe.yaml is there already and is no rubric"):
        load_rubric("rococo").to_yaml(tmp_path / "pipe.yaml")
    assert (tmp_path / "pipe.yaml").is_fifo()


@pytest.mark.parametrize("name", ["mine.yaml", "MINE.YML"])
def test_a_rubric_is_read_where_it_was_written(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    load_rubric("rococo").to_yaml(f"~/{name}")
    assert Rubric.from_yaml(f"~/{name}") == Rubric.from_yaml(tmp_path / name) == load_rubric("rococo")


def test_a_path_with_a_zero_is_no_file():
    with pytest.raises(RubricError, match="There is no rubric file 'a.x00.yaml': check the path"):
        load_rubric("a\0.yaml")


def test_a_rubric_keeps_its_place_where_another_cannot_be_written(tmp_path, monkeypatch):
    path, (one, other) = tmp_path / "my.yaml", map(load_rubric, ("rococo", "esoteric"))
    one.to_yaml(path)
    monkeypatch.setattr("pathlib.Path.write_text", lambda *_, **__: open(tmp_path / "no" / "disk"))
    with pytest.raises(RubricError, match="cannot be written"):
        other.to_yaml(path)
    assert [file.name for file in tmp_path.iterdir()] == ["my.yaml"] and load_rubric(path) == one
