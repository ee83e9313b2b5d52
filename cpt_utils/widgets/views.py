"""Small HTML views for the widgets. Every text is escaped here: model text is never trusted."""

import html
from collections.abc import Container

from cpt_utils.agreement import LEAST, LIMITS, meaning
from cpt_utils.plotting import NO_FORMULAS
from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import LEVEL_SCORES, Criterion, Rubric
from cpt_utils.runtime.files import encodable

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#9A9A9A"
AS_WRITTEN = "white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext;"
"""Lines as they are, each in the direction of its own script."""
CELL = "text-align:left;vertical-align:top;padding:4px 6px;border:1px solid #8886;white-space:normal"
NUMBER = "text-align:right;padding-left:8px;white-space:nowrap"
UNSCORED = "text-align:right;padding-left:8px"  # longer words than a number: they break before names do
SMALL = "font-size:12px;opacity:.8;line-height:1.4;margin:4px 0"


def escaped(words: object) -> str:
    """Words as a page takes them: no tag among them, and no half of a character, which no message can hold."""
    return html.escape(encodable(str(words)))


def text(words: object) -> str:
    """Escaped text that keeps its line breaks."""
    return escaped(words).replace("\n", "<br>")


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


def bar(value: float, colour: str = BLUE) -> str:
    """A horizontal bar for a value of 0-100."""
    return (
        "<div style='background:#8883;height:14px;border-radius:2px;overflow:hidden;min-width:30px'>"
        f"<div style='width:{min(max(value, 0), 100):.1f}%;height:100%;background:{colour}'></div></div>"
    )


def rubric_table(rubric: Rubric) -> str:
    """The rubric as a table of criteria by level."""
    heads = ["Criterion", "Weight", *(f"{n} ({s})" for n, s in zip(rubric.levels, LEVEL_SCORES))]
    rows = "".join(
        f"<tr><td style='{CELL}'><b>{text(c.name)}</b><br>{text(c.description)}</td>"
        f"<td style='{CELL}'><b>{c.weight:g}%</b></td>"
        + "".join(f"<td style='{CELL}'>{text(level)}</td>" for level in c.levels)
        + "</tr>"
        for c in rubric.criteria
    )
    principles = "".join(f"<li>{text(p)}</li>" for p in rubric.guiding_principles)
    notes = f"<p><b>Scoring.</b> {text(rubric.scoring_notes)}</p>" if rubric.scoring_notes else ""
    return (
        f"<div {NO_FORMULAS} style='line-height:1.4'><h3 style='margin:4px 0'>{text(rubric.title)}</h3>"
        f"<p><b>Objective.</b> {text(rubric.objective)}</p>"
        f"<ul style='margin:4px 0 8px'>{principles}</ul>"
        "<div style='overflow-x:auto'><table style='border-collapse:collapse;font-size:12px;line-height:1.35'><tr>"
        + "".join(f"<th style='{CELL}'>{text(h)}</th>" for h in heads)
        + f"</tr>{rows}</table></div>{notes}</div>"
    )


def conversation(turns: list[dict]) -> str:
    """Chat messages as they are sent, one block a turn."""
    return "".join(
        f"<div style='{SMALL}'><b>{text(turn['role'])}</b></div>"
        f"<div style='border:1px solid #8886;padding:6px 8px;{AS_WRITTEN}"
        "font-family:monospace;font-size:12px;line-height:1.4;max-height:340px;overflow-y:auto'>"
        f"{escaped(turn['content'])}</div>"
        for turn in turns
    )


def criterion_bars(rubric: Rubric, entry: dict, unasked: Container[str] = ()) -> str:
    """Bars of one text (ranking.ranked): a row per criterion, with what it adds to the total.

    `unasked`: criteria that no chat model is asked for.
    """
    rows = "".join(_criterion_row(c, entry["parts"][c.name], c.name in unasked) for c in rubric.criteria)
    flagged = f" <b>✗ {text(entry['flag'])}</b>" if entry["flag"] else ""
    total = "" if entry["total"] is None else f"{entry['total']:.1f}"
    return (
        f"<table style='width:100%;line-height:1.4;border-collapse:collapse'>{rows}"
        f"<tr><td><b>total</b>{rests(entry)}{flagged}</td>"
        f"<td>{bar(entry['total'] or 0, ORANGE)}</td><td></td>"
        f"<td style='text-align:right;white-space:nowrap'><b>{total or 'none'}</b></td></tr></table>"
    )


def _criterion_row(criterion: Criterion, score: float | None, unasked: bool) -> str:
    scored = score is not None
    share = f"= {score * criterion.weight / 100:.1f}" if scored else ""
    told = f"{score:.0f}" if scored else "not asked" if unasked else "no score"
    return (
        f"<tr><td style='padding:1px 8px 1px 0;overflow-wrap:anywhere;min-width:5.6em'>{text(criterion.name)}</td>"
        f"<td style='width:25%'>{bar(score or 0, BLUE if scored else GREY)}</td>"  # more would break names within words
        f"<td style='{NUMBER if scored else UNSCORED}'>{told} × {criterion.weight:g}%</td>"
        f"<td style='{NUMBER}'>{share}</td></tr>"
    )


def ranking(entries: list[dict], opened: str = "") -> str:
    """Texts by total (ranking.ranked), best first; those without a rank with what their total rests on."""

    def moved(entry: dict) -> str:
        return f"▲{entry['by']}" if entry["by"] > 0 else f"▼{-entry['by']}" if entry["by"] else ""

    rows = "".join(
        f"<tr style='{'outline:2px solid ' + ORANGE if entry['own'] else ''}'>"
        f"<td style='text-align:right;padding-right:6px'>{entry['rank'] or ''}</td>"
        f"<td style='white-space:nowrap;padding-right:6px'>{moved(entry)}</td>"
        f"<td style='padding-right:8px;overflow-wrap:anywhere'>{'<b>' * (entry['label'] == opened)}"
        f"{text(entry['label'])}{'</b>' * (entry['label'] == opened)}"
        f"{'' if entry['rank'] or entry['total'] is None else rests(entry)}</td>"
        f"<td style='width:35%'>{bar(entry['total'] or 0, _colour(entry))}</td>"
        f"<td style='{NUMBER}'>{'none' if entry['total'] is None else format(entry['total'], '.1f')}"
        f"{'✗' if entry['flag'] else ''}</td></tr>"
        for entry in entries
    )
    return f"<table style='width:100%;line-height:1.5;border-collapse:collapse'>{rows}</table>"


def _colour(entry: dict) -> str:
    return GREY if entry["rank"] is None else ORANGE if entry["own"] else BLUE


def rests(entry: dict) -> str:
    """What a total rests on, where that is not the whole."""
    return "" if entry["rests_on"] >= 100 else f" <small>(rests on {entry['rests_on']:g} of 100)</small>"


def whole_text(words: str) -> str:
    """One text to read, escaped, with its line breaks."""
    return (
        f"<div style='border:1px solid #8886;padding:6px 10px;margin:4px 0;{AS_WRITTEN}"
        f"line-height:1.45;max-height:220px;overflow-y:auto'>{escaped(words)}</div>"
    )


def strip(values: list[float], low: float, high: float) -> str:
    """Where texts lie on a measure: a tick each, and the two anchors as lines marked 0 and 100."""
    ends = [*values, low, high]
    least, most = min(ends), max(ends)
    width = (most - least) or 1.0

    def place(value: float) -> str:
        return f"{1 + 92 * (value - least) / width:.1f}%"

    ticks = "".join(
        f"<div style='position:absolute;left:{place(value)};top:14px;width:2px;height:16px;background:{BLUE};"
        "opacity:.6'></div>"
        for value in values
    )
    anchors = "".join(
        f"<div style='position:absolute;left:{place(value)};top:0;height:34px;border-left:2px solid {ORANGE};"
        f"padding-left:3px;font-size:11px;line-height:12px'>{label}</div>"
        for label, value in (("0", low), ("100", high))
    )
    told = f"{least:.3g} to {most:.3g}; a blue tick is a text on view"
    if len(set(values)) == 1:
        told += ". All of them have the same value: this measure does not tell them apart"
    return (
        "<div style='position:relative;height:36px;border-bottom:1px solid #8886;margin:4px 0'>"
        f"{ticks}{anchors}</div>{note(told)}"
    )


def agreement(marked: int, ranks: dict, kappa, confusion, apart: list[tuple]) -> str:
    """What marks say of scores (see cpt_utils.agreement); the texts of the testing half only, `marked` of them."""
    if ranks["rho"] is None:
        told = f"{marked} marked texts of the testing half"
        if ranks["n"] < LEAST <= marked:
            having = f"only {ranks['n']} of them have" if ranks["n"] else "none of them has"
            return status(
                f"{told}, and {having} a score yet: say in the tab Scoring how texts get one, and have them read there "
                f"if a chat model reads them. {LEAST} are needed to say how far scores agree with marks."
            )
        why = f"{LEAST} are needed" if marked < LEAST else "marks or scores are all alike, too much"
        return note(f"{told}: {why} to say how far scores agree with marks.")
    parts = [f"<div><b>Scores against marks:</b> {text(figures(ranks, kappa))}</div>", confusion_table(confusion)]
    parts += [_apart(f"score {by:+.0f} points from the marks", response) for response, by in apart if abs(by) > 20]
    return "".join(parts)


def figures(ranks: dict, kappa: float | None) -> str:
    """Agreement in a line; ranks["rho"] is there."""
    targets = ", ".join(map(str, TARGETS.values()))
    known = "" if kappa is None else f"; kappa {kappa:.2f} (levels by the nearest of {targets}; quadratic)"
    return f"rho {ranks['rho']:.2f} [{ranks['low']:.2f}, {ranks['high']:.2f}] on {ranks['n']} texts{known}"


def people(alphas: dict[str, dict], divided: list[tuple]) -> str:
    """How far people mean the same, by agreement.alphas, and the texts that divide them most."""
    known = {name: (found["alpha"], found["n"]) for name, found in alphas.items() if found["alpha"] is not None}
    if not known:
        return ""
    tentative, reliable = LIMITS.values()
    rows = "".join(
        f"<tr><td style='padding:1px 8px 1px 0;overflow-wrap:anywhere;min-width:6.5em'>{text(name or 'whole texts')}"
        f"</td><td style='width:20%'>{_scale(alpha, n)}</td><td style='{NUMBER}'>{alpha:.2f}</td>"
        f"<td style='padding-left:8px'>on {n} text{'s' * (n != 1)}: {meaning(alpha, n)}</td></tr>"
        for name, (alpha, n) in known.items()
    )
    told = (
        f"Krippendorff's alpha, on texts that two people marked; the lines are the usual limits, {tentative:.2f} and "
        f"{reliable:.2f}. It is judged from {LEAST} texts upwards."
    )
    parts = [f"<div><b>People among each other</b></div><table style='width:100%;line-height:1.4'>{rows}</table>"]
    parts.append(note(told))
    for response, given in divided:
        parts.append(_apart(", ".join(f"{mark['who']}: {mark['level']}" for mark in given), response))
    return "".join(parts)


def _scale(alpha: float, n: int) -> str:
    """0 to 1 as a bar, with the limits drawn; grey where it is not judged."""
    lines = "".join(
        f"<div style='position:absolute;left:{100 * limit:.1f}%;top:0;height:100%;border-left:2px solid {ORANGE}'>"
        "</div>"
        for limit in LIMITS.values()
    )
    return f"<div style='position:relative'>{bar(100 * alpha, GREY if n < LEAST else BLUE)}{lines}</div>"


def _apart(words: str, response: str) -> str:
    """A folded text with what is said of it."""
    return f"<details><summary style='cursor:pointer'>{text(words)}</summary>{whole_text(response)}</details>"


def confusion_table(counts) -> str:
    """Counts of texts by level marked (rows) and nearest to (columns)."""
    heads = "".join(f"<th style='{CELL}'>judged {name}</th>" for name in TARGETS)
    rows = "".join(
        f"<tr><th style='{CELL}'>marked {name}</th>{''.join(f'<td style={CELL!r}>{count}</td>' for count in row)}</tr>"
        for name, row in zip(TARGETS, counts)
    )
    return (
        f"<table style='border-collapse:collapse;font-size:12px;margin:4px 0'><tr><td></td>{heads}</tr>{rows}</table>"
    )
