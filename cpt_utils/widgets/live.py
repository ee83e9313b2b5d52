"""What an edited rubric does, live and without a language model: scores, ranking and prompts."""

import functools

import ipywidgets as w

from cpt_utils.judging import Judgement, embedded_judge
from cpt_utils.plotting import LABELS
from cpt_utils.prompts import load_prompts, load_responses, summary_messages, system_prompt, teacher_messages
from cpt_utils.rows import TARGETS, target_name
from cpt_utils.rubrics import Rubric, load_rubric, shipped_rubrics
from cpt_utils.widgets import drafts, views
from cpt_utils.widgets.controls import field

SHIPPED = [(LABELS[name], name) for name in shipped_rubrics()]
OWN = "your text"
HOW = (
    "Totals are the criterion scores of the offline judge, weighed by your weights. The judge counts traces "
    "of style in the text and does not read the rubric: editing a description or a level changes the "
    "prompts, not these scores. ✗ marks a degenerate text, or one without a score; ▲▼ show how far a text "
    "moved from its rank at the start."
)
STAND_IN = (
    "* The offline judge has no measures for this criterion (it is new or renamed). Its score of the whole "
    "{style} style stands in: a guess, not a measurement. Measured: {measured:g} of the 100 points of "
    "weight."
)


@functools.lru_cache(maxsize=2000)
def judged(style: str, response: str) -> Judgement:
    """A text's judgement, computed once: a moving slider only weighs it anew."""
    return embedded_judge().score(style, "", response)


def flagged(judgement: Judgement) -> str:
    """What is wrong with a text, or with scoring it; "" for nothing."""
    if judgement.degenerate:
        return f"degenerate: {judgement.reason}"
    return f"no score: {judgement.reason}" if judgement.score is None else ""


def texts_for(prompt: str, own: str = "") -> dict[str, str]:
    """The recorded responses to one prompt by label, and the user's own text if there is one."""
    texts = {
        f"{LABELS[row['rubric']]}, {target_name(row['target'])}": row["response"]
        for row in load_responses()
        if row["prompt"] == prompt
    }
    return texts | ({OWN: own.strip()} if own.strip() else {})


def ranked(rubric: Rubric, start: Rubric, style: str, texts: dict[str, str]) -> list[dict]:
    """Texts by their total under `rubric`, best first, each with its rank under the rubric at the start."""
    entries = []
    for label, words in texts.items():
        judgement = judged(style, words)
        entries.append(
            {
                "label": label,
                "text": words,
                "own": label == OWN,
                "flag": flagged(judgement),
                **drafts.weighted_score(rubric, judgement),
                "first": drafts.weighted_score(start, judgement)["total"],
            }
        )
    for rank, entry in enumerate(sorted(entries, key=lambda e: -e["first"]), 1):
        entry["before"] = rank
    return sorted(entries, key=lambda e: -e["total"])


def scores_view(rubric: Rubric, start: Rubric, style: str, texts: dict[str, str], picked: str) -> str:
    """Bars per criterion of the picked text, and the ranking of all."""
    entries = ranked(rubric, start, style, texts)
    one = next(entry for entry in entries if entry["label"] == picked)
    stand_in = ""
    if one["measured"] != 100:
        stand_in = views.note(STAND_IN.format(style=LABELS[style], measured=one["measured"]))
    return (
        views.criterion_bars(rubric, one, one["flag"])
        + stand_in
        + "<div style='margin-top:8px'><b>All texts for this prompt</b></div>"
        + views.ranking(entries)
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
    """Tabs that show a rubric (`show`): scores of recorded and pasted texts, its table, and its prompts."""

    def __init__(self):
        self.rubric = self.start = None
        prompts = [prompt["prompt"] for prompt in load_prompts()]
        targets = [(f"{name} ({target})", target) for name, target in TARGETS.items()]
        self.prompt = field("Prompt", w.Dropdown, options=prompts)
        self.style_of = field("Judged as", w.Dropdown, options=SHIPPED)
        self.own = field(
            "Your text",
            w.Textarea,
            rows=3,
            continuous_update=True,
            placeholder="Paste a text here to see how it scores",
        )
        self.picked = field("Bars for", w.Dropdown, options=list(texts_for(prompts[0])))
        self.target = w.ToggleButtons(options=targets, value=TARGETS["high"], style={"button_width": "90px"})
        html = [w.HTML().add_class("cpt-view") for _ in range(4)]
        self.scores, self.table, self.teacher, self.system = html
        super().__init__(
            [
                w.VBox([self.prompt, self.style_of, self.own, self.picked, self.scores]),
                self.table,
                w.VBox([self.target, self.prompt, self.teacher]),
                w.VBox([self.target, self.system]),
            ],
            selected_index=0,
        )
        for place, title in enumerate(("Scores", "Rubric", "Teacher prompt", "System prompt")):
            self.set_title(place, title)  # not by `titles`, which ipywidgets 7 (Colab's) lacks
        self.own.observe(self._pasted, "value")
        for each in (self.prompt, self.style_of, self.picked, self.target):
            each.observe(self._draw, "value")
        self.observe(self._draw, "selected_index")

    def start_with(self, rubric: Rubric) -> None:
        """Show a rubric that was just opened; the judge scores by the shipped style that is nearest to it."""
        style = drafts.nearest_style(rubric, embedded_judge().parts)
        self.rubric = None  # draw once, when all is set
        self.style_of.value, self.picked.value = style, f"{LABELS[style]}, high"
        self.show(rubric, rubric)

    def show(self, rubric: Rubric, start: Rubric) -> None:
        """Show a valid rubric; ranks are compared with those under `start`."""
        self.rubric, self.start = rubric, start
        self._draw()

    def _pasted(self, change: dict) -> None:
        """A text that has just been pasted is the one to show."""
        rubric, self.rubric = self.rubric, None
        texts = list(texts_for(self.prompt.value, change["new"]))
        picked = OWN if OWN in texts and not change["old"].strip() else self.picked.value
        self.picked.options = texts
        self.picked.value = picked if picked in texts else f"{LABELS[self.style_of.value]}, high"
        self.rubric = rubric
        self._draw()

    def _draw(self, _change=None) -> None:
        """Draw the tab in front; the others wait until they are."""
        if self.rubric is None:
            return
        tab, target = self.selected_index, self.target.value
        if tab == 0:
            texts = texts_for(self.prompt.value, self.own.value)
            style, picked = self.style_of.value, self.picked.value
            self.scores.value = scores_view(self.rubric, self.start, style, texts, picked)
        elif tab == 1:
            self.table.value = views.rubric_table(self.rubric)
        elif tab == 2:
            self.teacher.value = teacher_view(self.rubric, self.prompt.value, target)
        else:
            self.system.value = system_view(self.rubric, target)
