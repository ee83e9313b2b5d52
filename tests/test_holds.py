"""Does a style hold: what is asked, how it is measured, and the three ways that answer."""

import re

import matplotlib
import pytest
import torch

from benchmarks import measured, steering
from benchmarks.beyond import drawings, holds, running, summary, tables, ways
from cpt_utils.degenerate import readable
from cpt_utils.models.conversation import ChatModel
from cpt_utils.prompts import load_prompts, system_prompt
from cpt_utils.rubrics import shipped_rubrics

matplotlib.use("agg")
FULL = holds.SIZES[False]


def test_what_is_asked_is_whole_and_was_not_trained():
    kinds = holds.ASKED["requests"]
    assert set(kinds) == {"e-mail", "list", "table", "code", "fact"}
    assert {len(prompts) for prompts in kinds.values()} == {6}
    told = [prompt for prompts in kinds.values() for prompt in prompts]
    assert len(set(told)) == 30 and not set(told) & {prompt["prompt"] for prompt in load_prompts()}
    assert set(holds.ASKED["german"]) == set(shipped_rubrics())
    german = [text for sides in holds.ASKED["german"].values() for text in sides.values()]
    assert len(set(german)) == 8 and not any(map(readable, german))


def test_typing_errors_only_change_the_places_of_letters():
    for rubric in shipped_rubrics():
        text = system_prompt(rubric, "high")
        wrong = ways.mistyped(text)
        assert wrong == ways.mistyped(text) != text and sorted(wrong) == sorted(text)
        changed = [one != other for one, other in zip(text.split(), wrong.split(), strict=True)]
        assert 0.15 < sum(changed) / len(changed) < 0.7


def test_a_gap_is_high_minus_low_of_one_prompt_and_rubric():
    def row(prompt, rubric, target, score):
        return {"prompt": prompt, "rubric": rubric, "target": target, "score": score}

    rows = [row("a", "rococo", 10, 20.0), row("a", "rococo", 95, 60.0), row("a", "esoteric", 10, 30.0)]
    rows += [row("a", "esoteric", 95, 10.0), row("b", "rococo", 10, 0.0), row("b", "rococo", 95, 50.0)]
    found = holds.gap_of([*rows, row("b", "esoteric", 10, 5.0), row("b", "esoteric", 95, None)], "score")
    assert found["gap"] == pytest.approx([30.0, 20.0])  # prompts: (40 - 20) / 2 and 50
    assert found["above"] == pytest.approx(2 / 3) and found["unread_pairs"] == 1
    assert found["gap_of_all"] == pytest.approx([17.5, 7.5])  # of the second prompt (50 + 0) / 2
    none = [row("a", "rococo", 10, 1.0)] * 2 + [row("a", "rococo", 95, None)]
    assert holds.gap_of(none, "score")["gap"] is None


@pytest.mark.parametrize(
    "test, text, answer, right",
    [
        ("sum", "3 + 4 = 7.", "7", True),
        ("sum", "The sum, dear reader, is Seven!", "7", True),
        ("sum", "It is 17, or seventeen.", "7", False),
        ("sum", "Fourteen", "14", True),
        ("copy", "Here it is: The baker opens at six and closes at two!", holds.ASKED["copy"][3], True),
        ("copy", "The baker opens at six and gently closes at two.", holds.ASKED["copy"][3], False),
        ("language", "Die Hauptstadt von Italien ist Rom, und das weiß ich von der Schule.", "de", True),
        ("language", "The capital of Italy is Rome, and that is what I know.", "de", False),
        ("language", "La capitale de l'Italie est Rome, et elle est sur le Tibre.", "fr", True),
        ("language", "La capital de Italia es Roma, y es una ciudad muy antigua.", "es", True),
        ("language", "", "es", False),
    ],
)
def test_what_is_lost_is_seen(test, text, answer, right):
    assert holds.RIGHT[test](text, answer) is right


def test_every_test_of_what_is_lost_has_its_answer():
    asked = holds.tests(FULL)
    counts = {name: len([one for one in asked if one["test"] == name]) for name in holds.RIGHT}
    assert counts == {"sum": 23, "copy": 10, "language": 12}
    for one in asked:
        if one["test"] == "sum":
            assert eval(one["say"].removeprefix("What is ").removesuffix("?")) == int(one["answer"])
        if one["test"] == "copy":
            assert holds.has_copy(one["say"], one["answer"])


def test_a_conversation_goes_on_with_the_models_own_answers():
    asked = []

    def write(cases):
        asked.append([[turn["role"] for turn in one["turns"]] for one in cases])
        return [f"{one['rubric']} {one['target']} {one['prompt']}" for one in cases]

    size = {"prompts": FULL["prompts"][:2], "rubrics": ["rococo", "esoteric"]}
    rows = holds.turns("cpt", size, write)
    assert [len(round_[0]) for round_ in asked] == [2, 4, 6, 8] and len(asked[0]) == 8
    assert asked[3][0] == ["system", *["user", "assistant"] * 3, "user"]
    fourth = [row for row in rows if row["condition"] == "fourth turn"]
    assert len(fourth) == 8 and len(rows) == 24
    first = fourth[0]
    assert first["prompt"] == FULL["prompts"][3] == first["turns"][-1]["content"]
    assert first["response"] == f"rococo 10 {FULL['prompts'][3]}"
    assert first["turns"][2]["content"] == f"rococo 10 {FULL['prompts'][0]}"
    assert {row["turns"][0]["content"] for row in fourth if row["rubric"] == "rococo"} == {
        system_prompt("rococo", "low"),
        system_prompt("rococo", "high"),
    }


def test_a_vector_is_not_asked_what_it_cannot_read():
    asked = {}
    for way in ways.WAYS:
        rows = holds.wordings(way, FULL, lambda cases: ["text"] * len(cases))
        asked[way] = {row["condition"] for row in rows}
    assert asked["vector"] == {"user: write plainly"} and len(asked["cpt"]) == 3
    user = holds.wordings("vector", FULL, lambda cases: ["text"] * len(cases))[0]["turns"][-1]["content"]
    assert user.startswith(FULL["prompts"][0]) and user.endswith("in simple words.")


def test_of_a_long_text_the_last_third_is_judged():
    rows = holds.at_length("cpt", FULL, lambda cases, new_tokens: [f"one two three {new_tokens} five six"] * len(cases))
    assert {(row["response"], row["words"]) for row in rows} == {("five six", 6)}
    assert holds.last_third("one") == "one" and holds.last_third("") == ""


def test_a_vector_is_added_for_each_group_of_targets_without_the_system_turn(monkeypatch):
    from contextlib import contextmanager

    from cpt_utils.prompts import messages

    heard, inside = [], []

    class Vectors:
        @contextmanager
        def added(self, model, targets):
            inside.append(targets)
            yield
            inside.pop()

    def chat(model, turns, seed, **options):
        heard.append((dict(inside[-1]) if inside else None, seed, turns))
        return [turn[-1]["content"].upper() for turn in turns]

    monkeypatch.setattr(ways, "chat", chat)
    cases = [{"turns": messages(text, "be rococo"), "targets": targets} for text, targets in
             (("a", {"rococo": 95}), ("b", {"rococo": 10}), ("c", {"rococo": 95}), ("d", {}))]  # fmt: skip
    assert ways.say(ChatModel(None, None, ""), "vector", cases, Vectors(), seed=1) == ["A", "B", "C", "D"]
    assert [targets for targets, *_ in heard] == [{"rococo": 95}, {"rococo": 10}, None]
    assert len({seed for _, seed, _ in heard}) == 3 and len(heard[0][2]) == 2
    assert not any(turn["role"] == "system" for _, _, turns in heard for one in turns for turn in one)
    heard.clear()
    ways.say(ChatModel(None, None, ""), "cpt", cases, seed=1)
    assert len(heard) == 1 and heard[0][2][0][0]["content"] == "be rococo"


def test_the_vector_is_added_where_the_ablation_chose_to_on_training_prompts(monkeypatch, tmp_path):
    """A tiny run takes the same choice; nothing is chosen, and no text written for it, again."""
    found = measured.committed("ablation")["steering"]["base, steering vector"]
    best = max(found["grid"], key=lambda point: point["overall"])
    assert found["chosen"] == {name: best[name] for name in ("layer", "strength")} and len(found["grid"]) > 1
    assert not set(steering.CHOOSING) & {prompt["prompt"] for prompt in load_prompts(heldout=True)}
    asked = []

    def diff_means(base, layers):
        asked.append((base, layers))
        return {rubric: {layers[0]: torch.ones(2)} for rubric in shipped_rubrics()}

    monkeypatch.setattr(ways, "diff_means", diff_means)
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    monkeypatch.setattr(ways, "FOLDER", tmp_path / "runs")
    monkeypatch.setattr(ways, "weights_hash", str)
    base = ChatModel("weights", None, "")
    vectors = ways.Vectors(base)
    assert asked == [(base, (best["layer"],))] and vectors.chosen == found["chosen"]
    assert ways.Vectors(base).of({"rococo": 95}).equal(vectors.of({"rococo": 95})) and len(asked) == 1
    ways.kept_vectors(base, 3)
    ways.kept_vectors(ChatModel("other weights", None, ""), 3)
    assert [layers for _, layers in asked[1:]] == [(3,), (3,)], "of another layer or model they are made anew"
    assert vectors.of(found["own"]).tolist() == [0.0, 0.0], "nothing is added where the model is already"
    own = found["own"]["rococo"]
    assert vectors.of({"rococo": own + 10}).tolist() == pytest.approx([10 * best["strength"]] * 2)
    two = vectors.of({"rococo": own + 10, "esoteric": found["own"]["esoteric"] - 4})
    assert two.tolist() == pytest.approx([6 * best["strength"]] * 2)


def judged(condition, prompt, target, meaning, **others):
    """A row as a unit keeps it: the series' judge says 50 of all, and that of letters what that of meaning says."""
    row = {"condition": condition, "prompt": prompt, "rubric": "rococo", "target": target, "response": "A text."}
    scores = {"score": 50.0, "meaning": meaning, "letters": meaning}
    parts = {"follows": 1.0, "subject": 2.0, "language": 1.5, "overall": 1.2, "topic_rank": 1, "order_gain": 2.0}
    return row | scores | parts | {"degenerate": False} | others


def test_the_table_says_what_of_the_first_turns_gap_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    planned = holds.units(tiny=False)
    assert len(planned) == 15
    high = {"first turn": 60.0, "fourth turn": 40.0, "table": 20.0}
    for unit in planned:
        way, part = unit.split(", ")
        rows = []
        for name, score in high.items() if part == "turns" else ():
            for prompt in ("one", "two"):
                rows.append(judged(name, prompt, 10, 20.0, topic_rank=9, letters=20.0))
                rows.append(judged(name, prompt, 95, score, overall=0.8 if way == "cpt" else 0.4, letters=70.0))
        measured.keep_texts("holds", unit, rows)
        shares = {name: {"sum": 0.5, "copy": 0.2, "language": 0.0} for name in ("nothing asked", "rococo")}
        measured.add("holds_units", unit, {"lost": shares} if part == "lost" else {"chosen": {"layer": 14}})
    found = holds.assemble(list(planned))
    kept = summary.kept(found["table"]["cpt"])
    assert kept["fourth turn"] == pytest.approx(0.5) and kept["table"] == pytest.approx(0.0)
    table = found["table"]["cpt"]["table"]
    assert table["style_gap"] == pytest.approx([0.0, 0.0])
    assert table["letters_gap"] == pytest.approx([50.0, 0.0])
    assert table["overall"] == pytest.approx([1.0, 0.0]) and table["topic"] == 0.5 and table["order_gain"] == 2.0
    assert found["table"]["prompting"]["table"]["overall"] == pytest.approx([0.8, 0.0])
    assert table["rho"] == pytest.approx({"score": 0.0, "meaning": 0.0, "letters": 1.0})
    assert found["lost"]["vector"]["rococo"]["sum"] == 0.5 and found["chosen"] == {"layer": 14}
    fig = drawings.draw_holds(measured.files.rounded(found))
    assert "keeps 0% (table) to 50% (fourth turn)" in fig.get_suptitle()
    shown = cells(tables.holds_table(found))
    assert shown["fourth turn"] == ["20", "20", "20", "0 / 0 / 0", "50%", "50"]
    by_way = cells(tables.holds_by_way(found))
    assert by_way["table"] == ["0.80 / 0.80 / 1.00", "0.50 / 0.50 / 0.50", "2.0 / 2.0 / 2.0", *by_way["table"][3:]]
    assert by_way["table"][4].endswith(" / 1.00")
    assert cells(tables.lost_table(found))["copy"] == ["0.20"] * 6
    del found["table"]["vector"]["table"]
    assert cells(tables.holds_table(found))["table"][:3] == ["0", "–", "0"]
    assert cells(tables.holds_by_way(found))["table"][0] == "0.80 / – / 1.00"
    read = tables.first_texts("turns", "first turn", "rococo")
    assert set(read) == set(ways.WAYS) and all(row["target"] == 95 for row in read.values())


def cells(table):
    """{name: the figures beside it} of a table of HTML."""
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("</tr>")[1:]]
    return {row[0]: row[1:] for row in rows if row}


def test_of_a_first_gap_that_may_be_none_no_share_is_told(monkeypatch, tmp_path):
    """An untuned model has next to no gap, and a share of that would be any number."""
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    for unit in holds.units(tiny=False):
        rows = []
        for place, prompt in enumerate(holds.PROMPTS[:4]) if unit.endswith("turns") else ():
            for condition, high in (("first turn", (60.0, 9.0, 20.0, 21.0)[place]), ("fourth turn", 80.0)):
                rows += [judged(condition, prompt, target, score) for target, score in ((10, 20.0), (95, high))]
        measured.keep_texts("holds", unit, rows)
        measured.add("holds_units", unit, {"lost": {}} if unit.endswith("lost") else {"chosen": None})
    table = holds.assemble(list(holds.units(tiny=False)))["table"]["prompting"]
    assert table["first turn"]["gap"][0] > 0 and set(summary.kept(table).values()) == {None}


def test_of_every_part_but_what_is_lost_the_texts_are_kept_judged(monkeypatch):
    monkeypatch.setattr(holds, "model_of", lambda way: None)
    monkeypatch.setattr(holds, "base_model", lambda: "base")
    monkeypatch.setattr(holds, "say", lambda model, way, cases, vectors, **told: ["A text."] * len(cases))
    monkeypatch.setattr(holds, "judged", lambda rows, base: [row | {"judged": base} for row in rows])
    for part in holds.PARTS:
        found = holds.measure("cpt", part, tiny=True)
        if part == "lost":
            assert "written" not in found
            continue
        assert found["written"] and all(row["judged"] == "base" for row in found["written"])
        assert not any({"turns", "targets"} & set(row) for row in found["written"])


@pytest.mark.slow
def test_holds_runs_at_its_tiny_size(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "TINY", tmp_path)
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    running.run("holds", "benchmarks.beyond.holds", holds.assemble, drawings.draw_holds, ["--tiny"])
    found, names = measured.so_far("holds"), {"overall", "topic", "order_gain", "rho", "letters_gap"}
    for conditions in found["table"].values():
        assert all(names <= set(told) for told in conditions.values())
    assert set(found["table"]) == set(ways.WAYS) and (tmp_path / "holds" / "holds.png").exists()
