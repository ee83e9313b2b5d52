"""What an edited rubric does, live and without a language model: scores, ranking and prompts."""

from pathlib import Path

import ipywidgets as w

from cpt_utils.plotting import LABELS
from cpt_utils.prompts import load_prompts, load_responses, summary_messages, system_prompt, teacher_messages
from cpt_utils.rows import TARGETS, target_name
from cpt_utils.rubrics import Rubric, load_rubric, shipped_rubrics
from cpt_utils.ways import Way, flaw
from cpt_utils.widgets import drafts, views
from cpt_utils.widgets.controls import field
from cpt_utils.widgets.marking import MarksView
from cpt_utils.widgets.scoring import ScoringView

SHIPPED = [(LABELS[name], name) for name in shipped_rubrics()]
OWN = "your text"
HOW = (
    "Totals weigh the scores of the criteria by your weights. A criterion is scored as the tab Scoring says; what is "
    "written in descriptions and levels changes the prompts, not these scores. ✗ marks a degenerate text; ▲▼ show how "
    "far a text moved from its rank at the start."
)
UNSCORED = (
    "No score yet for {names}: say in the tab Scoring how to score it. Totals rest on {rests_on:g} of 100 points."
)


def texts_for(prompt: str, own: str = "") -> dict[str, str]:
    """The recorded responses to one prompt by label, and the user's own text if there is one."""
    texts = {
        f"{LABELS[row['rubric']]}, {target_name(row['target'])}": row["response"]
        for row in load_responses()
        if row["prompt"] == prompt
    }
    return texts | ({OWN: own.strip()} if own.strip() else {})


def ranked(rubric: Rubric, start: Rubric, ways: dict[str, Way], texts: dict[str, str]) -> list[dict]:
    """Texts by their total under `rubric`, best first, each with its rank under the rubric at the start.

    `ways`: how each criterion is scored (ways.ways_of). A text without a total comes last.
    """
    entries = []
    for label, words in texts.items():
        entry = {"label": label, "text": words, "own": label == OWN, "flag": flagged(words)}
        scores = drafts.by_criterion(ways, words)
        first = drafts.weighed(start, scores)["total"]
        entries.append(entry | drafts.weighed(rubric, scores) | {"first": first})
    for rank, entry in enumerate(sorted(entries, key=lambda e: -_number(e["first"])), 1):
        entry["before"] = rank
    return sorted(entries, key=lambda e: -_number(e["total"]))


def _number(total: float | None) -> float:
    return -1.0 if total is None else total


def flagged(text: str) -> str:
    """What is wrong with a text; "" for nothing. One of a few words has hardly a style to measure."""
    reason = flaw(text)
    return "too short to be scored" if reason == "empty" and any(map(str.isalnum, text)) else reason


def scores_view(rubric: Rubric, start: Rubric, ways: dict[str, Way], texts: dict[str, str], picked: str) -> str:
    """The picked text with its score by criterion, and the ranking of all."""
    entries = ranked(rubric, start, ways, texts)
    one = next(entry for entry in entries if entry["label"] == picked)
    lacking = [criterion.name for criterion in rubric.criteria if criterion.name not in ways]
    told = UNSCORED.format(names=", ".join(lacking), rests_on=one["rests_on"]) if lacking else ""
    return (
        "<div><b>All texts for this prompt</b></div>"
        + views.ranking(entries, picked)
        + (views.status(told) if told else "")
        + f"<div style='margin-top:8px'><b>{views.text(picked)}</b></div>"
        + views.criterion_bars(rubric, one)
        + views.whole_text(one["text"])
        + views.note(HOW)
    )


def teacher_view(rubric: Rubric, prompt: str, target: int) -> str:
    said = views.note("What a teacher model is asked, to write a response for this target:")
    return said + views.conversation(teacher_messages(prompt, rubric, target))


def system_view(rubric: Rubric, target: int) -> str:
    """The recorded system prompt where there is one, and the question that it answers."""
    ask = views.conversation(summary_messages(rubric, target))
    if rubric.name not in shipped_rubrics():
        return views.note("Your rubric has no recorded system prompt. Ask a teacher model for one:") + ask
    edited = "" if rubric == load_rubric(rubric.name) else " (written before your edits)"
    return (
        views.note(f"The recorded system prompt{edited}:")
        + views.conversation([{"role": "system", "content": system_prompt(rubric.name, target)}])
        + views.note("The question to a teacher model that such a prompt answers:")
        + ask
    )


class LiveViews(w.Tab):
    """Tabs that show a rubric (`show`): scores of recorded and pasted texts, how they come about, its table, prompts.

    `on_way(name, way)` hears how a criterion shall be scored from now on (None: not at all), `on_weights(weights)` what
    marks suggest. Marks are kept in `folder`.
    """

    def __init__(self, folder: Path, on_weights, on_way):
        self.rubric, self.start, self.ways = None, None, {}
        prompts = [prompt["prompt"] for prompt in load_prompts()]
        targets = [(f"{name} ({target})", target) for name, target in TARGETS.items()]
        self.prompt = field("Prompt", w.Dropdown, options=prompts)
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
        self.scoring, self.marking = ScoringView(on_way), MarksView(folder, on_weights, on_way)
        super().__init__(
            [
                w.VBox([self.prompt, self.picked, self.own, self.scores]),
                self.scoring,
                self.marking,
                self.table,
                w.VBox([self.target, self.prompt, self.teacher]),
                w.VBox([self.target, self.system]),
            ],
            selected_index=0,
        )
        for place, title in enumerate(("Scores", "Scoring", "Marks", "Rubric", "Teacher", "System")):
            self.set_title(place, title)  # not by `titles`, which ipywidgets 7 (Colab's) lacks
        self.own.observe(self._pasted, "value")
        for each in (self.prompt, self.picked, self.target):
            each.observe(self._draw, "value")
        self.observe(self._draw, "selected_index")

    def start_with(self, rubric: Rubric, ways: dict[str, Way]) -> None:
        """Show a rubric that was just opened."""
        self.rubric = None  # draw once, when all is set
        label = f"{LABELS.get(rubric.name, '')}, high"
        self.picked.value = label if label in self.picked.options else self.picked.options[0]
        self.show(rubric, rubric, ways)

    def show(self, rubric: Rubric, start: Rubric, ways: dict[str, Way]) -> None:
        """Show a valid rubric; ranks are compared with those under `start`."""
        self.rubric, self.start, self.ways = rubric, start, ways
        self._draw()

    def texts(self) -> dict[str, str]:
        """The texts on view, by label."""
        return texts_for(self.prompt.value, self.own.value)

    def _pasted(self, change: dict) -> None:
        """A text that has just been pasted is the one to show."""
        rubric, self.rubric = self.rubric, None
        texts, picked = list(self.texts()), self.picked.value
        if OWN in texts and not change["old"].strip():
            picked = OWN
        self.picked.options = texts
        self.picked.value = picked if picked in texts else texts[0]
        self.rubric = rubric
        self._draw()

    def _draw(self, _change=None) -> None:
        """Draw the tab in front; the others wait until they are."""
        if self.rubric is None:
            return
        tab, target = self.selected_index, self.target.value
        if tab == 0:
            self.scores.value = scores_view(self.rubric, self.start, self.ways, self.texts(), self.picked.value)
        elif tab == 1:
            self.scoring.show(self.rubric, self.ways, self.texts(), self.picked.value)
        elif tab == 2:
            self.marking.show(self.rubric, self.ways, self.texts())
        elif tab == 3:
            self.table.value = views.rubric_table(self.rubric)
        elif tab == 4:
            self.teacher.value = teacher_view(self.rubric, self.prompt.value, target)
        else:
            self.system.value = system_view(self.rubric, target)
