"""The studio's tab Marks, as its observers see it: marks, agreement, suggestions, other people's files."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from cpt_utils import marks, opinions
from cpt_utils.anchors import AnchorJudge
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rows import target_name
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.ways import Counted, Likened, Read, read_ways
from cpt_utils.widgets import judged, scores
from cpt_utils.widgets.marking import WHOLE
from cpt_utils.widgets.studio import rubric_studio

pytestmark = pytest.mark.usefixtures("own_runs")
TARGET = {row["response"]: row["target"] for row in load_responses() if row["rubric"] == "rococo"}


@pytest.fixture
def studio(tmp_path):
    made = rubric_studio("rococo", tmp_path)
    made.live.selected_index = 2
    return made


def keep(folder, who: str, text: str, level: str, criterion: str = "", rubric: str = "rococo") -> None:
    marks.add_mark(folder, marks.Mark(who=who, rubric=rubric, response=text, level=level, criterion=criterion))


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
        settle(studio)
        while (text := view.left) is not None:
            press(view, level_of(text))
            settle(studio)


def settle(studio) -> None:
    """Wait for the scoring beside the kernel, and for what it begins when it is over."""
    work, seen = studio.live.work.work, None
    while work.thread is not seen:
        if work.thread.ident is not None:  # one that has begun: it may be the last act of another
            seen = work.thread
            seen.join(60)


def of_rococo(text: str) -> str:
    return target_name(TARGET.get(text, 10))


def test_texts_are_marked_unseen_and_a_score_shows_afterwards(studio, tmp_path):
    view = studio.live.marking
    text = view.left
    assert (
        text in studio.live.texts().values() and "Rococo" not in view.text.value and "score is" not in view.told.value
    )
    press(view, "high")
    assert "Write your name first" in view.told.value and not list(tmp_path.glob("marks*"))
    view.who.value, view.why.value = "Ann", "it bows"
    press(view, "high")
    assert "You: high (95); the rubric&#x27;s score is" in view.told.value and view.why.value == ""
    (mark,) = marks.read_marks(tmp_path)
    assert mark.pop("when") and mark == {
        "who": "Ann",
        "rubric": "rococo",
        "response": text,
        "level": "high",
        "criterion": "",
        "why": "it bows",
    }
    assert view.left != text and "1 of 12 texts marked" not in view.text.value
    view.back.click()
    assert marks.read_marks(tmp_path) == [] and view.left == text


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
    view.who.value = "Cid"  # who has marked nothing yet, and sees no single text of the others
    assert "Scores against marks" in view.result.value and "<details>" not in view.result.value
    shown = len(opinions.by_text(marks.read_marks(tmp_path)))
    assert f"{shown} texts that others marked are not shown before you" in view.result.value
    press(view, "low")
    assert f"{shown - 1} texts that others" in view.result.value
    view.looks_on.value = True
    assert "Ann: low, Ben: high" in view.result.value and "not shown" not in view.result.value
    assert view.left is None and all(each.disabled for each in view.levels)


def test_people_are_not_judged_by_a_text_or_two(studio, tmp_path):
    """Two people alike on two texts have an alpha of 1, and apart on one an alpha of 0: neither says much."""
    view = studio.live.marking

    def told(count: int) -> str:
        for number, text in enumerate(view.texts[:count]):
            for who in ("Ann", "Ben"):
                keep(tmp_path, who, text, ("low", "high")[number % 2])
        view.looks_on.value = not view.looks_on.value
        return view.result.value.partition("People among each other")[2]

    for who, level in (("Ann", "mid"), ("Ben", "high")):
        keep(tmp_path, who, view.texts[0], level, "Winding syntax")
    few = told(2)
    assert ">1.00<" in few and "on 2 texts: 2 more are needed" in few
    assert ">0.00<" in few and "on 1 text: 3 more are needed" in few
    assert not any(words in few for words in ("reliable", "tentative", "do not mean the same"))
    enough = told(4)
    assert "on 4 texts: reliable" in enough and "on 1 text: 3 more are needed" in enough


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
    assert "rho on the" in view.effect.value and isinstance(view.suggested.way, Counted)
    monkeypatch.setattr(scores, "_known", {})  # while few were marked, examples were the only suggestion
    threads.clear()
    view.offered.value = next(each for _, each in view.offered.options if isinstance(each.way, Likened))
    settle(studio)
    assert "rho on the" in view.effect.value and isinstance(view.suggested.way, Likened)
    assert threads and threading.main_thread() not in threads
    view.take.click()
    assert isinstance(studio.ways["Winding syntax"], Likened) and threading.main_thread() not in threads


def test_a_chosen_suggestion_stays_chosen_when_further_marks_change_its_numbers(studio, tmp_path, monkeypatch):
    monkeypatch.setattr(scores, "FEW", 10_000)  # all at once, so that nothing is drawn from a thread
    view = studio.live.marking
    studio._scored("Winding syntax", Counted("commas", 0, 10))
    view.about.value = "Winding syntax"
    fit = [text for text in TARGET if not marks.is_test(text)]
    for text in fit[:-6]:
        keep(tmp_path, "Ann", text, of_rococo(text), "Winding syntax")
    view.who.value = "Ann"
    counted = [each for _, each in view.offered.options if isinstance(each.way, Counted)]
    assert len(counted) == 2 and view.suggested == counted[0] and counted[1].way.measure == "commas"
    view.offered.value = counted[1]
    for text in fit[-6:]:
        keep(tmp_path, "Ann", text, of_rococo(text), "Winding syntax")
    view.who.value = "Ann "
    assert view.suggested.way.measure == "commas" and view.suggested != counted[1]
    likened = view.offered.options[-1][1]
    assert isinstance(likened.way, Likened) and not likened.like(counted[1]) and not likened.like(None)


@pytest.mark.parametrize("waits", [True, False])
def test_the_tab_is_drawn_once_the_texts_have_their_scores(tmp_path, monkeypatch, waits):
    """On Colab, too, where a button waits for its work: what that drew must not be taken away afterwards."""
    monkeypatch.setattr("cpt_utils.runtime.colab.here", lambda: waits)
    studio = rubric_studio("rococo", tmp_path)
    monkeypatch.setattr(scores, "_known", {})
    monkeypatch.setattr(scores, "FEW", 0)
    studio.live.selected_index = 2
    settle(studio)
    assert "texts marked for" in studio.live.marking.told.value and studio.live.marking.left
    mark_all(studio, "Ann", of_rococo, prompts=3)
    assert "speak for this" in studio.live.marking.effect.value


def test_a_broken_file_of_somebody_is_told_and_nothing_is_lost(studio, tmp_path):
    view = studio.live.marking
    (tmp_path / "marks-Ben.jsonl").write_text('{"who": "Ben"}\n')
    studio.live.selected_index = 0
    studio.live.selected_index = 2
    assert "marks-Ben.jsonl, row 1: no text in" in view.told.value


def test_marks_of_evil_texts_and_names_are_shown_as_text(studio, tmp_path):
    evil = "<script>alert(1)</script> so gilded, so laced, dear reader, was never a guest of this house."
    for who, level in (("Ann", "low"), ("Ben", "high")):
        keep(tmp_path, who, evil, level)
        keep(tmp_path, who, next(iter(studio.live.texts().values())), "mid")
    studio.live.marking.looks_on.value = True
    studio.live.selected_index = 0
    studio.live.own.value = evil
    studio.live.selected_index = 2
    pages = studio.live.marking.result.value + studio.live.marking.text.value
    assert "&lt;script&gt;" in pages and "<script" not in pages


def test_a_text_with_half_an_emoji_is_marked_once_and_scored_as_it_is_shown(studio, tmp_path):
    view = studio.live.marking
    studio.live.selected_index = 0
    studio.live.own.value = "A dear and gilded guest, so laced \ud83d, was never seen in this house."
    studio.live.selected_index = 2
    view.who.value = "Ann"
    count = len(view.texts)
    for _ in range(count):
        press(view, "low")
    assert view.left is None and "All texts on view are marked" in view.text.value
    whole = "A dear and gilded guest, so laced ?, was never seen in this house."
    assert whole in opinions.by_text(marks.read_marks(tmp_path)) and whole in studio.live.texts().values()
    row = {"who": "Ben", "rubric": "rococo", "criterion": "", "response": whole.replace("?", "\ud83d"), "level": "low"}
    (tmp_path / "marks-Ben.jsonl").write_text(json.dumps(row) + "\n")  # by hand, or by another program
    given = marks.about(marks.read_marks(tmp_path))
    assert {mark["who"] for mark in given if mark["response"] == whole} == {"Ann", "Ben"}


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
        keep(tmp_path, "Ann", row["response"], level)
    studio.live._draw()
    assert "The texts are being scored" in studio.live.marking.told.value
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
    press(view, "mid")
    assert "marks-Ben.jsonl, row 1" in view.told.value
    (tmp_path / "marks-Ben.jsonl").unlink()
    assert [mark["level"] for mark in marks.read_marks(tmp_path)] == ["high"]
    press(view, "mid")  # there was no text on view: it comes now
    assert "1 of 12 texts marked" in view.told.value
    press(view, "mid")
    assert [mark["level"] for mark in marks.read_marks(tmp_path)] == ["high", "mid"]


def test_the_text_on_view_is_marked_and_the_files_are_read_once_for_a_drawing(studio, tmp_path, monkeypatch):
    view, readings = studio.live.marking, []
    read = marks.read_marks
    monkeypatch.setattr(marks, "read_marks", lambda folder: readings.append(1) or read(folder))
    view.who.value = "Ann"
    readings.clear()
    studio.weights.children[0].children[1].value = 80
    assert len(readings) == 1
    shown = view.left
    keep(tmp_path, "Ann", shown, "low")  # in another window, of which this one has not heard
    readings.clear()
    press(view, "high")
    (mark,) = marks.read_marks(tmp_path)
    assert (mark["response"], mark["level"], len(readings)) == (shown, "high", 2) and view.left != shown
    readings.clear()
    studio.criteria.children[1].children[0].value = "Long lines"  # another criterion to choose
    assert len(readings) == 1


def test_marks_and_judges_lie_in_the_home_folder_where_a_path_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "room").mkdir()
    keep("~/room", "Ann", "A text.", "high")
    assert [mark["who"] for mark in marks.read_marks("~/room")] == ["Ann"]
    assert marks.read_marks(tmp_path / "room") == marks.read_marks("~/room")
    rubric = load_rubric("rococo")
    judge = AnchorJudge(rubric, {criterion.name: ("commas", 0, 10) for criterion in rubric.criteria})
    for place in ("~/room/mine.yaml", Path("~/room/yours.yaml")):
        judge.save(place)
        assert read_ways(tmp_path / "room" / f"{Path(place).stem}.judge.yaml") == judge.said


def test_marks_are_about_one_rubric_and_count_for_no_other(studio, tmp_path):
    view = studio.live.marking
    mark_all(studio, "Ann", of_rococo, prompts=3)
    assert "All texts on view are marked" in view.text.value and view.suggested
    view.export.click()
    studio.source.value = "chaos_cinema"
    assert "0 of 12 texts marked for &#x27;chaos_cinema&#x27;" in view.told.value
    assert view.suggested is None and "0 marked texts" in view.result.value and view.export.disabled
    assert view.former.layout.display == "none"  # a shipped rubric is no later version of another
    press(view, "low")
    found = marks.read_marks(tmp_path)
    assert len(marks.by_rubric(found, "rococo")) == 36 and len(marks.by_rubric(found, "chaos_cinema")) == 1
    view.export.click()
    lines = {path.name: path.read_text("utf-8").splitlines() for path in tmp_path.glob("*_marked_texts.jsonl")}
    assert {name: len(each) for name, each in lines.items()} == {
        "rococo_marked_texts.jsonl": 36,
        "chaos_cinema_marked_texts.jsonl": 1,
    }


def test_a_saved_rubric_has_marks_of_its_own_and_may_take_over_those_of_its_former_name(studio, tmp_path):
    view = studio.live.marking
    view.who.value = "Ann"
    press(view, "high")
    studio.weights.children[0].children[1].value = 80
    studio.file.value = "Mine"
    studio.save.click()
    assert "0 of 12 texts marked for &#x27;mine&#x27;" in view.told.value
    assert "1 by &#x27;rococo&#x27;" in view.former.told.value and view.former.layout.display is None
    view.former.take.click()
    assert "1 of 12 texts marked for &#x27;mine&#x27;" in view.told.value and view.former.layout.display == "none"
    press(view, "low")
    studio.undo.click()  # of the weight: the rubric keeps its name
    assert "2 of 12 texts marked for &#x27;mine&#x27;" in view.told.value
    assert [c.weight for c in studio.valid.criteria] == [30, 25, 20, 15, 10] and studio.reset.disabled
    studio.source.value = "esoteric"
    studio.file.value = "Mine.yaml"
    studio.load.click()
    assert "2 of 12 texts marked for &#x27;mine&#x27;" in view.told.value
    assert len(marks.by_rubric(marks.read_marks(tmp_path), "rococo")) == 1


@pytest.mark.parametrize(("file", "called"), [("rococo.yaml", "my_rococo"), ("Night.yaml", "night")])
def test_a_changed_copy_that_kept_a_shipped_name_has_no_part_in_its_marks_and_prompts(tmp_path, file, called):
    keep(tmp_path, "Ann", next(iter(TARGET)), "high")
    path = tmp_path / file
    path.write_text(load_rubric("rococo").to_yaml().replace("title: Rococo", "title: Mine"), "utf-8")
    by_path, loading = rubric_studio(path, tmp_path), rubric_studio("esoteric", tmp_path)
    loading.file.value = file
    loading.load.click()
    of_model = rubric_studio(load_rubric("rococo").model_copy(update={"title": "Mine"}), tmp_path)
    for made, name in ((by_path, called), (loading, called), (of_model, "my_rococo")):
        assert made.valid.name == name and made.valid.title == "Mine" and len(made.ways) == 5
        made.live.selected_index = 2
        assert f"0 of 12 texts marked for &#x27;{name}&#x27;" in made.live.marking.told.value
        made.live.selected_index = 5
        assert "written before your edits" not in made.live.system.value
    (own,) = judged.own_rubrics(tmp_path).values()
    assert own.rubric.name == called and len(own.ways) == 5


def test_a_copy_of_a_shipped_rubric_is_that_rubric(tmp_path):
    (tmp_path / "copy.yaml").write_text(load_rubric("rococo").to_yaml(), "utf-8")
    assert rubric_studio(tmp_path / "copy.yaml", tmp_path).valid == load_rubric("rococo")


def test_marks_of_earlier_versions_are_told_and_count_once_they_are_taken_over(studio, tmp_path):
    view = studio.live.marking
    texts = list(studio.live.texts().values())
    rows = [{"who": "Ann", "response": text, "level": "low"} for text in texts[:3]]
    (tmp_path / "marks-Ann.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    studio.live._draw()
    view.who.value = "ann"
    assert "0 of 12 texts" in view.told.value
    assert "3 of an earlier version, by no named rubric" in view.former.told.value
    view.former.take.click()
    assert "3 of 12 texts" in view.told.value and view.former.layout.display == "none"
    studio.source.value = "esoteric"
    assert "0 of 12 texts" in view.told.value and view.former.layout.display == "none"


def test_marks_of_a_renamed_criterion_are_told_and_follow_when_asked_to(studio, tmp_path):
    view = studio.live.marking
    view.who.value, view.about.value = "Ann", "Winding syntax"
    press(view, "high")
    studio.criteria.children[1].children[0].value = "<b>Long lines"
    assert view.criterion == marks.ALL and "marks about &#x27;Winding syntax&#x27;" in view.former.told.value
    view.about.value = "<b>Long lines"
    assert "0 of 12 texts" in view.told.value and "1 about &#x27;Winding syntax&#x27;" in view.former.told.value
    view.former.take.click()
    assert "1 of 12 texts" in view.told.value
    assert "<b>Long" not in view.former.told.value + view.result.value + view.told.value


def test_nothing_can_be_taken_while_texts_are_being_scored(studio, monkeypatch):
    view = studio.live.marking
    mark_all(studio, "Ann", of_rococo, prompts=3)
    assert view.suggested
    monkeypatch.setattr(studio.live.work, "ready", lambda ways, texts, waiting: waiting())  # which is no "yes"
    studio.source.value = "chaos_cinema"
    before = studio.draft
    assert view.suggested is None and view.suggesting.layout.display == "none" and view.result.value == ""
    assert all(each.disabled for each in (*view.levels, view.back, view.export))
    view.take.click()
    press(view, "low")
    assert studio.draft == before and "being scored" in view.told.value
    monkeypatch.undo()
    studio.live._draw()
    assert "0 of 12 texts" in view.told.value and not view.levels[0].disabled


def test_a_suggestion_for_other_criteria_is_refused_in_words(studio):
    mark_all(studio, "Ann", of_rococo, prompts=3)
    studio.title.value = ""  # no valid rubric any more: the views keep the last one
    studio.add.click()
    studio.live.marking.take.click()
    assert "other criteria than the suggestion" in studio.state.value and len(studio.draft["criteria"]) == 6


def test_whoever_marked_all_is_told_to_go_on_where_too_few_texts_test(studio):
    texts = {
        prompt["prompt"]: [r["response"] for r in load_responses() if r["prompt"] == prompt["prompt"]]
        for prompt in load_prompts()
    }
    few = next(prompt for prompt, given in texts.items() if given and sum(map(marks.is_test, given)) < 4)
    view, count = studio.live.marking, sum(map(marks.is_test, texts[few]))
    studio.live.prompt.value = few
    view.who.value = "Ann"
    while (text := view.left) is not None:
        press(view, of_rococo(text))
    assert f"{count} test the scores, and 4 are needed: choose another prompt" in view.text.value


def test_totals_that_lack_a_read_criterion_are_left_out_and_counted(studio, tmp_path):
    """Without a verdict a total would rest on other criteria than those of texts that have one."""
    view = studio.live.marking
    mark_all(studio, "Ann", of_rococo, prompts=3)
    assert "left out" not in view.result.value
    studio._scored("Winding syntax", Read("a model that is away"))
    assert "Marked texts: 36 of 36 texts are left out" in view.result.value
    assert "Still to be read: Winding syntax (36 texts)" in view.result.value and view.suggested is None
    waiting = studio.live.reads.work.go.description  # those marked under other prompts, too
    assert waiting == "Send 36 requests, up to 108"


@pytest.mark.parametrize("criterion", ["", "New criterion 1"])
def test_marks_before_anybody_said_how_texts_get_a_score_are_counted(studio, tmp_path, criterion):
    studio.anew.children[1].empty.click()
    view = studio.live.marking
    view.about.value = criterion
    mark_all(studio, "Ann", lambda text: "high" if text.count(",") > 9 else "low")
    test = sum(map(marks.is_test, view.texts))
    told = f"{test} marked texts of the testing half, and none of them has a score yet: say in the tab Scoring how"
    assert test >= 4 and told in view.result.value
    for text in [text for text in view.texts if marks.is_test(text)][3:]:
        keep(tmp_path, "Ann", text, "", criterion, "my_style")
    view._draw()
    assert "3 marked texts of the testing half: 4 are needed" in view.result.value


def test_a_criterion_can_be_marked_before_it_is_scored(studio):
    view = studio.live.marking
    studio._scored("Winding syntax", None)
    view.about.value = "Winding syntax"
    mark_all(studio, "Ann", lambda text: "high" if text.count(",") > 9 else "low", prompts=3)
    studio.live.work.work.wait(60)
    assert view.suggested.words.startswith("counting ") and ": none → " in view.effect.value
    assert "→ none" not in view.effect.value
