"""The rubric studio: edit a rubric with widgets and see at once what it does, without a language model."""

import copy
import itertools
from functools import partial, reduce
from pathlib import Path

import ipywidgets as w

from cpt_utils.rubrics import ENDS, Rubric, load_rubric, shipped_rubrics
from cpt_utils.runtime import files, places, profiles
from cpt_utils.runtime.errors import JudgeError, RubricError
from cpt_utils.ways import Way, ways_of
from cpt_utils.widgets import drafts, filing, keys, suggesting, views
from cpt_utils.widgets.autosave import DraftKeeper, draft_file
from cpt_utils.widgets.controls import button, column, row
from cpt_utils.widgets.editor import Editor
from cpt_utils.widgets.live import LiveViews
from cpt_utils.widgets.starting import show_source, start_panel


def rubric_studio(rubric: str | Path | Rubric = "rococo", folder: Path | str | None = None, teachers=()):
    """A RubricStudio: widgets to edit, weigh, save and load a rubric; shown when it is the last line of a cell.

    `rubric` is a shipped name, that of a saved one, the path of a YAML file or a Rubric; criteria are scored as was
    saved beside a file. Files go to `folder`, by default the run's.
    `teachers`: Teachers or chat models that may write texts, draft rubrics and read criteria, beside the series' own
    models and that of CPT_ENDPOINT and CPT_MODEL. None is asked or loaded before its button is pressed.
    """
    folder = places.at_home(folder) if folder else files.run_dir(profiles.load_profile("auto"))
    return RubricStudio(rubric, folder, teachers)


class RubricStudio(w.VBox):
    """The widget behind `rubric_studio`. `draft` is what was typed, `valid` the last valid rubric.

    `ways` says how its criteria are scored: AnchorJudge(studio.valid, studio.ways) is that judge, once all have one.
    """

    def __init__(self, rubric: str | Path | Rubric, folder: Path, teachers=()):
        self.folder, self.history, self.quiet = folder, drafts.History(), False
        self.numbers = itertools.count(1)  # of openings, and of criteria that are added
        known, self.known = {}, {}  # filing.Known of each opening: what came from elsewhere replaces none of its files
        rubric, ways, name = filing.opened(rubric, folder, known)
        self._build(teachers)
        self.keeper = DraftKeeper(draft_file(folder, rubric.name), self._resume)
        head = row(self.source, self.undo, self.reset, self.file, self.save, self.load)
        body = row(column([self.editor], "280px"), column([self.live], "310px", "1.6"))
        super().__init__([keys.dead_notice(), self.keeper, head, self.anew, self.state, body])
        keys.add_guard(self, self._undo)
        self._open(rubric, name, ways, known)
        self.file.options = filing.names(folder)
        self.file.value = name if name.endswith(ENDS) else self.file.value

    def __repr__(self) -> str:
        """What a page without widgets shows instead, by ipywidgets 7 and 8 alike."""
        return f"The rubric studio {keys.ELSEWHERE}"

    def _build(self, teachers) -> None:
        """All widgets, in the order of the page."""
        self.source = w.Dropdown(description="Start from", layout=w.Layout(width="260px"))
        self.undo = button("Undo", "Take the last change back", self._undo)
        self.reset = button("Reset", "Back to the rubric as it was opened", self._reset)
        self.file = w.Combobox(value="my_style.yaml", description="File", layout=w.Layout(width="260px"))
        self.save = button("Save", "Write the rubric to this file", self._save)
        self.load = button("Load", "Read a rubric from this file", self._load)
        self.state = w.HTML(layout=w.Layout(width="98%")).add_class("cpt-state")

        self.editor = Editor(self._typed, self._weighed, self._remove, partial(self._edit, drafts.add_criterion))
        self.weights, self.criteria, self.add = self.editor.weights, self.editor.criteria, self.editor.add
        self.title, self.objective, self.principles, *self.levels = self.editor.words.children
        self.live = LiveViews(self.folder, self._reweigh, self._scored, teachers)
        self.live.scoring.choose_by(self.live.picked)
        self.anew = start_panel(self.live.models, self._begin)
        self.source.observe(self._pick_source, "value")

    def _fill(self) -> None:
        """Put the draft into the fields: after anything but typing."""
        self.quiet = True
        show_source(self.source, self.opened)
        self.editor.fill(self.draft)
        self.quiet = False

    def _open(self, rubric: Rubric, source: str, ways: dict[str, Way], known: filing.Known) -> None:
        self.draft, self.original, self.opened = rubric.model_dump(), rubric.model_dump(), source
        self.ways = self.begun = ways
        self.opening = next(self.numbers)  # two that begin empty are called alike
        self.known[self.opening] = known
        self.named = drafts.names_of(self.draft)  # as the ways know them, while two criteria are called alike
        self.ids = self._first_ids()  # of the criteria, whatever they are called
        self.live.scoring.turn_to(self.ids)
        self.live.start_with(rubric, ways)
        self._fill()
        self._changed()

    def _first_ids(self) -> list:
        return [(self.opening, place) for place, _ in enumerate(self.original["criteria"])]

    def _remember(self, key: str | None = None) -> None:
        self.history.remember(self._state(), key)

    def _state(self) -> dict:
        names = ("draft", "original", "opened", "opening", "ways", "begun", "named", "ids")
        return {name: getattr(self, name) for name in names}

    def _pick_source(self, change: dict) -> None:
        if not self.quiet and change["new"] in shipped_rubrics():
            self._begin(load_rubric(change["new"]))

    def _begin(self, rubric: Rubric) -> None:
        self._remember()
        self._open(rubric, rubric.name, ways_of(rubric), {})

    def _typed(self, path: tuple, value: str | list[str]) -> None:
        if self.quiet:
            return
        is_name = path[0] == "criteria" and path[2] == "name"
        self._remember()
        self.draft = copy.deepcopy(self.draft)
        reduce(lambda data, key: data[key], path[:-1], self.draft)[path[-1]] = value.strip() if is_name else value
        names = drafts.names_of(self.draft)
        if is_name and len(set(names)) == len(names):  # a criterion is scored as before, whatever it is called
            ways = dict(zip(names, map(self.ways.get, self.named)))
            self.ways, self.named = {name: way for name, way in ways.items() if way}, names
        self.editor.name_rows(self.draft)
        self._changed()

    def _scored(self, name: str, way: Way | None) -> None:
        """From now on a criterion is scored this way, or not at all."""
        if not self._named_as_on_view():
            self.state.value = views.status(self.live.scoring.take_back(name, way), "error")
            return
        self._remember(f"way {name}")
        self.ways = {other: kept for other, kept in self.ways.items() if other != name} | ({name: way} if way else {})
        self._changed()

    def _named_as_on_view(self) -> bool:
        """The views name criteria as the last valid rubric does: another one may have that name by now."""
        named = [each.name for each in self.live.rubric.criteria]
        return named == drafts.names_of(self.draft) and self.ids == self.live.scoring.coming

    def _weighed(self, index: int, value: float) -> None:
        now = self.draft["criteria"][index]["weight"]
        if self.quiet or drafts.is_drawn(value, now):  # browsers send a weight back, rounded, whenever they draw it
            return
        if abs(value - now) < drafts.STEP / 2:
            self.weights.children[index].children[1].value = now
            self.state.value = views.status(drafts.stepped(value, now))
            return
        self._remember(f"weight {index}")
        # From where the move began: else a slider pulled to its end and back would level all others.
        began = drafts.weights_of(self.history.states[-1]["draft"])
        weights = drafts.rebalance(began, index, value)
        self.draft = drafts.with_weights(self.draft, weights)
        self.quiet = True
        for line, weight in zip(self.weights.children, weights):
            line.children[1].value = weight
        self.quiet = False
        self._changed()
        if abs(value - weights[index]) > 1e-6:
            self.state.value = views.status(drafts.stepped(value, weights[index]))

    def _reweigh(self, weights: dict[str, float]) -> None:
        self._edit(lambda draft: suggesting.reweighed(draft, weights))

    def _edit(self, change, **parts) -> None:
        """Apply a function of the draft that may refuse with a RubricError, and set what else of the state changes."""
        try:
            draft = change(self.draft)
        except RubricError as error:
            self.state.value = views.status(str(error), "error")
            return
        self._remember()
        vars(self).update(parts)
        self.draft, added = copy.deepcopy(draft), drafts.names_of(draft)[len(self.named) :]
        self.named, self.ids = [*self.named, *added], [*self.ids, *(next(self.numbers) for _ in added)]
        self._fill()
        self._changed()

    def _remove(self, index: int) -> None:
        named, ids = ([x for place, x in enumerate(each) if place != index] for each in (self.named, self.ids))
        ways = {name: way for name, way in self.ways.items() if name != self.named[index]}
        self._edit(lambda draft: drafts.remove_criterion(draft, index), ways=ways, named=named, ids=ids)

    def _reset(self) -> None:
        named = drafts.names_of(self.original)
        self._edit(lambda draft: self.original, ways=self.begun, named=named, ids=self._first_ids())

    def _undo(self) -> None:
        if state := self.history.back():
            self._restore(state)
        else:
            self.state.value = views.status("There is nothing to undo.")

    def _resume(self, state: dict) -> None:
        """Go on with a draft that was kept."""
        self._remember()
        opening, ids = next(self.numbers), [next(self.numbers) for _ in state["named"]]
        known = self.known[opening] = filing.recalled(self.folder, state["known"])  # what was saved can be saved again
        kept = {name: value for name, value in state.items() if name != "known"}
        self._restore(kept | {"opening": opening, "ids": ids})
        self.file.value = next((p.name for p in known if drafts.called_by(p) == self.draft["name"]), self.file.value)

    def _restore(self, state: dict) -> None:
        now = self._state()
        reopened = any(state[name] != now[name] for name in ("original", "opening", "begun"))
        vars(self).update(state)
        if reopened:
            self.live.scoring.turn_to(self._first_ids())
            self.live.start_with(Rubric.checked(self.original), self.begun)
        self._fill()
        self._changed()

    def _save(self) -> None:
        try:
            words = filing.save(self.folder, self.file.value, self.draft, self.ways, self.known[self.opening])
        except RubricError as error:
            self.state.value = views.status(f"Not saved. {error}", "error")
            return
        self._call(drafts.yaml_path(self.folder, self.file.value))
        self.file.options = filing.names(self.folder)
        self.state.value = views.status(words, "ok")

    def _call(self, path: Path) -> None:
        """The rubric has its file's name from now on, also after an undo: marks are kept by it."""
        self.history.name(self.opening, path)
        vars(self).update(drafts.named_by(self._state(), path))
        self._fill()
        self._changed()

    def _load(self) -> None:
        known = {}
        try:
            rubric, ways, name = filing.load(self.folder, self.file.value, known)
        except (RubricError, JudgeError) as error:
            self.state.value = views.status(f"Not loaded. {error}", "error")
            return
        self._remember()
        self._open(rubric, name, ways, known)
        self.state.value = views.status(f"Loaded {name}.", "ok")

    def _changed(self) -> None:
        """The draft changed: check it, say so, and show it if it is valid."""
        same = self.draft == self.original and self.ways == self.begun
        self.undo.disabled, self.reset.disabled = not self.history.states, same
        self.keeper.keep(self._state() | {"known": filing.marks_of(self.known[self.opening])}, not same)
        try:
            self.valid = drafts.checked(self.draft)
        except RubricError as error:
            words = f"{error} Your text is kept; the views show the last valid state."
            self.state.value = views.status(words, "error")
            if self._named_as_on_view() and self.ways != self.live.ways:  # how they are scored holds nevertheless
                self.live.show(self.live.rubric, self.ways)
            return
        edited = "" if same else " (edited)"
        self.state.value = views.status(f"{self.valid.title}{edited}: valid, weights sum to 100.", "ok")
        self.live.scoring.turn_to(self.ids)
        self.live.show(self.valid, self.ways)
