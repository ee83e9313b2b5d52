"""What an edited rubric does, live and without a language model: scores, ranking and prompts."""

from pathlib import Path

import ipywidgets as w

from cpt_utils import marks
from cpt_utils.plotting import LABELS
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.rows import TARGETS, target_name
from cpt_utils.rubrics import Rubric, shipped_rubrics
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import StoreError
from cpt_utils.ways import Way
from cpt_utils.widgets import views
from cpt_utils.widgets.bench import BenchView
from cpt_utils.widgets.comparing import CompareView
from cpt_utils.widgets.controls import field
from cpt_utils.widgets.marking import MarksView
from cpt_utils.widgets.prompt_views import system_view, teacher_view
from cpt_utils.widgets.ranking import OWN, scores_view
from cpt_utils.widgets.read_panel import ReadPanel
from cpt_utils.widgets.readers import ChatModels
from cpt_utils.widgets.scores import ScoringWork
from cpt_utils.widgets.scoring import ScoringView
from cpt_utils.widgets.states import State

SHIPPED = [(LABELS[name], name) for name in shipped_rubrics()]
BOTH, RECORDED, MINE = "recorded and own", "recorded for this prompt", "own texts"
STYLE = (
    "<style>.cpt-tabs :is(.lm-TabBar-content, .p-TabBar-content) {flex-wrap: wrap} .cpt-tabs :is(.lm-TabBar-tab, "
    ".p-TabBar-tab) {flex: 1 0 auto !important; max-width: 7em; padding: 0 4px !important; text-align: center}</style>"
)
"""Tabs at least as wide as their names: in one line beside JupyterLab's files at 1280 pixels, in two if need be."""
TABS = ("Scores", "Scoring", "Marks", "Rubric", "Teacher", "System", "Texts", "Compare")


def texts_for(prompt: str) -> dict[str, str]:
    """The recorded responses to one prompt by label."""
    return {
        f"{LABELS[row['rubric']]}, {target_name(row['target'])}": row["response"]
        for row in load_responses()
        if row["prompt"] == prompt
    }


def beside(texts: dict[str, str], own: dict[str, str]) -> dict[str, str]:
    """Texts and then own ones, under other labels where those have theirs already."""
    taken = dict(texts)
    for label, text in own.items():
        while label in taken:
            label += " (own)"
        taken[label] = text
    return taken


class LiveViews(w.Tab):
    """Tabs that show a rubric (`show`): scores of recorded and own texts, how they come about, its table, prompts.

    `on_way(name, way)` hears how a criterion shall be scored from now on (None: not at all), `on_weights(weights)` what
    marks suggest. Marks, own texts and verdicts are kept in `folder`. `teachers`: chat models (readers.ChatModels).
    """

    def __init__(self, folder: Path, on_weights, on_way, teachers=()):
        self.rubric, self.ways = None, {}
        self.models = teachers if isinstance(teachers, ChatModels) else ChatModels(teachers, folder)
        prompts = [prompt["prompt"] for prompt in load_prompts()]
        targets = [(f"{name} ({target})", target) for name, target in TARGETS.items()]
        self.prompt = field("Prompt", w.Dropdown, options=prompts)
        self.which = field("Texts", w.Dropdown, options=[BOTH, RECORDED, MINE])
        self.own = field(
            "Your text",
            w.Textarea,
            rows=3,
            continuous_update=True,
            placeholder="Paste a text here to see how it scores",
        )
        self.picked = field("Open text", w.Dropdown, options=list(texts_for(prompts[0])))
        self.target = w.ToggleButtons(options=targets, value=TARGETS["high"], style={"button_width": "90px"})
        html = [w.HTML().add_class("cpt-view") for _ in range(4)]
        self.scores, self.table, self.teacher, self.system = html
        self.tasks = {row["response"]: row["prompt"] for row in load_responses()}
        self.reads, self.work = ReadPanel(self._draw), ScoringWork(self._draw)
        self.scoring = ScoringView(on_way, list(self.models.judges), self.reads)
        self.marking = MarksView(folder, on_weights, on_way, self.work.ready)
        self.bench = BenchView(folder, self.models, self._list_texts)
        self.compare = CompareView(folder, self._bind, self._draw)
        super().__init__(
            [
                w.VBox(
                    [self.prompt, self.which, self.picked, self.own, self.reads, self.work, self.scores, w.HTML(STYLE)]
                ),
                self.scoring,
                w.VBox([self.work, self.reads, self.marking]),
                self.table,
                w.VBox([self.target, self.prompt, self.teacher]),
                w.VBox([self.target, self.system]),
                w.VBox([self.work, self.bench]),
                w.VBox([self.work, self.compare]),
            ],
            selected_index=0,
        )
        for place, title in enumerate(TABS):
            self.set_title(place, title)  # not by `titles`, which ipywidgets 7 (Colab's) lacks
        self.own.observe(self._pasted, "value")
        self.which.observe(self._list_texts, "value")
        self.prompt.observe(self._prompted, "value")
        for each in (self.prompt, self.picked, self.target):
            each.observe(self._draw, "value")
        self.observe(self._draw, "selected_index")
        self.add_class("cpt-tabs")
        self._prompted()
        self._list_texts()

    def start_with(self, rubric: Rubric, ways: dict[str, Way]) -> None:
        """Show a rubric that was just opened."""
        self.rubric = None  # draw once, when all is set
        label = f"{LABELS.get(rubric.name, '')}, high"
        self.picked.value = label if label in self.picked.options else self.picked.options[0]
        self.opened = State("", rubric, self._bind(rubric, ways))
        self.show(rubric, ways)

    def show(self, rubric: Rubric, ways: dict[str, Way]) -> None:
        """Show a valid rubric; ranks are compared with those of the one that was opened."""
        self.rubric, self.ways = rubric, ways
        self._draw()

    def now(self) -> State:
        """The rubric on view, and its ways with the chat models that read."""
        return State("the rubric as it is now", self.rubric, self._bind(self.rubric, self.ways))

    def _bind(self, rubric: Rubric, ways: dict[str, Way]) -> dict:
        return self.models.bind(rubric, ways, self.tasks)

    def texts(self) -> dict[str, str]:
        """The texts on view, by label."""
        own = {text["label"]: text["response"] for text in self.bench.texts}
        texts = {} if self.which.value == MINE else texts_for(self.prompt.value)
        if pasted := files.encodable(self.own.value.strip()):  # as marks keep it: half an emoji is none
            texts[OWN] = pasted
        return texts if self.which.value == RECORDED else beside(texts, own)

    def _prompted(self, _change=None) -> None:
        """The prompt on view is what a teacher is asked to write about, unless something else was typed."""
        if self.bench.task.value in ("", *self.prompt.options):
            self.bench.task.value = self.prompt.value

    def _pasted(self, change: dict) -> None:
        """A text that has just been pasted is the one to show."""
        self._list_texts(prefer=OWN if not change["old"].strip() else None)

    def _list_texts(self, _change=None, prefer: str | None = None) -> None:
        """There are other texts than before: own ones, or a pasted one."""
        self.which.layout.display = None if self.bench.texts else "none"
        if not self.bench.texts and self.which.value == MINE:
            self.which.value = BOTH
        self.tasks |= {text["response"]: text["prompt"] for text in self.bench.texts if text["prompt"]}
        rubric, self.rubric = self.rubric, None
        texts, picked = list(self.texts()), self.picked.value
        picked = prefer if prefer in texts else picked
        if list(self.picked.options) != texts:
            self.picked.options = texts
        self.picked.value = picked if picked in texts else texts[0]
        self.rubric = rubric
        self._draw()

    def _draw(self, _change=None) -> None:
        """Draw the tab in front; the others wait until they are."""
        if self.rubric is None:
            return
        if self.bench.others():
            self._list_texts()  # which draws
            return
        try:
            self._draw_tab()
        except StoreError as error:  # of a file of verdicts; a page does not show what an observer raises
            self.reads.tell(str(error))

    def _draw_tab(self) -> None:
        tab, target, texts, now = TABS[self.selected_index], self.target.value, self.texts(), self.now()
        everybody = self.marking.read() if tab == "Marks" else []
        marked = list(dict.fromkeys(mark["response"] for mark in marks.by_rubric(everybody or [], self.rubric.name)))
        self.reads.show(now.rubric, now.ways, [*texts.values(), *marked])
        self.compare.follow(self.opened, now, self.ways)
        scored = [row["response"] for row in self.bench.texts] if tab == "Texts" else list(texts.values())
        before = (self.compare.baseline() if tab in ("Marks", "Compare") else None) or now
        states = [now, before, self.opened if tab in ("Scores", "Compare") else now]
        ways = [way for state in states for way in state.ways.values()]
        held = self.marking.hold  # else what it suggests for another rubric could be taken
        if tab in ("Scores", "Marks", "Texts", "Compare") and not self.work.ready(ways, scored + marked, held):
            return
        if tab == "Scores":
            self.scores.value = scores_view(self.opened, now, texts, self.picked.value)
        elif tab == "Scoring":
            self.scoring.show(self.rubric, self.ways, texts, self.picked.value)
        elif tab == "Marks":
            self.marking.show(now, texts, before, everybody)
        elif tab == "Texts":
            self.bench.show(now)
        elif tab == "Compare":
            self.compare.show(texts)
        elif tab == "Rubric":
            self.table.value = views.rubric_table(self.rubric)
        elif tab == "Teacher":
            self.teacher.value = teacher_view(self.rubric, self.prompt.value, target)
        else:
            self.system.value = system_view(self.rubric, target)
