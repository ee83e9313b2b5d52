"""The committed comparisons as figures; notebook 08 shows them, each titled with its finding (comparisons.py)."""

import numpy as np

from benchmarks.comparisons import both_directions, over_rubrics
from cpt_utils.charts import RUBRIC_COLOURS
from cpt_utils.plotting import BASE, COLOURS, LABELS, TUNED, figure
from cpt_utils.rows import TARGETS

SECOND = "#CC79A7"
"""The second judge's; like the others of Okabe and Ito's colours, which colour-blind readers can tell apart."""
JUDGES = {"style": "the series' judge", "letters": "second judge (letters)", "llm": "a chat model"}
SHORT = "#56B4E9"
"""Of short trainings."""
ROWS_COLOURS = {"2": SHORT, "6": TUNED, "12": "black"}
"""By rows a step."""


def draw_methods(methods: dict):
    """Every method's overall score, and Spearman's rho under both judges; bars span one standard deviation."""
    fig, axes = figure(1, 2, width=11, height=3.9, sharey=True)
    draw_spans(axes[0], methods, "overall", "black")
    draw_spans(axes[1], methods, "spearman_rho", TUNED, JUDGES["style"], 0.12)
    draw_spans(axes[1], methods, "second_spearman_rho", SECOND, JUDGES["letters"], -0.12)
    places = range(len(methods))[::-1]
    axes[0].set(yticks=places, yticklabels=list(methods), xlabel="overall score (0 to 2), held-out prompts")
    axes[0].set_xlim(0, 2)
    axes[1].set_xlabel("Spearman's rho, held-out prompts")
    axes[1].legend(loc="lower left", fontsize=8)
    return fig


def draw_spans(axis, methods: dict, metric: str, colour: str, label: str | None = None, shift: float = 0) -> None:
    """A dot for each method at its mean, the first on top, with a bar of one standard deviation over seeds."""
    means, spreads = zip(*(measured[metric] for measured in methods.values()))
    places = np.arange(len(methods))[::-1] + shift
    axis.errorbar(
        means, places, xerr=[spread or 0 for spread in spreads], fmt="o", color=colour, capsize=3, label=label
    )


def draw_curves(curves: dict, rates: dict):
    """Held-out pairs right in both directions against rows seen (one line per rows a step, seeds thin), and in the
    end against the learning rate (6 rows a step)."""
    fig, axes = figure(1, 3, width=10.5, height=3.2, sharey=True)
    for axis, (way, by_rows) in zip(axes, curves.items()):
        for rows in sorted(by_rows, key=int):
            runs = by_rows[rows]
            x = [point["rows"] for point in runs[0]]
            y = np.array([both_directions(run) for run in runs])
            axis.plot(x, y.T, color=ROWS_COLOURS[rows], linewidth=0.6, alpha=0.5)
            axis.plot(x, y.mean(0), "o-", color=ROWS_COLOURS[rows], label=f"{rows} rows a step")
        axis.set(title=way, xlabel="rows seen", ylim=(-0.02, 1.02))
    axes[0].set_ylabel("both directions right")
    axes[0].legend(loc="upper left")
    for (way, by_rate), colour, marker in zip(rates.items(), (BASE, TUNED), "so"):
        x = sorted(by_rate, key=float)
        axes[2].semilogx(
            [float(rate) for rate in x],
            [np.mean(by_rate[rate]) for rate in x],
            marker + "-",
            color=colour,
            label=way.removeprefix("DPO, "),
        )
    axes[2].xaxis.set_major_formatter("{x:g}")  # by default powers of ten as formulas, and figures hold plain text
    axes[2].set(title="other learning rates", xlabel="learning rate (6 rows a step)")
    axes[2].legend(loc="upper left")
    return fig


def draw_generalisation(found: dict):
    """What was not trained: prompts, wordings, rubrics; targets in between; two rubrics at once."""
    fig, axes = figure(1, 3, width=13, height=3.8, width_ratios=[1.25, 1, 1])
    draw_unseen(axes[0], found)
    draw_between(axes[1], found["between"])
    draw_blends(axes[2], found["blends"], found["pure"])
    return fig


def draw_unseen(axis, found: dict) -> None:
    """Spearman's rho of the full recipe, of two trainings on 144 rows, of the base; a dot for each rubric left out."""
    left = {rubric: measured["spearman_rho"] for rubric, measured in found["left_out"].items()}
    names = ["training prompts", "unseen prompts", "paraphrased"]
    heights = [found[name]["spearman_rho"] for name in names] + [
        found["as_many_rows"],
        np.mean([*left.values()]),
        found["base"],
    ]
    places = [0, 1, 2, 3.4, 4.4, 5.4]
    axis.bar(places, heights, color=[TUNED, TUNED, TUNED, SHORT, SHORT, BASE], width=0.7)
    for place, by_rubric in ((places[4], left), (places[5], found["base_by_rubric"])):
        colours = [RUBRIC_COLOURS[rubric] for rubric in by_rubric]
        axis.scatter([place] * len(by_rubric), by_rubric.values(), c=colours, edgecolors="white", s=36, zorder=3)
    lowest = min(0, *left.values(), *found["base_by_rubric"].values())
    axis.set(title="rho: full recipe | after 144 rows | base", ylim=(lowest - 0.05, 1), xticks=places)
    axis.set_xticklabels(
        ["training\nprompts", "unseen\nprompts", "other\nwords", "rubric\ntrained", "rubric\nleft out", "base"],
        fontsize=8,
    )


def draw_between(axis, by_rubric: dict) -> None:
    """Judged score against the target asked for: those that were trained, and others."""
    asked = sorted({int(target) for scores in by_rubric.values() for target in scores})
    for rubric, scores in by_rubric.items():
        mean, error = zip(*(scores[str(target)] for target in asked))
        axis.errorbar(asked, mean, error, fmt="o-", color=RUBRIC_COLOURS[rubric], capsize=2, label=LABELS[rubric])
    ends = [asked[0], asked[-1]]
    axis.plot(ends, ends, "k--", linewidth=1)
    new = " and ".join(str(target) for target in asked if target not in TARGETS.values())
    axis.set(
        title=f"targets {new} were never trained",
        xlabel="target asked for",
        ylabel="judged score",
        ylim=(0, 105),
        xticks=asked,
    )
    axis.legend(fontsize=8)


def draw_blends(axis, blends: dict, pure: dict) -> None:
    """Scores under both rubrics of texts that two system prompts asked for, beside those that one asked for."""
    labels = []
    for place, (pair, scores) in enumerate(blends.items()):
        for rubric, (mean, error) in scores.items():
            axis.errorbar(mean, place, xerr=error, fmt="o", color=RUBRIC_COLOURS[rubric], capsize=2)
            (other,) = set(scores) - {rubric}
            for alone, mark in ((rubric, "|"), (other, "x")):
                axis.plot(pure[alone][rubric][0], place, mark, color=RUBRIC_COLOURS[rubric], markersize=9)
        labels.append("\n+ ".join(LABELS[rubric] for rubric in pair.split(" + ")))
    axis.set(
        title="two styles at once",
        xlabel="judged score (|: alone, ×: the other alone)",
        yticks=range(len(labels)),
        yticklabels=labels,
        xlim=(0, 105),
    )
    axis.tick_params(axis="y", labelsize=8)


def draw_dial(dial: dict):
    """Score, perplexity and degenerate texts against the position between the low (0) and high (1) system prompt."""
    fig, axes = figure(1, 3, width=12, height=3.2)
    for which, colour, label in (("base", BASE, "base"), ("cpt", TUNED, "tuned")):
        positions = sorted(dial[which], key=float)
        points, x = [dial[which][position] for position in positions], list(map(float, positions))
        mean, error = zip(*(point["score"] for point in points))
        axes[0].errorbar(x, mean, error, fmt="o-", color=colour, capsize=2, label=label)
        axes[1].plot(x, [point["perplexity"] for point in points], "o-", color=colour)
        axes[2].plot(x, [point["degenerate"] for point in points], "o-", color=colour)
    for axis in axes:
        axis.axvspan(0, 1, color="black", alpha=0.05)
        axis.set_xlabel("dial: 0 = low system prompt, 1 = high")
    axes[0].set(title="judged score", ylim=(0, 105))
    axes[1].set(title="perplexity under the base", ylim=(0, None))
    axes[2].set(title="share of degenerate texts", ylim=(-0.02, 1))
    axes[0].legend()
    return fig


def draw_best_of_n(found: dict):
    """Mean distance to the target of the best of N tries, per rubric, with bootstrap intervals over prompts."""
    fig, axes = figure(1, 4, width=12, height=3, sharey=True)
    for axis, rubric in zip(axes, LABELS):
        for which, colour, label in (("base", BASE, "base"), ("cpt", TUNED, "tuned")):
            curve = found[which][rubric]
            counts = sorted(curve, key=int)
            mean, low, high = zip(*(curve[n] for n in counts))
            axis.plot(range(len(counts)), mean, "o-", color=colour, label=label)
            axis.fill_between(range(len(counts)), low, high, color=colour, alpha=0.2, linewidth=0)
        axis.set(title=LABELS[rubric], xlabel="N", xticks=range(len(counts)), xticklabels=counts, ylim=(0, None))
    axes[0].set_ylabel("points from the target")
    axes[0].legend()
    return fig


def draw_judge(judge: dict):
    """Scores that tricks get from every judge (mean over rubrics; a hollow dot is mostly flagged as degenerate),
    and the style judge's confusion on held-out graded texts, per rubric."""
    fig, axes = figure(1, 5, width=12, height=3.4, width_ratios=[3.2, 1, 1, 1, 1])
    names, looks = list(judge["tricks"])[::-1], (("style", TUNED), ("letters", SECOND), ("llm", "black"))
    judged = [look for look in looks if look[0] in judge["heldout"]]
    for shift, (judge_name, colour) in zip(np.linspace(0.15, -0.15, len(judged)), judged):
        for place, trick in enumerate(names):
            score, flagged = (over_rubrics(judge, trick, judge_name, key) for key in ("score", "flagged"))
            axes[0].plot(
                score,
                place + shift,
                "o",
                color=colour,
                markersize=8,
                label=None if place else JUDGES[judge_name],
                markerfacecolor=colour if flagged < 0.5 else "white",
            )
    axes[0].axvline(TARGETS["high"], color=COLOURS["high"], linestyle="--", linewidth=1)
    axes[0].set(
        yticks=range(len(names)),
        yticklabels=names,
        xlim=(0, 105),
        xlabel="score (dashed: the target of the untouched texts)",
    )
    axes[0].legend(loc="lower left")
    for axis, (rubric, label) in zip(axes[1:], LABELS.items()):
        table = np.array(judge["confusion"]["style"][rubric])
        axis.imshow(table, cmap="Greys", vmin=0, vmax=1.5 * table.sum(1).max())
        for (row, column), count in np.ndenumerate(table):
            axis.text(column, row, count, ha="center", va="center")
        axis.set(title=label, xticks=range(3), xticklabels=COLOURS, yticks=range(3), yticklabels=[])
        axis.grid(False)
    axes[1].set_yticklabels(COLOURS)
    axes[1].set(ylabel="target", xlabel="judged nearest to")
    return fig
