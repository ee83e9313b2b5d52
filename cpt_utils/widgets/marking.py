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

    `on_weights(weights)` and `on_way(name, way)` hear of suggestions that were taken.
    """

    def __init__(self, folder: Path, on_weights, on_way):
        self.folder, self.on_weights, self.on_way = folder, on_weights, on_way
        self.now: State | None = None
        self.baseline: State | None = None
        self.labelled: dict[str, str] = {}
        self.texts: list[str] = []
        self.quiet = False
        self.who = field("Your name", w.Text, placeholder="as the others shall see it")
        self.about = field("Marks of", w.Dropdown, options=[WHOLE])
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
        self.last: list[str] = []
        for each in (self.who, self.about):
            each.observe(self._draw, "value")
        self.offered.observe(self._tell_effect, "value")

    def show(self, now: State, texts: dict[str, str], baseline: State | None = None) -> None:
        """Show the next text to mark of these, and how far scores now, and at the baseline, agree with the marks."""
        self.now, self.labelled, self.baseline = now, texts, baseline
        self.texts = sorted(dict.fromkeys(texts.values()), key=marks.text_key)  # an order that tells nothing
        rubric = now.rubric
        names, kept = [WHOLE, *(criterion.name for criterion in rubric.criteria)], self.about.value
        if list(self.about.options) != names:
            self.about.options = names
            self.about.value = kept if kept in names else WHOLE
        self._draw()

    @property
    def criterion(self) -> str:
        """What marks are about now, as files name it."""
        return marks.ALL if self.about.value == WHOLE else self.about.value

    def _marker(self, level: str):
        return lambda: self._mark(level)

    def _mark(self, level: str, response: str | None = None) -> None:
        response = self._next() if response is None else response
        if response is None:
            return
        mark = marks.Mark(who=marks.person(self.who.value), response=response, level=level, criterion=self.criterion)
        if self.why.value.strip() and level:
            mark["why"] = self.why.value.strip()
        try:
            marks.add_mark(self.folder, mark)
        except StoreError as error:
            words = "Write your name first: marks are kept under it." if not mark["who"] else str(error)
            self.told.value = views.status(words, "error")
            return
        self.why.value = ""
        self.last = [*self.last, response] if level else self.last[:-1]
        self._draw()
        score = self.now.score(response, self.criterion)
        judged = "it has no score" if score is None else f"the rubric's score is {score:.0f}"
        if level:
            self.told.value = views.status(f"You: {level} ({TARGETS[level]}); {judged}.", "ok")

    def _take_back(self) -> None:
        if self.last:
            self._mark("", self.last[-1])

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

    def _draw(self, _change=None) -> None:
        if self.now is None or self.quiet:
            return
        try:
            given = self._marks()
        except StoreError as error:
            self.told.value = views.status(str(error), "error")
            return
        who, left = marks.person(self.who.value), self._unmarked(given)
        done = sum(mark["who"] == who and mark["response"] in self.texts for mark in given)
        self.told.value = views.note(f"{done} of {len(self.texts)} texts marked. {HOW}")
        self.text.value = views.whole_text(left) if left else views.status("All texts on view are marked.", "ok")
        for each in self.levels:
            each.disabled = left is None
        self.back.disabled = not self.last
        self._judge(given)

    def _judge(self, given: list[marks.Mark]) -> None:
        """Agreement on the texts that test, and what those that fit suggest."""
        self.points = marks.by_text(given)
        everybody = marks.read_marks(self.folder)
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
