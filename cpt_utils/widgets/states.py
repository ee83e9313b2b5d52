"""Two states of a rubric side by side: what texts score under either, and which ranks moved."""

from collections.abc import Iterable
from typing import NamedTuple

from cpt_utils.reading import Bound, Reading, unasked
from cpt_utils.rubrics import Rubric
from cpt_utils.widgets import drafts, lacks, views

WHOLE = {
    "title": "title",
    "objective": "objective",
    "guiding_principles": "list of guiding principles",
    "levels": "name of a level",
    "scoring_notes": "note on scoring",
}
"""What a rubric says beside its criteria; a chat model that reads one of them is told it, too."""


class Standing(NamedTuple):
    """What texts get in a state, by text: `parts`, the score by each criterion, None for none, and `scores`.

    `scores`, as wholes or by one criterion, are those that can be held against each other. `left_out`: how many texts
    have none, and which criteria cannot read which texts, and why; "" where all is there.
    """

    parts: dict[str, dict[str, float | None]]
    scores: dict[str, float]
    left_out: str


class State(NamedTuple):
    """A rubric and how its criteria are scored, under a name for people."""

    label: str
    rubric: Rubric
    ways: dict[str, Bound]

    @property
    def unasked(self) -> list[str]:
        """The criteria that a chat model would be asked for if they weighed something."""
        return unasked(self.rubric, self.ways)

    def told(self, text: str, criterion: str = "") -> str:
        """What a text gets as a whole, or by one criterion, in words."""
        scored = drafts.scored(self.rubric, self.ways, text)
        score = scored["parts"].get(criterion) if criterion else scored["total"]
        why = self._why({text: scored["parts"]}, criterion)
        if score is None:
            return f"it has no score. {why}".strip()
        part = "" if criterion or scored["rests_on"] >= 100 else f" (from {scored['rests_on']:g} of 100 points)"
        return f"the rubric's score is {score:.0f}{part}. {why}".strip()

    def standing(self, texts: Iterable[str], criterion: str = "") -> Standing:
        """What texts get as wholes, or by one criterion.

        Totals rest on the same criteria: those by which some of these texts have a score, and those that a chat model
        reads. A text that lacks one of them is left out.
        """
        scored = {text: drafts.scored(self.rubric, self.ways, text) for text in texts}
        parts = {text: each["parts"] for text, each in scored.items()}
        base = self._base(parts, criterion)
        whole = [text for text, given in parts.items() if base and all(given.get(name) is not None for name in base)]
        scores = {text: parts[text][criterion] if criterion else scored[text]["total"] for text in whole}
        why, left = self._why(parts, criterion), len(parts) - len(whole)
        told = f"{left} of {lacks.counted(len(parts))} {'is' if left == 1 else 'are'} left out. " if left else ""
        return Standing(parts, scores, told + why if why else "")

    def _why(self, parts: dict[str, dict], criterion: str) -> str:
        """Which of the scores that count are lacking, and why."""
        counting = {name: self.ways[name] for name in self._counting(criterion)}
        return lacks.sentences(counting, parts, self.unasked)

    def _counting(self, criterion: str) -> list[str]:
        """The criteria that count, and have a way to be scored."""
        names = [criterion] if criterion else [each.name for each in self.rubric.criteria if each.weight]
        return [name for name in names if name in self.ways]

    def _base(self, parts: dict[str, dict], criterion: str) -> list[str]:
        """What scores rest on: the criteria by which a text has a score, or gets one once it is read."""
        known = {name for given in parts.values() for name, score in given.items() if score is not None}
        counting = self._counting(criterion)
        return [name for name in counting if name in known or isinstance(self.ways[name], Reading)]


def ranks(totals: list[float | None]) -> list[int | None]:
    """The place of each total, 1 for the highest, None for none. Equal ones, by the tenths that are shown, share it."""
    tenths = [None if total is None else round(total, 1) for total in totals]
    order = sorted((each for each in tenths if each is not None), reverse=True)
    first = {total: place for place, total in reversed(list(enumerate(order, 1)))}
    return [first.get(each) for each in tenths]


def comparison(before: Standing, now: Standing, texts: dict[str, str]) -> list[dict]:
    """Texts by their total now, best first: {label, text, before, now, rank_before, rank, parts_before, parts_now}.

    `texts` by label; `before` and `now` are theirs. Where both states have totals, texts with both are ranked; the
    others have no rank, and come last.
    """
    rows = [{"label": label, "text": text} for label, text in texts.items()]
    for name, standing in (("before", before), ("now", now)):
        for row in rows:
            row[name], row[f"parts_{name}"] = standing.scores.get(row["text"]), standing.parts[row["text"]]
    both = before.scores.keys() & now.scores.keys()
    for name, rank, scores in (("before", "rank_before", before.scores), ("now", "rank", now.scores)):
        ranked = both or scores.keys()
        for row, place in zip(rows, ranks([row[name] if row["text"] in ranked else None for row in rows])):
            row[rank] = place
    return sorted(rows, key=lambda row: len(rows) if row["rank"] is None else row["rank"])


def moved(rows: list[dict]) -> int:
    """How many texts of a comparison changed their rank."""
    places = [(row["rank_before"], row["rank"]) for row in rows]
    return sum(None not in pair and pair[0] != pair[1] for pair in places)


def comparison_view(before: State, now: State, texts: dict[str, str]) -> str:
    """Totals before and now, and the criteria that both have where their scores differ."""
    standings = [state.standing(texts.values()) for state in (before, now)]
    rows = comparison(*standings, texts)
    shared = [c.name for c in now.rubric.criteria if any(c.name == other.name for other in before.rubric.criteria)]
    differing = [name for name in shared if any(_differ(row, name) for row in rows)]
    heads = ["rank", "was", "text", "before", "now", "difference", *differing]
    lines = "".join(_line(row, differing) for row in rows)
    head = "".join(f"<th style='{views.CELL}'>{views.text(name)}</th>" for name in heads)
    told = f"{moved(rows)} of {len(rows)} texts changed their rank. Before: {before.label}. Now: {now.label}."
    short = [f"{when}: {of.left_out}" for when, of in zip(("Before", "Now"), standings) if of.left_out]
    return (
        views.status(told)
        + "".join(map(views.status, short))
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
    """What became of the rubric and of its criteria, in words."""
    told = [
        f"another {said}" for part, said in WHOLE.items() if getattr(before.rubric, part) != getattr(now.rubric, part)
    ]
    old, new = ({c.name: c for c in state.rubric.criteria} for state in (before, now))
    told += [f"new: {name}" for name in new if name not in old] + [f"gone: {name}" for name in old if name not in new]
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
