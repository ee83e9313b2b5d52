"""The README's picture of the method, drawn from what ships: `python -m tools.method_figure` writes figures/method.png.

Rubric, texts for three targets, a mirrored pair, training, and one model that writes two texts for two system prompts:
those of the prompt and style in the middle of all held-out ones (last_run.middle), never the best.
"""

import io
import textwrap
from pathlib import Path

from PIL import Image

from cpt_utils.plotting import COLOURS, LABELS, figure
from cpt_utils.prompts import load_responses, system_prompt
from cpt_utils.rows import TARGETS
from cpt_utils.rubrics import load_rubric
from cpt_utils.runtime import files
from tools.last_run import middle, texts

TARGET = files.ROOT / "figures" / "method.png"
PROMPT = "Write a product description for an umbrella."
INK, PALE, LINE = "#222222", "#F4F4F4", "#555555"
WIDTH, HEIGHT = 11.0, 7.3  # inches, and the unit of all places below


def draw():
    """The whole picture as a figure, white behind, so that it can be read on dark pages as well."""
    written = texts()
    asked, rubric = middle(written)
    fig, axis = figure(width=WIDTH, height=HEIGHT)
    fig.set_layout_engine("none")
    axis.set_position((0, 0, 1, 1))
    axis.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axis.axis("off")
    draw_rubric(axis, rubric)
    draw_texts(axis, rubric)
    draw_pair(axis)
    draw_model(axis)
    after = {name: first_text(written, asked, rubric, name) for name in ("low", "high")}
    draw_orders(axis, rubric, asked, after)
    for start, end in (((2.75, 5.4), (3.15, 5.4)), ((6.85, 5.4), (7.25, 5.4)), ((2.75, 1.55), (3.15, 1.55))):
        arrow(axis, start, end)
    axis.plot([9.1, 9.1, 2.3, 2.3], [3.7, 3.52, 3.52, 3.3], color=LINE, linewidth=2)
    arrow(axis, (2.3, 3.4), (2.3, 3.02))
    return fig


def first_text(written: list[dict], prompt: str, rubric: str, name: str) -> str:
    """What the tuned model wrote first, told `name`."""
    wanted = {"prompt": prompt, "rubric": rubric, "target": TARGETS[name], "sample": 0, "model": "cpt"}
    return next(row["response"] for row in written if wanted.items() <= row.items())


def draw_rubric(axis, rubric: str) -> None:
    heading(axis, 0.1, "1  A rubric describes a style", 7.2)
    box(axis, 0.1, 3.75, 2.6, 3.2)
    say(axis, 0.25, 6.75, LABELS[rubric], weight="bold", size=11)
    for place, criterion in enumerate(load_rubric(rubric).criteria):
        top = 6.33 - 0.53 * place
        say(axis, 0.25, top, criterion.name, size=9.5)
        axis.barh(top - 0.29, 2.0 * criterion.weight / 40, height=0.1, left=0.25, color=LINE)
        say(axis, 0.32 + 2.0 * criterion.weight / 40, top - 0.2, f"{criterion.weight:g}%", size=9)


def draw_texts(axis, rubric: str) -> None:
    heading(axis, 3.2, "2  A teacher writes to three scores", 7.2)
    texts = {row["target"]: row["response"] for row in load_responses(False) if is_example(row, rubric)}
    for place, (name, target) in enumerate(TARGETS.items()):
        bottom = 6.05 - 1.15 * place
        box(axis, 3.2, bottom - 0.1, 3.6, 1.0, COLOURS[name])
        say(axis, 3.33, bottom + 0.74, f"{name}: {target} of 100", weight="bold", size=9.5)
        say(axis, 3.33, bottom + 0.48, excerpt(texts[target], 44, 3), size=9, family="monospace")


def is_example(row: dict, rubric: str) -> bool:
    return row["prompt"] == PROMPT and row["rubric"] == rubric


def draw_pair(axis) -> None:
    heading(axis, 7.3, "3  Two texts, a mirrored pair", 7.2)
    for bottom, told, better, worse in ((5.5, "low", "low", "high"), (3.75, "high", "high", "low")):
        box(axis, 7.3, bottom, 3.6, 1.45, COLOURS[told])
        say(axis, 7.45, bottom + 1.27, f"told {told} by the system prompt", weight="bold", size=10)
        say(axis, 7.45, bottom + 0.9, "chosen:", size=10)
        say(axis, 7.45, bottom + 0.45, "rejected:", size=10)
        for top, name, style in ((bottom + 0.9, better, "solid"), (bottom + 0.45, worse, "dashed")):
            axis.text(
                8.75,
                top,
                f"the {name} text",
                va="top",
                fontsize=10,
                color=INK,
                bbox={"boxstyle": "round,pad=0.3", "fc": "white", "ec": COLOURS[name], "ls": style, "lw": 1.8},
            )


def draw_model(axis) -> None:
    heading(axis, 0.1, "4  Training (DPO)", 3.3)
    box(axis, 0.1, 0.1, 2.6, 2.9)
    say(axis, 0.25, 2.82, "One model learns from both\nrows in the same step:")
    for top, told, other in ((2.25, "low", "high"), (1.85, "high", "low")):
        say(axis, 0.25, top, f"told {told}:", weight="bold")
        say(axis, 1.15, top, f"{told} ▲  {other} ▼")
    cancels = "What they teach whatever\nthe prompt says cancels.\n"
    say(axis, 0.25, 1.3, f"{cancels}What is left to learn: to\nread the system prompt.")


def draw_orders(axis, rubric: str, asked: str, after: dict[str, str]) -> None:
    heading(axis, 3.2, "5  One model, two system prompts", 3.3)
    axis.text(10.9, 3.12, excerpt(f"“{asked}”", 62, 1), ha="right", fontsize=9, color=INK)
    for bottom, name in ((1.6, "low"), (0.1, "high")):
        order = system_prompt(rubric, name)
        box(axis, 3.2, bottom, 3.5, 1.4, COLOURS[name])
        say(axis, 3.33, bottom + 1.27, f"told {name}", weight="bold", size=9.5)
        say(axis, 3.33, bottom + 1.02, excerpt(order, 45, 5), size=9.5)
        arrow(axis, (6.75, bottom + 0.7), (7.25, bottom + 0.7))
        box(axis, 7.3, bottom, 3.6, 1.4, COLOURS[name])
        say(axis, 7.43, bottom + 1.25, excerpt(after[name], 44, 6), size=9, family="monospace")


def excerpt(text: str, width: int, lines: int) -> str:
    """The beginning of a text in so many lines; characters that are no letters of the font stay out."""
    wrapped = [piece for line in text.splitlines() for piece in textwrap.wrap(line, width)]
    shown = wrapped[:lines]
    if len(wrapped) > lines:
        shown[-1] = textwrap.shorten(shown[-1] + " " + wrapped[lines], width - 2, placeholder="") + " …"
    return "\n".join(shown)


def heading(axis, left: float, text: str, top: float) -> None:
    axis.text(left, top - 0.18, text, fontsize=11, fontweight="bold", color=INK)


def say(axis, left, top, text, weight="normal", colour=INK, size=10, family=None) -> None:
    """Text from a place to the right and down."""
    axis.text(
        left, top, text, va="top", fontsize=size, fontweight=weight, color=colour, family=family, linespacing=1.25
    )


def box(axis, left, bottom, width, height, colour=LINE) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = {"boxstyle": "round,pad=0,rounding_size=0.08", "linewidth": 1.5, "facecolor": PALE, "edgecolor": colour}
    axis.add_patch(FancyBboxPatch((left, bottom), width, height, zorder=0, **style))


def arrow(axis, start, end) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": LINE, "linewidth": 2, "mutation_scale": 16})


def main(target: Path = TARGET) -> None:
    full, few = io.BytesIO(), {"method": Image.Quantize.MEDIANCUT, "dither": Image.Dither.NONE}
    draw().savefig(full, facecolor="white")
    Image.open(full).convert("RGB").quantize(96, **few).save(target, "PNG", optimize=True)
    print("wrote", target.name)


if __name__ == "__main__":
    main()
