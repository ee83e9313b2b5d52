"""Ways to score a criterion, marks of people, and how far they agree: exact small cases, and odd ones."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from cpt_utils import agreement, marks, opinions, ways
from cpt_utils.anchors import AnchorJudge
from cpt_utils.measures import style_measures
from cpt_utils.prompts import load_responses
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import JudgeError, StoreError
from cpt_utils.ways import Counted, Fitted, Likened

RECORDED = load_responses()
GERMAN = "Der Regen fiel den ganzen Tag auf die Dächer der kleinen Stadt, und niemand ging hinaus, der nicht musste."


def texts_of(rubric: str, target: int) -> list[str]:
    return [row["response"] for row in RECORDED if (row["rubric"], row["target"]) == (rubric, target)]


# ---------------------------------------------------------------- ways


def test_counting_goes_along_a_line_and_stays_within_bounds():
    shouts = ["No. No. No.", "No! Yes. No.", "No! No! No!"]
    rate = [style_measures(text)["exclamations"] for text in shouts]
    assert Counted("exclamations", 0, rate[2]).scores(shouts) == pytest.approx([0, 100 / 3, 100])
    assert Counted("exclamations", rate[2], 0).scores(shouts) == pytest.approx([100, 200 / 3, 0])
    assert Counted("exclamations", 0, rate[1]).scores(shouts)[2] == 100


def test_words_that_are_english_say_nothing_of_other_languages():
    assert Counted("hedge", 0, 5).scores([GERMAN]) == [None]
    assert Counted("commas", 0, 10).scores([GERMAN])[0] > 0
    assert Fitted("rococo", "Winding syntax").scores([GERMAN, "..."]) == [None, None]


def test_likening_places_texts_between_examples_of_both_ends():
    low, high = texts_of("esoteric", 10), texts_of("esoteric", 95)
    way = Likened(tuple(low[:3]), tuple(high[:3]))
    scores = [np.mean(way.scores(texts[3:])) for texts in (low, high)]
    assert scores[0] + 25 < scores[1]
    assert np.mean(way.scores(low[:3])) < 25 and np.mean(way.scores(high[:3])) > 75


def test_fitted_ways_are_the_series_judges_own():
    judge, text = ways.embedded_judge(), texts_of("rococo", 95)[0]
    for criterion, score in judge.score("rococo", "", text).by_criterion.items():
        assert Fitted("rococo", criterion).scores([text]) == [score]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (Counted("coma", 0, 1), "'Air': there is no measure 'coma', only"),
        (Counted("commas", 2, 2), "'Air': both anchors are 2; they must differ"),
        (Counted("commas", "x", 2), "'Air': an anchor is"),
        (Counted("commas", 10**400, 2), "'Air': an anchor is"),
        (Counted({"commas": 1}, 0, 1), "'Air': there is no measure {'commas': 1}, only"),
        (Counted(["commas"], 0, 1), "'Air': there is no measure ..commas.., only"),
        (Fitted({"a": 1}, "Haste"), "no criterion 'Haste': there is no style {'a': 1}"),
        (Fitted("rococo", ["Haste"]), "no criterion ..Haste..: 'rococo' has Ornamental diction"),
        (Counted("commas", 0, float("inf")), "'Air': an anchor is"),
        (Likened(("a",), ("b", "c")), "'Air': 1 example texts of the low end; give 2 or more"),
        (Likened(("a", " a "), ("b", "c")), "'Air': 1 example texts of the low end"),
        (Likened(("a", "b"), ("b", "c")), "'Air': 'b' stands at both ends"),
        (Fitted("rococo", "Haste"), "no criterion 'Haste': 'rococo' has Ornamental diction"),
        (Fitted("roccoco", "Haste"), "there is no style 'roccoco'"),
    ],
)
def test_a_wrong_way_is_named_by_its_criterion(way, words):
    with pytest.raises(JudgeError, match=words):
        way.checked("Air")


@pytest.mark.parametrize(
    "way", [Counted("commas", 0.0, 9.5), Likened(("a", "b"), ("c", "d")), Fitted("rococo", "Winding syntax")]
)
def test_ways_go_through_files(way):
    assert ways.from_data(json.loads(json.dumps(ways.to_data(way))), "Air") == way


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("counted", "has a kind, one of counted, likened, fitted, read; this has None"),
        ({"kind": "guessed"}, "this has 'guessed'"),
        ({"kind": ["counted"]}, "this has"),
        ({"kind": "counted", "measure": "commas"}, "counted needs measure, low, high, and has measure"),
        ({"kind": "likened", "low": "ab", "high": "cd"}, "lists of texts"),
        ({"kind": "likened", "low": [1, 2], "high": ["c", "d"]}, "lists of texts"),
    ],
)
def test_a_broken_file_of_ways_is_told(data, words):
    with pytest.raises(JudgeError, match=f"'Air'.*{words}"):
        ways.from_data(data, "Air")


def test_a_judge_may_score_each_criterion_another_way():
    rubric = load_rubric("rococo")
    names = [criterion.name for criterion in rubric.criteria]
    likened = Likened(tuple(texts_of("rococo", 10)[:2]), tuple(texts_of("rococo", 95)[:2]))
    given = {name: Fitted("rococo", name) for name in names}
    judge = AnchorJudge(rubric, given | {names[0]: likened, names[1]: ("commas", 0, 20)})
    low, high = (judge.score(rubric, "", texts_of("rococo", target)[4]) for target in (10, 95))
    assert low.score + 40 < high.score and list(high.by_criterion) == names
    total = sum(c.weight * high.by_criterion[c.name] for c in rubric.criteria) / 100
    assert high.score == pytest.approx(total)


# ---------------------------------------------------------------- marks


def mark(who, response, level, criterion=marks.ALL, rubric="rococo", **more):
    return {"who": who, "rubric": rubric, "response": response, "level": level, "criterion": criterion} | more


def timeless(found):
    """Marks as they were given."""
    return [{name: value for name, value in each.items() if name != "when"} for each in found]


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def test_marks_are_kept_at_once_pooled_and_can_be_taken_back(tmp_path):
    for each in (mark("Ann", "a", "low"), mark("Ann", "a", "high", why="bows"), mark("Ben", "a", "mid")):
        marks.add_mark(tmp_path, each)
    marks.add_mark(tmp_path, mark("Ben", "b", "low", "Doubt"))
    assert timeless(marks.read_marks(tmp_path)) == [
        mark("Ann", "a", "high", why="bows"),
        mark("Ben", "a", "mid"),
        mark("Ben", "b", "low", "Doubt"),
    ]
    marks.add_mark(tmp_path, mark("Ben", "a", ""))
    found = marks.read_marks(tmp_path)
    assert [each["who"] for each in marks.about(found)] == ["Ann"]
    assert len(marks.about(found, "Doubt")) == 1 and opinions.by_text(marks.about(found)) == {"a": 95}
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == ["marks-Ann.jsonl", "marks-Ben.jsonl"]


def test_a_person_is_one_however_the_name_was_typed(tmp_path):
    for who, level in (("Ana Jos\u00e9", "low"), ("  Ana  Jose\u0301 ", "high"), ("Ana\tJos\u00e9", "mid")):
        marks.add_mark(tmp_path, mark(who, "a", level))
    write(tmp_path / "marks-old.jsonl", mark("ana  Jose\u0301", "b", "low"), mark("ANA JOS\u00c9", "a", "low"))
    found = marks.read_marks(tmp_path)
    assert [(each["who"], each["level"]) for each in found] == [("Ana Jos\u00e9", "mid"), ("Ana Jos\u00e9", "low")]
    assert agreement.alpha(found) is None  # nobody else has marked


@pytest.mark.parametrize(
    "who", ["प्रिया शर्मा", "สมหญิง", "علی\u200cرضا", "محمّد", "José", "Jose\u0301", "O'Brien", "D’Angelo", "李雷"]
)
def test_a_person_has_a_name_in_any_script(tmp_path, who):
    marks.add_mark(tmp_path, mark(who, "a", "low"))
    assert len(marks.read_marks(tmp_path)) == len(list(tmp_path.glob("marks-*.jsonl"))) == 1


def test_what_a_file_of_ways_holds_is_told_in_few_words(tmp_path):
    bomb = "&a [x, x, x, x, x, x, x, x, x, x]"
    for name, last in zip("bcdef", "abcde"):
        bomb = f"&{name} [{bomb}" + f", *{last}" * 9 + "]"
    path = tmp_path / "mine.judge.yaml"
    for way in (
        f"kind: {bomb}",
        f"kind: counted, low: 0, high: 1, measure: {bomb}",
        f"kind: counted, low: {bomb}, high: 1, measure: commas",
        f"kind: read, judge: {bomb}",
        f"kind: fitted, style: {bomb}, criterion: x",
        "kind: counted, 1: 2",
    ):
        path.write_text(f"Air: {{{way}}}")
        with pytest.raises(JudgeError, match="'Air'") as error:
            ways.read_ways(path)
        assert len(str(error.value)) < 1500


def test_the_half_that_tests_a_judge_is_the_same_for_everybody():
    texts = [row["response"] for row in RECORDED]
    share = np.mean([marks.is_test(text) for text in texts])
    assert 0.4 < share < 0.6 and [marks.is_test(text) for text in texts] == [marks.is_test(text) for text in texts]
    assert marks.text_key("Schnee \ud83d") == marks.text_key("Schnee ?")


@pytest.mark.parametrize("who", ["", "../x", "a/b", ".x", "x" * 50, "a\\b", "\u0000"])
def test_a_name_that_is_none_is_refused(tmp_path, who):
    with pytest.raises(StoreError, match="is no name for a file of marks"):
        marks.add_mark(tmp_path, mark(who, "a", "low"))
    assert not list(Path(tmp_path).parent.glob("marks*")) and not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="it has 41 characters, and 40 are the most; shorten it"):
        marks.add_mark(tmp_path, mark("x" * 41, "a", "low"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"who": "Ann", "level": "low"}, "marks-Ann.jsonl, row 1: no text in 'response'"),
        ({"who": "Ann", "response": "a", "level": "huge"}, "row 1: 'huge' is no mark, only low, mid, high"),
        ({"who": 3, "response": "a", "level": "low"}, "no text in 'who'"),
        ({"who": "Ann", "response": "a", "level": "low", "rubric": 5}, "no text in 'rubric'"),
        (mark("Ann", "a", "low", when="yesterday"), "row 1: 'yesterday' is no time such as"),
        (mark("Ann", "a", "low", when="2026-11-28T09:30:00"), "is no time such as"),
        (mark("Ann", "a", "low", when=5), "row 1: 5 is no time such as"),
    ],
)
def test_a_broken_file_of_marks_is_told(tmp_path, row, words):
    (tmp_path / "marks-Ann.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(StoreError, match=words):
        marks.read_marks(tmp_path)
    with pytest.raises(StoreError, match="is no mark"):
        marks.add_mark(tmp_path, mark("Ann", "a", "maybe"))


def test_marks_by_two_rubrics_never_mix(tmp_path):
    for rubric, level in (("rococo", "high"), ("mine", "low")):
        marks.add_mark(tmp_path, mark("Ann", "a", level, rubric=rubric))
    marks.add_mark(tmp_path, mark("Ben", "a", "high"))
    found = marks.read_marks(tmp_path)
    assert [each["level"] for each in marks.by_rubric(found, "mine")] == ["low"]
    assert [each["who"] for each in marks.by_rubric(found, "rococo")] == ["Ann", "Ben"]
    with pytest.raises(StoreError, match="A mark says by which rubric"):
        marks.add_mark(tmp_path, {"who": "Ann", "response": "a", "level": "low", "criterion": ""})


def test_rows_without_a_rubric_count_for_none_until_they_are_taken_over(tmp_path):
    old = [{"who": "Ann", "response": text, "level": "low"} for text in "ab"]
    write(tmp_path / "marks-Ann.jsonl", *old)
    marks.add_mark(tmp_path, mark("ann", "b", "high"))
    found = marks.read_marks(tmp_path)
    unnamed = marks.by_rubric(found, marks.UNNAMED)
    assert len(unnamed) == 2 and len(marks.by_rubric(found, "rococo")) == 1
    marks.take_over(tmp_path, unnamed, "rococo")
    found = marks.read_marks(tmp_path)
    assert not marks.by_rubric(found, marks.UNNAMED)  # they name one now, and can count for no other
    assert {each["response"]: each["level"] for each in found} == {
        "a": "low",
        "b": "high",
    }  # what was said for it stays
    assert (tmp_path / "marks-Ann.jsonl").read_text().startswith(json.dumps(old[0]))  # as it was


def test_marks_by_a_former_name_count_for_both(tmp_path):
    for each in (mark("Ann", "a", "low"), mark("Ben", "a", "high", "Doubt")):
        marks.add_mark(tmp_path, each)
    marks.take_over(tmp_path, marks.read_marks(tmp_path), "mine")
    found = marks.read_marks(tmp_path)
    assert len(marks.by_rubric(found, "mine")) == len(marks.by_rubric(found, "rococo")) == 2
    doubts = marks.about(marks.by_rubric(found, "mine"), "Doubt")
    assert marks.uncounted(found, doubts, "mine") == [] and marks.uncounted(found, doubts, "mine", "Wavering") == doubts
    marks.take_over(tmp_path, doubts, "mine", "Wavering")
    assert [each["who"] for each in marks.about(marks.read_marks(tmp_path), "Wavering")] == ["Ben"]


@pytest.mark.parametrize("old", [True, False])
def test_marks_that_are_taken_over_never_replace_what_their_person_said_later(tmp_path, old):
    room, home = tmp_path / "room", tmp_path / "home"
    first, then = "2026-11-28T09:30:00+00:00", "2026-11-28T10:30:00+00:00"
    given = mark("Bo", "a", "high", rubric="draft") | ({} if old else {"when": first})
    for folder in (room, home):
        folder.mkdir()
        write(folder / "marks-Bo.jsonl", given)
    write(home / "marks-Bo.jsonl", given, mark("Bo", "a", "low", rubric="mine", when=then))
    marks.take_over(room, marks.read_marks(room), "mine")  # Ann does, who has an older copy
    assert [each["level"] for each in marks.by_rubric(marks.read_marks(room), "mine")] == ["high"]
    (home / "marks-Bo.jsonl").rename(room / "marks-Bo-2.jsonl")
    (now,) = marks.by_rubric(marks.read_marks(room), "mine")
    assert now["level"] == "low" and now["when"] == then


def test_a_person_whose_name_is_no_files_keeps_nobodys_marks_from_being_taken_over(tmp_path):
    people = ["Bo/Al", "", "x" * 41, "Cid"]
    write(tmp_path / "marks-all.jsonl", *(mark(who, "a", "low", rubric="draft") for who in people))
    marks.take_over(tmp_path, marks.read_marks(tmp_path), "mine")
    found = marks.by_rubric(marks.read_marks(tmp_path), "mine")
    assert sorted(each["who"] for each in found) == sorted(people)
    assert (tmp_path / "marks-Cid.jsonl").exists() and len(list(tmp_path.glob("marks-*.jsonl"))) == 5


def test_the_last_word_goes_by_time_and_not_by_the_names_of_files(tmp_path):
    first, then = "2026-11-28T09:30:00+00:00", "2026-11-28T11:30:00+01:00"
    write(tmp_path / "marks-ann.jsonl", mark("Ann", "a", "low", when=first), mark("Ann", "b", "low", when=first))
    write(
        tmp_path / "marks-ann (1).jsonl",
        mark("ann", "a", "high", when=then),
        mark("ann", "b", "high", when="2026-11-28T09:00:00+00:00"),
    )
    found = {each["response"]: each["level"] for each in marks.read_marks(tmp_path)}
    assert found == {"a": "high", "b": "low"}
    # Copies of an earlier version, without times: the newer one is the longer one.
    old = [{"who": "Ben", "response": "a", "level": level} for level in ("low", "high")]
    write(tmp_path / "marks-ben.jsonl", old[0])
    write(tmp_path / "marks-ben (1).jsonl", *old)
    assert [each["level"] for each in marks.read_marks(tmp_path) if each["who"] == "Ben"] == ["high"]
    marks.add_mark(tmp_path, mark("Cid", "a", "low") | {"when": "2090-01-01T00:00:00+00:00"})
    marks.add_mark(tmp_path, mark("Cid", "a", "mid"))  # whatever a clock said: in a file the last row counts
    assert [each["level"] for each in marks.read_marks(tmp_path) if each["who"] == "Cid"] == ["mid"]


def test_a_file_of_marks_is_read_again_when_it_changed_and_not_before(tmp_path, monkeypatch):
    read, readings = marks.files.read_jsonl, []
    monkeypatch.setattr(marks.files, "read_jsonl", lambda path: readings.append(path.name) or read(path))

    def levels() -> dict[str, str]:
        readings.clear()
        return {each["who"]: each["level"] for each in marks.read_marks(tmp_path)}

    for who in ("Ann", "Ben"):
        marks.add_mark(tmp_path, mark(who, "a", "low"))
    path = marks.marks_file(tmp_path, "Ben")
    words, stat = path.read_text(), path.stat()
    assert levels() == {"Ann": "low", "Ben": "low"}
    path.write_text(words.replace('"low"', '"mid"'))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # of the same size and time: within a tick of its clock
    assert levels() == {"Ann": "low", "Ben": "mid"}
    monkeypatch.setattr(marks, "SETTLED", -1.0)  # as if all that were long ago
    levels()
    marks.read_marks(tmp_path)[0]["level"] = "spoilt by who reads it"
    assert levels() == {"Ann": "low", "Ben": "mid"} and readings == []
    marks.add_mark(tmp_path, mark("Ann", "a", "high"))
    assert levels() == {"Ann": "high", "Ben": "mid"} and readings == ["marks-Ann.jsonl"]
    with path.open("a") as file:  # another's, by another process
        file.write(words.replace('"low"', '"high"'))
    assert levels() == {"Ann": "high", "Ben": "high"} and readings == ["marks-Ben.jsonl"]
    path.unlink()
    assert levels() == {"Ann": "high"}


def test_one_person_is_no_two_by_capitals(tmp_path):
    for who in ("Ann", "ann", "ANN"):
        for text, level in (("a", "low"), ("b", "high")):
            marks.add_mark(tmp_path, mark(who, text, level))
    found = marks.read_marks(tmp_path)
    assert len(found) == 2 and len({each["who"] for each in found}) == 1 and agreement.alpha(found) is None
    assert marks.same_person("JOSE\u0301", "jos\u00e9") and not marks.same_person("Ann", "Anna")


def test_texts_that_divide_people_come_first():
    found = [mark("A", "a", "low"), mark("B", "a", "mid"), mark("A", "b", "high"), mark("B", "b", "low")]
    found += [mark("A", "c", "mid"), mark("B", "c", "mid")]
    assert [text for text, _ in opinions.divided(found)] == ["b", "a"]


# ---------------------------------------------------------------- agreement


def test_rank_agreement_has_an_interval_and_says_nothing_of_too_little():
    chance = np.random.default_rng(1)
    points = [10, 50, 95] * 20
    near = [point + chance.normal(0, 5) for point in points]
    found = agreement.rank_agreement(near, points)
    assert found["n"] == 60 and found["low"] < found["rho"] < found["high"] and found["rho"] > 0.9
    unrelated = agreement.rank_agreement(list(chance.permutation(near)), points)
    assert unrelated["low"] < 0 < unrelated["high"]
    assert agreement.rank_agreement([1, 2, 3], [10, 50, 95])["rho"] is None
    assert agreement.rank_agreement([5, 5, 5, 5], [10, 50, 95, 95])["rho"] is None


def test_kappa_and_confusion_by_hand():
    scores, points = [5, 40, 90, 90], [10, 50, 95, 10]
    table = agreement.confusion(scores, points)
    assert table.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    # Quadratic weights: observed disagreement 1 of 4; expected from the margins (2, 1, 1) and (1, 1, 2) of 4.
    expected = sum(a * b * (i - j) ** 2 / 4 for i, a in enumerate((2, 1, 1)) for j, b in enumerate((1, 1, 2))) / 16
    assert agreement.kappa(scores, points) == pytest.approx(1 - 0.25 / expected)
    assert agreement.kappa([90, 95], [95, 95]) is None and agreement.kappa([], []) is None


def test_where_judge_and_people_part_most_comes_first():
    found = agreement.farthest({"a": 20, "b": 90, "c": 50}, {"a": 10, "b": 10, "d": 95})
    assert found == [("b", 80), ("a", 10)]


def test_alpha_by_hand_and_none_without_doubles():
    same = [mark(who, text, level) for who in "AB" for text, level in zip("abc", ("low", "mid", "high"))]
    assert agreement.alpha(same) == pytest.approx(1)
    turned = [mark("A", "a", "low"), mark("B", "a", "high"), mark("A", "b", "high"), mark("B", "b", "low")]
    # Both pairs lie as far apart as can be, 2 marks of each level: D_o = 4 d, D_e = 8 d / 3.
    assert agreement.alpha(turned) == pytest.approx(-0.5)
    near = [mark("A", "a", "low"), mark("B", "a", "mid"), mark("A", "b", "high"), mark("B", "b", "high")]
    # Counts 1, 1, 2; places of the levels .5, 1.5, 3. D_o = 2 * 1; D_e = 2 (1 + 2 * 6.25 + 2 * 2.25) / 3 = 12.
    assert agreement.alpha(near) == pytest.approx(1 - 2 / 12)
    assert agreement.alpha([*near, mark("C", "c", "low")]) == pytest.approx(1 - 2 / 12)  # nobody to agree with
    assert agreement.alpha([mark("A", "a", "low"), mark("B", "b", "high")]) is None
    assert agreement.alpha([mark(who, "a", "low") for who in "AB"]) is None and agreement.alpha([]) is None
    found = agreement.alphas([*same, mark("A", "d", "low")], ["Doubt"])
    assert found == {"": {"alpha": pytest.approx(1), "n": 3}, "Doubt": {"alpha": None, "n": 0}}


def test_alpha_is_judged_from_as_many_texts_as_rho():
    told = [agreement.meaning(1.0, n) for n in range(1, 6)]
    assert agreement.LEAST == 4 and told[3:] == ["reliable", "reliable"]
    assert told[:3] == ["3 more are needed", "2 more are needed", "1 more is needed"]
    assert agreement.meaning(0.7, 4) == "tentative" and agreement.meaning(0.0, 4) == "people do not mean the same"
    assert agreement.meaning(0.0, 1) == told[0]


def test_weights_that_made_the_marks_are_found_again():
    chance = np.random.default_rng(0)
    table = {name: list(chance.uniform(0, 100, 12)) for name in ("Breath", "Doubt", "Noise")}
    points = [0.7 * a + 0.3 * b for a, b in zip(table["Breath"], table["Doubt"])]
    assert agreement.suggest_weights(table, points) == pytest.approx({"Breath": 70, "Doubt": 30, "Noise": 0}, abs=0.01)
    assert agreement.suggest_weights({name: scores[:3] for name, scores in table.items()}, points[:3]) is None
    assert agreement.suggest_weights({"Breath": [0.0] * 5}, [10, 50, 95, 10, 50]) is None
    assert agreement.suggest_weights(table, [95.0] * 12) is None  # marks that are all alike speak for nothing


def test_anchors_come_from_the_measure_that_follows_the_marks():
    low, high = texts_of("rococo", 10)[:6], texts_of("rococo", 95)[:6]
    found = agreement.suggest_anchors(low + high, [10] * 6 + [95] * 6)
    scores = found.checked("Air").scores(texts_of("rococo", 10)[6:12] + texts_of("rococo", 95)[6:12])
    assert np.mean(scores[:6]) + 40 < np.mean(scores[6:])
    shorter = agreement.suggest_anchors(low + high, [95] * 6 + [10] * 6, "sentence_length")
    assert shorter.measure == "sentence_length" and shorter.high < shorter.low
    assert agreement.suggest_anchors(low[:2] + high[:1], [10, 10, 95]) is None
    assert agreement.suggest_anchors(low, [10] * 6) is None
    assert agreement.suggest_anchors(["a b."] * 6, [10, 50, 95] * 2) is None


def test_anchors_of_a_measure_with_small_values_stay_apart():
    texts = ["One. " * (2000 - n) + "two. " * n for n in range(1, 6)]
    points = [10, 10, 50, 95, 95]
    way = agreement.suggest_anchors(texts, points, "lower_starts")
    scores = way.checked("Small").scores(texts)
    assert 0 <= way.low < way.high < 0.01 and scores == sorted(scores) and scores[-1] - scores[0] > 50
    assert ways.to_data(way) == json.loads(json.dumps(ways.to_data(way)))


def test_anchors_are_no_measure_of_english_words_where_texts_have_none():
    texts = [f"{GERMAN} {GERMAN}{' So' * number}" for number in range(5)]
    assert agreement.suggest_anchors(texts, [10, 10, 50, 95, 95], "function") is None
    way = agreement.suggest_anchors(texts, [10, 10, 50, 95, 95])
    assert None not in way.scores(texts)


def test_examples_are_the_clearest_texts_of_both_ends():
    points = {"a": 10, "b": 23, "c": 10, "d": 95, "e": 80, "f": 50}
    assert agreement.suggest_examples(points, most=2) == Likened(("a", "c"), ("d", "e"))
    assert agreement.suggest_examples({"a": 10, "d": 95, "e": 95}) is None


def test_a_rubric_of_ones_own_is_judged_by_what_was_edited():
    """What the studio could not do: weights of a rubric without graded texts change a ranking."""
    data = load_rubric("rococo").model_dump() | {"name": "mine"}
    data["criteria"] = data["criteria"][:2]
    texts = [
        "Stop! Go now! Run to the river! Do not look back!",
        "The river, which, as ever, ran, winding, to the sea, was wide.",
    ]
    ranked = {}
    for weights in ((90, 10), (10, 90)):
        for criterion, weight, name in zip(data["criteria"], weights, ("Shouting", "Winding")):
            criterion |= {"name": name, "weight": weight}
        rubric = Rubric.checked(data)
        anchors = {"Shouting": ("exclamations", 0, 50), "Winding": ("commas", 0, 30)}
        judge = AnchorJudge(rubric, anchors)
        ranked[weights] = max(texts, key=lambda text, judge=judge: judge.score("mine", "", text).score)
    assert [ranked[90, 10], ranked[10, 90]] == texts


def test_marks_that_are_named_once_are_named_for_good_whatever_file_they_stand_in(tmp_path):
    rows = [{"who": "Ann", "rubric": "x", "criterion": "", "response": f"x{i}", "level": "mid"} for i in range(30)]
    rows += [{"who": "Ann", "criterion": "", "response": f"t{i}", "level": "low"} for i in range(3)]
    (tmp_path / "marks-Ann-laptop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    marks.take_over(tmp_path, marks.by_rubric(marks.read_marks(tmp_path), marks.UNNAMED), "mine")
    there = marks.read_marks(tmp_path)
    assert not marks.by_rubric(there, marks.UNNAMED) and len(marks.by_rubric(there, "mine")) == 3
