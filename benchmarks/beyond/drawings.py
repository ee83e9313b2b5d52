"""The measurements of this folder as figures, each titled with its finding."""

import numpy as np

from benchmarks.beyond.summary import JUDGES, kept, slopes_of, under_styles
from benchmarks.drawings import SECOND, SHORT
from benchmarks.sharing import REPORTED, formulas, gains, size
from cpt_utils.charts import RUBRIC_COLOURS
from cpt_utils.plotting import BASE, LABELS, TUNED, figure

UNTUNED_LINES = {"base": (BASE, "untuned"), "base, 3 examples": ("black", "untuned, 3 examples")}


def draw_unseen(found: dict):
    """Rho, by two judges, and overall under rubrics that were not trained, against the number of small rubrics."""
    fig, axes = figure(1, 2, width=10, height=3.6)
    counts = sorted(found["held_out"], key=int)
    x = [int(count) for count in counts]
    plot_span(axes[0], x, [span(found["held_out"][count], "spearman_rho") for count in counts], TUNED, "held out")
    meaning = [(found["held_out"][count]["meaning_rho"], found["held_out"][count]["meaning_ci95"]) for count in counts]
    plot_span(axes[0], np.array(x) + 0.3, meaning, SECOND, "held out, judge of meaning")
    plot_span(axes[1], x, [span(found["held_out"][count], "overall") for count in counts], TUNED, "held out")
    for axis, metric in zip(axes, ("spearman_rho", "overall")):
        plot_span(axis, x, [span(found["trained"][count], metric) for count in counts], SHORT, "trained")
        for way, (colour, label) in UNTUNED_LINES.items():
            mean, interval = span(found["untuned"][way], metric)
            axis.axhline(mean, color=colour, linestyle="--", linewidth=1, label=label)
            if interval:
                axis.axhspan(*interval, color=colour, alpha=0.08, linewidth=0)
        axis.set(xlabel="small rubrics beside the two that are trained", xticks=x)
    axes[0].set(ylabel="Spearman's rho", ylim=(0, 1))
    axes[1].set(ylabel="overall (0 to 2)", ylim=(0, 2))
    fig.legend(*axes[0].get_legend_handles_labels(), fontsize=8, ncol=5, loc="outside lower center")
    fig.suptitle(finding_unseen(found), fontsize=11)
    return fig


def span(measured: dict, metric: str) -> tuple[float, list[float] | None]:
    """A figure and its interval of 95%, None where there is none."""
    return measured[metric], measured["ci95"].get(metric)


def plot_span(axis, x, spans: list[tuple], colour: str, label: str) -> None:
    """A line with its intervals."""
    mean = np.array([value for value, _ in spans], float)
    ends = np.array([interval or (value, value) for value, interval in spans], float)
    axis.errorbar(x, mean, np.abs(ends.T - mean), fmt="o-", color=colour, capsize=3, label=label)


def finding_unseen(found: dict) -> str:
    """Whether the intervals of none and of the most small rubrics lie apart."""
    counts = sorted(found["held_out"], key=int)
    (none, before), (most, after) = (
        span(found["held_out"][count], "spearman_rho") for count in (counts[0], counts[-1])
    )
    told = f"rho {none:.2f} without small rubrics, {most:.2f} with {counts[-1]}"
    if before and after and after[0] > before[1]:
        return f"New rubrics are followed better: {told}"
    if before and after and after[1] < before[0]:
        return f"New rubrics are followed worse: {told}"
    return f"No clear change for new rubrics: {told}"


WAY_COLOURS = {"prompting": BASE, "vector": SECOND, "cpt": TUNED}
WAY_LABELS = {"prompting": "untuned, prompted", "vector": "untuned, steering vector", "cpt": "tuned (CPT)"}


def draw_holds(found: dict):
    """The gap between high and low by condition and way, over all pairs with standard errors, hollow over those that
    were read where some were not; and shares of right answers."""
    fig, axes = figure(1, 2, width=11, height=4.6, width_ratios=[2, 1])
    conditions = list(found["table"]["cpt"])
    places = np.arange(len(conditions))[::-1]
    for shift, (way, measured) in zip((0.22, 0.0, -0.22), found["table"].items()):
        at = [(place + shift, measured[name]) for place, name in zip(places, conditions) if name in measured]
        at = [(height, one) for height, one in at if one["gap_of_all"]]
        means, errors = ([one["gap_of_all"][part] or 0 for _, one in at] for part in (0, 1))
        heights = [height for height, _ in at]
        read = [one["gap"][0] if one["unread_pairs"] else np.nan for _, one in at]
        axes[0].plot(read, heights, "o", color=WAY_COLOURS[way], markerfacecolor="white")
        look = {"fmt": "o", "color": WAY_COLOURS[way], "capsize": 2, "label": WAY_LABELS[way]}
        axes[0].errorbar(means, heights, xerr=errors, **look)
    axes[0].axvline(0, color="black", linewidth=1)
    axes[0].set(yticks=places, yticklabels=conditions, xlabel="judged high minus low, points (hollow: pairs read)")
    axes[0].legend(fontsize=8, ncol=3, loc="upper center", bbox_to_anchor=(0.4, -0.14))
    tests = list(found["lost"]["cpt"]["nothing asked"])
    for number, (way, shares) in enumerate(found["lost"].items()):
        for place, test in enumerate(tests):
            x = place + 0.25 * (number - 1)
            axes[1].bar(x, under_styles(shares, test), width=0.22, color=WAY_COLOURS[way])
            axes[1].plot(x, shares["nothing asked"][test], "k_", markersize=12)
    axes[1].set(xticks=range(len(tests)), xticklabels=tests, ylim=(0, 1), ylabel="share right")
    axes[1].set_xlabel("bars: a style asked for; lines: none")
    fig.suptitle(finding_holds(found), fontsize=11)
    return fig


def finding_holds(found: dict) -> str:
    """Where the tuned model keeps most and least of the gap that it has in the first turn."""
    shares = kept(found["table"]["cpt"])
    others = {name: share for name, share in list(shares.items())[1:] if share is not None}
    if not others:
        return "Nothing could be compared with the first turn"
    least, most = min(others, key=others.get), max(others, key=others.get)
    return f"The tuned model keeps {others[least]:.0%} ({least}) to {others[most]:.0%} ({most}) of its first turn's gap"


def draw_two_styles(found: dict):
    """For each way and pair the grid that was asked for as it was judged, and curves of single styles."""
    pairs = list(next(iter(found["grids"].values())))
    fig, axes = figure(len(pairs) + 1, len(found["grids"]), width=12, height=3 * (len(pairs) + 1), squeeze=False)
    for column, (way, grids) in enumerate(found["grids"].items()):
        for row, pair in enumerate(pairs):
            draw_grid(axes[row][column], grids[pair], pair.split(" + "))
        for rubric, curve in found["curves"][way].items():
            asked = sorted(curve["by_amount"], key=int)
            means = np.array([curve["by_amount"][at] for at in asked], float)  # what could not be read is None, so nan
            look = {"markersize": 3, "color": RUBRIC_COLOURS[rubric], "label": LABELS[rubric]}
            axes[-1][column].plot([int(at) for at in asked], means, "o-", **look)
        axes[-1][column].plot([0, 100], [0, 100], "k--", linewidth=1)
        axes[-1][column].set(xlabel="asked for", ylabel="judged", ylim=(-3, 103))
        axes[0][column].set_title(way)
    axes[-1][0].legend(fontsize=8)
    fig.suptitle(finding_two_styles(found), fontsize=11)
    return fig


def draw_grid(axis, grid: dict, pair: list[str]) -> None:
    """Judged scores at the asked points; lines join points that differ in one amount by one step."""
    at = {tuple(point["asked"]): point["judged"] for point in grid["points"]}
    steps = [sorted({asked[place] for asked in at}) for place in (0, 1)]
    for place, colour in ((0, RUBRIC_COLOURS[pair[0]]), (1, RUBRIC_COLOURS[pair[1]])):
        for fixed in steps[1 - place]:
            line = [at[(step, fixed) if place == 0 else (fixed, step)] for step in steps[place]]
            xy = np.array(line, float)  # what could not be read is None, and so nan
            axis.plot(xy[:, 0], xy[:, 1], "-", color=colour, linewidth=1.2)
            axis.plot(xy[-1, 0], xy[-1, 1], "o", color=colour, markersize=4)
    axis.set(xlim=(-3, 103), ylim=(-3, 103), xlabel=LABELS[pair[0]], ylabel=LABELS[pair[1]])


def finding_two_styles(found: dict) -> str:
    """What a point asked of a style does to it by the series' judge, by each way, the mean of all; and to the other
    style by each judge, from least to most."""
    own = {way: slopes_of(grids)[0] for way, grids in found["grids"].items()}
    told = [f"{way} {np.mean(slopes):+.2f}" for way, slopes in own.items() if slopes]
    if not told:
        return "Too few amounts were asked for to tell what a point does"
    others = []
    for judge, name in JUDGES.items():
        slopes = [slope for grids in found["grids"].values() for slope in slopes_of(grids, judge)[1]]
        others += [f"{min(slopes):+.2f} to {max(slopes):+.2f} ({name})"] if slopes else []
    half = (len(told) + 1) // 2
    both = ";\n".join("; ".join(part) for part in (told[:half], told[half:]) if part)
    return f"By the series' judge, for a point asked, points judged: {both}\nTo the other style: {', '.join(others)}"


SHARING_LOOKS = {"six rows": TUNED, "pair": SHORT}
SHARERS = {"packed": ("o", "the series' trainer"), "shared": ("D", "TRL's, prompts shared")}


def draw_sharing(found: dict):
    """How many times as long TRL's step takes, against the length of prompts over that of responses: lines are
    counted in tokens, marks measured with their spread, crosses what arXiv 2410.20305 measured within rows."""
    fig, axis = figure(width=9, height=4.2)
    length = max(point["prompt"] + point["response"] for point in found["points"])
    prompts = np.linspace(1, length - 1, 8 * length)
    for block, colour in SHARING_LOOKS.items():
        counted = [gains(formulas(*size(block), prompt, length - prompt))["packed"] for prompt in prompts]
        axis.semilogx(prompts / (length - prompts), counted, color=colour, label=f"{block}, counted in tokens")
        points = [point for point in found["points"] if point["block"] == block]
        for name, (marker, label) in SHARERS.items():
            middle = np.array([point["measured"][name] for point in points])
            ends = np.array([point["spread"][name] for point in points])
            axis.errorbar(
                [point["prompt"] / point["response"] for point in points],
                middle,
                np.abs(ends.T - middle),
                fmt=marker,
                color=colour,
                markerfacecolor=colour if name == "packed" else "white",
                capsize=2,
                label=f"{block}, {label}",
            )
    axis.plot(*zip(*REPORTED.values()), "kx", label="within rows, on GPUs, as others report")
    axis.axhline(1, color="black", linewidth=1)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set(
        xlim=(0.05, 20),
        xlabel="tokens of a prompt over tokens of a response",
        ylabel="TRL's step takes so many times as long",
    )
    fig.suptitle(finding_sharing(found), fontsize=11)
    axis.legend(fontsize=8)
    return fig


def finding_sharing(found: dict) -> str:
    """Of the block that shares most, what was measured and what is counted, from the least to the most."""
    points = [point for point in found["points"] if point["block"] == next(iter(SHARING_LOOKS))]
    spans = []
    for values in ([point["measured"]["packed"] for point in points], [point["tokens"]["packed"] for point in points]):
        spans.append(f"{min(values):.1f} to {max(values):.1f}")
    return f"A step on six rows is {spans[0]} times as fast packed; by its tokens {spans[1]}"
