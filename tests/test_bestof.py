"""Best-of-N (resuming, never a degenerate text, the nearest one) and the judge made by hand."""

import json

import numpy as np
import pytest

from cpt_utils.anchors import AnchorJudge
from cpt_utils.bestof import best_of_n, fingerprint, nearest, score_table, whole_sentences
from cpt_utils.generation import generation_tasks
from cpt_utils.judging import Judgement
from cpt_utils.llm_judging import LLMJudge
from cpt_utils.rows import target_name
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import EndpointError, JudgeError
from cpt_utils.teachers import Teacher
from cpt_utils.ways import Read

RUBRIC = Rubric.checked(
    {
        "name": "diary",
        "title": "Diary",
        "objective": "Short and doubtful.",
        "levels": list("abcde"),
        "criteria": [
            {"name": "Breath", "weight": 75, "levels": list("abcde")},
            {"name": "Doubt", "weight": 25, "levels": list("abcde")},
        ],
    }
)
ANCHORS = {"Breath": ("sentence_length", 20, 5), "Doubt": ("questions", 0, 5)}


class Reader:
    """A judge that reads the score from the text: "17 ..." scores 17, "17 broken ..." is degenerate."""

    def score(self, rubric, prompt, response):
        return Judgement(float(response.split()[0]), "broken" in response)


def teachers(texts):
    """attempt(i) that answers with texts[i - 1] (a list, one per conversation), and the calls it got."""
    calls = []

    def attempt(i):
        def answer(conversations):
            calls.append((i, len(conversations)))
            return [texts[i - 1][len([c for c in calls if c[0] == i]) - 1] for _ in conversations]

        return Teacher("tiny", answer)

    return attempt, calls


TASKS = generation_tasks(["p"], ["rococo"])


def test_the_nearest_candidates_are_chosen_whatever_they_were_asked_for(tmp_path):
    attempt, _ = teachers([["60 a", "12 b", "70 c"], ["20 d", "88 e", "52 f"]])
    chosen, pool = best_of_n(attempt, TASKS, 2, Reader(), tmp_path / "c.jsonl")
    assert [(target_name(r["target"]), r["response"], target_name(r["asked_target"])) for r in chosen] == [
        ("low", "12 b", "mid"),
        ("mid", "52 f", "high"),
        ("high", "88 e", "mid"),
    ]
    assert [r["distance"] for r in chosen] == [2, 2, 7] and len(pool) == 6


def test_a_degenerate_text_is_never_chosen(tmp_path):
    attempt, _ = teachers([["10 broken", "50 broken", "95 broken"], ["30 a", "40 b", "90 c"]])
    chosen, pool = best_of_n(attempt, TASKS, 2, Reader(), tmp_path / "c.jsonl")
    assert [r["response"] for r in chosen] == ["30 a", "40 b", "90 c"]
    scores, targets = score_table(pool)
    assert targets.tolist() == [10, 50, 95]
    assert np.abs(scores - targets[:, None]).tolist() == [[100, 20], [100, 10], [100, 5]]


def test_no_text_is_chosen_twice_and_poor_prompts_are_left_out(tmp_path):
    row = {"prompt": "p", "rubric": "diary", "degenerate": False}
    rows = [{**row, "target": target, "response": "50 same", "score": 50.0} for target in (10, 50, 95)]
    assert nearest(rows) == []
    unjudged = [{**row, "target": 10, "response": "?", "score": None}]
    assert nearest(rows + unjudged) == []
    attempt, _ = teachers([["50 same"] * 3])
    with pytest.raises(ValueError, match="raise n"):
        best_of_n(attempt, TASKS, 1, Reader(), tmp_path / "c.jsonl")


def test_it_resumes_and_a_larger_n_asks_only_for_what_is_new(tmp_path):
    path = tmp_path / "c.jsonl"
    texts = [["10 a", "50 b", "95 c"], ["11 d", "51 e", "96 f"]]
    attempt, calls = teachers(texts)
    best_of_n(attempt, TASKS, 1, Reader(), path)
    assert [i for i, _ in calls] == [1, 1, 1]
    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["tiny#1"] * 3
    path.write_text("\n".join(lines[:2]) + "\n" + lines[2][:20], "utf-8")  # a crash while writing
    attempt, calls = teachers([["95 c"], texts[1]])
    chosen, pool = best_of_n(attempt, TASKS, 2, Reader(), path)
    assert [i for i, _ in calls] == [1, 2, 2, 2] and len(pool) == 6
    assert [r["response"] for r in chosen] == ["10 a", "50 b", "95 c"]
    again, calls = teachers(texts)
    assert best_of_n(again, TASKS, 2, Reader(), path) == (chosen, pool) and calls == []


def test_an_empty_answer_is_a_bad_try_and_no_fault(tmp_path):
    attempt, _ = teachers([["", "50 b", "95 c"], ["10 a", "51 e", "96 f"]])
    judge = AnchorJudge(RUBRIC, ANCHORS)
    _, pool = best_of_n(attempt, TASKS, 2, _Length(), tmp_path / "c.jsonl")
    assert pool[0]["response"] == "(no answer)" and judge.score("diary", "p", "(no answer)").degenerate


class _Length:
    def score(self, rubric, prompt, response):
        return Judgement(float(sum(map(ord, response)) % 100), False)


def test_cut_off_texts_end_at_a_whole_sentence():
    assert whole_sentences("I went. Did I? I am no") == "I went. Did I?"
    assert whole_sentences('He said "no." And th') == 'He said "no."'
    assert whole_sentences("no end in sight ") == "no end in sight"
    assert whole_sentences("It cost 3.50 and I pa") == "It cost 3.50 and I pa"
    assert fingerprint({"a": 1}, "b") == fingerprint({"a": 1}, "b") != fingerprint({"a": 2}, "b")


# ---------------------------------------------------------------- the judge made by hand

LONG = (
    "The path behind the house leads down to the river and along the wall of the old mill until it "
    "reaches the bridge near the church in the village."
)
MIDDLE = "The path behind the house leads down to the river. It goes along the wall of the old mill to the bridge."
SHORT = "The path is dark. Did I close the door? I think so. Who is there? The river is loud."


def test_the_hand_made_judge_is_monotone_weighs_and_stays_within_bounds():
    judge = AnchorJudge(RUBRIC, ANCHORS)
    low, mid, high = (judge.score("diary", "", text) for text in (LONG, MIDDLE, SHORT))
    assert 0 == low.score < mid.score < high.score == 100
    assert low.by_criterion == {"Breath": 0, "Doubt": 0} and high.by_criterion == {"Breath": 100, "Doubt": 100}
    assert mid.score == pytest.approx(0.75 * mid.by_criterion["Breath"]) and mid.by_criterion["Doubt"] == 0
    other = RUBRIC.model_copy(deep=True)
    other.criteria[0].weight, other.criteria[1].weight = 25, 75
    assert judge.score(other, "", MIDDLE).score == pytest.approx(mid.score / 3)


def test_the_hand_made_judge_flags_degenerate_texts():
    judge = AnchorJudge(RUBRIC, ANCHORS)
    assert judge.score(RUBRIC, "", "I am. " * 20).reason == "repetition"
    empty = judge.score(RUBRIC, "", " ")
    assert (empty.score, empty.degenerate, empty.reason) == (0.0, True, "empty")


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        ({**ANCHORS, "Doubt": ("question_marks", 0, 5)}, "no measure 'question_marks', only .*questions"),
        ({**ANCHORS, "Doubt": ("questions", 5, 5)}, "'Doubt': both anchors are 5"),
        ({**ANCHORS, "Doubt": ("questions", 0, float("nan"))}, "'Doubt': an anchor is .measure, value.*nan"),
        ({**ANCHORS, "Doubt": ("questions", 0, "many")}, "'Doubt': an anchor is .*'many'"),
        ({**ANCHORS, "Doubt": ("questions", 0)}, "'Doubt': an anchor is"),
        ({"Breath": ("sentence_length", 20, 5)}, r"each criterion \(Breath, Doubt\), and has them for Breath:"),
        ({**ANCHORS, "Hope": ("questions", 0, 5)}, r"\(Breath, Doubt\), and has them for Breath, Doubt, Hope:"),
    ],
)
def test_bad_anchors_are_named(anchors, message):
    with pytest.raises(ValueError, match=message):
        AnchorJudge(RUBRIC, anchors)


def test_another_rubric_is_refused():
    with pytest.raises(ValueError, match="'diary' only, not 'rococo'"):
        AnchorJudge(RUBRIC, ANCHORS).score("rococo", "", LONG)


def test_anchors_on_english_words_give_no_score_to_other_languages_and_others_do():
    german = "Der Regen fiel den ganzen Tag auf die Dächer der Stadt. Wer ging hinaus? Niemand, der nicht musste."
    words = ANCHORS | {"Doubt": ("hedge", 0, 5)}
    judged = AnchorJudge(RUBRIC, words).score(RUBRIC, "", german)
    assert judged.score is None and "English" in judged.reason and not judged.degenerate
    assert AnchorJudge(RUBRIC, ANCHORS).score(RUBRIC, "", german).score > 0
    data = RUBRIC.model_dump()
    for criterion in data["criteria"]:
        criterion["weight"] = 0 if criterion["name"] == "Doubt" else 100
    without = AnchorJudge(Rubric.checked(data), words).score("diary", "", german)  # what weighs nothing blocks nothing
    assert without.by_criterion == {"Breath": pytest.approx(without.score)} and without.score and not without.reason


def test_a_chat_model_is_not_asked_for_a_criterion_that_weighs_nothing(tmp_path):
    def away(conversations):
        raise EndpointError("It is down.", fatal=True)

    data = RUBRIC.model_dump()
    for criterion, weight in zip(data["criteria"], (100, 0)):
        criterion["weight"] = weight
    unweighed, ways = Rubric.checked(data), ANCHORS | {"Doubt": Read("m")}
    judge = AnchorJudge(unweighed, ways, [LLMJudge(Teacher("m", away), tmp_path / "verdicts.jsonl")])
    for judged in (judge.score("diary", "", SHORT), *judge.score_all([{"rubric": "diary", "response": SHORT}])):
        assert judged.score == 100 and judged.by_criterion == {"Breath": 100}
    with pytest.raises(JudgeError):  # by these weights it counts
        judge.score_all([{"rubric": RUBRIC, "response": SHORT}])
    there = LLMJudge(Teacher("m", lambda conversations: ['{"score": 80}']), tmp_path / "verdicts.jsonl")
    assert AnchorJudge(unweighed, ways, [there]).score(RUBRIC, "", SHORT).score == 95
    again = AnchorJudge(unweighed, ways, [LLMJudge(Teacher("m", away), tmp_path / "verdicts.jsonl")])
    assert again.score("diary", "", SHORT).by_criterion == {"Breath": 100, "Doubt": 80}  # it is at hand


def test_a_chosen_text_without_order_gives_its_place_to_the_next(tmp_path):
    sound = "words that stand in the order that a reader expects of them"
    attempt, _ = teachers(
        [[f"12 {sound}", f"51 {sound}", f"94 salad {sound}"], [f"30 {sound}", f"60 {sound}", f"80 {sound}"]]
    )
    asked = []

    def gains(texts):
        asked.extend(texts)
        return np.array([0.1 if "salad" in text else 3.0 for text in texts])

    chosen, pool = best_of_n(attempt, TASKS, 2, Reader(), tmp_path / "c.jsonl", gains=gains)
    assert [row["response"].split()[0] for row in chosen] == ["12", "51", "80"]
    assert [row["response"].split()[0] for row in pool if row["degenerate"]] == ["94"]
    assert not any(text.startswith(("30", "60")) for text in asked)  # only what was chosen
    plain, _ = best_of_n(attempt, TASKS, 2, Reader(), tmp_path / "c.jsonl")
    assert [row["response"].split()[0] for row in plain] == ["12", "51", "94"]


def test_a_judge_with_anchors_of_another_rubric_says_which_are_needed():
    with pytest.raises(JudgeError, match=r"Rococo needs an anchor for each criterion \(Ornamental diction, Winding"):
        AnchorJudge(load_rubric("rococo"), ANCHORS)
