"""The studio's tab Marks, as its observers see it: marks, agreement, suggestions, other people's files."""

import threading

import numpy as np
import pytest

from cpt_utils import marks
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rows import target_name
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.ways import Counted, Likened
from cpt_utils.widgets import scores
from cpt_utils.widgets.marking import WHOLE
from cpt_utils.widgets.studio import rubric_studio

TARGET = {row["response"]: row["target"] for row in load_responses() if row["rubric"] == "rococo"}


@pytest.fixture
def studio(tmp_path):
    made = rubric_studio("rococo", tmp_path)
    made.live.selected_index = 2
    return made


def press(view, level: str) -> None:
    next(each for each in view.levels if each.description == level).click()


def mark_all(studio, who: str, level_of, prompts: int = 1) -> None:
    """Mark every text of some prompts by a rule, one after the other."""
    view = studio.live.marking
    view.who.value = who
    for prompt in load_prompts()[:prompts]:
        studio.live.selected_index = 0
        studio.live.prompt.value = prompt["prompt"]
        studio.live.selected_index = 2
        while (text := view._next()) is not None:
            press(view, level_of(text))


def of_rococo(text: str) -> str:
    return target_name(TARGET.get(text, 10))


def test_texts_are_marked_unseen_and_a_score_shows_afterwards(studio, tmp_path):
    view = studio.live.marking
    text = view._next()
    assert (
        text in studio.live.texts().values() and "Rococo" not in view.text.value and "score is" not in view.told.value
    )
    press(view, "high")
    assert "Write your name first" in view.told.value and not list(tmp_path.glob("marks*"))
    view.who.value, view.why.value = "Ann", "it bows"
    press(view, "high")
    assert "You: high (95); the rubric&#x27;s score is" in view.told.value and view.why.value == ""
    assert marks.read_marks(tmp_path) == [
        {"who": "Ann", "response": text, "level": "high", "criterion": "", "why": "it bows"}
    ]
    assert view._next() != text and "1 of 12 texts marked" not in view.text.value
    view.back.click()
    assert marks.read_marks(tmp_path) == [] and view._next() == text


def test_agreement_is_told_on_the_testing_half_and_another_person_may_disagree(studio, tmp_path):
    view = studio.live.marking
    mark_all(studio, "Ann", of_rococo, prompts=3)
    told = view.result.value
    testing = [text for text in TARGET if marks.is_test(text)]
    assert testing and "Scores against marks" in told and "marked low" in told and "alpha" not in told
    assert "All texts on view are marked" in view.text.value and all(each.disabled for each in view.levels)
    turned = {"low": "high", "mid": "mid", "high": "low"}
    for mark in marks.read_marks(tmp_path)[:20]:
        marks.add_mark(tmp_path, mark | {"who": "Ben", "level": turned[mark["level"]]})
    studio.live.selected_index = 0
    studio.live.selected_index = 2
    assert "People among each other" in view.result.value and "people do not mean the same" in view.result.value
    assert "Ann: low, Ben: high" in view.result.value


def test_suggested_weights_and_ways_can_be_taken_and_undone(studio):
    view, before = studio.live.marking, dict(studio.ways)
    mark_all(studio, "Ann", of_rococo, prompts=4)
    weights = list(view.suggested.weights)
    assert "speak for this" in view.effect.value and "rho on the" in view.effect.value
    assert "of 12 texts on view change their rank" in view.effect.value and "weights: Ornam" in view.suggested.words
    view.take.click()
    assert [criterion.weight for criterion in studio.valid.criteria] == weights and sum(weights) == 100
    studio.undo.click()
    assert [criterion.weight for criterion in studio.valid.criteria] == [30, 25, 20, 15, 10]
    view.about.value = "Winding syntax"
    mark_all(studio, "Ann", lambda text: "high" if text.count(",") > 9 else "low", prompts=2)
    assert view.suggested.words.startswith("counting ")
    view.take.click()
    assert isinstance(studio.ways["Winding syntax"], Counted)
    studio.undo.click()
    assert studio.ways == before
    view.about.value = marks.ALL
    assert view.criterion == marks.ALL


def test_a_suggestion_that_embeds_texts_is_tried_beside_the_kernel(studio, monkeypatch):
    threads = []

    def embed(texts):
        threads.append(threading.current_thread())
        return np.array([[text.count(","), 1.0] for text in texts])

    monkeypatch.setattr("cpt_utils.models.embedding.embedder", lambda: embed)
    view = studio.live.marking
    view.about.value = "Winding syntax"
    mark_all(studio, "Ann", lambda text: "high" if text.count(",") > 9 else "low", prompts=2)
    assert not threads and "rho on the" in view.effect.value
    view.offered.value = next(each for _, each in view.offered.options if isinstance(each.way, Likened))
    studio.live.work.work.wait(60)
    assert "rho on the" in view.effect.value and isinstance(view.suggested.way, Likened)
    assert threads and threading.main_thread() not in threads
    view.take.click()
    assert isinstance(studio.ways["Winding syntax"], Likened) and threading.main_thread() not in threads


def test_a_broken_file_of_somebody_is_told_and_nothing_is_lost(studio, tmp_path):
    view = studio.live.marking
    (tmp_path / "marks-Ben.jsonl").write_text('{"who": "Ben"}\n')
    studio.live.selected_index = 0
    studio.live.selected_index = 2
    assert "marks-Ben.jsonl, row 1: no text in" in view.told.value


def test_marks_of_evil_texts_and_names_are_shown_as_text(studio, tmp_path):
    evil = "<script>alert(1)</script> so gilded, so laced, dear reader, was never a guest of this house."
    for who, level in (("Ann", "low"), ("Ben", "high")):
        marks.add_mark(tmp_path, {"who": who, "response": evil, "level": level, "criterion": ""})
        text = next(iter(studio.live.texts().values()))
        marks.add_mark(tmp_path, {"who": who, "response": text, "level": "mid", "criterion": ""})
    studio.live.selected_index = 0
    studio.live.own.value = evil
    studio.live.selected_index = 2
    pages = studio.live.marking.result.value + studio.live.marking.text.value
    assert "&lt;script&gt;" in pages and "<script" not in pages


def test_the_last_mark_is_taken_back_whoever_and_whatever_is_marked_now(studio, tmp_path):
    view = studio.live.marking
    view.who.value = "Ann"
    press(view, "high")
    press(view, "low")
    view.about.value = "Winding syntax"
    press(view, "mid")
    view.about.value, view.who.value = "Ornamental diction", "Ben"
    for count in (2, 1, 0):
        view.back.click()
        assert len(marks.read_marks(tmp_path)) == count and view.back.disabled is (count == 0)
    assert {mark.name for mark in tmp_path.glob("marks-*.jsonl")} == {"marks-Ann.jsonl"}


def test_a_criterion_may_be_called_as_the_whole_text_is(tmp_path):
    data = load_rubric("rococo").model_dump() | {"name": "mine"}
    data["criteria"][0]["name"] = WHOLE
    studio = rubric_studio(Rubric.checked(data), tmp_path)
    studio.live.selected_index = 2
    view = studio.live.marking
    view.who.value, view.about.index = "Ann", 1
    press(view, "high")
    view.about.index = 0
    press(view, "low")
    assert [mark["criterion"] for mark in marks.read_marks(tmp_path)] == [WHOLE, marks.ALL]


def test_marked_texts_that_are_not_on_view_are_scored_beside_the_kernel(studio, tmp_path, monkeypatch):
    batches = []
    compute = scores._compute
    monkeypatch.setattr(scores, "_known", {})
    monkeypatch.setattr(scores, "_compute", lambda way, texts: (batches.append(len(texts)), compute(way, texts)))
    for row in load_responses()[-60:]:
        level = target_name(row["target"])
        marks.add_mark(tmp_path, {"who": "Ann", "response": row["response"], "level": level, "criterion": ""})
    studio.live._draw()
    studio.live.work.work.wait(120)
    assert max(batches) == scores.BATCH and batches.count(1) <= 12 * len(studio.ways)
    assert "Scores against marks" in studio.live.marking.result.value


def test_a_file_that_breaks_while_somebody_marks_is_told(studio, tmp_path):
    view = studio.live.marking
    view.who.value = "Ann"
    press(view, "high")
    (tmp_path / "marks-Ben.jsonl").write_text('{"who": "Ben"}\n')
    press(view, "low")
    assert "marks-Ben.jsonl, row 1: no text in" in view.told.value and "You: low" not in view.told.value
    view.back.click()
    assert "marks-Ben.jsonl, row 1" in view.told.value
    (tmp_path / "marks-Ben.jsonl").unlink()
    assert marks.read_marks(tmp_path) == []
