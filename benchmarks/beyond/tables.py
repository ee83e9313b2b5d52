"""The measurements of this folder as tables of HTML, and texts of theirs to read."""

from benchmarks.beyond.drawings import UNTUNED_LINES, span, under_styles
from benchmarks.beyond.holds import NAME as HOLDS
from benchmarks.beyond.unseen import NAME as UNSEEN
from benchmarks.beyond.unseen import training_of
from benchmarks.comparisons import html_table, with_spread
from benchmarks.measured import all_texts
from cpt_utils.plotting import LABELS
from cpt_utils.rows import TARGETS, Response

HEADS = {"prompting": "prompted", "vector": "vector", "cpt": "tuned"}
"""Short enough for the head of a column."""
POINT = {
    "overall": ("overall", 2),
    "topic": ("topic", 2),
    "word-order gain": ("order_gain", 1),
    "rho, style": ("spearman_rho", 2),
    "rho, meaning": ("meaning_rho", 2),
    "rho, letters": ("letters_rho", 2),
    "degenerate": ("degenerate_rate", 2),
}
"""Head -> what a held-out point of `make reward` calls it, and its digits."""
MEASURES = {"overall": 2, "topic": 2, "order_gain": 1}
"""Digits of each."""
JUDGES = {"score": "rho", "meaning": "rho, meaning", "letters": "rho, letters"}


def holds_table(found: dict) -> str:
    """By condition: each way's gap ± standard error; of the tuned model what is left of it, and that by letters."""
    head = ["", *HEADS.values(), "kept", "by letters"]
    rows = []
    for condition, tuned in found["table"]["cpt"].items():
        gaps = [(found["table"][way].get(condition) or {}).get("gap") for way in HEADS]
        kept = "–" if tuned["kept"] is None else f"{tuned['kept']:.0%}"
        rows.append([condition, *(with_spread(gap, 0) for gap in gaps), kept, with_spread(tuned["letters_gap"], 0)])
    return html_table(head, rows)


def holds_by_way(found: dict) -> str:
    """By condition: overall, topic, word-order gain and rho by two judges, each of all ways, with strokes between."""
    head = ["prompted / vector / tuned", "overall", "topic", "word-order gain", "rho", "rho, letters"]
    rows = []
    for condition in found["table"]["cpt"]:
        ways = [found["table"][way].get(condition) or {} for way in HEADS]
        rhos = [told.get("rho") or {} for told in ways]
        columns = [([told.get(name) for told in ways], digits) for name, digits in MEASURES.items()]
        columns += [([rho.get(judge) for rho in rhos], 2) for judge in ("score", "letters")]
        cells = [" / ".join(with_spread(mean_alone(figure), digits) for figure in many) for many, digits in columns]
        rows.append([condition, *cells])
    return html_table(head, rows)


def mean_alone(figure):
    """Of a mean with its spread the mean; a number, or none, as it is."""
    return figure[0] if isinstance(figure, list) else figure


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
    """By way, with one style and with two: overall, topic, word-order gain, texts not read, and rho by each judge."""
    rows = []
    for way, both in found["ways"].items():
        for number, told in sorted(both.items()):  # one style, then two
            figures = {"overall": 2, "topic": 2, "order_gain": 1, "unread": 0}
            cells = [with_spread(told[name], digits) for name, digits in figures.items()]
            rows.append([f"{way}: {number}", *cells, *(with_spread(told["rho"][name], 2) for name in JUDGES)])
    return html_table(["", "overall", "topic", "word-order gain", "not read", *JUDGES.values()], rows)


def first_texts(part: str, condition: str, rubric: str, side: str = "high") -> dict[str, Response]:
    """{way: its text} on the first prompt of a condition of `make holds`."""
    asked, found = (condition, rubric, TARGETS[side]), {}
    for row in all_texts(HOLDS):
        way, _, told = row["of"].partition(", ")
        if told == part and (row["condition"], row["rubric"], row["target"]) == asked:
            found.setdefault(way, row)
    return {way: found[way] for way in HEADS}


def unseen_table(found: dict) -> str:
    """Untuned, and by number of small rubrics: rho by each judge with its interval, overall, topic and word-order
    gain under rubrics that were held out; rho and overall under those that were trained."""
    rows = [[label, *of_held_out(found["untuned"][way]), "–", "–"] for way, (_, label) in UNTUNED_LINES.items()]
    for count, held in found["held_out"].items():
        trained = [f"{found['trained'][count][name]:.2f}" for name in ("spearman_rho", "overall")]
        rows.append([f"trained, {count} small", *of_held_out(held), *trained])
    return html_table(
        ["", *JUDGES.values(), "overall", "topic", "word-order gain", "trained: rho", "trained: overall"], rows
    )


def of_held_out(figures: dict) -> list[str]:
    """The cells of a row of `unseen_table`."""
    others = [name for name in JUDGES if name != "score"]
    told = [span(figures, "spearman_rho"), *((figures[f"{name}_rho"], figures[f"{name}_ci95"]) for name in others)]
    return [with_interval(*pair) for pair in told] + [with_spread(figures[name], n) for name, n in MEASURES.items()]


def with_interval(mean: float, ends: list[float] | None) -> str:
    """A figure with its interval behind it, if it has one."""
    return f"{mean:.2f}" + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else "")


def by_training(found: dict, more: str, less: str = "0") -> dict[str, tuple[float, float]]:
    """{training: rho under what it held out, with `less` and with `more` small rubrics}."""
    pairs: dict[str, dict[str, float]] = {}
    for unit, figures in found["by_training"].items():
        held, count, seed = training_of(unit)
        name = " and ".join(LABELS[rubric] for rubric in held)
        pairs.setdefault(f"{name}, seed {seed}", {})[count] = figures["spearman_rho"]
    return {name: (rhos[less], rhos[more]) for name, rhos in pairs.items()}


def likest(found: dict) -> dict[str, tuple[str, float]]:
    """{rubric: the small rubric whose high texts the judge scores highest under it, and their mean score}."""
    rubrics = {rubric for scores in found["likeness"].values() for rubric in scores}
    pairs = {rubric: {name: scores[rubric] for name, scores in found["likeness"].items()} for rubric in rubrics}
    return {rubric: max(scores.items(), key=lambda pair: pair[1]) for rubric, scores in sorted(pairs.items())}


def unseen_texts(held: str, rubric: str, seed: int = 42, side: str = "high") -> dict[str, Response]:
    """{number of small rubrics: the first text under a rubric that was held out}, on the first prompt."""
    asked, found = (rubric, TARGETS[side]), {}
    counts = {f"{held}, {count} small, {seed}": count for count in ("0", "16")}
    for row in all_texts(UNSEEN):
        if row["of"] in counts and (row["rubric"], row["target"]) == asked:
            found.setdefault(counts[row["of"]], row)
    return {count: found[count] for count in counts.values()}


def reward_table(found: dict, when: str) -> str:
    """Held-out figures of each run of `make reward`, and of mirrored DPO at its end; `when`: "at_equal_time" (without
    the runs of another machine), "at_equal_steps", or "points" for the last one. Time: how many times DPO's it is.
    """
    dpo = found["mirrored DPO"]
    told = {"mirrored DPO": dpo | {"at_equal_time": dpo["points"], when: dpo["points"]}} | found["runs"]
    rows = []
    for name, run in told.items():
        if run[when]:
            point = run[when][-1] if isinstance(run[when], list) else run[when]
            time = point["cpu_seconds"] / dpo["cpu_seconds"] if run["at_equal_time"] else None
            shown = [with_spread(point.get(key), digits) for key, digits in POINT.values()]
            rows.append([name, str(point["step"]), with_spread(time, 1), *shown])
    return html_table(["", "step", "time", *POINT], rows)
