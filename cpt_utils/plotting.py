"""One look for all figures, and the views that several notebooks share."""

import html
import io

import numpy as np

from cpt_utils import lettering
from cpt_utils.rows import TARGETS, Response
from cpt_utils.runtime import files
from cpt_utils.runtime.places import named_folder, writable
from cpt_utils.runtime.profiles import Profile

COLOURS = {"low": "#0072B2", "mid": "#E69F00", "high": "#D55E00"}  # Okabe-Ito: safe for colour-blind readers
BASE, TUNED = "#7F7F7F", "#009E73"
LABELS = {
    "chaos_cinema": "Chaos Cinema",
    "rococo": "Rococo",
    "esoteric": "Esoteric",
    "creative_chaos": "Creative Chaos",
}
NO_FORMULAS = "class='mathjax_ignore tex2jax_ignore'"
"""For HTML: Jupyter and Colab would read "$5 and $10" as a formula."""


def figure(rows: int = 1, columns: int = 1, width: float = 9, height: float = 3.2, **options):
    """A figure and its axes in the series' style (see matplotlib.pyplot.subplots)."""
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 150,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "font.size": 10,
            "legend.frameon": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "figure.constrained_layout.use": True,
        }
    )
    fig, axes = plt.subplots(rows, columns, figsize=(width, height), **options)
    lettering.as_written(fig)
    return fig, axes


def save(fig, profile: Profile, name: str, title: str) -> None:
    """Title the figure with its finding, save it (CPT_FIGURES, or the run's figures/), and show it."""
    import matplotlib.pyplot as plt
    from IPython.display import display

    fig.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    folder = writable(named_folder("CPT_FIGURES", files.run_dir(profile) / "figures"), "CPT_FIGURES")
    fig.savefig(folder / f"{name}.png", metadata={"Software": ""})
    display(small_picture(fig))
    if boxes := lettering.told(fig):
        print(boxes)
    plt.close(fig)


def small_picture(fig):
    """The figure as a smaller PNG of 128 colours for the notebook: a third of the bytes, the same look."""
    from IPython.display import Image
    from PIL import Image as Picture

    full, small = io.BytesIO(), io.BytesIO()
    fig.savefig(full, format="png", dpi=0.82 * fig.dpi)
    colours = {"method": Picture.Quantize.MAXCOVERAGE, "dither": Picture.Dither.NONE}  # small marks keep theirs
    Picture.open(full).convert("RGB").quantize(128, **colours).save(small, "PNG", optimize=True)
    return Image(data=small.getvalue(), format="png")


def scores_by_target(axis, rows: list[Response], title: str, legend: bool = False) -> None:
    """Judged scores of rows {rubric, target, score}, one dot each, against the three targets (bars)."""
    rng = np.random.default_rng(0)
    judged = {row["rubric"] for row in rows}
    rubrics = [name for name in LABELS if name in judged] + sorted(judged - set(LABELS))
    for place, rubric in enumerate(rubrics):
        for shift, (name, target) in zip((-0.25, 0, 0.25), TARGETS.items()):
            mine = [r for r in rows if r["rubric"] == rubric and r["target"] == target]
            x = place + shift + rng.uniform(-0.08, 0.08, len(mine))
            y = [row["score"] for row in mine]
            label = f"{name} (target {target})" if place == 0 else None
            axis.scatter(x, y, s=14, alpha=0.65, color=COLOURS[name], linewidths=0, label=label)
            axis.hlines(target, place + shift - 0.11, place + shift + 0.11, color="black", linewidth=1.5)
    axis.set(xticks=range(len(rubrics)), ylim=(-5, 105), title=title, ylabel="judged score")
    names = [LABELS.get(name, name.replace("_", " ").title()) for name in rubrics]
    axis.set_xticklabels([name.replace(" ", "\n") for name in names])
    if legend:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, handletextpad=0.1)


def side_by_side(columns: dict[str, list[str]], labels: list[str]):
    """An HTML table of texts: a column per model, a row per label. All text is escaped."""
    from IPython.display import HTML

    cell = "<td style='text-align:left;vertical-align:top;white-space:pre-wrap'>{}</td>"
    title = "<th style='text-align:left;width:{}%'>{}</th>"  # JupyterLab takes the widths of the first row alone
    head = title.format(14, "") + "".join(title.format(86 // len(columns), html.escape(name)) for name in columns)
    body = "".join(
        "<tr>"
        + cell.format(f"<b>{html.escape(label)}</b>")
        + "".join(cell.format(html.escape(texts[i])) for texts in columns.values())
        + "</tr>"
        for i, label in enumerate(labels)
    )
    return HTML(f"<table {NO_FORMULAS} style='width:100%'><tr>{head}</tr>{body}</table>")


LESS, MORE = (86, 180, 233), (230, 159, 0)  # Okabe-Ito sky blue and orange: light enough for black text
HEAT_WORDS = "log p(tuned) - log p(base), in nats"
HEAT_MARKS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the limit


def heat_limit(views: dict[str, list[tuple[str, float]]]) -> float:
    """The ratio at which colours are full: nearly all tokens lie within it (at least half a nat)."""
    sizes = [abs(ratio) for tokens in views.values() for _, ratio in tokens]
    return max(0.5, round(2 * float(np.percentile(sizes, 95))) / 2) if sizes else 0.5


def heat_colour(ratio: float, limit: float) -> tuple[int, int, int]:
    """White at 0, orange where tuning made a token likelier, blue where it made it less likely."""
    share = min(abs(ratio) / limit, 1.0)
    return tuple(round(255 + (end - 255) * share) for end in (MORE if ratio > 0 else LESS))


def token_heat(views: dict[str, list[tuple[str, float]]], limit: float | None = None):
    """Texts with each token on the colour of its log-ratio (logps.token_log_ratios), as HTML.

    `views`: label -> tokens, shown one above the other on one scale. Likelier tokens are underlined and
    less likely ones overlined (dashed), so that the sign does not hang on colour. All text is escaped.
    """
    from IPython.display import HTML

    limit = limit or heat_limit(views)

    def span(text: str, ratio: float) -> str:
        over = under = "3px solid transparent"  # as high as a line that is seen, so that texts do not jump
        if ratio <= -limit / 10:
            over = "2px dashed #00476B"
        elif ratio >= limit / 10:
            under = "2px solid #6B4400"
        shown = html.escape(text).replace("\n", "↵\n") or "&nbsp;"
        return (
            f"<span title='{ratio:+.2f}' style='background:rgb{heat_colour(ratio, limit)};border-top:{over};"
            f"border-bottom:{under}'>{shown}</span>"
        )

    legend = " ".join(span(f" {limit * mark:+g} " if mark else " 0 ", limit * mark) for mark in HEAT_MARKS)
    body = "".join(
        f"<p style='margin:10px 0 2px'><b>{html.escape(label)}</b> &nbsp; sum "
        f"{sum(ratio for _, ratio in tokens):+.1f}</p>"
        "<div style='white-space:pre-wrap;overflow-wrap:anywhere;line-height:2'>"
        f"{''.join(span(*token) for token in tokens)}</div>"
        for label, tokens in views.items()
    )
    return HTML(
        f"<div {NO_FORMULAS} style='background:#fff;color:#111;padding:8px 12px;font-size:14px'>"
        f"<div style='white-space:pre-wrap;line-height:2'>{HEAT_WORDS}: {legend}   underlined: likelier "
        f"after tuning; dashed overline: less likely</div>{body}</div>"
    )


def _heat_lines(tokens: list[tuple[str, float]], columns: int) -> list[list[tuple[str, float]]]:
    """Tokens broken into lines of at most `columns` characters, and where the text breaks."""
    lines, used = [[]], 0
    for text, ratio in tokens:
        for part in text.replace("\n", "↵\n").splitlines(keepends=True) or [text]:
            shown = part.rstrip("\n")
            if lines[-1] and used + len(shown) > columns:
                lines, used = [*lines, []], 0
            lines[-1].append((shown, ratio))
            used += len(shown)
            if part.endswith("\n"):
                lines, used = [*lines, []], 0
    return [line for line in lines if line]


def token_heat_figure(views: dict[str, list[tuple[str, float]]], limit: float | None = None, columns: int = 112):
    """What token_heat shows, as a figure for places that keep no HTML (save it with plotting.save)."""
    from matplotlib.patches import Rectangle

    limit = limit or heat_limit(views)
    wrapped = {label: _heat_lines(tokens, columns) for label, tokens in views.items()}
    heights = [len(lines) + 1.4 for lines in wrapped.values()] + [2.2]
    fig, axes = figure(
        len(heights), height=0.24 * sum(heights) + 0.5, width=9.5, gridspec_kw={"height_ratios": heights}
    )
    for axis, height in zip(axes, heights):
        axis.set(xlim=(0, columns), ylim=(height, 0))
        axis.axis("off")

    def draw(axis, x: float, y: float, text: str, ratio: float) -> None:
        colour = tuple(value / 255 for value in heat_colour(ratio, limit))
        axis.add_patch(Rectangle((x, y), len(text), 0.86, color=colour, linewidth=0))
        options = dict(family="monospace", fontsize=9, ha="center", va="center")
        axis.text(x + len(text) / 2, y + 0.45, text, **options)
        ends = [x + 0.1, x + len(text) - 0.1]
        if ratio >= limit / 10:
            axis.plot(ends, [y + 0.86] * 2, color="#6B4400", linewidth=1.3)
        elif ratio <= -limit / 10:
            axis.plot(ends, [y + 0.02] * 2, color="#00476B", linewidth=1.3, linestyle=(0, (2, 1)))

    for axis, (label, lines) in zip(axes, wrapped.items()):
        total = sum(ratio for _, ratio in views[label])
        axis.text(0, 0.6, f"{label}   (sum {total:+.1f})", fontweight="bold", va="center")
        for row, line in enumerate(lines):
            x = 0
            for text, ratio in line:
                draw(axis, x, row + 1.3, text, ratio)
                x += len(text)
    axes[-1].text(0, 1.1, HEAT_WORDS, va="center", fontsize=9)
    wide = columns // 14
    for place, mark in enumerate(limit * share for share in HEAT_MARKS):
        draw(axes[-1], columns // 3 + wide * place, 0.65, (f"{mark:+g}" if mark else "0").center(wide), mark)
    axes[-1].text(
        columns * 0.72, 1.1, "underlined: likelier after tuning\ndashed overline: less likely", va="center", fontsize=8
    )
    return fig


def ranking_slopes(axis, before: dict[str, float], after: dict[str, float], labels: tuple[str, str]) -> None:
    """How scores under two weightings rank the same texts: one line a text, from rank to rank."""
    ranks = [
        {name: rank for rank, name in enumerate(sorted(scores, key=scores.get, reverse=True), 1)}
        for scores in (before, after)
    ]
    for name in before:
        left, right = ranks[0][name], ranks[1][name]
        colour = (170, 170, 170)
        if left != right:
            colour = MORE if right < left else LESS
        axis.plot([0, 1], [left, right], "o-", color=[c / 255 for c in colour], linewidth=1 + (left != right))
        axis.text(-0.04, left, f"{name}  {before[name]:.0f}", ha="right", va="center", fontsize=9)
        axis.text(1.04, right, f"{after[name]:.0f}  {name}", ha="left", va="center", fontsize=9)
    axis.set(xlim=(-0.9, 1.9), ylim=(len(before) + 0.6, 0.4), xticks=(0, 1), xticklabels=labels, yticks=[])
    axis.grid(False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
