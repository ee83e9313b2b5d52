"""What an edited rubric does, shown without a language model: scores, ranking and prompts, as HTML."""

import functools

from cpt_utils import drafts, views
from cpt_utils.judging import Judgement, embedded_judge
from cpt_utils.plotting import LABELS
from cpt_utils.prompts import load_responses, summary_messages, system_prompt, teacher_messages
from cpt_utils.rubrics import Rubric, load_rubric, shipped_rubrics

OWN = "your text"
HOW = (
    "Totals are the criterion scores of the offline judge, weighed by your weights. The judge counts traces of "
    "style in the text and does not read the rubric: editing a description or a level changes the prompts, "
    "not these scores. ✗ marks a degenerate text; ▲▼ show how far a text moved from its rank at the start."
)
STAND_IN = (
    "* The offline judge has no measures for this criterion (it is new or renamed). Its score of the whole "
    "{style} style stands in: a guess, not a measurement. Measured: {measured:g} of the 100 points of weight."
)


@functools.lru_cache(maxsize=2000)
def judged(style: str, response: str) -> Judgement:
    """A text's judgement, computed once: a moving slider only weighs it anew."""
    return embedded_judge().score(style, "", response)


def texts_for(prompt: str, own: str = "") -> dict[str, str]:
    """The recorded responses to one prompt by label, and the user's own text if there is one."""
    texts = {
        f"{LABELS[row['rubric']]}, {row['qualifier']}": row["response"]
        for row in load_responses() if row["prompt"] == prompt
    }
    return texts | ({OWN: own.strip()} if own.strip() else {})


def ranked(rubric: Rubric, start: Rubric, style: str, texts: dict[str, str]) -> list[dict]:
    """Texts by their total under `rubric`, best first, each with its rank under the rubric at the start."""
    entries = []
    for label, words in texts.items():
        judgement = judged(style, words)
        entries.append({
            "label": label, "text": words, "own": label == OWN, "flag": judgement.reason,
            **drafts.weighted_score(rubric, judgement),
            "first": drafts.weighted_score(start, judgement)["total"],
        })
    for rank, entry in enumerate(sorted(entries, key=lambda e: -e["first"]), 1):
        entry["before"] = rank
    return sorted(entries, key=lambda e: -e["total"])


def scores_view(rubric: Rubric, start: Rubric, style: str, texts: dict[str, str], picked: str) -> str:
    """Bars per criterion of the picked text, and the ranking of all."""
    entries = ranked(rubric, start, style, texts)
    one = next(entry for entry in entries if entry["label"] == picked)
    stand_in = "" if one["measured"] == 100 else views.note(
        STAND_IN.format(style=LABELS[style], measured=one["measured"])
    )
    return (
        views.criterion_bars(rubric, one, one["flag"]) + stand_in
        + "<div style='margin-top:8px'><b>All texts for this prompt</b></div>"
        + views.ranking(entries) + views.note(HOW)
    )


def teacher_view(rubric: Rubric, prompt: str, target: str) -> str:
    said = views.note("What a teacher model is asked, to write a response for this target:")
    return said + views.conversation(teacher_messages(prompt, rubric, target))


def system_view(rubric: Rubric, target: str) -> str:
    """The recorded system prompt where there is one, and the question that it answers."""
    ask = views.conversation(summary_messages(rubric, target))
    if rubric.name not in shipped_rubrics():
        return views.note("Your rubric has no recorded system prompt. Ask a teacher model for one:") + ask
    edited = "" if rubric == load_rubric(rubric.name) else " (written before your edits)"
    return (
        views.note(f"The recorded system prompt{edited}:")
        + views.conversation([{"role": "system", "content": system_prompt(rubric.name, target)}])
        + views.note("The question to a teacher model that such a prompt answers:") + ask
    )
