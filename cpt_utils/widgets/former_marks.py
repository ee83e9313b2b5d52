"""Marks in the folder that do not count for the rubric on view, though they may be meant for it."""

from pathlib import Path
from typing import NamedTuple

import ipywidgets as w

from cpt_utils import marks
from cpt_utils.marks import Mark
from cpt_utils.rubrics import Rubric, shipped_rubrics
from cpt_utils.runtime.errors import StoreError
from cpt_utils.widgets import views
from cpt_utils.widgets.controls import button, field, row


class Offer(NamedTuple):
    """Marks that can be counted, in words; `criterion`: the one that they would count for, None for their own."""

    words: str
    given: list[Mark]
    criterion: str | None


def offers(everybody: list[Mark], rubric: Rubric, criterion: str) -> list[Offer]:
    """What can be counted for a rubric, or for the criterion that is marked now.

    Marks that name no rubric; for a rubric of one's own, as it may be a later version, those by other ones; and those
    about a criterion that has gone, as it may have another name now.
    """
    names = [each.name for each in rubric.criteria]
    fit = [mark for mark in everybody if mark["criterion"] in (marks.ALL, *names)]
    others = sorted({mark["rubric"] for mark in fit} - {rubric.name})
    if rubric.name in shipped_rubrics():
        others = [name for name in others if name == marks.UNNAMED]
    found = [
        (f"by {name!r}" if name else "of an earlier version, by no named rubric", marks.by_rubric(fit, name), None)
        for name in others
    ]
    if criterion != marks.ALL:
        ours = marks.by_rubric(everybody, rubric.name)
        found += [(f"about {name!r}", marks.about(ours, name), criterion) for name in gone(everybody, rubric)]
    counts = [len(marks.uncounted(everybody, given, rubric.name, into)) for _, given, into in found]
    return [Offer(f"{count} {words}", given, into) for count, (words, given, into) in zip(counts, found) if count]


def gone(everybody: list[Mark], rubric: Rubric) -> list[str]:
    """The criteria of marks by a rubric that it does not have (any more)."""
    ours = {mark["criterion"] for mark in marks.by_rubric(everybody, rubric.name)}
    return sorted(ours - {marks.ALL, *(each.name for each in rubric.criteria)})


class FormerMarks(w.VBox):
    """Tells of such marks, and counts those that are chosen; `on_taken()` hears of it."""

    def __init__(self, folder: Path, on_taken):
        self.folder, self.on_taken = folder, on_taken
        self.rubric: Rubric | None = None
        self.told = w.HTML().add_class("cpt-told")
        self.offered = field("Other marks", w.Dropdown)
        self.take = button("Count them here, too", "Count the marks chosen above for this rubric", self._take)
        self.choice = w.VBox([self.offered, row(self.take)])
        super().__init__([self.told, self.choice], layout=w.Layout(display="none"))

    def show(self, everybody: list[Mark], rubric: Rubric, criterion: str) -> None:
        """Tell of the marks that do not count for this rubric; of none, nothing."""
        self.rubric = rubric
        found, lost = offers(everybody, rubric, criterion), gone(everybody, rubric)
        told = []
        if found:
            told.append(
                f"Marks that do not count for {rubric.name!r}: {'; '.join(each.words for each in found)}. If they were "
                "meant for it, or it is a later version of that rubric or criterion, count them."
            )
        if lost and criterion == marks.ALL:
            told.append(
                f"There are marks about {', '.join(map(repr, lost))}, which this rubric does not have: if a criterion "
                "has another name now, choose it in Marks of, and count them for it."
            )
        self.told.value = views.status(" ".join(told)) if told else ""
        self.offered.options = [(each.words, each) for each in found]
        self.offered.index = 0 if found else None
        self.choice.layout.display = None if found else "none"
        self.layout.display = None if told else "none"

    def _take(self) -> None:
        if (offer := self.offered.value) is None:
            return
        try:
            marks.take_over(self.folder, offer.given, self.rubric.name, offer.criterion)
        except StoreError as error:
            self.told.value = views.status(str(error), "error")
            return
        self.on_taken()
