"""The studio's left side: sliders for the weights, and fields for what a rubric and its criteria say."""

from functools import partial

import ipywidgets as w

from cpt_utils.widgets import drafts
from cpt_utils.widgets.controls import (
    button,
    criterion_panel,
    discard,
    fill_criterion_panel,
    fill_rubric_panel,
    name_levels,
    name_row,
    row,
    rubric_panel,
    show_one,
    weight_row,
)

WORDS = "words"


class Editor(w.VBox):
    """Shows a draft (`fill`) and tells what is done to it.

    `on_type(path, value)`: the path within the draft and its new text or list of lines; `on_weigh(index, weight)`;
    `on_remove(index)`; `on_add()`. `weights` and `criteria` hold a row and a panel of fields for each criterion.
    """

    def __init__(self, on_type, on_weigh, on_remove, on_add):
        self.on_type, self.on_weigh, self.on_remove = on_type, on_weigh, on_remove
        self.words, self.weights, self.criteria, self.shown = rubric_panel(on_type), w.VBox(), w.VBox(), None
        self.add = button("Add a criterion", "A new criterion of average weight", on_add)
        tip = "Edit title, objective, principles and the names of the levels"
        self.edit_words = button("Edit the rubric's words", tip, partial(self.show, WORDS))
        head = w.HTML(f"<b>Weights</b> (steps of {drafts.STEP:g}; they always sum to 100)")
        super().__init__([head, self.weights, row(self.add, self.edit_words), self.words, self.criteria])

    def fill(self, draft: dict) -> None:
        """Put a draft into the fields. Those that are there stay: a page that draws hundreds anew may miss some."""
        fill_rubric_panel(self.words, draft)
        rows, panels, criteria = self.weights.children, self.criteria.children, draft["criteria"]
        for line, panel, criterion in zip(rows, panels, criteria):
            line.children[1].value = criterion["weight"]
            fill_criterion_panel(panel, criterion)
        if len(rows) != len(criteria):
            new = [self._fields_of(draft, i) for i in range(len(rows), len(criteria))]
            self.weights.children = [*rows, *(line for line, _ in new)][: len(criteria)]
            self.criteria.children = [*panels, *(panel for _, panel in new)][: len(criteria)]
            show_one(self.criteria, self.shown)
        self.name_rows(draft)
        for box in (*rows[len(criteria) :], *panels[len(criteria) :]):
            discard(box)

    def _fields_of(self, draft: dict, index: int) -> tuple[w.HBox, w.VBox]:
        """A new row and a new panel for the criterion at this place."""
        criterion = draft["criteria"][index]
        acts = (partial(self.on_weigh, index), partial(self.show, index), partial(self.on_remove, index))
        panel = criterion_panel(criterion, draft["levels"], partial(self._typed_in, index))
        return weight_row(criterion["weight"], drafts.STEP, *acts), panel

    def name_rows(self, draft: dict) -> None:
        """Name rows and fields as the criteria and the levels are called now."""
        for i, (line, criterion) in enumerate(zip(self.weights.children, draft["criteria"]), 1):
            name_row(line, criterion["name"] or f"criterion {i}")
        for panel in self.criteria.children:
            name_levels(panel, draft["levels"])

    def show(self, what) -> None:
        """Open the fields of a criterion (its index) or of the whole rubric (WORDS); once more closes them."""
        self.shown = None if self.shown == what else what
        self.words.layout.display = None if self.shown == WORDS else "none"
        show_one(self.criteria, self.shown)

    def _typed_in(self, index: int, path: tuple, value: str) -> None:
        self.on_type(("criteria", index, *path), value)
