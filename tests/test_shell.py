"""The studio's shell without a browser: a draft that outlives its cell, names, and what anywidget adds."""

import errno
import html
import json
import re
import sys
import warnings

import ipywidgets as w
import pytest

from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import RubricError
from cpt_utils.ways import Counted, ways_of
from cpt_utils.widgets import autosave, controls, keys
from cpt_utils.widgets.studio import rubric_studio

pytestmark = pytest.mark.usefixtures("own_runs")
EVIL = "<script>alert(1)</script>"


def opened(folder):
    return rubric_studio("rococo", folder)


def sliders(studio):
    return [row.children[1] for row in studio.weights.children]


def fields(studio, number):
    return studio.criteria.children[number].children


def kept(folder):
    return folder / "studio-rococo.json"


def offers(studio) -> bool:
    return studio.keeper.choice.layout.display != "none"


@pytest.fixture
def left(tmp_path):
    """A studio's draft, as it was when its kernel ended: renamed, weighed, scored in another way, and not yet valid."""
    studio = opened(tmp_path)
    fields(studio, 0)[0].value = EVIL
    sliders(studio)[0].value = 70
    studio._scored(EVIL, Counted("commas", 0.0, 9.0))
    fields(studio, 1)[0].value = ""
    studio.keeper.flush()
    return studio


def test_a_draft_is_kept_and_can_be_gone_on_with(left, tmp_path):
    again = opened(tmp_path)
    again.keeper.flush()
    assert offers(again) and "Rococo" in again.keeper.told.value and again.undo.disabled
    assert again.draft == load_rubric("rococo").model_dump()
    again.keeper.go_on.click()
    assert not offers(again) and again.draft == left.draft and again.ways == left.ways
    assert "The name of criterion 2 is empty" in again.state.value and fields(again, 1)[0].value == ""
    assert [slider.value for slider in sliders(again)] == [slider.value for slider in sliders(left)]
    fields(again, 1)[0].value = "Winding syntax"
    again.keeper.flush()
    assert json.loads(kept(tmp_path).read_text("utf-8"))["draft"]["criteria"][1]["name"] == "Winding syntax"
    again.undo.click()
    again.undo.click()
    assert again.draft == load_rubric("rococo").model_dump()  # back before it went on


def test_a_draft_that_is_left_is_set_aside(left, tmp_path):
    words = kept(tmp_path).read_text("utf-8")
    again = opened(tmp_path)
    again.keeper.anew.click()
    (aside,) = tmp_path.glob("studio-rococo-before-*.json")
    assert aside.read_text("utf-8") == words and not kept(tmp_path).exists() and not offers(again)
    assert aside.name in again.keeper.told.value


def test_to_edit_is_to_begin_anew(left, tmp_path):
    words = kept(tmp_path).read_text("utf-8")
    again = opened(tmp_path)
    sliders(again)[2].value = 50
    again.keeper.flush()
    (aside,) = tmp_path.glob("studio-rococo-before-*.json")
    assert aside.read_text("utf-8") == words
    assert json.loads(kept(tmp_path).read_text("utf-8"))["draft"]["criteria"][2]["weight"] == 50
    assert offers(again) and aside.name in again.keeper.told.value  # it may have been a slip of the hand
    again.keeper.go_on.click()
    assert not offers(again) and again.draft == left.draft and again.ways == left.ways
    again.undo.click()
    assert again.draft["criteria"][2]["weight"] == 50


@pytest.mark.parametrize("undone", [True, False])
def test_a_draft_that_was_set_aside_can_be_gone_on_with_by_a_later_studio(left, tmp_path, undone):
    second = opened(tmp_path)
    second.title.value = "Oops"
    second.keeper.flush()
    if undone:
        second.undo.click()
        second.keeper.flush()
    again = opened(tmp_path)
    (aside,) = tmp_path.glob("studio-rococo-before-*.json")
    offered = again.keeper.which.options
    assert offers(again) and [label.split(",")[0] for label, _ in offered] == ["Oops"] * (not undone) + ["Rococo"]
    assert (aside.name in again.keeper.told.value) is undone
    again.keeper.which.index = len(offered) - 1
    again.keeper.go_on.click()
    assert again.draft == left.draft and again.ways == left.ways
    sliders(again)[2].value = 50
    again.keeper.flush()
    titles = [json.loads(path.read_text("utf-8"))["draft"]["title"] for path in tmp_path.glob("studio-rococo-*.json")]
    assert sorted(titles) == ["Oops"] * (not undone) + ["Rococo"]  # nothing is lost


def test_to_begin_anew_after_an_edit_leaves_what_is_edited(left, tmp_path):
    again = opened(tmp_path)
    again.title.value = "Mine"
    again.keeper.flush()
    again.keeper.anew.click()
    assert not offers(again) and json.loads(kept(tmp_path).read_text("utf-8"))["draft"]["title"] == "Mine"


@pytest.fixture
def page(monkeypatch):
    """What a page knows by the messages it gets, in their order: the state of each open model, by its id."""
    models = {}
    opening, sending, closing = w.Widget.open, w.Widget._send, w.Widget.close

    def known(state: dict) -> None:
        refs = re.findall(r"IPY_MODEL_(\w+)", json.dumps(state))
        assert set(refs) <= set(models), "a message names a model that is not open"

    def open_(self):
        opening(self)
        state = self.get_state()
        known(state)
        models[self.model_id] = state

    def send(self, msg, buffers=None):
        if msg["method"] == "update" and self.comm is not None:
            assert self.model_id in models, "a message to a model that is closed"
            known(msg["state"])
            models[self.model_id] |= msg["state"]
        sending(self, msg, buffers)

    def close(self):
        if self.comm is not None:
            models.pop(self.model_id, None)
        closing(self)

    for name, change in (("open", open_), ("_send", send), ("close", close)):
        monkeypatch.setattr(w.Widget, name, change)
    return models


def drawn(models: dict, one: w.Widget, kind: str, key: str) -> list:
    """What a page shows below a widget: this key of all models of a kind, in their order."""
    state = models[one.model_id]
    inside = [models[ref.removeprefix("IPY_MODEL_")] for ref in state.get("children", ())]
    found = [state[key]] if state["_model_name"] == kind else []
    for child in inside:
        (widget,) = (each for each in one.children if models[each.model_id] is child)
        found += drawn(models, widget, kind, key)
    return found


@pytest.mark.parametrize("change", ["weights", "fewer", "more", "another rubric", "one of its own"])
def test_going_on_leaves_fields_where_they_are_and_the_page_shows_the_draft(page, tmp_path, change):
    studio = opened(tmp_path)
    if change == "fewer":
        studio.weights.children[0].children[3].click()
    elif change == "more":
        studio.add.click()
    elif change == "another rubric":
        studio.source.value = "creative_chaos"
    elif change == "one of its own":
        studio._begin(Rubric.checked({**load_rubric("rococo").model_dump(), "name": "mine", "title": "Mine"}))
    sliders(studio)[1].value = 60
    fields(studio, 1)[2].value = "Always."
    studio.keeper.flush()
    again = opened(tmp_path)
    before, rows = set(page), list(again.weights.children)
    again.keeper.go_on.click()
    assert again.draft == studio.draft and again.source.value == studio.source.value
    weights = [criterion["weight"] for criterion in studio.draft["criteria"]]
    assert drawn(page, again.weights, "FloatSliderModel", "value") == weights
    names = [f">{html.escape(criterion['name'])}</div>" for criterion in studio.draft["criteria"]]
    heads = drawn(page, again.weights, "HTMLModel", "value")
    assert all(name in head for name, head in zip(names, heads, strict=True))
    texts = [text for c in studio.draft["criteria"] for text in (c["description"], *c["levels"])]
    assert drawn(page, again.criteria, "TextareaModel", "value") == texts
    stay = min(len(rows), len(weights))
    assert list(again.weights.children)[:stay] == rows[:stay]
    assert (set(page) == before) is (len(rows) == len(weights))  # nothing to draw anew, and nothing to take away


def test_a_draft_of_a_saved_rubric_goes_on_in_its_file(tmp_path):
    studio = opened(tmp_path)
    studio.file.value = "work"
    studio.save.click()
    sliders(studio)[1].value = 60
    studio.keeper.flush()
    again = opened(tmp_path)
    assert again.file.value == "my_style.yaml"
    again.keeper.go_on.click()
    assert again.file.value == "work.yaml"
    again.save.click()
    assert (
        "Saved work.yaml (replaced)" in again.state.value
        and load_rubric(tmp_path / "work.yaml").criteria[1].weight == 60
    )


def test_of_two_studios_in_a_notebook_neither_writes_over_the_others_draft(tmp_path):
    first, second = opened(tmp_path), opened(tmp_path)
    for number in range(4):
        for studio, title in ((first, "One"), (second, "Two")):
            studio.title.value = f"{title} {number}"
            studio.keeper.flush()

    def titles():
        return [json.loads(path.read_text("utf-8"))["draft"]["title"] for path in tmp_path.glob("studio-rococo*.json")]

    assert sorted(titles()) == ["One 3", "Two 3"]  # and no file for each turn
    for _ in range(4):
        second.undo.click()  # nothing is left of its edits
    second.keeper.flush()
    assert titles() == ["One 3"]
    assert [label.split(",")[0] for label, _ in opened(tmp_path).keeper.which.options] == ["One 3"]


@pytest.fixture
def room(tmp_path, monkeypatch):
    """Opens a studio of the folder that a room shares, for one of its people."""
    (tmp_path / "room").mkdir()

    def opens(who: str):
        monkeypatch.setenv("CPT_RUNS", str(tmp_path / who))
        return opened(tmp_path / "room")

    return opens


def test_in_a_rooms_folder_drafts_are_each_persons_own(room, tmp_path):
    ann, ben = room("ann"), room("ben")
    for studio, title in ((ann, "Ann's"), (ben, "Ben's"), (ann, "Ann's own"), (ben, "Ben's own")):
        studio.title.value = title
        studio.keeper.flush()
    assert not list((tmp_path / "room").iterdir()) and not list(tmp_path.rglob("*-before-*"))
    for who in ("ann", "ben"):
        again = room(who)
        again.keeper.go_on.click()
        assert again.title.value == f"{who.title()}'s own"
    assert not offers(room("cid"))
    ann.file.value = "mine"
    ann.save.click()  # what is meant for the others
    assert (tmp_path / "room" / "mine.yaml").exists()


@pytest.mark.parametrize("taken", [True, False])
def test_a_draft_in_a_rooms_folder_from_before_is_offered_as_anybodys_and_stays(left, room, tmp_path, taken):
    former = (tmp_path / "studio-rococo.json").rename(tmp_path / "room" / "studio-rococo.json")
    words = former.read_bytes()
    again = room("ann")
    assert offers(again) and "go on with it if it is yours" in again.keeper.told.value
    (again.keeper.go_on if taken else again.keeper.anew).click()
    assert not offers(again) and (again.draft == left.draft) is taken
    again.title.value = "Ann's"
    again.keeper.flush()
    assert [path.name for path in (tmp_path / "room").iterdir()] == [former.name] and former.read_bytes() == words
    assert "Your last draft here (Ann" in room("ann").keeper.told.value


def test_the_last_edit_before_a_cell_ran_again_counts(left, tmp_path):
    again = opened(tmp_path)
    left.title.value = "Written after the offer"
    left.keeper.flush()
    again.keeper.go_on.click()
    assert again.title.value == "Written after the offer"


def test_a_draft_that_cannot_be_set_aside_is_told_and_stays(left, tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    again = opened(tmp_path)
    before = kept(tmp_path).read_bytes()
    monkeypatch.setattr(type(tmp_path), "rename", full)
    monkeypatch.setattr(autosave.files, "write_whole", full)
    again.keeper.anew.click()
    assert "cannot be set aside (Read-only file system)" in again.keeper.told.value and offers(again)
    sliders(again)[0].value = 40
    again.keeper.flush()
    assert "not kept (Read-only file system)" in again.keeper.told.value and not caplog.records
    assert kept(tmp_path).read_bytes() == before


@pytest.mark.parametrize("since", [None, "title: another hand's"])
def test_what_was_saved_can_be_saved_again_after_the_cell_ran_again(tmp_path, since):
    studio = opened(tmp_path)
    sliders(studio)[1].value = 60
    studio.file.value = "mine"
    studio.save.click()
    studio.keeper.flush()
    if since:
        (tmp_path / "mine.yaml").write_text(since)
    again = opened(tmp_path)
    again.keeper.go_on.click()
    sliders(again)[1].value = 70
    again.file.value = "mine"
    again.save.click()
    assert ("(replaced)" in again.state.value) is (since is None)
    assert ("is there already, and not as you" in again.state.value) is (since is not None)


def test_what_was_not_edited_leaves_no_draft(tmp_path):
    studio = opened(tmp_path)
    studio.keeper.flush()
    assert not list(tmp_path.iterdir())
    sliders(studio)[0].value = 70
    studio.keeper.flush()
    assert kept(tmp_path).exists()
    studio.undo.click()
    studio.keeper.flush()
    assert not list(tmp_path.iterdir()) and not offers(opened(tmp_path))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"draft": 3}', '{"original": {}}', "null", "[" * 5000],
)
def test_a_file_that_is_no_draft_is_not_offered_nor_lost(tmp_path, text):
    kept(tmp_path).write_text(text, "utf-8")
    studio = opened(tmp_path)
    assert not offers(studio)
    sliders(studio)[0].value = 70
    studio.keeper.flush()
    (aside,) = tmp_path.glob("studio-rococo-before-*.json")
    assert aside.read_text("utf-8") == text


def test_a_draft_has_a_rubrics_form_whatever_it_says():
    rubric = load_rubric("rococo")
    ways = ways_of(rubric)
    state = {"draft": rubric.model_dump(), "original": rubric.model_dump(), "opened": "rococo"}
    state |= {"ways": ways, "begun": ways, "named": [criterion.name for criterion in rubric.criteria]}
    older = {part: value for part, value in state.items() if part != "named"}
    for left in (older, state, state | {"known": {"a.yaml": 3}}, state | {"known": ["a.yaml"]}):
        assert autosave.unpacked(autosave.packed(left)) == state | {"known": {}}
    for part, value in (
        ("title", 3),
        ("levels", ["a"]),
        ("criteria", []),
        ("criteria", [{"name": "x"}]),
        ("criteria", "abc"),
        ("more", 1),
    ):
        broken = state | {"draft": state["draft"] | {part: value}}
        with pytest.raises(RubricError, match="no draft of the studio"):
            autosave.unpacked(autosave.packed(broken))


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    studio = opened(tmp_path / "file")
    sliders(studio)[0].value = 70
    studio.keeper.flush()
    assert "Your draft is not kept" in studio.keeper.told.value and "valid" in studio.state.value


def test_a_weight_between_steps_is_changed_and_told(tmp_path):
    studio = opened(tmp_path)
    sliders(studio)[0].value = 33.3
    assert sliders(studio)[0].value == 33.5 and "33.3 became 33.5" in studio.state.value
    sliders(studio)[0].value = 0
    assert sliders(studio)[0].value == 0 and "became" not in studio.state.value


def test_pencils_open_one_criterion_and_follow_its_name(tmp_path):
    studio = opened(tmp_path)

    def shown():
        return [panel.layout.display != "none" for panel in (studio.editor.words, *studio.criteria.children)]

    assert not any(shown())
    pencil = studio.weights.children[1].children[2]
    assert pencil.tooltip == "Edit Winding syntax"
    pencil.click()
    assert shown() == [False, False, True, False, False, False]
    fields(studio, 1)[0].value = EVIL
    assert pencil.tooltip == f"Edit {EVIL}" and EVIL not in studio.weights.children[1].children[0].value
    studio.editor.edit_words.click()
    assert shown() == [True] + [False] * 5
    studio.editor.edit_words.click()
    assert not any(shown())


def test_fields_of_levels_are_called_as_the_levels_are(tmp_path):
    studio = opened(tmp_path)
    studio.levels[0].value, studio.levels[1].value = "<i>Gilt</i>", " "
    for panel in studio.criteria.children:
        best, second = panel.children[2:4]
        assert "Gilt" in best.description and "<" not in best.description  # which ipywidgets 7 takes for HTML
        assert getattr(best, controls.TIP) == "<i>Gilt</i>" and second.description == "Level 75"


def test_every_widget_knows_the_arguments_that_it_gets(tmp_path):
    """Of ipywidgets 7 as of 8: an unknown one is a warning today, and is said to be an error one day."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Passing unrecognized arguments")
        assert "valid" in opened(tmp_path).state.value


def guards(box) -> list:
    return [part for part in box.children if type(part).__name__ == "KeyGuard"]


def made_guard(monkeypatch) -> list:
    """The guards that are made from now on."""
    pytest.importorskip("anywidget")
    kind, made = keys._guard_class(), []
    monkeypatch.setattr(keys, "_guard_class", lambda: lambda: made.append(kind()) or made[-1])
    return made


def test_without_anywidget_the_studio_works_and_has_no_keys(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    keys._guard_class.cache_clear()
    try:
        studio = opened(tmp_path)
        assert not guards(studio) and "valid" in studio.state.value
    finally:
        keys._guard_class.cache_clear()


def modules(widget) -> set[str]:
    """Where the parts of a widget come from, as a page is told; its children's, too."""
    return {widget._model_module}.union(*map(modules, getattr(widget, "children", ())))


def test_a_page_that_lacks_anywidget_gets_core_widgets_alone(monkeypatch, tmp_path):
    """It could show nothing at all of a box with a part that it does not know."""
    made = made_guard(monkeypatch)
    studio = opened(tmp_path)
    core = {"@jupyter-widgets/base", "@jupyter-widgets/controls"}
    assert modules(studio) <= core and made[0]._model_module == "anywidget"
    studio.add.click()
    assert modules(studio) <= core


def test_a_page_hears_of_anywidget_when_it_has_drawn_the_cell(monkeypatch, tmp_path):
    """Once for a cell, and not before: what a page waits for, it may draw nothing beside."""
    from IPython.core.interactiveshell import InteractiveShell

    made, seen = made_guard(monkeypatch), []
    shell = InteractiveShell()
    monkeypatch.setattr(keys, "get_ipython", lambda: shell)
    shell.push({"studio": lambda: opened(tmp_path), "shown": lambda part: seen.append((part, len(made)))})
    for number, cell in enumerate(("shown(studio())", "shown(studio())", "pass"), 1):
        shell.run_cell(cell).raise_error()
        assert [count for _, count in seen] == [0, 1][:number] and len(made) == min(number, 2)
    made[0]._handle_custom_msg({"here": True}, [])
    assert guards(seen[0][0]) == made[:1] and not guards(seen[1][0])


def test_ctrl_z_undoes_where_the_page_knows_anywidget(monkeypatch, tmp_path):
    made = made_guard(monkeypatch)
    studio = opened(tmp_path)
    for _ in range(2):  # a page that is loaded again says so again
        made[0]._handle_custom_msg({"here": True}, [])
        assert guards(studio) == made
    studio.title.value = "Mine"
    made[0]._handle_custom_msg({"undo": True}, [])
    assert studio.title.value == "Rococo"
    made[0]._handle_custom_msg({"other": 1}, [])


def test_tabs_that_do_not_turn_are_turned_and_drawn_anew(monkeypatch, tmp_path):
    made = made_guard(monkeypatch)
    studio = opened(tmp_path)
    holder, drawn = studio.children[-1].children[1], []
    assert holder.children == (studio.live,)
    holder.observe(lambda change: drawn.append(change["new"]), "children")
    for told, place in ((3, 3), (99, 7), (-1, 0)):
        made[0]._handle_custom_msg({"tab": told}, [])
        assert studio.live.selected_index == place
    made[0]._handle_custom_msg({"tab": "3"}, [])
    assert drawn == [(), (studio.live,)] * 3 and studio.live.selected_index == 0


def test_on_colab_its_own_widgets_stay(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    root = w.VBox()
    keys.add_guard(root)
    assert not root.children and keys.KEYS in root._dom_classes


def test_each_draft_is_offered_once_however_often_it_was_gone_on_with(tmp_path):
    for title in ("First", "Second", "Third"):
        last = rubric_studio("rococo", tmp_path)
        last._typed(("title",), title)
        last.keeper.flush()
    paths = autosave.draft_file(tmp_path, "rococo")
    titles = [draft.state["draft"]["title"] for draft in autosave.drafts_in(paths)]
    assert sorted(titles) == ["First", "Second", "Third"] and titles[0] == "Third"
    for _ in range(4):
        again = rubric_studio("rococo", tmp_path)
        again.keeper.which.index = 1
        again.keeper._go_on()
        again.keeper.flush()
    assert sorted(draft.state["draft"]["title"] for draft in autosave.drafts_in(paths)) == ["First", "Second", "Third"]
