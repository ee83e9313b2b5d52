"""The studio's tab Marks: a person marks texts unseen, and sees how far the rubric's scores agree."""

from pathlib import Path

import ipywidgets as w

from cpt_utils import agreement, marks, opinions
from cpt_utils.rows import TARGETS
from cpt_utils.runtime import files, torn
from cpt_utils.runtime.errors import StoreError
from cpt_utils.widgets import filing, suggesting, views
from cpt_utils.widgets.controls import button, field, row
from cpt_utils.widgets.former_marks import FormerMarks
from cpt_utils.widgets.mark_results import exported, results
from cpt_utils.widgets.states import State

WHOLE = "the whole text"
EXPORT = "_marked_texts.jsonl"
HOW = (
    "Marks are kept under the rubric's name, and Save renames a rubric to its file's name: so save one of your own "
    "before you mark. "
    "Texts come without their label, and a score shows once you have marked. Half of the texts, always the same ones, "
    "test the rubric's scores; marks of the other half may mend it."
)


class MarksView(w.VBox):
    """Mark the texts on view as low, mid or high; marks by this rubric of everybody whose file lies in `folder` count.

    `on_weights({criterion: weight})` and `on_way(name, way)` hear of suggestions that were taken. `ready(ways, texts)`:
    whether the texts have their scores; if not, the view is shown again when they do (scores.ScoringWork).
    """

    def __init__(self, folder: Path, on_weights, on_way, ready):
        self.folder, self.on_weights, self.on_way, self.ready = folder, on_weights, on_way, ready
        self.now: State | None = None
        self.baseline: State | None = None
        self.labelled: dict[str, str] = {}
        self.points: dict[str, float] = {}
        self.texts: list[str] = []
        self.left: str | None = None  # the text on view, to be marked
        self.quiet = False
        self.written: filing.Known = {}  # exports of this studio
        self.who = field("Your name", w.Text, placeholder="as the others shall see it")
        self.looks_on = w.Checkbox(
            description="I look on and mark nothing: show all texts of the results",
            indent=False,
            layout={"width": "98%"},
        )
        self.about = field("Marks of", w.Dropdown, options=[(WHOLE, marks.ALL)])
        self.text = w.HTML().add_class("cpt-view")
        self.why = field("Why", w.Text, placeholder="a word or two, if you like; before you mark")
        self.levels = [
            button(level, f"Mark this text as {level}", self._marker(level), "90px") for level in marks.LEVELS
        ]
        self.back = button("Take back", "Take your last mark back", self._take_back)
        self.told = w.HTML().add_class("cpt-told")
        self.result = w.HTML().add_class("cpt-view")
        self.offered = field("Suggestion", w.Dropdown)
        self.effect = w.HTML().add_class("cpt-told")
        self.take = button("Take the suggestion", "Change the rubric as suggested above", self._take)
        self.suggesting = w.VBox([self.offered, self.effect, row(self.take)])
        self.export = button(
            "Save the marked texts (JSONL)", "Everybody's marks with the rubric's scores", self._export
        )
        self.former = FormerMarks(folder, self._draw)
        head = [self.who, self.about, self.text, self.why, row(*self.levels, self.back), self.told, self.former]
        super().__init__([*head, self.result, self.looks_on, self.suggesting, row(self.export)])
        self.last: list[marks.Mark] = []
        for each in (self.who, self.about, self.looks_on):
            each.observe(self._draw, "value")
        self.chosen: suggesting.Suggestion | None = None  # by the person; what is offered first is not
        self.offered.observe(self._choose, "value")

    def show(
        self, now: State, texts: dict[str, str], baseline: State | None, everybody: list[marks.Mark] | None
    ) -> None:
        """Show the next text to mark of these, and how far scores now, and at the baseline, agree with the marks.

        `everybody`: what `read` gave.
        """
        self.now, self.labelled, self.baseline = now, texts, baseline
        self.texts = sorted(dict.fromkeys(texts.values()), key=marks.text_key)  # an order that tells nothing
        rubric = now.rubric
        names, kept = [criterion.name for criterion in rubric.criteria], self.about.value
        options = [(WHOLE, marks.ALL), *((name, name) for name in names)]  # one may be called like the first
        if list(self.about.options) != options:
            self.quiet = True
            self.about.options = options
            self.about.value = kept if kept in names else marks.ALL
            self.quiet = False
        self._show(everybody)

    def hold(self) -> None:
        """Nothing to mark or to take: the texts of what is edited now are still being scored."""
        self.now, self.texts, self.left = None, [], None
        self._blank()
        self.text.value, self.told.value = "", views.note("The texts are being scored: marks go on when they are.")
        for each in (*self.levels, self.back, self.export):
            each.disabled = True

    def _blank(self) -> None:
        """Take away what was said and suggested of a former state."""
        self.result.value, self.points = "", {}
        self._offer([])
        self.former.layout.display = "none"

    def read(self) -> list[marks.Mark] | None:
        """All marks in the folder, as they are now; None where a file cannot be read, which is told."""
        try:
            return marks.read_marks(self.folder)
        except StoreError as error:
            self._blank()
            self.left, self.told.value = None, views.status(str(error), "error")
            return None

    @property
    def criterion(self) -> str:
        """What marks are about now, as files name it."""
        return self.about.value

    def _marker(self, level: str):
        return lambda: self._mark(level)

    def _mark(self, level: str) -> None:
        if (response := self.left) is None:  # what could not be read may be mended by now
            self._draw()
            return
        who, name = marks.person(self.who.value), self.now.rubric.name
        mark = marks.Mark(who=who, rubric=name, response=response, level=level, criterion=self.criterion)
        if self.why.value.strip():
            mark["why"] = self.why.value.strip()
        try:
            marks.add_mark(self.folder, mark)
        except StoreError as error:
            words = str(error) if who else "Write your name first: marks are kept under it."
            self.told.value = views.status(words, "error")
            return
        self.why.value = ""
        self.last = [*self.last, mark]
        if self._draw():
            judged = self.now.told(response, self.criterion)
            self.told.value = views.status(f"You: {level} ({TARGETS[level]}); {judged}", "ok")

    def _take_back(self) -> None:
        """Take back what was marked last, whoever and whatever is to be marked now."""
        if not self.last:
            return
        try:
            marks.add_mark(self.folder, {name: "" if name == "level" else self.last[-1][name] for name in marks.KEY})
        except StoreError as error:
            self.told.value = views.status(str(error), "error")
            return
        self.last = self.last[:-1]
        self._draw()

    def _draw(self, _change=None) -> bool:
        """Read the marks and show it all; whether they can be read."""
        if self.now is None or self.quiet:
            return True
        return self._show(self.read())

    def _show(self, everybody: list[marks.Mark] | None) -> bool:
        if everybody is None:
            return False
        rubric = self.now.rubric
        ours = marks.by_rubric(everybody, rubric.name)
        given = marks.about(ours, self.criterion)
        mine = {mark["response"] for mark in marks.by_person(given, self.who.value)}
        unmarked = [] if self.looks_on.value else [text for text in self.texts if text not in mine]
        self.left = (unmarked or [None])[0]
        done = len(mine & set(self.texts))
        self.told.value = views.note(f"{done} of {len(self.texts)} texts marked for {rubric.name!r}. {HOW}")
        self.text.value = views.whole_text(self.left) if self.left else self._all_done(given)
        for each in self.levels:
            each.disabled = self.left is None
        self.back.disabled = not self.last
        self.former.show(everybody, rubric, self.criterion)
        self._judge(ours, mine)
        self.export.disabled = not ours
        return True

    def _all_done(self, given: list[marks.Mark]) -> str:
        """Why there is no text to mark, and how to go on where marks are still too few."""
        if self.looks_on.value:
            return views.status("You look on: no text comes to be marked.")
        told = "All texts on view are marked."
        test = sum(map(marks.is_test, {mark["response"] for mark in given}))
        if test >= agreement.LEAST:
            return views.status(told, "ok")
        return views.status(
            f"{told} Of all marked texts {test} test the scores, and {agreement.LEAST} are needed: choose another "
            "prompt in the tab Scores, and mark its texts, too."
        )

    def _judge(self, ours: list[marks.Mark], mine: set[str]) -> None:
        """Agreement on the texts that test, and what those that fit suggest."""
        seen = None if self.looks_on.value else mine
        self.result.value = results(self.now, self.baseline, self.criterion, ours, seen)
        self.points = opinions.by_text(marks.about(ours, self.criterion))
        # A criterion can be marked before anybody says how it is scored; weights are fitted to scores.
        fits = self.points if self.criterion else self.now.standing(self.points).scores
        fit = {text: self.points[text] for text in fits if not marks.is_test(text)}
        self._offer(suggesting.suggestions(self.now, self.criterion, fit))
        self._tell_effect()

    def _offer(self, found: list[suggesting.Suggestion]) -> None:
        self.quiet = True
        self.offered.options = [(each.words, each) for each in found]
        self.offered.value = ([each for each in found if each.like(self.chosen)] or found or [None])[0]
        self.quiet = False
        self.suggesting.layout.display = None if found else "none"

    @property
    def suggested(self) -> suggesting.Suggestion | None:
        """What the marks of the other half speak for, as it is chosen."""
        return self.offered.value

    def _choose(self, change: dict) -> None:
        if not self.quiet:
            self.chosen = change["new"]
            self._tell_effect()

    def _tell_effect(self) -> None:
        if self.suggested:
            self.effect.value = views.note("What it changes is told when the texts have their scores by it.")
            ways = self.suggested.taken(self.now).ways.values()
            if not self.ready(ways, [*self.points, *self.labelled.values()]):
                return
            told = suggesting.effect(self.suggested, self.now, self.points, self.labelled)
            self.effect.value = views.note(f"The marks of the other half speak for this. It changes {told}.")

    def _take(self) -> None:
        if self.suggested is None:
            return
        if self.suggested.weights:
            self.on_weights(dict(zip((each.name for each in self.now.rubric.criteria), self.suggested.weights)))
        else:
            self.on_way(self.suggested.criterion, self.suggested.way.checked(self.suggested.criterion))

    def _export(self) -> None:
        """Write the texts marked by this rubric beside it."""
        rubric = self.now.rubric
        path = self.folder / f"{rubric.name}{EXPORT}"
        try:
            given = marks.by_rubric(marks.read_marks(self.folder), rubric.name)
            rows = exported(self.now, given)
            told = filing.put(path, torn.lines_of(rows).encode(), self.written)
        except StoreError as error:
            self.told.value = views.status(str(error), "error")
        except OSError as error:
            self.told.value = views.status(str(files.unwritable(path, error)), "error")
        else:
            self.told.value = views.status(f"Saved {files.shown(path)}{told}: {len(rows)} marked texts.", "ok")
