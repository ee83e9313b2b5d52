"""Two states of a rubric side by side: what texts score under either, and which ranks moved."""

from pathlib import Path
from typing import NamedTuple

from cpt_utils.reading import Bound
from cpt_utils.rubrics import Rubric
from cpt_utils.widgets import drafts, views

BASELINE = "baseline.yaml"
"""The file of a state that was kept to compare with."""


class State(NamedTuple):
    """A rubric and how its criteria are scored, under a name for people."""

    label: str
    rubric: Rubric
    ways: dict[str, Bound]

    def score(self, text: str, criterion: str = "") -> float | None:
        """What a text gets as a whole, or by one criterion; None where it has no such score."""
        scored = drafts.scored(self.rubric, self.ways, text)
        return scored["parts"].get(criterion) if criterion else scored["total"]


def keep_state(folder: Path, draft: dict, ways: dict) -> str:
    """Write a state as the baseline, in place of an older one; the name of its file."""
    path = folder / BASELINE
    rubric = drafts.save_draft(draft, path, drafts.text_of(path))
    drafts.save_ways(path, rubric, ways)
    return path.name


def comparison(before: State, now: State, texts: dict[str, str]) -> list[dict]:
    """Texts by their total now, best first: {label, text, before, now, rank_before, rank, parts_before, parts}.

    A text without a total comes last.
    """
    rows = []
    for label, text in texts.items():
        row = {"label": label, "text": text}
        for name, state in (("before", before), ("now", now)):
            scored = drafts.weighed(state.rubric, drafts.by_criterion(state.ways, text))
            row |= {name: scored["total"], f"parts_{name}": scored["parts"]}
        rows.append(row)
    for name, rank in (("before", "rank_before"), ("now", "rank")):
        rows.sort(key=lambda row: -1.0 if row[name] is None else row[name], reverse=True)
        for place, row in enumerate(rows, 1):
            row[rank] = place
    return rows


def moved(rows: list[dict]) -> int:
    """How many texts of a comparison changed their rank."""
    return sum(row["rank"] != row["rank_before"] for row in rows)


def comparison_view(before: State, now: State, texts: dict[str, str]) -> str:
    """Totals before and now, and the criteria that both have where their scores differ."""
    rows = comparison(before, now, texts)
    shared = [c.name for c in now.rubric.criteria if any(c.name == other.name for other in before.rubric.criteria)]
    differing = [name for name in shared if any(_differ(row, name) for row in rows)]
    heads = ["rank", "was", "text", "before", "now", "difference", *differing]
    lines = "".join(_line(row, differing) for row in rows)
    head = "".join(f"<th style='{views.CELL}'>{views.text(name)}</th>" for name in heads)
    told = f"{moved(rows)} of {len(rows)} texts changed their rank. Before: {before.label}. Now: {now.label}."
    return (
        views.status(told)
        + f"<div style='overflow-x:auto'><table style='border-collapse:collapse;line-height:1.4'><tr>{head}</tr>{lines}"
        + "</table></div>"
        + views.note(_criteria(before.rubric, now.rubric))
    )


def _differ(row: dict, name: str) -> bool:
    """Whether a criterion's score, as it is shown, is another one now."""
    return _number(row["parts_before"].get(name)) != _number(row["parts_now"].get(name))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f}"


def _line(row: dict, differing: list[str]) -> str:
    by = row["rank_before"] - row["rank"]
    arrow = f" ▲{by}" if by > 0 else f" ▼{-by}" if by else ""
    known = row["before"] is not None and row["now"] is not None
    cells = [
        f"{row['rank']}{arrow}",
        row["rank_before"],
        row["label"],
        "none" if row["before"] is None else f"{row['before']:.1f}",
        "none" if row["now"] is None else f"{row['now']:.1f}",
        f"{row['now'] - row['before']:+.1f}" if known else "",
        *(f"{_number(row['parts_before'].get(name))} → {_number(row['parts_now'].get(name))}" for name in differing),
    ]
    return f"<tr>{''.join(f'<td style={views.CELL!r}>{views.text(cell)}</td>' for cell in cells)}</tr>"


def _criteria(before: Rubric, now: Rubric) -> str:
    """What became of the criteria, in words."""
    old, new = ({c.name: c for c in rubric.criteria} for rubric in (before, now))
    told = [f"new: {name}" for name in new if name not in old] + [f"gone: {name}" for name in old if name not in new]
    told += [
        f"{name}: weight {old[name].weight:g} → {new[name].weight:g}"
        for name in new
        if name in old and old[name].weight != new[name].weight
    ]
    told += [
        f"{name}: other words"
        for name in new
        if name in old and (old[name].description, old[name].levels) != (new[name].description, new[name].levels)
    ]
    return "; ".join(told) or "Both have the same criteria, weights and words."
