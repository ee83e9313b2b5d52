"""The measurements of this folder as tables of HTML, and texts of theirs to read."""

import numpy as np

from benchmarks.beyond.drawings import UNTUNED_LINES, span
from benchmarks.beyond.holds import NAME as HOLDS
from benchmarks.beyond.summary import JUDGES as JUDGE_NAMES
from benchmarks.beyond.summary import kept, large_rows, scores_by_target, slopes_of, training_of, under_styles
from benchmarks.beyond.unseen import NAME as UNSEEN
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
    """By condition: each way's gap over all pairs ± standard error, and how many pairs were not read, with strokes
    between; of the tuned model what is left of its first turn's gap, and the gap by letters."""
    head = ["", *HEADS.values(), "pairs not read", "kept", "by letters"]
    rows, shares = [], kept(found["table"]["cpt"])
    for condition, tuned in found["table"]["cpt"].items():
        ways = [found["table"][way].get(condition) or {} for way in HEADS]
        unread = " / ".join(with_spread(told.get("unread_pairs"), 0) for told in ways)
        share = "–" if shares[condition] is None else f"{shares[condition]:.0%}"
        gaps = [with_spread(told.get("gap_of_all"), 0) for told in ways]
        rows.append([condition, *gaps, unread, share, with_spread(tuned["letters_gap"], 0)])
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


def slopes_table(found: dict, by_style: tuple[str, ...] = ()) -> str:
    """By way, and of some ways by style: what a point asked of the style itself does to its score, and what one asked
    of the other style of its pair does to it, by each judge. A way's are means of its styles; those of a style have
    their intervals."""
    places = [(part, judge) for part in ("own", "interference") for judge in JUDGE_NAMES]
    rows = []
    for way, grids in found["grids"].items():
        means = [slopes_of(grids, judge)[part == "interference"] for part, judge in places]
        rows.append([f"{way}: mean", *(f"{np.mean(slopes):z.2f}" for slopes in means)])
        for grid in grids.values() if way in by_style else ():
            for style in grid["slopes"]["score"]:
                told = [grid["slopes"][judge][style][part] for part, judge in places]
                cells = [with_interval(mean, ends) for mean, *ends in told]
                rows.append([f"{way}: {LABELS[style]}", *cells])
    heads = [f"{part}, {name}" for part in ("own", "by the other") for name in JUDGE_NAMES.values()]
    return html_table(["", *heads], rows)


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


def targets_table(found: dict) -> str:
    """Untuned, and by number of small rubrics: the mean score under rubrics that were not trained, by target, and how
    many rows of the two large rubrics were seen."""
    scores = scores_by_target()
    rows = [[label, *of_targets(scores[way]), "–"] for way, (_, label) in UNTUNED_LINES.items()]
    for count in found["held_out"]:
        rows.append([f"trained, {count} small", *of_targets(scores[count]), f"{large_rows(found, count):.0f}"])
    targets = [f"score at target {target}" for target in TARGETS.values()]
    return html_table(["", *targets, "rows of the two large rubrics"], rows)


def of_targets(scores: dict[int, float]) -> list[str]:
    """A mean score for each target."""
    return [f"{scores[target]:.1f}" for target in TARGETS.values()]


def of_held_out(figures: dict) -> list[str]:
    """The cells of a row of `unseen_table`."""
    others = [name for name in JUDGES if name != "score"]
    told = [span(figures, "spearman_rho"), *((figures[f"{name}_rho"], figures[f"{name}_ci95"]) for name in others)]
    return [with_interval(*pair) for pair in told] + [with_spread(figures[name], n) for name, n in MEASURES.items()]


def with_interval(mean: float, ends: list[float] | None) -> str:
    """A figure with its interval behind it, if it has one."""
    return f"{mean:.2f}" + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else "")


def by_training(found: dict) -> dict[str, dict[str, float]]:
    """{what was held out, and the seed: {number of small rubrics: rho under what was held out}}."""
    rhos: dict[str, dict[str, float]] = {}
    for unit, figures in found["by_training"].items():
        held, count, seed = training_of(unit)
        name = " and ".join(LABELS[rubric] for rubric in held)
        rhos.setdefault(f"{name}, seed {seed}", {})[count] = figures["spearman_rho"]
    return rhos


def by_style(found: dict) -> dict[str, dict[str, float]]:
    """{rubric: {number of small rubrics: rho under it where it was held out}}."""
    rhos: dict[str, dict[str, float]] = {}
    for count, held in found["held_out"].items():
        for rubric, figures in held["by_rubric"].items():
            rhos.setdefault(rubric, {})[count] = figures["spearman_rho"]
    return rhos


def in_a_row(rhos: dict[str, float]) -> str:
    """What rho was with each number of small rubrics."""
    return f"{' / '.join(f'{rho:.2f}' for rho in rhos.values())} with {' / '.join(rhos)} small"


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
