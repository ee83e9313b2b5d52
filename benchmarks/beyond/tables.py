"""The measurements of this folder as tables of HTML, and texts of theirs to read."""

from benchmarks.beyond.drawings import under_styles
from benchmarks.beyond.holds import NAME as HOLDS
from benchmarks.comparisons import html_table, with_spread
from benchmarks.measured import all_texts
from cpt_utils.rows import TARGETS, Response

HEADS = {"prompting": "prompted", "vector": "vector", "cpt": "tuned"}
"""Short enough for the head of a column."""
JUDGES = {"score": "rho", "meaning": "rho, meaning", "letters": "rho, letters"}


def holds_table(found: dict) -> str:
    """By condition: each way's gap ± standard error; of the tuned model what is left of it, and the other columns."""
    head = ["", *HEADS.values(), "kept", "by letters", "overall", "topic", "order gain"]
    rows = []
    for condition, tuned in found["table"]["cpt"].items():
        gaps = [(found["table"][way].get(condition) or {}).get("gap") for way in HEADS]
        kept = "–" if tuned["kept"] is None else f"{tuned['kept']:.0%}"
        others = {"letters_gap": 0, "overall": 2, "topic": 2, "order_gain": 1}
        told = [with_spread(gap, 0) for gap in gaps] + [kept]
        rows.append([condition, *told, *(with_spread(tuned[name], digits) for name, digits in others.items())])
    return html_table(head, rows)


def lost_table(found: dict) -> str:
    """By test: each way's share of right answers with nothing asked of the style, and the mean under each high."""
    tests = list(found["lost"]["cpt"]["nothing asked"])
    rows = []
    for test in tests:
        told = []
        for way in HEADS:
            shares = found["lost"][way]
            told += [f"{shares['nothing asked'][test]:.2f}", f"{under_styles(shares, test):.2f}"]
        rows.append([test, *told])
    return html_table(["", *(f"{label}, {what}" for label in HEADS.values() for what in ("plain", "high"))], rows)


def two_styles_table(found: dict) -> str:
    """By way, with one style and with two: overall, topic, order gain, texts not read, and rho by each judge."""
    rows = []
    for way, both in found["ways"].items():
        for number, told in sorted(both.items()):  # one style, then two
            figures = {"overall": 2, "topic": 2, "order_gain": 1, "unread": 0}
            cells = [with_spread(told[name], digits) for name, digits in figures.items()]
            rows.append([f"{way}: {number}", *cells, *(with_spread(told["rho"][name], 2) for name in JUDGES)])
    return html_table(["", "overall", "topic", "order gain", "not read", *JUDGES.values()], rows)


def first_texts(part: str, condition: str, rubric: str, side: str = "high") -> dict[str, Response]:
    """{way: its text} on the first prompt of a condition of `make holds`."""
    asked, found = (condition, rubric, TARGETS[side]), {}
    for row in all_texts(HOLDS):
        way, _, told = row["of"].partition(", ")
        if told == part and (row["condition"], row["rubric"], row["target"]) == asked:
            found.setdefault(way, row)
    return {way: found[way] for way in HEADS}
