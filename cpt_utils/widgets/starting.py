"""Where a rubric starts: empty, pasted, or drafted by a teacher from one sentence."""

import ipywidgets as w

from cpt_utils.drafting import drafted_rubric, empty_rubric, pasted_rubric
from cpt_utils.rubrics import Rubric, shipped_rubrics
from cpt_utils.runtime.errors import CptError, RubricError
from cpt_utils.widgets import drafts, views
from cpt_utils.widgets.controls import button, field, row
from cpt_utils.widgets.live import SHIPPED
from cpt_utils.widgets.readers import ChatModels
from cpt_utils.widgets.work import Work


def start_panel(models: ChatModels, on_rubric) -> w.VBox:
    """Three ways to begin; `on_rubric(rubric)` hears of the rubric that was begun."""
    panel = StartPanel(models, on_rubric)
    panel.layout.display = "none"

    def unfold() -> None:
        panel.layout.display = None if panel.layout.display else "none"

    begin = button("Start anew ...", "An empty rubric, a pasted one, or one that a teacher drafts", unfold)
    told = [w.HTML(views.status(models.fault, "error"))] if models.fault else []
    return w.VBox([row(begin), panel, *told])


def show_source(source: w.Dropdown, opened: str) -> None:
    """Say which shipped rubric or file the rubric on view is, so that any other can be chosen."""
    source.options = SHIPPED if opened in shipped_rubrics() else [*SHIPPED, (opened, opened)]
    source.value = opened


class StartPanel(w.VBox):
    """What `start_panel` unfolds."""

    def __init__(self, models: ChatModels, on_rubric):
        self.models, self.on_rubric = models, on_rubric
        self.drafted: Rubric | None = None
        self.empty = button(
            "An empty rubric", "One criterion, and words to replace", lambda: self._begin(empty_rubric())
        )
        self.pasted = field(
            "Rubric's text",
            w.Textarea,
            rows=4,
            placeholder="YAML, or the text layout of the original release, with tabs",
        )
        self.read = button("Read the text", "Start from the pasted rubric", self._read)
        self.sentence = field("One sentence", w.Textarea, rows=2, placeholder="the style you have in mind")
        self.teacher = field("Teacher", w.Dropdown, options=models.names())
        self.draft = Work("Have it drafted", "Ask this teacher for a rubric of that style", self._draft, self._take)
        self.told = w.HTML().add_class("cpt-told")
        super().__init__(
            [row(self.empty), self.pasted, row(self.read), self.told, self.sentence, self.teacher, self.draft]
        )

    def _begin(self, rubric: Rubric) -> None:
        """Begin with a rubric, its weights in whole steps, as sliders have them."""
        self.on_rubric(Rubric.checked(drafts.with_weights(rubric.model_dump(), _in_steps(rubric))))

    def _read(self) -> None:
        try:
            rubric = pasted_rubric(self.pasted.value)
            self._begin(rubric)
        except RubricError as error:
            self.told.value = views.status(str(error), "error")
            return
        self.told.value = views.status(f"Read.{_moved(rubric)} Undo goes back to what was there.", "ok")

    def _draft(self):
        name, sentence = self.teacher.value, self.sentence.value
        if not sentence.strip():
            raise RubricError("There is no sentence: say in one what the style is.")
        self.drafted = None

        def draft(work: Work) -> str:
            work.say(f"{name} drafts a rubric ...")
            try:
                found = drafted_rubric(self.models.teacher(name, work.stop), sentence)
            except CptError:
                if not work.stop.is_set():
                    raise
                found = None
            if work.stop.is_set():
                return "Nothing was changed."
            self.drafted = found
            count = len(found.criteria)
            return f"{name} drafted {found.title!r} with {count} criteria.{_moved(found)} Undo goes back."

        return draft

    def _take(self) -> None:
        if self.drafted is not None:
            self._begin(self.drafted)


def _in_steps(rubric: Rubric) -> list[float]:
    """A rubric's weights in whole steps."""
    return drafts.apportion([criterion.weight for criterion in rubric.criteria])


def _moved(rubric: Rubric) -> str:
    """What to say of the weights that `_in_steps` changes; "" of none."""
    pairs = [(criterion.weight, now) for criterion, now in zip(rubric.criteria, _in_steps(rubric))]
    moved = [f"{now:g} (was {was:g})" for was, now in pairs if abs(was - now) > 1e-6]
    return f" Weights move in steps of {drafts.STEP:g} here: {', '.join(moved)}." if moved else ""
