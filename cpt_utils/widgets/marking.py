"""The studio's tab Marks: a person marks texts unseen, and sees how far the rubric's scores agree."""

from pathlib import Path

import ipywidgets as w

from cpt_utils import agreement, marks
from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import Rubric
from cpt_utils.runtime.errors import StoreError
from cpt_utils.ways import Counted, Way
from cpt_utils.widgets import drafts, views
from cpt_utils.widgets.controls import button, field, row

WHOLE = "the whole text"
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
        self.rubric, self.ways, self.texts, self.suggested = None, {}, [], None
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
        self.take = button("Take the suggestion", "Change the rubric as suggested above", self._take)
        super().__init__(
            [self.who, self.about, self.text, self.why, row(*self.levels, self.back), self.told, self.result, self.take]
        )
        self.last: list[str] = []
        for each in (self.who, self.about):
            each.observe(self._draw, "value")

    def show(self, rubric: Rubric, ways: dict[str, Way], texts: dict[str, str]) -> None:
        """Show the next text to mark of these, and how far the scores under the rubric agree with the marks."""
        self.rubric, self.ways = rubric, ways
        self.texts = sorted(dict.fromkeys(texts.values()), key=marks.text_key)  # an order that tells nothing
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
        mark = marks.Mark(who=self.who.value.strip(), response=response, level=level, criterion=self.criterion)
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
        score = self._scores([response]).get(response)
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
        who = self.who.value.strip()
        mine = {mark["response"] for mark in given if mark["who"] == who}
        return next((text for text in self.texts if text not in mine), None)

    def _scores(self, texts: list[str]) -> dict[str, float]:
        """What texts get now, as a whole or by the criterion; without those that have no score."""
        found = {}
        for text in texts:
            scored = drafts.scored(self.rubric, self.ways, text)
            score = scored["parts"].get(self.criterion) if self.criterion else scored["total"]
            if score is not None:
                found[text] = score
        return found

    def _draw(self, _change=None) -> None:
        if self.rubric is None:
            return
        try:
            given = self._marks()
        except StoreError as error:
            self.told.value = views.status(str(error), "error")
            return
        who, left = self.who.value.strip(), self._unmarked(given)
        done = sum(mark["who"] == who and mark["response"] in self.texts for mark in given)
        self.told.value = views.note(f"{done} of {len(self.texts)} texts marked. {HOW}")
        self.text.value = views.whole_text(left) if left else views.status("All texts on view are marked.", "ok")
        for each in self.levels:
            each.disabled = left is None
        self.back.disabled = not self.last
        self._judge(given)

    def _judge(self, given: list[marks.Mark]) -> None:
        """Agreement on the texts that test, and what those that fit suggest."""
        points = marks.by_text(given)
        scores = self._scores(list(points))
        test = [text for text in scores if marks.is_test(text)]
        fit = {text: points[text] for text in scores if not marks.is_test(text)}
        judged, marked = [scores[text] for text in test], [points[text] for text in test]
        self.suggested = self._suggestion(fit)
        self.result.value = views.agreement(
            agreement.rank_agreement(judged, marked),
            agreement.kappa(judged, marked),
            agreement.confusion(judged, marked),
            agreement.farthest({text: scores[text] for text in test}, points)[:3],
            agreement.alpha(given),
            marks.divided(given)[:3],
            self._told(fit),
        )
        self.take.layout.display = None if self.suggested else "none"

    def _suggestion(self, fit: dict[str, float]):
        """Weights (whole texts), or a way to score (a criterion), that the marks of the fitting half speak for."""
        texts, points = list(fit), list(fit.values())
        if self.criterion:
            return agreement.suggest_anchors(texts, points) or agreement.suggest_examples(fit)
        parts = [drafts.scored(self.rubric, self.ways, text)["parts"] for text in texts]
        known = [c.name for c in self.rubric.criteria if parts and all(part[c.name] is not None for part in parts)]
        found = agreement.suggest_weights({name: [part[name] for part in parts] for name in known}, points)
        if not found:
            return None
        shares = [found.get(criterion.name, 0.0) for criterion in self.rubric.criteria]
        return drafts.apportion(shares)

    def _told(self, fit: dict[str, float]) -> str:
        """The suggestion in words; "" without one."""
        if not self.suggested:
            return ""
        if isinstance(self.suggested, list):
            named = (f"{c.name} {weight:g}" for c, weight in zip(self.rubric.criteria, self.suggested))
            return f"The {len(fit)} marks of the other half speak for the weights: {', '.join(named)}."
        if isinstance(self.suggested, Counted):
            ends = f"{self.suggested.low:g} is worth 0, {self.suggested.high:g} is worth 100"
            return f"The {len(fit)} marks of the other half speak for counting {self.suggested.measure}: {ends}."
        return f"The {len(fit)} marks of the other half give examples of both ends, to liken texts to."

    def _take(self) -> None:
        if isinstance(self.suggested, list):
            self.on_weights(self.suggested)
        elif self.suggested:
            self.on_way(self.criterion, self.suggested.checked(self.criterion))
