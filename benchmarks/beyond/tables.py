"""The measurements of this folder as tables of HTML, and texts of theirs to read."""

import numpy as np

from benchmarks.beyond.columns import texts_of
from benchmarks.beyond.holds import NAME as HOLDS
from benchmarks.comparisons import html_table, with_spread
from cpt_utils.rows import TARGETS, Response

WAYS = {"prompting": "prompted", "vector": "vector", "cpt": "tuned"}
"""Short enough for the head of a column."""
JUDGES = {"score": "rho", "meaning": "rho, meaning", "letters": "rho, letters"}


def holds_table(found: dict) -> str:
    """By condition: each way's gap ± standard error; of the tuned model what is left of it, and the other columns."""
    head = ["", *WAYS.values(), "kept", "by letters", "overall", "topic", "order gain"]
    rows = []
    for condition, tuned in found["table"]["cpt"].items():
        gaps = [(found["table"][way].get(condition) or {}).get("gap") for way in WAYS]
        kept = "–" if tuned["kept"] is None else f"{tuned['kept']:.0%}"
        others = [(tuned["letters_gap"], 0), (tuned["overall"], 2)]
        told = [with_spread(*(gap or (None, None)), 0) for gap in gaps] + [kept]
        told += [with_spread(*(figure or (None, None)), digits) for figure, digits in others]
        rows.append([condition, *told, with_spread(tuned["topic"], None, 2), with_spread(tuned["order_gain"], None, 1)])
    return html_table(head, rows)


def lost_table(found: dict) -> str:
    """By test: each way's share of right answers with nothing asked of the style, and the mean under each high."""
    tests = list(found["lost"]["cpt"]["nothing asked"])
    rows = []
    for test in tests:
        told = []
        for way in WAYS:
            shares = found["lost"][way]
            asked = np.mean([share[test] for name, share in shares.items() if name != "nothing asked"])
            told += [f"{shares['nothing asked'][test]:.2f}", f"{asked:.2f}"]
        rows.append([test, *told])
    return html_table(["", *(f"{label}, {what}" for label in WAYS.values() for what in ("plain", "high"))], rows)


def two_styles_table(found: dict) -> str:
    """By way, with one style and with two: overall, topic, order gain, texts not read, and rho by each judge."""
    rows = []
    for way, both in found["ways"].items():
        for number, told in sorted(both.items()):  # one style, then two
            figures = [with_spread(*(told["overall"] or (None, None)), 2)]
            figures += [with_spread(told[name], None, digits) for name, digits in (("topic", 2), ("order_gain", 1))]
            figures.append(f"{told['unread']}")
            rows.append([f"{way}: {number}", *figures, *(with_spread(told["rho"][name], None, 2) for name in JUDGES)])
    return html_table(["", "overall", "topic", "order gain", "not read", *JUDGES.values()], rows)


def first_texts(part: str, condition: str, rubric: str, side: str = "high") -> dict[str, Response]:
    """{way: its text} on the first prompt of a condition of `make holds`."""
    found = {}
    for way in WAYS:
        rows = texts_of(HOLDS, f"{way}, {part}")
        asked = (condition, rubric, TARGETS[side])
        found[way] = next(row for row in rows if (row["condition"], row["rubric"], row["target"]) == asked)
    return found
