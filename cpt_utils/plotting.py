"""One look for all figures, and the views that several notebooks share."""

import html
import os
from pathlib import Path

import numpy as np

from cpt_utils import runtime
from cpt_utils.prompts import TARGETS

COLOURS = {"low": "#0072B2", "mid": "#E69F00", "high": "#D55E00"}  # Okabe-Ito: safe for colour-blind readers
BASE, TUNED = "#7F7F7F", "#009E73"
LABELS = {
    "chaos_cinema": "Chaos Cinema", "rococo": "Rococo", "esoteric": "Esoteric", "creative_chaos": "Creative Chaos",
}


def figure(rows: int = 1, columns: int = 1, width: float = 9, height: float = 3.2, **options):
    """A figure and its axes in the series' style (see matplotlib.pyplot.subplots)."""
    import matplotlib.pyplot as plt

    plt.rcParams.update({
        "figure.dpi": 110, "savefig.dpi": 150, "axes.spines.top": False, "axes.spines.right": False,
        "axes.titlesize": 11, "axes.titlelocation": "left", "font.size": 10, "legend.frameon": False,
        "axes.grid": True, "grid.alpha": 0.25, "figure.constrained_layout.use": True,
    })
    return plt.subplots(rows, columns, figsize=(width, height), **options)


def save(fig, profile: dict, name: str, title: str) -> None:
    """Title the figure with its finding, save it (CPT_FIGURES, or the run's figures/), and show it."""
    import matplotlib.pyplot as plt
    from IPython.display import display

    fig.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    folder = Path(os.environ.get("CPT_FIGURES", runtime.run_dir(profile) / "figures"))
    folder = folder if folder.is_absolute() else runtime.ROOT / folder
    folder.mkdir(parents=True, exist_ok=True)
    fig.savefig(folder / f"{name}.png", metadata={"Software": ""})
    display(fig)
    plt.close(fig)


def scores_by_target(axis, rows: list[dict], title: str, legend: bool = False) -> None:
    """Judged scores of rows {rubric, qualifier, score}, one dot each, against the three targets (bars)."""
    rng = np.random.default_rng(0)
    rubrics = [name for name in LABELS if any(row["rubric"] == name for row in rows)]
    for place, rubric in enumerate(rubrics):
        for shift, (qualifier, target) in zip((-0.25, 0, 0.25), TARGETS.items()):
            mine = [r for r in rows if r["rubric"] == rubric and r["qualifier"] == qualifier]
            x = place + shift + rng.uniform(-0.08, 0.08, len(mine))
            y = [row["score"] for row in mine]
            axis.scatter(x, y, s=14, alpha=0.65, color=COLOURS[qualifier], linewidths=0,
                         label=f"{qualifier} (target {target})" if place == 0 else None)
            axis.hlines(target, place + shift - 0.11, place + shift + 0.11, color="black", linewidth=1.5)
    axis.set(xticks=range(len(rubrics)), ylim=(-5, 105), title=title, ylabel="judged score")
    axis.set_xticklabels([LABELS[name].replace(" ", "\n") for name in rubrics])
    if legend:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, handletextpad=0.1)


def side_by_side(columns: dict[str, list[str]], labels: list[str]):
    """An HTML table of texts: a column per model, a row per label. All text is escaped."""
    from IPython.display import HTML

    cell = "<td style='text-align:left;vertical-align:top;white-space:pre-wrap;width:{}%'>{}</td>"
    width = 86 // len(columns)
    head = "<th></th>" + "".join(f"<th style='text-align:left'>{html.escape(n)}</th>" for n in columns)
    body = "".join(
        "<tr>" + cell.format(14, f"<b>{html.escape(label)}</b>")
        + "".join(cell.format(width, html.escape(texts[i])) for texts in columns.values()) + "</tr>"
        for i, label in enumerate(labels)
    )
    return HTML(f"<table style='width:100%'><tr>{head}</tr>{body}</table>")
