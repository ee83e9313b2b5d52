"""The studio's tab Marks: a person marks texts unseen, and sees how far the rubric's scores agree."""

import json
from pathlib import Path

import ipywidgets as w

from cpt_utils import agreement, marks
from cpt_utils.rows import TARGETS
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import StoreError
from cpt_utils.widgets import drafts, suggesting, views
from cpt_utils.widgets.controls import button, field, row
from cpt_utils.widgets.states import State

WHOLE = "the whole text"
EXPORT = "marked_texts.jsonl"
HOW = (
    "Texts come without their label, and a score shows once you have marked. Half of the texts, always the same ones, "
    "test the rubric's scores; marks of the other half may mend it."
)


class MarksView(w.VBox):
    """Mark the texts on view as low, mid or high; marks of everybody whose file lies in `folder` count.

    `on_weights(weights)` and `on_way(name, way)` hear of suggestions that were taken. `ready(ways, texts)`: whether the
    texts have their scores; if not, the view is shown again when they do (scores.ScoringWork).
    """

    def __init__(self, folder: Path, on_weights, on_way, ready):
        self.folder, self.on_weights, self.on_way, self.ready = folder, on_weights, on_way, ready
        self.now: State | None = None
        self.baseline: State | None = None
        self.labelled: dict[str, str] = {}
        self.texts: list[str] = []
        self.quiet = False
        self.who = field("Your name", w.Text, placeholder="as the others shall see it")
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
        head = [self.who, self.about, self.text, self.why, row(*self.levels, self.back), self.told]
        super().__init__([*head, self.result, self.suggesting, row(self.export)])
        self.last: list[marks.Mark] = []
        for each in (self.who, self.about):
            each.observe(self._draw, "value")
        self.offered.observe(self._tell_effect, "value")

    def show(self, now: State, texts: dict[str, str], baseline: State | None = None) -> None:
        """Show the next text to mark of these, and how far scores now, and at the baseline, agree with the marks."""
        self.now, self.labelled, self.baseline = now, texts, baseline
        self.texts = sorted(dict.fromkeys(texts.values()), key=marks.text_key)  # an order that tells nothing
        rubric = now.rubric
        names, kept = [criterion.name for criterion in rubric.criteria], self.about.value
        options = [(WHOLE, marks.ALL), *((name, name) for name in names)]  # one may be called like the first
        if list(self.about.options) != options:
            self.about.options = options
            self.about.value = kept if kept in names else marks.ALL
        self._draw()

    def marked(self) -> list[str]:
        """All texts that somebody has marked: their scores are held against the marks, too."""
        try:
            return list(dict.fromkeys(mark["response"] for mark in marks.read_marks(self.folder)))
        except StoreError:  # which `show` tells
            return []

    @property
    def criterion(self) -> str:
        """What marks are about now, as files name it."""
        return self.about.value

    def _marker(self, level: str):
        return lambda: self._mark(level)

    def _mark(self, level: str) -> None:
        who = marks.person(self.who.value)
        try:
            if (response := self._next()) is None:
                return
            mark = marks.Mark(who=who, response=response, level=level, criterion=self.criterion)
            if self.why.value.strip():
                mark["why"] = self.why.value.strip()
            marks.add_mark(self.folder, mark)
        except StoreError as error:
            words = str(error) if who else "Write your name first: marks are kept under it."
            self.told.value = views.status(words, "error")
            return
        self.why.value = ""
        self.last = [*self.last, mark]
        if self._draw():
            score = self.now.score(response, self.criterion)
            judged = "it has no score" if score is None else f"the rubric's score is {score:.0f}"
            self.told.value = views.status(f"You: {level} ({TARGETS[level]}); {judged}.", "ok")

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

    def _marks(self) -> list[marks.Mark]:
        """Everybody's marks of what is marked now."""
        return marks.about(marks.read_marks(self.folder), self.criterion)

    def _next(self) -> str | None:
        """The first text on view that this person has not marked yet."""
        return self._unmarked(self._marks())

    def _unmarked(self, given: list[marks.Mark]) -> str | None:
        """The first text on view without a mark of this person among those that were given."""
        who = marks.person(self.who.value)
        mine = {mark["response"] for mark in given if mark["who"] == who}
        return next((text for text in self.texts if text not in mine), None)

    def _draw(self, _change=None) -> bool:
        """Show it all; whether the files of marks can be read."""
        if self.now is None or self.quiet:
            return True
        try:
            everybody = marks.read_marks(self.folder)
        except StoreError as error:
            self.told.value = views.status(str(error), "error")
            return False
        given = marks.about(everybody, self.criterion)
        who, left = marks.person(self.who.value), self._unmarked(given)
        done = sum(mark["who"] == who and mark["response"] in self.texts for mark in given)
        self.told.value = views.note(f"{done} of {len(self.texts)} texts marked. {HOW}")
        self.text.value = views.whole_text(left) if left else views.status("All texts on view are marked.", "ok")
        for each in self.levels:
            each.disabled = left is None
        self.back.disabled = not self.last
        self._judge(given, everybody)
        return True

    def _judge(self, given: list[marks.Mark], everybody: list[marks.Mark]) -> None:
        """Agreement on the texts that test, and what those that fit suggest."""
        self.points = marks.by_text(given)
        criteria = [criterion.name for criterion in self.now.rubric.criteria]
        before = ""
        if self.baseline and self._differs():
            ranks, kappa, *_ = self._figures(self.baseline)
            if ranks["rho"] is not None:
                told = f"({self.baseline.label}): {views.figures(ranks, kappa)}"
                before = f"<div><b>Before</b> {views.text(told)}</div>"
        self.result.value = (
            views.agreement(*self._figures(self.now))
            + before
            + views.people(agreement.alphas(everybody, criteria), marks.divided(given)[:3])
        )
        fit = {text: points for text, points in self.points.items() if not marks.is_test(text)}
        fit = {text: points for text, points in fit.items() if self.now.score(text, self.criterion) is not None}
        found = suggesting.suggestions(self.now, self.criterion, fit)
        kept = self.offered.value
        self.quiet = True
        self.offered.options = [(each.words, each) for each in found]
        self.offered.value = kept if kept in found else (found or [None])[0]
        self.quiet = False
        self.suggesting.layout.display = None if found else "none"
        self.export.disabled = not everybody
        self._tell_effect()

    def _differs(self) -> bool:
        """Whether the baseline is another rubric, or scores its criteria in other ways."""
        return (self.baseline.rubric, self.baseline.ways) != (self.now.rubric, self.now.ways)

    def _figures(self, state: State) -> tuple:
        """Agreement of a state's scores with the marks that test, as views.agreement takes it."""
        known = {text: state.score(text, self.criterion) for text in self.points if marks.is_test(text)}
        scores = {text: score for text, score in known.items() if score is not None}
        judged, marked = list(scores.values()), [self.points[text] for text in scores]
        return (
            agreement.rank_agreement(judged, marked),
            agreement.kappa(judged, marked),
            agreement.confusion(judged, marked),
            agreement.farthest(scores, self.points)[:3],
        )

    @property
    def suggested(self) -> suggesting.Suggestion | None:
        """What the marks of the other half speak for, as it is chosen."""
        return self.offered.value

    def _tell_effect(self, _change=None) -> None:
        if self.suggested and not self.quiet:
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
            self.on_weights(list(self.suggested.weights))
        else:
            self.on_way(self.suggested.criterion, self.suggested.way.checked(self.suggested.criterion))

    def _export(self) -> None:
        """Write the marked texts beside the rubrics, in place of an earlier export."""
        path = self.folder / EXPORT
        try:
            given = marks.read_marks(self.folder)
            texts = {mark["response"] for mark in given}
            rows = marks.marked_texts(given, {text: self._scored(text) for text in texts})
            files.write_whole(path, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows))
        except StoreError as error:
            self.told.value = views.status(str(error), "error")
        except OSError as error:
            self.told.value = views.status(str(files.unwritable(path, error)), "error")
        else:
            self.told.value = views.status(f"Saved {files.shown(path)}: {len(rows)} marked texts.", "ok")

    def _scored(self, text: str) -> dict:
        scored = drafts.scored(self.now.rubric, self.now.ways, text)
        return files.rounded({"score": scored["total"], "by_criterion": scored["parts"]})
