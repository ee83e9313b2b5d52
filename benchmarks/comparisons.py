"""The committed comparisons (benchmarks/results/ablation.json): a table, and what they come to in one sentence each."""

import html
import json
from itertools import combinations

import numpy as np

from cpt_utils.plotting import NO_FORMULAS
from cpt_utils.rows import TARGETS, nearest_target
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import StoreError

RESULT = files.ROOT / "benchmarks" / "results" / "ablation.json"
FULL = "full recipe (notebook 04)"


def load_comparisons() -> dict:
    """The committed results of `make ablation`."""
    if not RESULT.exists():
        where = files.shown(RESULT)
        raise StoreError(f"{where} is not there: run `make ablation`, or fetch the series anew.")
    return json.loads(RESULT.read_text("utf-8"))


COLUMNS = {  # metric: (heading, digits)
    "rows": ("rows", 0),
    "overall": ("overall", 2),
    "topic": ("topic", 2),
    "order_gain": ("word-order gain", 1),
    "accuracy": ("accuracy", 2),
    "spearman_rho": ("rho", 2),
    "second_spearman_rho": ("2nd rho", 2),
    "degenerate_rate": ("degenerate", 2),
    "perplexity_under_base": ("perplexity", 0),
}
RHOS = ("spearman_rho", "second_spearman_rho")
"""By the series' judge and by the second one."""


def methods_table(methods: dict) -> str:
    """A row of HTML per method: mean ± standard deviation over seeds of each metric; no ± where there is no spread."""
    rows = []
    for name, measured in methods.items():
        rows.append([name] + [with_spread(measured.get(key), d) for key, (_, d) in COLUMNS.items()])
    return html_table(["", *(heading for heading, _ in COLUMNS.values())], rows)


TRIAL_COLUMNS = {"overall": 2, "topic": 2, "accuracy": 2, "spearman_rho": 2, "order_gain": 1, "degenerate_rate": 2}
"""Metrics of a trial of the recipe, headed as in COLUMNS, and their digits."""


def recipe_table(trials: dict) -> str:
    """A row of HTML per trial of `make recipe`: what its training computed, in thousands of tokens, and its metrics."""
    rows = []
    for name, found in sorted(trials.items()):
        figures = [f"{found['columns'] / 1000:.0f}"] if "columns" in found else ["–"]
        rows.append([name, *figures, *(f"{found[key]:.{digits}f}" for key, digits in TRIAL_COLUMNS.items())])
    return html_table(["", "thousand tokens", *(COLUMNS[key][0] for key in TRIAL_COLUMNS)], rows, names=35)


def html_table(head: list[str], rows: list[list[str]], names: int = 20) -> str:
    """A table of HTML with names on the left, at least so many % of its width, and figures on the right."""
    cell = "<{} style='text-align:{};padding:3px;white-space:nowrap'>{}</{}>"
    lines = [f"<th style='width:{names}%'></th>" + "".join(cell.format("th", "right", name, "th") for name in head[1:])]
    for name, *figures in rows:
        right = "".join(cell.format("td", "right", html.escape(figure), "td") for figure in figures)
        lines.append(cell.format("td", "left", html.escape(name), "td") + right)
    # "auto": JupyterLab's fixed columns would print figures over each other where the page is narrow
    table = f"<table style='table-layout:auto;width:100%;font-size:12px'><tr>{'</tr><tr>'.join(lines)}</tr></table>"
    return f"<div {NO_FORMULAS} style='overflow-x:auto'>{table}</div>"


def with_spread(figure: tuple[float | None, float | None] | float | None, digits: int) -> str:
    """A figure, (mean, spread) or a number: the mean alone where there is no spread, a dash where there is no mean."""
    mean, spread = figure if isinstance(figure, (tuple, list)) else (figure, None)
    shown = "–" if mean is None else f"{mean:.{digits}f}"
    return f"{shown} ±{spread:.{digits}f}" if spread else shown


def opposed(first: dict[str, tuple], second: dict[str, tuple]) -> list[str]:
    """Pairs of methods in opposite orders by two figures {method: (mean, spread)}, each beyond the spread."""
    pairs = []
    for one, other in combinations(first, 2):
        gaps = []
        for figure in (first, second):
            (mean, spread), (mean_2, spread_2) = figure[one], figure[other]
            gap = mean - mean_2
            gaps.append(gap if abs(gap) > ((spread or 0) ** 2 + (spread_2 or 0) ** 2) ** 0.5 else 0)
        if gaps[0] * gaps[1] < 0:
            pairs.append(f"{one} / {other}")
    return pairs


def judge_dependent(methods: dict) -> list[str]:
    """Pairs of methods that the two judges rank in opposite orders."""
    return opposed(*({name: way[key] for name, way in methods.items()} for key in RHOS))


def both_directions(curve: list[dict]) -> list[float]:
    """Share of held-out pairs that are right in both directions, at each point of a training's curve."""
    return [point["both_directions"] for point in curve]


def over_rubrics(judge: dict, trick: str, judge_name: str, key: str) -> float:
    """Mean over rubrics of what a judge gives a trick's texts: "score", or the share that is "flagged"."""
    return np.mean([measured[key] for measured in judge["tricks"][trick][judge_name].values()])


def best_untrained(methods: dict) -> str:
    """The way without training that has the best overall score."""
    return max((name for name in methods if name.startswith("base")), key=lambda name: methods[name]["overall"][0])


def finding_methods(methods: dict) -> str:
    best = best_untrained(methods)
    full, untrained = (methods[name]["overall"][0] for name in (FULL, best))
    return f"Overall, the full recipe has {full:.2f} of 2; the best without training, '{best}', {untrained:.2f}"


def finding_curves(curves: dict) -> str:
    last = {}
    for way, by_rows in curves.items():
        last[way] = np.mean([both_directions(curve)[-1] for curve in by_rows["6"]])
        rows = by_rows["6"][0][-1]["rows"]
    return (
        f"After {rows} rows, mirrored batches have {last['DPO, mirrored batches']:.0%} of held-out pairs right, "
        f"shuffled rows {last['DPO, rows shuffled']:.0%}"
    )


def finding_generalisation(found: dict) -> str:
    left = np.mean([measured["spearman_rho"] for measured in found["left_out"].values()])
    rho = [found[name]["spearman_rho"] for name in ("unseen prompts", "paraphrased")]
    return (
        f"New prompts: rho {rho[0]:.2f}. Other words for the system prompt: {rho[1]:.2f}. A new rubric: {left:.2f}, "
        f"where a trained one has {found['as_many_rows']:.2f}"
    )


def finding_dial(dial: dict) -> str:
    way = {which: points["1.0"]["score"][0] - points["0.0"]["score"][0] for which, points in dial.items()}
    return (
        f"From 0 to 1 the dial moves the tuned model by {way['cpt']:.0f} points "
        f"({dial['cpt']['1.0']['degenerate']:.0%} of its texts degenerate at 1), the base by {way['base']:.0f}"
    )


def finding_best_of_n(found: dict) -> str:
    one, many = found["cpt"]["all"]["1"][0], found["base"]["all"]["16"][0]
    return f"One try of the tuned model: {one:.0f} points off; the best of 16 of the base: {many:.0f}"


def finding_judge(judge: dict) -> str:
    """Which of two tricks pass with the judge: taken for one of the highest target, and not flagged as degenerate."""
    tricks = {"claims": "a plain text that claims the style", "shuffled words": "its words, shuffled"}
    told, fooled = {}, []
    for name, trick in tricks.items():
        points, flagged = (over_rubrics(judge, trick, "style", key) for key in ("score", "flagged"))
        told[name] = f"{name} ({points:.0f} points{', flagged' if flagged >= 0.5 else ''})"
        if nearest_target(points) == TARGETS["high"] and flagged < 0.5:
            fooled.append(name)
    claims, shuffled = told.values()
    if not fooled:
        return f"Neither {claims} nor {shuffled} fool the judge"
    if len(fooled) == 2:
        return f"{claims.capitalize()} and {shuffled} fool the judge"
    (one,) = fooled
    (other,) = set(told) - set(fooled)
    return f"{told[one].capitalize()} fool the judge, {told[other]} do not"
