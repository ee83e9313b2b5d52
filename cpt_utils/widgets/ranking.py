"""The ranking of texts under a rubric, and how far each moved since the rubric was opened."""

from cpt_utils.widgets import drafts, lacks, views
from cpt_utils.widgets.states import Standing, State, comparison, ranks

OWN = "your text"
HOW = (
    "Totals weigh the scores of the criteria by your weights. A criterion is scored as the tab Scoring says; what is "
    "written in descriptions and levels changes the prompts, and scores only where a chat model reads. ✗ marks a "
    "degenerate text; ▲▼ show how far a text moved from its rank at the start. A text that lacks a score comes last, "
    "without a rank: its total rests on fewer points."
)
UNSCORED = "No score yet for {names}: say in the tab Scoring how to score it."


def ranked(now: State, texts: dict[str, str], standing: Standing, before: Standing) -> list[dict]:
    """Texts by label, best first: {label, text, own, flag, parts, total, rests_on, rank, by}.

    `standing` and `before`: theirs now, and when the rubric was opened. What cannot be held against the others has no
    rank (None) and comes last. `by`: how many ranks a text has risen, as the tab Compare tells it.
    """
    by = {
        row["label"]: row["rank_before"] - row["rank"]
        for row in comparison(before, standing, texts)
        if row["rank_before"] and row["rank"]
    }
    places = ranks([standing.scores.get(text) for text in texts.values()])
    entries = [
        {"label": label, "text": text, "own": label == OWN, "flag": drafts.flagged(text), "rank": rank}
        | {"by": by.get(label, 0)}
        | drafts.weighed(now.rubric, standing.parts[text])
        for (label, text), rank in zip(texts.items(), places)
    ]
    ahead = sorted((entry for entry in entries if entry["rank"]), key=lambda e: e["rank"])
    behind = [entry for entry in entries if not entry["rank"]]
    return ahead + sorted(behind, key=lambda e: -1 if e["total"] is None else e["total"], reverse=True)


def placed(now: State, texts: dict[str, str]) -> list[tuple]:
    """The same as a picture has them: (rank, label, total, parts), a total where there is a rank."""
    standing = now.standing(texts.values())
    return [
        (entry["rank"], entry["label"], entry["total"] if entry["rank"] else None, entry["parts"])
        for entry in ranked(now, texts, standing, standing)
    ]


def scores_view(opened: State, now: State, texts: dict[str, str], picked: str) -> str:
    """The picked text with its score by criterion, and the ranking of all."""
    before, standing = (state.standing(texts.values()) for state in (opened, now))
    entries = ranked(now, texts, standing, before)
    one = next(entry for entry in entries if entry["label"] == picked)
    lacking = ", ".join(criterion.name for criterion in now.rubric.criteria if criterion.name not in now.ways)
    told = [UNSCORED.format(names=lacking) if lacking else "", standing.left_out]
    if (rests_on := entries[0]["rests_on"]) < 100 and entries[0]["rank"]:  # the others with a rank rest on the same
        told.append(f"Totals rest on {rests_on:g} of 100 points.")
    return (
        "<div><b>The texts, best first</b></div>"
        + views.ranking(entries, picked)
        + (views.status(" ".join(filter(None, told))) if any(told) else "")
        + f"<div style='margin-top:8px'><b>{views.text(picked)}</b></div>"
        + views.criterion_bars(now.rubric, one, lacks.unasked(now.ways, now.unasked, one["text"]))
        + views.whole_text(one["text"])
        + views.note(HOW)
    )
