"""Figures about judges and about what a tuned model does beside its style."""

import itertools

import numpy as np

from cpt_utils import lettering
from cpt_utils.evaluation import highest_rho
from cpt_utils.judging import FOREIGN
from cpt_utils.plotting import BASE, LABELS, TUNED, figure
from cpt_utils.rows import TARGETS, Response

MOST_ROWS = 60
"""Of a ranking, in a picture."""
TEACHER, REWORDED = "#E69F00", "#56B4E9"
RUBRIC_COLOURS = {"chaos_cinema": "#0072B2", "rococo": "#D55E00", "esoteric": "#CC79A7", "creative_chaos": "#009E73"}
SPARE_COLOURS = ("#56B4E9", "#E69F00", "#000000")
"""Of rubrics of one's own."""


def confusion_and_length(rows: list[Response], scores: dict[str, list[float]]):
    """Left: mean score of each rubric's texts by each rubric's judge. Right: words against the own judge's score.

    `scores`: of every row by each rubric's judge; rows of no rubric are foreign.
    """
    fig, axes = figure(1, 2, width=12, height=3.8)
    kinds = [*scores, FOREIGN]
    table = np.zeros((len(kinds), len(scores)))
    for down, kind in enumerate(kinds):
        places = [place for place, row in enumerate(rows) if row["rubric"] == kind]
        table[down] = [np.mean([column[place] for place in places]) for column in scores.values()]
    axes[0].imshow(table, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (down, across), value in np.ndenumerate(table):
        ink = "black" if value > 55 else "white"
        axes[0].text(across, down, f"{value:.0f}", ha="center", va="center", color=ink)
    names = [LABELS[name] for name in scores]
    axes[0].set(xticks=range(len(names)), xticklabels=names, yticks=range(len(kinds)), yticklabels=[*names, "foreign"])
    axes[0].set(xlabel="judged by", ylabel="texts of", title="Mean score")
    axes[0].grid(False)
    for name, column in scores.items():
        own = [(len(row["response"].split()), score) for row, score in zip(rows, column) if row["rubric"] == name]
        axes[1].scatter(*zip(*own), s=24, color=RUBRIC_COLOURS[name], label=LABELS[name])
    axes[1].set(
        xlabel="words", ylabel="score by the own judge", ylim=(0, 104), xscale="log", title="High texts by length"
    )
    axes[1].set_xticks([50, 100, 200, 400], ["50", "100", "200", "400"])
    axes[1].minorticks_off()
    axes[1].legend(loc="lower left", fontsize=8)
    return fig


def overall_parts(measured: dict[str, dict]):
    """The overall score and its three parts (0 to 2) of each model: bars, in the order given."""
    fig, axis = figure(width=9, height=3.2)
    names = {
        "overall": "overall",
        "follows": "follows\nthe style",
        "subject": "keeps\nits subject",
        "language": "language",
    }
    colours = {"base": BASE, "cpt": TUNED, "teacher": TEACHER}
    wide = 0.8 / len(measured)
    for place, (model, values) in enumerate(measured.items()):
        x = np.arange(len(names)) + wide * (place - (len(measured) - 1) / 2)
        heights = [values[name] for name in names]
        label = {"cpt": "tuned", "teacher": "recorded teacher"}.get(model, model)
        axis.bar(x, heights, wide * 0.92, color=colours[model], label=label)
        for one, height in zip(x, heights):
            axis.text(one, height + 0.02, f"{height:.2f}", ha="center", fontsize=8)
    axis.set(xticks=range(len(names)), xticklabels=names.values(), ylim=(0, 2.2), ylabel="0 to 2")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
    return fig


def rho_by_rubric(measured: dict[str, dict], labels: dict[str, str]):
    """Spearman's rho of each rubric (labels: {rubric: title}) under each name, what evaluation.steerability found.

    `measured`: up to three models, by name. A dashed line is the highest that there can be, as targets are tied and
    scores are not, if each rubric has as many texts for each target. A rubric without a score has no bar.
    """
    fig, axis = figure(width=7, height=3)
    for place, (name, values) in enumerate(measured.items()):
        x = np.arange(len(labels)) + 0.27 * (place - (len(measured) - 1) / 2)
        heights = [values["by_rubric"].get(rubric, {}).get("spearman_rho", np.nan) for rubric in labels]
        axis.bar(x, heights, 0.25, label=name, color=(BASE, TUNED, REWORDED)[place])
    texts = min(values["texts"] for values in measured.values()) // (len(TARGETS) * len(labels))
    axis.axhline(highest_rho(max(1, texts)), color="black", linestyle="--", linewidth=1)
    bottom = min(0, axis.get_ylim()[0])
    titles = [title.replace(" ", "\n") for title in labels.values()]
    axis.set(xticks=range(len(labels)), xticklabels=titles, ylabel="Spearman's rho", ylim=(bottom, 1))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
    return fig


def style_shift_figure(shift: dict[str, dict[str, float]]):
    """How far and how straight each rubric and target moved (shift.style_shift): way and orthogonality."""
    fig, axis = figure(width=9, height=3.6)
    marks = {"10": "v", "50": "o", "95": "^"}
    rubrics = dict.fromkeys(cell.rsplit(" ", 1)[0] for cell in shift)
    colours = dict(zip((name for name in rubrics if name not in RUBRIC_COLOURS), itertools.cycle(SPARE_COLOURS)))
    colours |= RUBRIC_COLOURS
    for cell, values in shift.items():
        rubric, target = cell.rsplit(" ", 1)
        axis.scatter(
            values["way"],
            values["orthogonality"],
            s=60,
            marker=marks.get(target, "o"),
            color=colours[rubric],
        )
    for rubric in rubrics:  # the legend's marks are none of the targets'
        axis.plot([], [], "s", color=colours[rubric], label=rubric.replace("_", " ").title())
    went = [values["way"] for values in shift.values()]
    axis.axvline(1, color="black", linestyle="--", linewidth=1)
    axis.set(xlim=(min(0, *went) - 0.05, max(1, *went) + 0.05), ylim=(0, 1.05))
    axis.set(xlabel="way gone: 0 not moved, 1 as far as the teacher", ylabel="orthogonality: 0 straight there")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="▼ low  ● mid  ▲ high", fontsize=8)
    return fig


def save_ranking(path, title: str, weights: dict[str, float], entries: list[tuple]) -> str:
    """A table as a PNG: texts (rank, label, total, scores by criterion) as rows, weighed criteria as columns.

    Without a total there is no rank (None). Of more than MOST_ROWS texts the best and the last are drawn.
    Returns one sentence on letters that no font here has, or "".
    """
    import matplotlib.pyplot as plt

    half = MOST_ROWS // 2
    shown = entries if len(entries) <= MOST_ROWS else entries[:half] + entries[-half:]
    columns = ["total", *weights]
    table = np.array(
        [[_or_nan(total), *(_or_nan(parts.get(name)) for name in weights)] for _, _, total, parts in shown], float
    )
    fig, axis = figure(width=3.6 + 1.05 * len(columns), height=1.5 + 0.27 * len(shown))
    axis.imshow(table, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (down, across), value in np.ndenumerate(table):
        ink = "black" if value > 55 or np.isnan(value) else "white"
        axis.text(across, down, "none" if np.isnan(value) else f"{value:.0f}", ha="center", va="center", color=ink)
    heads = ["total", *(f"{_short(name, 18)}\n{weight:g}%" for name, weight in weights.items())]
    axis.set_xticks(range(len(columns)), heads, rotation=30, ha="left", fontsize=8)
    axis.xaxis.tick_top()
    axis.set_yticks(range(len(shown)), [f"{rank or ''}  {_short(label, 34)}" for rank, label, *_ in shown], fontsize=8)
    axis.grid(False)
    fig.suptitle(_short(title, 70), x=0.01, ha="left", fontsize=12, fontweight="bold")
    try:
        fig.savefig(path, metadata={"Software": ""})
        return lettering.told(fig)
    finally:
        plt.close(fig)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _short(words: str, most: int) -> str:
    words = " ".join(words.split())
    return words if len(words) <= most else f"{words[: most - 1]}…"
