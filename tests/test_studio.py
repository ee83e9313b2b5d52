"""The rubric studio without a browser: the pure part, and the widgets as their observers see them."""

import ast
import copy
import errno
import html
import json
import random
import re
import time

import numpy as np
import pytest

from cpt_utils import agreement, marks, styles
from cpt_utils.anchors import AnchorJudge
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import JudgeError, RubricError, SettingsError
from cpt_utils.runtime.files import ROOT, encodable
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.ways import Counted, Fitted, Likened, read_ways, ways_of
from cpt_utils.widgets import drafts, live, ranking, views
from cpt_utils.widgets.scoring import BREAK, COUNTED, FITTED, LIKENED, NONE
from cpt_utils.widgets.states import State
from cpt_utils.widgets.studio import rubric_studio

pytestmark = pytest.mark.usefixtures("own_runs")
EVIL = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> </td></table> "
    "application/vnd.jupyter.widget-view+json "
    "so gilded, so laced and so perfumed a guest, dear reader, never bowed."
)


def texts_of(rubric: str, target: int) -> list[str]:
    return [row["response"] for row in load_responses() if (row["rubric"], row["target"]) == (rubric, target)]


@pytest.fixture
def draft():
    return load_rubric("rococo").model_dump()


@pytest.fixture
def studio(tmp_path):
    return rubric_studio("rococo", tmp_path)


def fields(studio, number):
    """The text fields of a criterion: name, description, five levels."""
    return studio.criteria.children[number].children


def ranked_in(studio) -> list[dict]:
    """The texts as the tab Scores ranks them."""
    texts, now = studio.live.texts(), studio.live.now()
    return ranking.ranked(now, texts, *(state.standing(texts.values()) for state in (now, studio.live.opened)))


def scores_of(rubric, ways, text: str) -> str:
    """The page of a text alone."""
    state = State("", rubric, ways)
    return ranking.scores_view(state, state, {"a": text}, "a")


def sliders(studio):
    return [row.children[1] for row in studio.weights.children]


def test_weights_sum_to_100_in_steps_whatever_is_moved():
    rng = random.Random(0)
    for _ in range(2000):
        count = rng.randint(1, drafts.MOST_CRITERIA)
        shares = [rng.choice([0, 1e-3, 1, 5, 99, 100 * rng.random()]) for _ in range(count)]
        weights = drafts.apportion(shares)
        index = rng.randrange(count)
        wanted = rng.uniform(-5, 110)
        moved = drafts.rebalance(weights, index, wanted)
        for each in (weights, moved):
            assert sum(each) == 100 and min(each) >= 0
            assert all((weight / drafts.STEP).is_integer() for weight in each)
        if count > 1 and 0 <= wanted <= 100:
            assert abs(moved[index] - wanted) <= drafts.STEP / 2


def test_others_keep_their_proportions():
    assert drafts.rebalance([30, 25, 20, 15, 10], 0, 65) == [65, 12.5, 10, 7.5, 5]
    assert drafts.rebalance([100], 0, 40) == [100]
    assert drafts.rebalance([60, 40, 0], 0, 0) == [0, 100, 0] and drafts.rebalance([100, 0, 0], 0, 50) == [50, 25, 25]


def test_criteria_come_and_go(draft):
    more = drafts.add_criterion(drafts.add_criterion(draft))
    assert [c["name"] for c in more["criteria"]][5:] == ["New criterion 1", "New criterion 2"]
    drafts.checked(more)
    less = drafts.remove_criterion(more, 0)
    assert len(less["criteria"]) == 6 and sum(drafts.weights_of(less)) == 100
    assert len(draft["criteria"]) == 5 and sum(drafts.weights_of(draft)) == 100  # the first one is untouched
    one = draft | {"criteria": draft["criteria"][:1]}
    with pytest.raises(RubricError, match="at least one criterion"):
        drafts.remove_criterion(one, 0)
    with pytest.raises(RubricError, match="remove one before adding one"):
        for _ in range(drafts.MOST_CRITERIA):
            more = drafts.add_criterion(more)


@pytest.mark.parametrize(
    "path, value, words",
    [
        (("title",), " ", "The title is empty"),
        (("objective",), "", "The objective is empty"),
        (("criteria", 1, "name"), "", "The name of criterion 2 is empty"),
        (("criteria", 1, "name"), "Self-mockery", "two criteria are called 'Self-mockery'; rename one"),
        (("criteria", 0, "levels", 4), "\n", "'Bare plaster' of criterion 1 .'Ornamental diction'. is empty"),
        (("title",), "x" * 5001, "at most 5000 characters"),
    ],
)
def test_what_is_wrong_is_named_as_the_editor_names_it(draft, path, value, words):
    part = draft
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(RubricError, match=words):
        drafts.checked(draft)


def test_history_goes_back_and_takes_a_moving_slider_as_one_step():
    history = drafts.History()
    for value in range(5):
        history.remember({"value": value}, "weight 0")
    history.remember({"value": 5}, "weight 1")
    history.remember({"value": 6})
    history.remember({"value": 7})
    assert [history.back()["value"] for _ in range(4)] == [7, 6, 5, 0] and history.back() is None
    short = drafts.History(most=3)
    for value in range(9):
        short.remember({"value": value})
    assert [state["value"] for state in short.states] == [6, 7, 8]


@pytest.mark.parametrize("name", ["../x", "a/b.yaml", "a\\b", "/etc/x", "", ".hidden", "..", "C:x", "a\nb", "x" * 90])
def test_file_names_stay_in_the_folder(tmp_path, name):
    with pytest.raises(RubricError, match="is no file name"):
        drafts.yaml_path(tmp_path, name)


@pytest.mark.parametrize(("name", "size"), [("x" * 81, "81 characters, and 80"), ("海" * 72, "216 bytes, and 200")])
def test_a_long_name_is_told_to_be_that(tmp_path, name, size):
    with pytest.raises(RubricError, match=f"it .* {size} are the most; shorten it"):
        drafts.yaml_path(tmp_path, name)


@pytest.mark.parametrize("name", ["mine.judge", "mine.judge.yml", "mine.prompts.yaml"])
def test_names_of_files_beside_a_rubric_are_refused(tmp_path, name):
    with pytest.raises(RubricError, match="is how a file beside a rubric's is called"):
        drafts.yaml_path(tmp_path, name)


@pytest.mark.parametrize("name", ["हिन्दी", "cafe\u0301", "Größe", "مقياس", "mon style d'été", "夜記"])
def test_a_file_has_a_name_in_any_script_and_is_found_by_it(studio, tmp_path, name):
    studio.file.value = name
    studio.save.click()
    assert "Saved" in studio.state.value and "valid" not in studio.state.value
    (path,) = tmp_path.glob("*.yaml")
    studio.load.click()
    assert f"Loaded {html.escape(path.name)}" in studio.state.value and load_rubric(path) == studio.valid


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.yaml").symlink_to(tmp_path / "out.yaml")
    with pytest.raises(RubricError, match="leads out of the folder"):
        drafts.yaml_path(tmp_path / "in", "link")


def test_saving_names_the_rubric_after_its_file(draft, tmp_path):
    saved = drafts.save_draft(draft, ways_of(load_rubric("rococo")), tmp_path / "My Rococo-2.yaml")
    assert saved.name == "my_rococo_2" and load_rubric(tmp_path / "My Rococo-2.yaml") == saved
    assert [f.name for f in tmp_path.iterdir()] == ["My Rococo-2.yaml"]
    with pytest.raises(RubricError, match="another name, such as my_rococo"):
        drafts.save_draft(draft, {}, tmp_path / "rococo.yaml")
    with pytest.raises(RubricError, match="There is no nothing.yaml in .*save it first"):
        drafts.load_draft(tmp_path / "nothing.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(RubricError, match="cannot be read"):
        drafts.load_draft(tmp_path / "folder.yaml")


def test_a_criterion_without_a_way_is_not_scored_and_said(draft):
    draft["criteria"][0]["name"] = "Fancy words"
    rubric = Rubric.checked(draft)
    ways, text = ways_of(rubric), load_responses()[0]["response"]
    assert "Fancy words" not in ways and len(ways) == 4
    scored = drafts.scored(rubric, ways, text)
    assert scored["parts"]["Fancy words"] is None and scored["rests_on"] == 70
    known = {c.name: c.weight for c in rubric.criteria[1:]}
    assert scored["total"] == pytest.approx(sum(w * scored["parts"][name] for name, w in known.items()) / 70)
    page = scores_of(rubric, ways, EVIL)
    assert "No score yet for Fancy words" in page and "rest on 70 of 100" in page and "no score × 30%" in page
    assert drafts.scored(rubric, {}, text) == {"parts": dict.fromkeys(scored["parts"]), "total": None, "rests_on": 0}
    assert ">none<" in scores_of(rubric, {}, text)


def test_shipped_criteria_are_scored_by_the_series_judge_wherever_they_stand(draft):
    assert ways_of(load_rubric("esoteric"))["Symbolic reading"] == Fitted("esoteric", "Symbolic reading")
    assert len(ways_of(Rubric.checked(draft | {"name": "mine"}))) == 5


def test_a_rubric_of_ones_own_has_a_judge_as_soon_as_its_criteria_have_a_way(studio):
    """From an own criterion to a slider that moves a ranking, as a participant does it."""
    for _ in range(4):
        studio._remove(0)
    fields(studio, 0)[0].value = "Shouting"
    studio.add.click()
    fields(studio, 1)[0].value = "Length"
    studio.live.selected_index = 1
    scoring = studio.live.scoring
    assert scoring.criterion.value == "Length"  # what has no way yet comes first
    scoring.kind.value = COUNTED
    scoring.measure.value = "sentence_length"
    assert "sentence_length: words in a sentence, the mean" in scoring.strip.value
    scoring.criterion.value = "Shouting"
    scoring.kind.value, scoring.measure.value = COUNTED, "exclamations"
    assert {name: way.measure for name, way in studio.ways.items()} == {
        "Length": "sentence_length",
        "Shouting": "exclamations",
    }
    studio.live.selected_index = 0
    orders = set()
    for weight in (0, 100):
        sliders(studio)[0].value = weight
        entries = ranked_in(studio)
        orders.add(tuple(entry["label"] for entry in entries))
        assert "No score yet" not in studio.live.scores.value
    assert len(orders) == 2
    judge = AnchorJudge(studio.valid, studio.ways)
    assert judge.score(studio.valid, "", entries[0]["text"]).score == pytest.approx(entries[0]["total"])


def test_the_five_minutes_of_notebook_01_end_in_texts_that_change_places(studio):
    """Its first cell's paragraph, step by step: what is bold is pressed or opened, what is in italics is set."""
    page = json.loads((ROOT / "notebooks/01_rubric_design.ipynb").read_text("utf-8"))
    (told,) = [line for line in "".join(page["cells"][0]["source"]).split("\n") if "Only five minutes?" in line]
    steps = re.findall(r"\*+([^*]+)\*+", told)
    assert steps[:3] == ["Only five minutes?", "Run All Cells", "rubric studio"]
    add, scoring_tab, scored, counted, measure, commas, scores_tab = steps[3:]
    assert told.endswith("move its slider: the texts change places by a rubric of your own.")

    def open_tab(name: str) -> None:
        studio.live.selected_index = live.TABS.index(name)

    scoring = studio.live.scoring
    assert [studio.add.description, scoring.kind.description] == [add, scored]
    assert scoring.measure.description == measure
    studio.add.click()
    open_tab(scoring_tab)
    assert scoring.criterion.value == "New criterion 1"
    scoring.kind.value = counted
    scoring.measure.value = commas
    assert scoring.high.value > scoring.low.value  # filled in from the texts
    open_tab(scores_tab)
    before = studio.live.scores.value
    assert "No score yet" not in before and "The texts, best first" in before
    sliders(studio)[5].value = 80
    moved = [re.findall(r"[▲▼]\d+", page) for page in (before, studio.live.scores.value)]
    assert moved[0] != moved[1]


def winners(rubric: Rubric, ways: dict, texts: dict[str, str]) -> list[str]:
    """Labels of the texts that some weights put first, by linear programming: the largest lead over all others."""
    from scipy.optimize import linprog

    scores = np.array(
        [[drafts.scored(rubric, ways, text)["parts"][c.name] for c in rubric.criteria] for text in texts.values()]
    )
    found, count = [], scores.shape[1]
    for place, label in enumerate(texts):
        behind = [[*(other - scores[place]), 1] for number, other in enumerate(scores) if number != place]
        solved = linprog(
            [0] * count + [-1],
            A_ub=behind,
            b_ub=[0] * len(behind),
            A_eq=[[1] * count + [0]],
            b_eq=[1],
            bounds=[(0, 1)] * count + [(None, None)],
        )
        if solved.status == 0 and -solved.fun > 1:  # points
            found.append(label)
    return found


def test_the_workshops_tasks_can_be_solved(studio):
    """WORKSHOP.md: a text of another style wins by weights alone, a plain one with a criterion of one's own."""
    texts = studio.live.texts()
    best = winners(studio.valid, studio.ways, texts)
    assert "Rococo, high" in best and any("Rococo" not in label for label in best)
    assert not any(label.endswith("low") for label in best)  # hence the second task
    sliders(studio)[3].value = 100
    assert "Rococo" not in ranked_in(studio)[0]["label"]
    studio.add.click()
    fields(studio, 5)[0].value = "Plain words"
    studio.live.selected_index = 1
    scoring = studio.live.scoring
    scoring.kind.value, scoring.measure.value = COUNTED, "rare_words"
    scoring.low.value, scoring.high.value = scoring.high.value, scoring.low.value
    sliders(studio)[5].value = 100
    assert ranked_in(studio)[0]["label"].endswith("low")


def test_ways_are_kept_with_the_rubric_and_undone_with_it(studio, tmp_path):
    start = dict(studio.ways)
    studio.live.selected_index = 1
    scoring = studio.live.scoring
    scoring.criterion.value = "Self-mockery"
    scoring.kind.value = LIKENED
    assert "0 example texts of the low end" in scoring.state.value and studio.ways == start
    low, high = (texts_of("rococo", target)[:2] for target in (10, 95))
    scoring.low_texts.value, scoring.high_texts.value = BREAK.join(low), BREAK.join(high)
    likened = Likened(tuple(low), tuple(high))
    assert studio.ways == start | {"Self-mockery": likened}
    fields(studio, 3)[0].value = "Mockery"  # renamed, and scored as before
    assert studio.ways["Mockery"] == likened and "Self-mockery" not in studio.ways
    studio.file.value = "mine"
    studio.save.click()
    assert "mine.judge.yaml" not in studio.file.options
    assert read_ways(tmp_path / "mine.judge.yaml")["Mockery"] == likened
    studio.undo.click()
    studio.undo.click()
    assert studio.ways == start
    studio.load.click()
    assert studio.ways["Mockery"] == likened and studio.valid.criteria[3].name == "Mockery"
    (tmp_path / "mine.judge.yaml").write_text("Mockery: {kind: guessed}")
    studio.load.click()
    assert "Not loaded. &#x27;Mockery&#x27;: a way to score it has a kind" in studio.state.value
    scoring.criterion.value = "Mockery"
    scoring.kind.value = NONE
    assert "Mockery" not in studio.ways
    studio.save.click()
    assert [path.name for path in tmp_path.glob("mine-before-*.judge.yaml")]  # what was written there is kept


def test_the_open_text_becomes_an_example(studio):
    studio.live.selected_index = 1
    scoring = studio.live.scoring
    scoring.kind.value = LIKENED
    scoring.add_high.click()
    assert studio.live.picked in scoring.likened.children  # another text can be opened without leaving the tab
    studio.live.picked.value = "Rococo, low"
    scoring.add_low.click()
    texts = studio.live.texts()
    assert scoring.high_texts.value == texts["Rococo, high"] and scoring.low_texts.value == texts["Rococo, low"]


def own_studio(folder, *names, weights=None):
    """A studio with a rubric of one's own, of criteria that nobody has said how to score, open at the tab Scoring."""
    base = load_rubric("rococo").model_dump()
    weights = weights or drafts.apportion([1.0] * len(names))
    criteria = [base["criteria"][0] | {"name": n, "weight": x} for n, x in zip(names, weights)]
    made = rubric_studio(Rubric.checked(base | {"name": "mine", "criteria": criteria}), folder)
    made.live.selected_index = live.TABS.index("Scoring")
    return made


def test_half_built_examples_stay_until_they_are_whole(tmp_path):
    studio = own_studio(tmp_path, "Breath", "Doubt")
    scoring, first = studio.live.scoring, studio.live.texts()[studio.live.picked.value]
    scoring.kind.value = LIKENED
    scoring.add_high.click()

    def kept(name="Breath"):
        said = (scoring.criterion.value, scoring.kind.value, scoring.high_texts.value, scoring.likened.layout.display)
        return said == (name, LIKENED, first, None) and "0 example texts of the low end" in scoring.state.value

    assert kept() and not studio.ways
    studio.live.selected_index = 0
    studio.live.selected_index = live.TABS.index("Scoring")
    assert kept()
    sliders(studio)[0].value = 80
    assert kept()
    scoring.criterion.value = "Doubt"
    assert scoring.kind.value == NONE and scoring.high_texts.value == ""
    scoring.criterion.value = "Breath"
    assert kept()
    fields(studio, 0)[0].value = "Pace"  # the same criterion by another name
    assert kept("Pace")
    scoring.high_texts.value += f"{BREAK}Another high one."
    scoring.low_texts.value = f"Low one.{BREAK}Low two."
    assert studio.ways["Pace"] == Likened(("Low one.", "Low two."), (first.strip(), "Another high one."))
    scoring.kind.value = NONE
    scoring.kind.value = LIKENED  # as it was before
    assert studio.ways["Pace"].low == ("Low one.", "Low two.")
    studio.undo.click()
    studio.undo.click()
    studio.undo.click()
    assert "Pace" not in studio.ways


def half_built(folder, *names, name="B"):
    """A studio with one example of the low end for one of its criteria, open at the tab Scores."""
    studio = own_studio(folder, *names)
    scoring = studio.live.scoring
    scoring.criterion.value = name
    scoring.kind.value = LIKENED
    scoring.low_texts.value = f"of {name}"
    studio.live.selected_index = 0
    return studio


def half_builts(studio) -> dict[str, str]:
    """What the tab Scoring shows for each criterion as texts of the low end."""
    studio.live.selected_index = live.TABS.index("Scoring")
    scoring, shown = studio.live.scoring, {}
    for name in scoring.criterion.options:
        scoring.criterion.value = name
        shown[name] = scoring.low_texts.value if scoring.kind.value == LIKENED else ""
    return shown


def test_half_built_examples_stay_with_their_criterion_whatever_it_is_called(tmp_path):
    studio = half_built(tmp_path, "A", "B")
    fields(studio, 0)[0].value, fields(studio, 1)[0].value = "A2", "B2"
    assert half_builts(studio) == {"A2": "", "B2": "of B"}
    studio.live.selected_index = 0
    fields(studio, 1)[0].value = "B3"
    studio.add.click()
    assert half_builts(studio) == {"A2": "", "B3": "of B", "New criterion 1": ""}
    studio.live.selected_index = 0
    fields(studio, 0)[0].value = "B3"  # refused, as there are two of it
    fields(studio, 1)[0].value = "A2"
    assert half_builts(studio) == {"B3": "", "A2": "of B", "New criterion 1": ""}


def test_half_built_examples_go_with_their_criterion_and_come_back_with_it(tmp_path):
    studio = half_built(tmp_path, "A", "B")
    studio._remove(1)
    studio.add.click()
    assert half_builts(studio) == {"A": "", "New criterion 1": ""}
    fields(studio, 1)[0].value = "B"  # another one by that name
    assert half_builts(studio) == {"A": "", "B": ""}
    for _ in range(3):
        studio.undo.click()
    assert half_builts(studio) == {"A": "", "B": "of B"}
    studio._remove(1)  # with the tab Scoring in front
    studio.undo.click()
    assert half_builts(studio) == {"A": "", "B": "of B"}
    studio.add.click()
    studio.reset.click()
    assert half_builts(studio) == {"A": "", "B": "of B"}


def test_what_is_typed_for_a_removed_criterion_is_not_taken_for_one_of_its_name(tmp_path):
    studio = half_built(tmp_path, "A", "B")
    half_builts(studio)
    studio.title.value = ""
    studio._remove(1)
    studio.add.click()
    fields(studio, 1)[0].value = "B"
    studio.live.scoring.high_texts.value = "High one."
    studio.live.scoring.low_texts.value = f"a{BREAK}b"
    studio.live.scoring.high_texts.value = f"c{BREAK}d"
    assert not studio.ways and "is scored as before" in studio.state.value
    studio.title.value = "Mended"
    assert half_builts(studio) == {"A": "", "B": ""}


def test_what_was_typed_for_a_criterion_is_not_shown_for_one_of_another_rubric(tmp_path):
    studio = own_studio(tmp_path, "New criterion 1")
    scoring = studio.live.scoring
    scoring.kind.value = LIKENED
    scoring.high_texts.value = "High one."
    studio.anew.children[1].empty.click()
    assert scoring.criterion.value == "New criterion 1"
    assert scoring.kind.value == NONE and scoring.high_texts.value == ""
    studio.undo.click()
    assert scoring.kind.value == LIKENED and scoring.high_texts.value == "High one."


def test_examples_of_one_criterion_are_not_taken_for_another(studio):
    studio.live.selected_index = live.TABS.index("Scoring")
    scoring, way = studio.live.scoring, studio.ways["Winding syntax"]
    scoring.kind.value = LIKENED
    scoring.low_texts.value, scoring.high_texts.value = f"a{BREAK}b", f"c{BREAK}d"
    assert isinstance(studio.ways[scoring.criterion.value], Likened)
    scoring.criterion.value = "Winding syntax"
    scoring.kind.value = LIKENED
    assert studio.ways["Winding syntax"] == way and scoring.low_texts.value == scoring.high_texts.value == ""


def test_principles_and_names_of_levels_can_be_edited(studio):
    studio.principles.value = "Be brief.\n\n Ask. "
    studio.levels[4].value = "Bare"
    assert studio.valid.guiding_principles == ["Be brief.", "Ask."] and studio.valid.levels[4] == "Bare"
    studio.levels[0].value = " "
    assert "The name of level 1 is empty" in studio.state.value
    studio.undo.click()
    studio.undo.click()
    assert studio.levels[4].value == "Bare plaster" and studio.principles.value == "Be brief.\nAsk."


def test_a_rubric_that_was_saved_in_the_runs_folder_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    mine = rubric_studio("rococo")
    mine.file.value = "my_style"
    mine.save.click()
    assert "load_rubric(&#x27;my_style&#x27;) reads it" in mine.state.value
    assert load_rubric("my_style") == load_rubric(tmp_path / "embedded" / "my_style.yaml")


def test_a_wave_is_the_home_folder_for_all_that_a_studio_keeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    studio = rubric_studio("rococo", "~/room")
    studio._scored("Winding syntax", Counted("commas", 0.0, 10.0))
    studio.file.value = "mine"
    studio.save.click()
    marks.add_mark(studio.folder, marks.Mark(who="Ann", rubric="mine", response="a", level="low", criterion=""))
    assert {"mine.yaml", "mine.judge.yaml", "marks-Ann.jsonl"} <= {path.name for path in (tmp_path / "room").iterdir()}
    assert not (tmp_path / "~").exists()
    with pytest.raises(SettingsError, match="no home folder for '~nobody-here/room': name a folder without '~'"):
        rubric_studio("rococo", "~nobody-here/room")


@pytest.fixture
def diary(tmp_path, monkeypatch):
    """The run's folder, in which a rubric of one counted criterion was saved as diary.yaml."""
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    made = rubric_studio("rococo")
    for _ in range(4):
        made._remove(0)
    fields(made, 0)[0].value = "Doubt"
    made._scored("Doubt", Counted("questions", 0.0, 5.0))
    made.file.value = "diary"
    made.save.click()
    return made.folder


@pytest.mark.parametrize("by_path", [False, True])
def test_a_rubric_opened_by_name_or_path_is_scored_as_it_was_saved_and_can_be_saved_again(diary, by_path):
    studio = rubric_studio(diary / "diary.yaml" if by_path else "diary")
    assert studio.ways == {"Doubt": Counted("questions", 0.0, 5.0)} and studio.file.value == "diary.yaml"
    assert "No score yet" not in studio.live.scores.value and studio.reset.disabled
    studio.title.value = "Doubt at night"
    studio.save.click()
    assert "(replaced)" in studio.state.value and load_rubric("diary").title == "Doubt at night"


def test_a_rubric_of_another_folder_brings_its_ways_and_replaces_nothing_here(diary, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "diary.yaml").write_text(load_rubric("esoteric").to_yaml())
    studio = rubric_studio(str(diary / "diary.yaml"), mine)
    assert studio.ways == {"Doubt": Counted("questions", 0.0, 5.0)}
    studio.save.click()
    assert "Not saved. diary.yaml is there already" in studio.state.value
    (diary / "diary.judge.yaml").write_text("Doubt: {kind: guessed}")
    with pytest.raises(JudgeError, match="'Doubt': a way to score it has a kind"):
        rubric_studio("diary")


@pytest.mark.parametrize("name", ["mine", "mine.yml", "mine.yaml", "mine.yaml.yaml", "Mine.YAML"])
def test_what_a_save_says_reads_the_file(tmp_path, monkeypatch, name):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    studio = rubric_studio("rococo")
    studio.file.value = name
    studio.save.click()
    (said,) = re.findall(r"load_rubric\((.+?)\) reads it", html.unescape(studio.state.value))
    assert load_rubric(ast.literal_eval(said)).criteria == studio.valid.criteria


def test_a_save_in_another_folder_holds_though_the_runs_has_two_of_that_name(tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path / "runs"))
    runs, mine = rubric_studio("rococo").folder, tmp_path / "mine"
    for place in ("Night.yaml", "night-.yaml"):
        load_rubric("rococo").model_copy(update={"name": "night"}).to_yaml(runs / place)
    studio = rubric_studio("rococo", mine)
    studio.file.value = "night"
    studio.save.click()
    (said,) = re.findall(r"load_rubric\((.+?)\) reads it", html.unescape(studio.state.value))
    assert load_rubric(ast.literal_eval(said)) == studio.valid and studio.valid.name == "night"
    studio.save.click()
    assert "(replaced)" in studio.state.value


@pytest.mark.parametrize("name", ["Night Diary", "夜記", "été"])
def test_a_rubric_is_found_by_its_own_name_where_its_file_is_called_otherwise(tmp_path, monkeypatch, name):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    studio = rubric_studio("rococo")
    studio.file.value = name
    studio.save.click()
    own = studio.valid.name
    assert f"and its name is {own!r}" in html.unescape(studio.state.value)
    assert styles.find_rubric(own) == load_rubric(name) == studio.valid
    profile = load_profile("auto").for_rubrics([own])
    assert styles.titles(profile) == {own: "Rococo"} and styles.wordings_file(own).name == f"{name}.prompts.yaml"
    assert styles.saved_judge(studio.valid).score(studio.valid, "", texts_of("rococo", 95)[0])
    path = studio.folder / f"{name}.yaml"
    path.rename(studio.folder / f"{name}-before-20250101-120000.yaml")
    with pytest.raises(RubricError, match="There is no rubric"):  # what was set aside is not found so
        styles.find_rubric(own)
    for place in ("One.yaml", "Two.yaml"):
        studio.valid.to_yaml(studio.folder / place)
    with pytest.raises(RubricError, match=f"One.yaml and Two.yaml hold a rubric '{own}'"):
        styles.find_rubric(own)


def test_a_second_file_with_a_rubric_of_the_same_name_is_refused(studio, tmp_path):
    studio.file.value = "Entwurf 1"
    studio.save.click()
    first = studio.valid
    studio.anew.children[1].empty.click()
    studio.file.value = "Entwurf-1"
    studio.save.click()
    said = html.unescape(studio.state.value)
    assert "Not saved. Entwurf 1.yaml holds a rubric 'entwurf_1' already" in said and studio.valid.name == "my_style"
    assert [path.name for path in tmp_path.glob("*.yaml")] == ["Entwurf 1.yaml"]
    studio.undo.click()
    (tmp_path / "Entwurf-1.yaml").write_text(first.to_yaml())  # copied by hand: one's own file can still be saved
    studio.file.value, studio.title.value = "Entwurf 1", "Mended"
    studio.save.click()
    assert "(replaced)" in studio.state.value


def test_a_slider_moves_the_ranking_in_under_100_ms(studio):
    times, seen = [], set()
    for value in (40, 60, 80, 98, 70, 30):
        started = time.process_time()
        sliders(studio)[1].value = value
        times.append(time.process_time() - started)
        seen.add(studio.live.scores.value)
        assert sum(s.value for s in sliders(studio)) == 100
    assert max(times) < 0.1 and len(seen) == 6
    sliders(studio)[1].value = 25  # there and back in one go: the others are as they were
    assert [s.value for s in sliders(studio)] == [30, 25, 20, 15, 10]


def test_a_move_of_less_than_a_step_is_taken_back_and_said(studio, tmp_path):
    sliders(studio)[0].value = 30.2
    assert sliders(studio)[0].value == studio.draft["criteria"][0]["weight"] == 30 and not studio.history.states
    assert "30.2 became 30: weights move in steps of 0.5" in studio.state.value
    base = load_rubric("rococo").model_dump() | {"name": "mine"}
    odd = rubric_studio(Rubric.checked(drafts.with_weights(base, [33.3, 33.3, 33.4, 0, 0])), tmp_path)
    sliders(odd)[0].value = 33.5  # as a browser draws it; set back, it would be sent again without end
    assert sliders(odd)[0].value == 33.5 and odd.draft["criteria"][0]["weight"] == 33.3


@pytest.mark.parametrize("weight, drawn", [(31.25, 31.5), (31.75, 32.0), (31.25, 31.0)])
def test_a_weight_between_two_steps_is_not_changed_by_drawing_it(tmp_path, weight, drawn):
    studio = own_studio(tmp_path, *"ABC", weights=[weight, 50 - weight, 50.0])
    sliders(studio)[0].value = drawn  # a browser rounds half up
    assert drafts.weights_of(studio.draft) == [weight, 50 - weight, 50] and studio.reset.disabled
    sliders(studio)[0].value = 40
    assert studio.draft["criteria"][0]["weight"] == 40


def test_undo_and_reset(studio):
    def shown():
        return (studio.title.value, [s.value for s in sliders(studio)], len(studio.criteria.children))

    start = shown()
    assert studio.undo.disabled and studio.reset.disabled
    sliders(studio)[0].value = 50
    studio.title.value = "Mine"
    studio.add.click()
    edited = shown()
    assert edited[0] == "Mine" and edited[2] == 6
    studio.reset.click()
    assert shown() == start and studio.reset.disabled
    studio.undo.click()
    assert shown() == edited
    for _ in range(3):
        studio.undo.click()
    assert shown() == start and studio.undo.disabled
    studio.undo.click()
    assert "nothing to undo" in studio.state.value


def test_another_rubric_can_be_picked_and_undone(studio):
    studio.title.value = "Mine"
    studio.source.value = "esoteric"
    assert studio.title.value == "Esoteric" and set(studio.ways.values()) == set(ways_of(studio.valid).values())
    assert fields(studio, 0)[0].value == "Symbolic reading"
    studio.undo.click()
    assert studio.title.value == "Mine" and studio.source.value == "rococo"
    assert set(studio.ways) == {criterion["name"] for criterion in studio.draft["criteria"]}


def test_undo_back_to_an_invalid_draft_of_another_rubric(studio):
    fields(studio, 1)[0].value = ""
    studio.source.value = "esoteric"
    assert "Symbolic reading" in studio.live.scores.value
    studio.undo.click()
    assert "The name of criterion 2 is empty" in studio.state.value and fields(studio, 1)[0].value == ""
    assert "Ornamental diction" in studio.live.scores.value  # the rubric as it was opened
    studio.live.own.value = EVIL
    assert studio.live.picked.value == live.OWN and "your text" in studio.live.scores.value


def test_invalid_edits_are_kept_and_refused_at_saving(studio, tmp_path):
    before = studio.live.scores.value
    fields(studio, 0)[2].value = "Kept."
    fields(studio, 1)[0].value = "Self-mockery"
    assert "two criteria are called &#x27;Self-mockery&#x27;" in studio.state.value
    studio.save.click()
    assert "Not saved." in studio.state.value and not list(tmp_path.iterdir())
    sliders(studio)[0].value = 50  # still wrong: the views wait, nothing typed is lost
    assert studio.live.scores.value == before
    studio.add.click()
    assert fields(studio, 1)[0].value == "Self-mockery" and fields(studio, 0)[2].value == "Kept."
    fields(studio, 1)[0].value = "Winding syntax"
    assert "valid" in studio.state.value and studio.live.scores.value != before
    assert studio.valid.criteria[0].levels[0] == "Kept."


def test_save_and_load(studio, tmp_path):
    sliders(studio)[2].value = 60
    fields(studio, 4)[0].value = "Bows"
    studio.file.value = "mine"
    studio.save.click()
    assert "Saved mine.yaml" in studio.state.value and "mine.yaml" in studio.file.options
    saved = load_rubric(tmp_path / "mine.yaml")
    assert saved.criteria[2].weight == 60 and saved.criteria[4].name == "Bows"
    studio.save.click()
    assert "(replaced)" in studio.state.value
    studio.source.value = "creative_chaos"
    studio.load.click()
    assert studio.valid == saved and studio.source.value == "mine.yaml"
    assert "No score yet" not in studio.live.scores.value and studio.ways["Bows"].criterion == "Courtly address"
    kept = copy.deepcopy(studio.draft)
    (tmp_path / "bad.yaml").write_text("title: [")
    for name, words in (
        ("bad.yaml", "not valid YAML"),
        ("gone.yaml", "There is no gone.yaml"),
        ("../x", "no file name"),
    ):
        studio.file.value = name
        studio.load.click()
        assert "Not loaded." in studio.state.value and words in studio.state.value and studio.draft == kept


def test_a_name_is_known_without_the_space_around_it(studio):
    way = studio.ways["Winding syntax"]
    fields(studio, 1)[0].value = " Long lines "
    assert studio.ways["Long lines"] == way and studio.valid.criteria[1].name == "Long lines"
    assert "No score yet" not in studio.live.scores.value


@pytest.mark.parametrize("mended", [0, 1])
def test_ways_to_score_are_told_apart_though_two_criteria_are_called_alike_for_a_while(studio, mended):
    first, second = (criterion["name"] for criterion in studio.draft["criteria"][:2])
    ways = [studio.ways[first], studio.ways[second]]
    fields(studio, 0)[0].value = second
    assert "two criteria are called" in studio.state.value
    fields(studio, mended)[0].value = "Mended"
    names = [criterion["name"] for criterion in studio.draft["criteria"][:2]]
    assert [studio.ways[name] for name in names] == ways and "No score yet" not in studio.live.scores.value
    for _ in range(2):
        studio.undo.click()
    assert [studio.ways[first], studio.ways[second]] == ways and not studio.history.states


def test_a_way_for_a_criterion_that_has_another_name_by_now_is_refused_in_words(studio):
    studio.live.selected_index = live.TABS.index("Scoring")
    scoring, first = studio.live.scoring, studio.draft["criteria"][0]["name"]
    held = studio.ways[first]
    title, studio.title.value = studio.title.value, ""
    fields(studio, 0)[0].value = "Gilding"
    scoring.kind.value = COUNTED  # of the criterion that the views know by its old name
    assert "&#x27; is scored as before" in studio.state.value and scoring.kind.value == FITTED
    scoring.low_texts.value, scoring.high_texts.value = f"a{BREAK}b", f"c{BREAK}d"
    studio.live.marking.on_way(first, Counted("commas", 0.0, 9.0))  # as a suggestion does
    assert studio.ways["Gilding"] == held and first not in studio.ways
    studio.title.value = title
    assert studio.ways["Gilding"] == held and scoring.criterion.value == "Gilding"
    assert AnchorJudge(studio.valid, studio.ways).score(studio.valid, "", texts_of("rococo", 95)[0])
    scoring.kind.value = COUNTED
    assert isinstance(studio.ways["Gilding"], Counted)
    studio.title.value = ""
    scoring.measure.value = "commas"  # the names are those on view: it holds
    assert studio.ways["Gilding"].measure == "commas"


def test_a_way_that_is_taken_while_the_draft_is_wrong_is_shown(tmp_path):
    studio = own_studio(tmp_path, "A", "B")
    scoring, studio.title.value = studio.live.scoring, ""
    scoring.kind.value = COUNTED
    scoring.criterion.value = "B"
    assert scoring.kind.value == NONE
    scoring.criterion.value = "A"
    assert isinstance(studio.ways["A"], Counted) and scoring.kind.value == COUNTED
    studio.live.selected_index = 0
    assert "No score yet for B" in studio.live.scores.value and "The title is empty" in studio.state.value
    studio.undo.click()
    studio.live.selected_index = live.TABS.index("Scoring")
    assert not studio.ways and scoring.kind.value == NONE


def test_of_two_criteria_called_alike_the_right_one_goes(studio):
    second = studio.draft["criteria"][1]["name"]
    way = studio.ways[second]
    fields(studio, 0)[0].value = second
    studio.weights.children[0].children[3].click()
    assert studio.ways[second] == way and "valid" in studio.state.value
    assert "No score yet" not in studio.live.scores.value


def test_undo_goes_back_behind_a_load_of_the_same_name(studio, tmp_path):
    studio.file.value = "mine"
    studio.save.click()
    studio.load.click()
    first = studio.live.opened
    other = load_rubric("rococo").model_copy(update={"name": "mine", "title": "Another"})
    (tmp_path / "mine.yaml").write_text(other.to_yaml(), "utf-8")
    studio.load.click()
    assert studio.title.value == studio.live.opened.rubric.title == "Another"
    studio.undo.click()
    assert studio.title.value == "Rococo" and studio.live.opened.rubric == first.rubric


def test_undo_after_two_saves_gives_each_rubric_its_own_name(studio):
    start = studio.anew.children[1]
    for name in ("aa", "bb"):
        start.empty.click()
        studio.file.value = name
        studio.save.click()
        studio.title.value = f"Title of {name}"
    names = [studio.valid.name]
    for _ in range(3):
        studio.undo.click()
        names.append(studio.valid.name)
    assert studio.title.value == "My style" and names == ["bb", "bb", "aa", "aa"]


def test_a_draft_with_half_a_character_is_kept(studio, tmp_path):
    studio.title.value = "Half of it \ud83d"
    studio.keeper.flush()
    assert "Half of it ?" in (tmp_path / "studio-rococo.json").read_text("utf-8")


def test_names_of_other_files_are_refused_and_a_baseline_is_not_written_over(studio, tmp_path):
    before = "mine-before-20261128-120000"
    for name in ("mine.judge", "mine.prompts.yaml", "baseline", "Baseline.", before, f"{before}-2.yml"):
        studio.file.value = name
        studio.save.click()
        assert "Not saved." in studio.state.value and "choose another name" in studio.state.value
    assert not list(tmp_path.glob("*.yaml"))
    for name in ("夜记", "晨记"):
        studio.file.value = name
        studio.save.click()
    names = {load_rubric(path).name for path in tmp_path.glob("*.yaml")}
    assert len(names) == 2  # rows of two rubrics bear two names


def test_two_files_that_differ_in_their_ending_alone_would_share_what_lies_beside_them(studio, tmp_path):
    studio.file.value = "mine.yml"
    studio.save.click()
    studio.file.value = "mine"
    studio.save.click()
    assert "Not saved. mine.yml is there already" in studio.state.value and not (tmp_path / "mine.yaml").exists()


def test_a_file_of_ways_in_another_encoding_is_kept_aside_when_the_rubric_is_saved(studio, tmp_path):
    (tmp_path / "mine.judge.yaml").write_bytes(b"\xff\xfe: x")
    studio.file.value = "mine"
    studio.save.click()
    assert "Saved" in studio.state.value and read_ways(tmp_path / "mine.judge.yaml") == studio.ways
    assert [path.read_bytes() for path in tmp_path.glob("mine-before-*.judge.yaml")] == [b"\xff\xfe: x"]


def test_ways_that_were_set_aside_are_not_offered_as_rubrics(studio, tmp_path):
    studio.file.value = "mine"
    for high in (1.0, 2.0, 3.0):  # twice in a second, too
        studio._scored("Winding syntax", Counted("commas", 0.0, high))
        studio.save.click()
    (tmp_path / "mine.judge-before-20250101-120000.yaml").write_text("{}")  # as it was called once
    assert len(list(tmp_path.glob("mine-before-*.judge.yaml"))) == 2
    studio.save.click()
    studio.live.selected_index = live.TABS.index("Compare")
    offered = [*studio.file.options, *studio.live.compare.picked.options]
    assert "mine.yaml" in offered and not any("before" in str(each) for each in offered)


def test_half_a_character_can_be_sent_to_the_page(studio):
    half = "So gilded, so laced \ud83d and so perfumed a guest, dear reader, never bowed to anybody."
    studio.live.own.value = half
    fields(studio, 0)[0].value = half
    fields(studio, 1)[3].value = half
    studio.levels[0].value = half
    views = [studio.live.scores.value, studio.state.value]
    for line, panel in zip(studio.weights.children, studio.criteria.children):
        views += [line.children[0].value, *(each.tooltip for each in line.children[2:])]
        views += [each.description for each in panel.children]
    json.dumps(views, ensure_ascii=False).encode()
    assert "laced ? and" in studio.live.scores.value
    assert encodable("a \ud83d\ude00 b \ud83d") == "a \U0001f600 b ?"


def test_an_example_of_several_paragraphs_stays_one(studio):
    scoring = studio.live.scoring
    studio.live.selected_index = live.TABS.index("Scoring")
    studio.live.own.value = "One paragraph.\n\nAnother.\n \nA third."
    studio.live.picked.value = live.OWN
    scoring.kind.value = LIKENED
    scoring.low_texts.value = "Low one.\n\n\nLow two.\n  \nLow three."
    scoring.add_high.click()
    scoring.high_texts.value += "\n\nA second high one."
    way = studio.ways[scoring.criterion.value]
    assert way.low == ("Low one.", "Low two.", "Low three.")
    assert way.high == ("One paragraph.\nAnother.\nA third.", "A second high one.")


def test_a_label_is_no_html_and_no_formula(studio):
    studio.levels[0].value = f"{EVIL[:40]} $x^2$"
    studio.add.click()  # draws the fields anew
    label = fields(studio, 0)[2].description
    assert "<" not in label and "$" not in label and "alert(1)" in label


def test_own_texts_under_a_name_that_is_taken_are_there_too():
    own = {"a": "1", "a (own)": "2", live.OWN: "3"}
    found = live.beside({"a": "0", live.OWN: "pasted"}, own)
    assert sorted(found.values()) == ["0", "1", "2", "3", "pasted"] and found["a"] == "0"


def test_saving_replaces_only_what_this_studio_loaded_or_saved(studio, tmp_path):
    mine = tmp_path / "mine.yaml"
    comment = "# years of work\n" + load_rubric("esoteric").to_yaml().replace("esoteric", "mine")
    mine.write_text(comment, "utf-8")
    studio.file.value = "mine"

    def saved():
        studio.save.click()
        return "Saved mine.yaml" in studio.state.value

    assert not saved() and "mine.yaml is there already" in studio.state.value and mine.read_text("utf-8") == comment
    studio.load.click()
    fields(studio, 0)[0].value = "Another name"
    assert saved() and "Another name" in mine.read_text("utf-8")
    fields(studio, 0)[0].value = "A third name"
    assert saved()
    mine.write_text(comment, "utf-8")  # an editor, meanwhile
    assert not saved() and mine.read_text("utf-8") == comment
    mine.unlink()
    assert saved()
    (tmp_path / "folder.yaml").mkdir()
    studio.file.value = "folder"
    studio.save.click()
    assert "Not saved." in studio.state.value and "folder.yaml cannot be written (it is a folder)" in studio.state.value


@pytest.mark.parametrize("turn", ["empty", "shipped", "loaded and undone", "undone after an empty one"])
def test_what_began_elsewhere_does_not_replace_a_rubric_that_was_saved_here(studio, tmp_path, turn):
    studio.title.value, studio.file.value = "Years of work", "mine"
    studio.save.click()
    before = (tmp_path / "mine.yaml").read_text("utf-8")
    if turn == "shipped":
        studio.source.value = "rococo"  # which it began with: the file's name stands there since it was saved
    elif turn == "loaded and undone":
        other = load_rubric("esoteric").model_dump() | {"name": "other"}
        (tmp_path / "other.yaml").write_text(Rubric.checked(other).to_yaml(), "utf-8")
        studio.file.value = "other"
        studio.load.click()
        studio.undo.click()
        assert studio.title.value == "Years of work"
        studio.file.value, before = "other", (tmp_path / "other.yaml").read_text("utf-8")
    else:
        studio.anew.children[1].empty.click()
    assert studio.file.value in ("mine", "other")
    if turn == "undone after an empty one":
        studio.undo.click()
        studio.title.value = "More work"
    studio.save.click()
    told, there = studio.state.value, (tmp_path / f"{studio.file.value}.yaml").read_text("utf-8")
    if turn == "undone after an empty one":  # it is that rubric again, and may be saved again
        assert "(replaced)" in told and "More work" in there
    else:
        assert "Not saved." in told and "is there already" in told and there == before


def test_what_a_files_name_changes_is_taken_by_name(studio, monkeypatch):
    named_by = drafts.named_by
    monkeypatch.setattr(drafts, "named_by", lambda *of: dict(reversed(named_by(*of).items())))
    studio.file.value = "mine.yaml"
    studio.save.click()
    assert (studio.opened, studio.draft["name"], studio.original["name"]) == ("mine.yaml", "mine", "mine")


def test_a_rubric_is_named_by_its_file_once_it_was_saved_so_that_any_other_can_be_chosen(studio):
    studio.title.value, studio.file.value = "Mine", "mine"
    studio.save.click()
    assert studio.source.value == "mine.yaml"
    studio.source.value = "rococo"
    assert studio.title.value == "Rococo" and studio.valid.name == "rococo"
    studio.undo.click()
    studio.undo.click()
    assert studio.source.value == "mine.yaml" and studio.title.value == "Rococo", "also before its last change"


@pytest.mark.parametrize("fails", ["mine.judge.yaml", "mine.yaml"])
def test_a_rubric_and_its_ways_are_saved_both_or_it_is_said_which(studio, tmp_path, monkeypatch, fails):
    studio.file.value = "mine"
    studio.save.click()
    before = (tmp_path / "mine.yaml").read_bytes()
    studio.title.value = "Second"
    studio._scored("Ornamental diction", Counted("commas", 0.0, 5.0))
    replace = type(tmp_path).replace

    def full(partial, path):
        if path.name == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(partial, path)

    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "replace", full)
        studio.save.click()
    assert f"Not saved. {fails} cannot be written (No space left on device)" in studio.state.value
    assert (tmp_path / "mine.yaml").read_bytes() == before and not list(tmp_path.glob(".*.partial"))
    told = ", though mine.judge.yaml beside it was" in studio.state.value
    assert told is (tmp_path / "mine.judge.yaml").exists() is (fails == "mine.yaml")
    studio.save.click()
    assert "Saved" in studio.state.value and load_rubric(tmp_path / "mine.yaml").title == "Second"
    assert read_ways(tmp_path / "mine.judge.yaml") == studio.ways


def test_all_text_is_shown_as_text(studio):
    studio.live.own.value = EVIL
    studio.title.value = fields(studio, 0)[0].value = EVIL[:60]
    fields(studio, 0)[3].value = EVIL
    assert studio.live.picked.value == live.OWN
    seen = [studio.state.value, studio.live.scores.value, studio.weights.children[0].children[0].value]
    for tab, view in ((3, studio.live.table), (4, studio.live.teacher), (5, studio.live.system)):
        studio.live.selected_index = tab
        seen.append(view.value)
    for page in seen:
        assert "&lt;script&gt;" in page and "<script" not in page and "<img" not in page
    assert "vnd.jupyter.widget-view+json" in studio.live.table.value
    studio.live.own.value = "  "
    assert studio.live.picked.value != live.OWN


def test_views_of_prompts(studio):
    studio.live.selected_index = 5
    studio.live.target.value = 10
    page = studio.live.system.value
    assert "The recorded system prompt:" in page and "bare, plain prose" in page
    studio.title.value = "Mine"
    assert "written before your edits" in studio.live.system.value and "# Mine" in studio.live.system.value
    studio.live.selected_index = 4
    studio.live.prompt.value = load_prompts()[3]["prompt"]
    page = studio.live.teacher.value
    assert "score 10 out of 100" in page and "The Lighthouse" in page


def test_widgets_do_not_pile_up(studio):
    import ipywidgets

    def count():
        return len(ipywidgets.Widget.widgets)

    studio.add.click()
    studio.undo.click()
    before = count()
    for _ in range(3):
        studio.add.click()
        studio.undo.click()
    assert count() <= before + 5


def test_on_pages_without_widgets_there_is_a_sentence(studio):
    bundle = getattr(studio, "_repr_mimebundle_", dict)()  # ipywidgets 7 has none: it shows the repr itself
    assert "when you run this cell in JupyterLab" in repr(studio) == bundle.get("text/plain", repr(studio))


def test_a_text_that_the_judge_cannot_read_is_shown_as_such():
    german = "Der Regen fiel den ganzen Tag auf die Dächer der Stadt, und niemand ging hinaus, der nicht musste."
    rubric = load_rubric("rococo")
    page = scores_of(rubric, ways_of(rubric), german)
    assert "no score × 30%" in page and ">none<" in page and "degenerate:" not in page
    short = scores_of(rubric, ways_of(rubric), "Bow low.")
    assert "too short for measures of style" in short
    emoji = scores_of(rubric, ways_of(rubric), "🌧️ ☔ 🌧️")
    assert (
        "without words that could be measured" in emoji and ">none<" in emoji and drafts.flagged(" \u200b") == "empty"
    )


GERMAN = "Der Hund, der Hahn, die Katze, das Pferd und die Kuh, so sagt man, gehen, wie jeder weiß, nach Bremen."


@pytest.fixture
def halves(tmp_path):
    """A rubric of which one half cannot read German, and the other one can."""
    draft = load_rubric("rococo").model_dump() | {"name": "mine"}
    rare, commas = draft["criteria"][:2]
    draft["criteria"] = [rare | {"name": "Rare", "weight": 50}, commas | {"name": "Commas", "weight": 50}]
    studio = rubric_studio(Rubric.checked(draft), tmp_path)
    studio._scored("Rare", Counted("rarity", 3.5, 1))
    studio._scored("Commas", Counted("commas", 0, 10))
    return studio


def seen(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub("<[^>]*>", "", page)))


def test_a_text_that_one_criterion_cannot_read_is_not_ranked_among_the_others(halves):
    live_views = halves.live
    live_views.own.value = GERMAN
    *others, last = ranked_in(halves)
    assert last["label"] == live.OWN and last["rank"] is None and last["total"] == 100 and others[0]["rank"] == 1
    page, why = seen(live_views.scores.value), "Rare cannot read 1 text: not English."
    assert f"1 of 13 texts is left out. {why}" in page and "your text (rests on 50 of 100)" in page
    live_views.selected_index = live.TABS.index("Compare")
    assert f"Now: 1 of 13 texts is left out. {why}" in seen(live_views.compare.table.value)
    live_views.selected_index = live.TABS.index("Marks")
    view = live_views.marking
    view.who.value, view.left = "Ann", GERMAN
    view._mark("low")
    assert f"the rubric's score is 100 (from 50 of 100 points). {why}" in seen(view.told.value)
    live_views.bench.paste.value = GERMAN
    live_views.bench.add.click()
    live_views.selected_index = live.TABS.index("Texts")
    assert "(rests on 50 of 100)" in seen(live_views.bench.list.value) and why in seen(live_views.bench.list.value)
    live_views.selected_index = 0
    live_views.own.value, live_views.which.value = "", live.MINE
    assert f"{why} Totals rest on 50 of 100 points." in seen(live_views.scores.value)
    halves._scored("Commas", None)
    assert f"1 of 1 text is left out. {why}" in seen(live_views.scores.value)


def test_anchors_and_ticks_are_of_texts_that_the_measure_can_read(halves):
    live_views, scoring = halves.live, halves.live.scoring
    live_views.selected_index = live.TABS.index("Scoring")
    scoring.criterion.value = "Rare"
    scoring.spread.click()
    anchors, ticks = (scoring.low.value, scoring.high.value), scoring.strip.value.count("width:2px")
    live_views.own.value = GERMAN
    assert scoring.strip.value.count("width:2px") == ticks == 12
    assert "It cannot read 1 text: not English." in scoring.strip.value
    scoring.spread.click()
    assert (scoring.low.value, scoring.high.value) == anchors
    live_views.bench.paste.value = GERMAN
    live_views.bench.add.click()
    live_views.which.value = live.MINE
    way = halves.ways["Commas"]
    scoring.criterion.value = "Commas"
    scoring.measure.value = "rarity"
    assert "No text on view can be measured so. It cannot read 2 texts: not English." in scoring.state.value
    assert halves.ways["Commas"] == way


def test_ranks_at_the_start_are_those_of_the_rubric_as_it_was_opened(studio, tmp_path):
    def arrows() -> list[str]:
        studio.live.selected_index = 0
        return re.findall(r"[▲▼]\d+", studio.live.scores.value)

    def in_compare() -> int:
        studio.live.selected_index = live.TABS.index("Compare")
        return int(re.search(r"(\d+) of 12 texts changed", studio.live.compare.table.value)[1])

    fields(studio, 0)[0].value = "Gilded words"
    assert arrows() == []
    studio._scored("Gilded words", Counted("commas", 10, 0))
    assert len(arrows()) == in_compare() > 0
    studio._remove(0)
    assert len(arrows()) == in_compare() > 0
    studio.anew.children[1].empty.click()
    studio._scored("New criterion 1", Counted("commas", 0, 10))
    fields(studio, 0)[0].value = "Commas"
    assert arrows() == [] and in_compare() == 0


@pytest.mark.parametrize(
    "text", ["a: !!bool x", "a: !!int ''", "a: !!float x", "? [a]\n: 1", "- a", "a: 1", "\x01", "5"]
)
def test_a_file_that_holds_no_ways_to_score_is_told_in_a_sentence(tmp_path, text):
    (tmp_path / "mine.judge.yaml").write_text(text)
    with pytest.raises(JudgeError, match="mine.judge.yaml|'a'"):
        read_ways(tmp_path / "mine.judge.yaml")


def test_views_say_what_they_show():
    page = views.strip([1.0, 3.0], 1, 3)
    assert "a text on view" in page and "this prompt" not in page and "tell them apart" not in page
    assert "this measure does not tell them apart" in views.strip([0.0, 0.0], 0, 1)
    told = views.figures({"rho": 0.5, "low": 0.1, "high": 0.8, "n": 9}, 0.4)
    assert "kappa 0.40 (levels by the nearest of 10, 50, 95; quadratic)" in told
    assert [agreement.level_of(score) for score in (29, 31, 70, 74)] == ["low", "mid", "mid", "high"]  # no thirds
