"""Two states of a rubric side by side: what texts score under either, and which ranks moved."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cpt_utils.reading import Bound, Reading
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

    def scores(self, texts: Iterable[str], criterion: str = "") -> dict[str, float]:
        """Those of the texts that can be held against each other, with their scores as wholes or by one criterion.

        Totals rest on the same criteria: those by which some of these texts have a score, and those that a chat model
        reads. A text that lacks one of them is left out.
        """
        parts = {text: drafts.by_criterion(self.ways, text) for text in texts}
        base = self._base(parts, criterion)
        whole = {text: given for text, given in parts.items() if base and not _without(given, base)}
        if criterion:
            return {text: given[criterion] for text, given in whole.items()}
        return {text: drafts.weighed(self.rubric, given)["total"] for text, given in whole.items()}

    def left_out(self, texts: Iterable[str], criterion: str = "") -> str:
        """How many of the texts `scores` leaves out, and for lack of what; "" for none."""
        parts = {text: drafts.by_criterion(self.ways, text) for text in texts}
        base = self._base(parts, criterion)
        lacks = [missing for given in parts.values() if (missing := _without(given, base))]
        named = ", ".join(name for name in base if any(name in missing for missing in lacks))
        return (
            f"{len(lacks)} of {len(parts)} texts are left out, as they have no score yet for {named}" if lacks else ""
        )

    def _base(self, parts: dict[str, dict], criterion: str) -> list[str]:
        """What scores rest on: the criteria by which a text has a score, or gets one once it is read."""
        names = [criterion] if criterion else [each.name for each in self.rubric.criteria if each.weight]
        known = {name for given in parts.values() for name, score in given.items() if score is not None}
        return [name for name in names if name in known or isinstance(self.ways.get(name), Reading)]


def _without(given: dict[str, float | None], names: list[str]) -> list[str]:
    """The names that have no score."""
    return [name for name in names if given.get(name) is None]


def keep_state(folder: Path, draft: dict, ways: dict) -> str:
    """Write a state as the baseline, in place of an older one; the name of its file."""
    path = folder / BASELINE
    rubric = drafts.save_draft(draft, path, drafts.text_of(path))
    drafts.save_ways(path, rubric, ways)
    return path.name


def comparison(before: State, now: State, texts: dict[str, str]) -> list[dict]:
    """Texts by their total now, best first: {label, text, before, now, rank_before, rank, parts_before, parts_now}.

    Equal totals share a rank, by the tenths that are shown. Where both states have totals (State.scores), texts with
    both are ranked; the others have no rank, and come last.
    """
    totals = {name: state.scores(texts.values()) for name, state in (("before", before), ("now", now))}
    rows = []
    for label, text in texts.items():
        row = {"label": label, "text": text} | {name: known.get(text) for name, known in totals.items()}
        for name, state in (("before", before), ("now", now)):
            row[f"parts_{name}"] = drafts.scored(state.rubric, state.ways, text)["parts"]
        rows.append(row)
    both = set(totals["before"]) & set(totals["now"])
    for name, rank in (("before", "rank_before"), ("now", "rank")):
        ranked = both or set(totals[name])
        tenths = sorted((round(row[name], 1) for row in rows if row["text"] in ranked), reverse=True)
        first = {total: place for place, total in reversed(list(enumerate(tenths, 1)))}
        for row in rows:
            row[rank] = first[round(row[name], 1)] if row["text"] in ranked else None
    return sorted(rows, key=lambda row: len(rows) if row["rank"] is None else row["rank"])


def moved(rows: list[dict]) -> int:
    """How many texts of a comparison changed their rank."""
    return sum(None not in (ranks := (row["rank"], row["rank_before"])) and ranks[0] != ranks[1] for row in rows)


def comparison_view(before: State, now: State, texts: dict[str, str]) -> str:
    """Totals before and now, and the criteria that both have where their scores differ."""
    rows = comparison(before, now, texts)
    shared = [c.name for c in now.rubric.criteria if any(c.name == other.name for other in before.rubric.criteria)]
    differing = [name for name in shared if any(_differ(row, name) for row in rows)]
    heads = ["rank", "was", "text", "before", "now", "difference", *differing]
    lines = "".join(_line(row, differing) for row in rows)
    head = "".join(f"<th style='{views.CELL}'>{views.text(name)}</th>" for name in heads)
    told = f"{moved(rows)} of {len(rows)} texts changed their rank. Before: {before.label}. Now: {now.label}."
    short = [(state.label, state.left_out(texts.values())) for state in (before, now)]
    return (
        views.status(told)
        + "".join(views.status(f"{words} ({label}).") for label, words in short if words)
        + f"<div style='overflow-x:auto'><table style='border-collapse:collapse;line-height:1.4'><tr>{head}</tr>{lines}"
        + "</table></div>"
        + views.note(_criteria(before, now))
    )


def _differ(row: dict, name: str) -> bool:
    """Whether a criterion's score, as it is shown, is another one now."""
    return _number(row["parts_before"].get(name)) != _number(row["parts_now"].get(name))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f}"


def _line(row: dict, differing: list[str]) -> str:
    known = row["before"] is not None and row["now"] is not None
    by = row["rank_before"] - row["rank"] if known else 0
    arrow = f" ▲{by}" if by > 0 else f" ▼{-by}" if by else ""
    cells = [
        f"{row['rank'] or ''}{arrow}",
        row["rank_before"] or "",
        row["label"],
        "none" if row["before"] is None else f"{row['before']:.1f}",
        "none" if row["now"] is None else f"{row['now']:.1f}",
        f"{row['now'] - row['before']:+.1f}" if known else "",
        *(f"{_number(row['parts_before'].get(name))} → {_number(row['parts_now'].get(name))}" for name in differing),
    ]
    return f"<tr>{''.join(f'<td style={views.CELL!r}>{views.text(cell)}</td>' for cell in cells)}</tr>"


def _criteria(before: State, now: State) -> str:
    """What became of the criteria, in words."""
    old, new = ({c.name: c for c in state.rubric.criteria} for state in (before, now))
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
    told += [f"{name}: other scoring" for name in new if name in old and _way(before, name) != _way(now, name)]
    return "; ".join(told) or "Both have the same criteria, weights, words and scoring."


def _way(state: State, name: str) -> object:
    """How a criterion is scored, whatever it says: other words are told apart from that."""
    way = state.ways.get(name)
    return way.judge if isinstance(way, Reading) else way
