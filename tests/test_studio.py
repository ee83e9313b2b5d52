"""The rubric studio without a browser: the pure part, and the widgets as their observers see them."""

import copy
import random
import time

import pytest

from cpt_utils.judging import Judgement, embedded_judge
from cpt_utils.prompts import load_prompts
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import RubricError
from cpt_utils.widgets import drafts, live
from cpt_utils.widgets.studio import rubric_studio

EVIL = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> </td></table> "
    "application/vnd.jupyter.widget-view+json "
    "so gilded, so laced and so perfumed a guest, dear reader, never bowed."
)


@pytest.fixture
def draft():
    return load_rubric("rococo").model_dump()


@pytest.fixture
def studio(tmp_path):
    return rubric_studio("rococo", tmp_path)


def fields(studio, number):
    """The text fields of a criterion: name, description, five levels."""
    return studio.criteria.children[number].children


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
            assert sum(each) == 100 and min(each) >= drafts.STEP
            assert all((weight / drafts.STEP).is_integer() for weight in each)
        if count > 1 and 1 <= wanted <= 90:
            assert abs(moved[index] - wanted) <= drafts.STEP / 2


def test_others_keep_their_proportions():
    assert drafts.rebalance([30, 25, 20, 15, 10], 0, 65) == [65, 12.5, 10, 7.5, 5]
    assert drafts.rebalance([100], 0, 40) == [100]


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


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.yaml").symlink_to(tmp_path / "out.yaml")
    with pytest.raises(RubricError, match="leads out of the folder"):
        drafts.yaml_path(tmp_path / "in", "link")


def test_saving_names_the_rubric_after_its_file(draft, tmp_path):
    saved = drafts.save_draft(draft, tmp_path / "My Rococo-2.yaml")
    assert saved.name == "my_rococo_2" and load_rubric(tmp_path / "My Rococo-2.yaml") == saved
    assert [f.name for f in tmp_path.iterdir()] == ["My Rococo-2.yaml"]
    with pytest.raises(RubricError, match="another name, such as my_rococo"):
        drafts.save_draft(draft, tmp_path / "rococo.yaml")
    with pytest.raises(RubricError, match="There is no nothing.yaml in .*save it first"):
        drafts.load_draft(tmp_path / "nothing.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(RubricError, match="cannot be read"):
        drafts.load_draft(tmp_path / "folder.yaml")


def test_unknown_criteria_get_the_score_of_the_whole_and_are_marked(draft):
    draft["criteria"][0]["name"] = "Fancy words"
    rubric = Rubric.checked(draft)
    judgement = Judgement(40.0, False, {name: 80.0 for name in embedded_judge().parts["rococo"]})
    scored = drafts.weighted_score(rubric, judgement)
    assert scored["parts"]["Fancy words"] == (40.0, False) and scored["measured"] == 70
    assert scored["total"] == pytest.approx(0.3 * 40 + 0.7 * 80)
    page = live.scores_view(rubric, rubric, "rococo", {"a": EVIL}, "a")
    assert "Fancy words<b>*</b>" in page and "a guess, not a measurement" in page and "70 of the 100" in page
    assert drafts.weighted_score(rubric, Judgement(0.0, True))["total"] == 0  # an empty text


def test_the_style_to_judge_by(draft):
    styles = embedded_judge().parts
    assert drafts.nearest_style(load_rubric("esoteric"), styles) == "esoteric"
    assert drafts.nearest_style(Rubric.checked(draft | {"name": "mine"}), styles) == "rococo"


def test_a_slider_moves_the_ranking_in_under_100_ms(studio):
    times, seen = [], set()
    for value in (40, 60, 80, 98, 70, 30):
        started = time.perf_counter()
        sliders(studio)[1].value = value
        times.append(time.perf_counter() - started)
        seen.add(studio.live.scores.value)
        assert sum(s.value for s in sliders(studio)) == 100
    assert max(times) < 0.1 and len(seen) == 6
    sliders(studio)[1].value = 25  # there and back in one go: the others are as they were
    assert [s.value for s in sliders(studio)] == [30, 25, 20, 15, 10]


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
    assert studio.title.value == "Esoteric" and studio.live.style_of.value == "esoteric"
    assert fields(studio, 0)[0].value == "Symbolic reading"
    studio.undo.click()
    assert studio.title.value == "Mine" and studio.source.value == studio.live.style_of.value == "rococo"


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
    assert studio.live.style_of.value == "rococo"
    assert "a guess, not a measurement" in studio.live.scores.value
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
    assert "Not saved." in studio.state.value and "folder.yaml (it is a folder)" in studio.state.value


def test_all_text_is_shown_as_text(studio):
    studio.live.own.value = EVIL
    studio.title.value = fields(studio, 0)[0].value = EVIL[:60]
    fields(studio, 0)[3].value = EVIL
    assert studio.live.picked.value == live.OWN
    seen = [studio.state.value, studio.live.scores.value, studio.weights.children[0].children[0].value]
    for tab, view in ((1, studio.live.table), (2, studio.live.teacher), (3, studio.live.system)):
        studio.live.selected_index = tab
        seen.append(view.value)
    for page in seen:
        assert "&lt;script&gt;" in page and "<script" not in page and "<img" not in page
    assert "vnd.jupyter.widget-view+json" in studio.live.table.value
    studio.live.own.value = "  "
    assert studio.live.picked.value != live.OWN


def test_views_of_prompts(studio):
    studio.live.selected_index = 3
    studio.live.target.value = 10
    page = studio.live.system.value
    assert "The recorded system prompt:" in page and "bare, plain prose" in page
    studio.title.value = "Mine"
    assert "written before your edits" in studio.live.system.value and "# Mine" in studio.live.system.value
    studio.live.selected_index = 2
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
    assert "when you run this cell" in repr(studio) == bundle.get("text/plain", repr(studio))


def test_a_text_that_the_judge_cannot_read_is_shown_as_such():
    german = "Der Regen fiel den ganzen Tag auf die Dächer der Stadt, und niemand ging hinaus, der nicht musste."
    rubric = load_rubric("rococo")
    page = live.scores_view(rubric, rubric, "rococo", {live.OWN: german}, live.OWN)
    assert "no score: not English" in page and "degenerate:" not in page
