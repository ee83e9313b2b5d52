"""Small HTML views for the widgets. Every text is escaped here: model text is never trusted."""

import html

from cpt_utils.plotting import NO_FORMULAS
from cpt_utils.rubrics import LEVEL_SCORES, Rubric

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#9A9A9A"
CELL = "text-align:left;vertical-align:top;padding:4px 6px;border:1px solid #8886;white-space:normal"
NUMBER = "text-align:right;padding-left:8px;white-space:nowrap"
SMALL = "font-size:12px;opacity:.8;line-height:1.4;margin:4px 0"


def text(words: object) -> str:
    """Escaped text that keeps its line breaks."""
    return html.escape(str(words)).replace("\n", "<br>")


def note(words: str) -> str:
    """A small explanatory line."""
    return f"<div style='{SMALL}'>{text(words)}</div>"


def status(words: str, kind: str = "info") -> str:
    """One line of state. The sign says as much as the colour: for readers who do not see colours."""
    sign, colour = {"ok": ("✓", "#009E73"), "error": ("✗", "#D55E00"), "info": ("•", GREY)}[kind]
    return (
        f"<div style='border-left:4px solid {colour};padding:2px 8px;line-height:1.4;overflow-wrap:anywhere'>"
        f"<b>{sign}</b> {text(words)}</div>"
    )


def bar(value: float, colour: str = BLUE, hatched: bool = False) -> str:
    """A horizontal bar for a value of 0-100; hatched for values that are only a stand-in."""
    fill = f"repeating-linear-gradient(45deg,{colour} 0 4px,transparent 4px 8px)" if hatched else colour
    return (
        "<div style='background:#8883;height:14px;border-radius:2px;overflow:hidden;min-width:60px'>"
        f"<div style='width:{min(max(value, 0), 100):.1f}%;height:100%;background:{fill}'></div></div>"
    )


def rubric_table(rubric: Rubric) -> str:
    """The rubric as a table of criteria by level."""
    heads = ["Criterion", *(f"{n} ({s})" for n, s in zip(rubric.levels, LEVEL_SCORES)), "Weight"]
    rows = "".join(
        f"<tr><td style='{CELL}'><b>{text(c.name)}</b><br>{text(c.description)}</td>"
        + "".join(f"<td style='{CELL}'>{text(level)}</td>" for level in c.levels)
        + f"<td style='{CELL}'><b>{c.weight:g}%</b></td></tr>"
        for c in rubric.criteria
    )
    principles = "".join(f"<li>{text(p)}</li>" for p in rubric.guiding_principles)
    notes = f"<p><b>Scoring.</b> {text(rubric.scoring_notes)}</p>" if rubric.scoring_notes else ""
    return (
        f"<div {NO_FORMULAS} style='line-height:1.4;overflow-x:auto'><h3 style='margin:4px 0'>{text(rubric.title)}</h3>"
        f"<p><b>Objective.</b> {text(rubric.objective)}</p>"
        f"<ul style='margin:4px 0 8px'>{principles}</ul>"
        "<table style='border-collapse:collapse;font-size:12px;line-height:1.35'><tr>"
        + "".join(f"<th style='{CELL}'>{text(h)}</th>" for h in heads)
        + f"</tr>{rows}</table>{notes}</div>"
    )


def conversation(turns: list[dict]) -> str:
    """Chat messages as they are sent, one block a turn."""
    return "".join(
        f"<div style='{SMALL}'><b>{text(turn['role'])}</b></div>"
        "<div style='border:1px solid #8886;padding:6px 8px;white-space:pre-wrap;overflow-wrap:anywhere;"
        "font-family:monospace;font-size:12px;line-height:1.4;max-height:340px;overflow-y:auto'>"
        f"{html.escape(turn['content'])}</div>"
        for turn in turns
    )


def criterion_bars(rubric: Rubric, scored: dict, flag: str) -> str:
    """Bars of one text: a row per criterion, with what it adds to the total (drafts.weighted_score)."""
    rows = "".join(
        f"<tr><td style='padding:1px 8px 1px 0;overflow-wrap:anywhere'>{text(c.name)}"
        f"{'' if known else '<b>*</b>'}</td>"
        f"<td style='width:38%'>{bar(score, BLUE if known else GREY, not known)}</td>"
        f"<td style='{NUMBER}'>{score:.0f} × {c.weight:g}%</td>"
        f"<td style='{NUMBER}'>= {score * c.weight / 100:.1f}</td>"
        "</tr>"
        for c, (score, known) in ((c, scored["parts"][c.name]) for c in rubric.criteria)
    )
    flagged = f" <b>✗ {text(flag)}</b>" if flag else ""
    return (
        f"<table style='width:100%;line-height:1.4'>{rows}<tr><td><b>total</b>{flagged}</td>"
        f"<td>{bar(scored['total'], ORANGE)}</td><td></td>"
        f"<td style='text-align:right;white-space:nowrap'><b>{scored['total']:.1f}</b></td></tr></table>"
    )


def ranking(entries: list[dict]) -> str:
    """Texts by total {label, text, total, own, flag}, best first; `before` is the rank at first weights."""

    def moved(entry: dict, rank: int) -> str:
        by = entry["before"] - rank
        if by == 0:
            return ""
        return f"▲{by}" if by > 0 else f"▼{-by}"

    rows = "".join(
        f"<tr style='{'outline:2px solid ' + ORANGE if entry['own'] else ''}'>"
        f"<td style='text-align:right;padding-right:6px'>{rank}</td>"
        f"<td style='white-space:nowrap;padding-right:6px'>{moved(entry, rank)}</td>"
        f"<td style='white-space:nowrap;padding-right:8px'>{text(entry['label'])}</td>"
        f"<td style='width:24%'>{bar(entry['total'], ORANGE if entry['own'] else BLUE)}</td>"
        f"<td style='text-align:right;padding:0 8px'>{entry['total']:.1f}{'✗' if entry['flag'] else ''}</td>"
        "<td style='max-width:0;width:36%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;"
        f"font-size:12px;opacity:.8'>{html.escape(' '.join(entry['text'].split())[:120])}</td></tr>"
        for rank, entry in enumerate(entries, 1)
    )
    return f"<table style='width:100%;line-height:1.5;border-collapse:collapse'>{rows}</table>"
