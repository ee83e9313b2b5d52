"""What the committed measurements of this folder come to, with no text judged or written anew."""

import numpy as np

from benchmarks.measured import all_texts

JUDGES = {"score": "series' judge", "meaning": "meaning", "letters": "letters"}
"""The three judges (columns.py), as they are called where they stand side by side."""


def kept(conditions: dict[str, dict]) -> dict[str, float | None]:
    """By condition of `make holds`, of which the first is the first turn: its gap as a share of the first turn's.

    Both are over all pairs. Of a first gap that may be none, or whose error one prompt cannot tell, no share is told.
    """
    whole, error = next(iter(conditions.values()))["gap_of_all"] or (0.0, 0.0)
    known = error is not None and whole > 2 * error
    gaps = {name: one["gap_of_all"] for name, one in conditions.items()}
    return {name: gap[0] / whole if gap and known else None for name, gap in gaps.items()}


def under_styles(shares: dict[str, dict[str, float]], test: str) -> float:
    """Share of right answers with a style asked for, the mean of all styles."""
    return float(np.mean([share[test] for name, share in shares.items() if name != "nothing asked"]))


def slopes_of(grids: dict, judge: str = "score") -> tuple[list[float], list[float]]:
    """Points judged for a point asked, by one of the judges: of each style itself, and by the other of its pair."""
    styles = [style for grid in grids.values() for style in grid["slopes"][judge].values()]
    return tuple([style[name][0] for style in styles] for name in ("own", "interference"))


def training_of(unit: str) -> tuple[list[str], str, str]:
    """What the name of a training of `make unseen` says: the rubrics held out, the number of small ones, the seed."""
    held, small, seed = unit.split(", ")
    return held.split(), small.removesuffix(" small"), seed


def scores_by_target(judge: str = "score") -> dict[str, dict[int, float]]:
    """Of `make unseen`: way, or number of small rubrics -> target -> mean score under rubrics that were not trained.

    Of all seeds, held-out pairs and prompts; texts that the judge could not read are left out.
    """
    scores: dict[str, dict[int, list[float]]] = {}
    for row in all_texts("unseen"):
        held, count, _ = training_of(row["of"]) if "," in row["of"] else ([row["rubric"]], row["way"], "")
        if row["rubric"] in held and row[judge] is not None:
            scores.setdefault(count, {}).setdefault(row["target"], []).append(row[judge])
    return {count: {target: float(np.mean(of)) for target, of in mine.items()} for count, mine in scores.items()}


def way_there(scores: dict[int, float], start: dict[int, float]) -> float:
    """How much of the way from where it started to the highest target the mean score has gone, as a share."""
    target = max(scores)
    return (scores[target] - start[target]) / (target - start[target])


def large_rows(found: dict, count: str) -> float:
    """How many rows of the two large rubrics a training of `make unseen` saw, with so many small ones: the mean."""
    return float(np.mean([seen["large"] for unit, seen in found["rows_seen"].items() if training_of(unit)[1] == count]))
