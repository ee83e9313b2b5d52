"""Diagrams of pairs: what a square asks of a model, what the untrained one prefers, and how rows are packed."""

from collections import Counter

import torch

from cpt_utils.plotting import COLOURS, LABELS, LESS, MORE, figure
from cpt_utils.rows import PreferenceRow

INK = {0: COLOURS["low"], 1: COLOURS["high"], 2: "#009E73"}  # of a packed line's responses, told apart by hatching, too
HATCH = {0: "", 1: "///", 2: "..."}
SHARED = "#BBBBBB"
POINTS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]


def wanted(rows: list[PreferenceRow], halves: str) -> tuple[list[str], list[str], dict]:
    """How often each text is chosen, less how often it is rejected, by what a model reads of the conversation.

    `rows`: a square (blocks.mirrored_squares), whose system prompts are called s₁ and s₂, its questions x₁ and x₂, and
    its texts by both; `halves`: "sx", "s", "x" or "". Returns the names of the conversations that can still be told
    apart, those of the texts, and {(conversation, text): count}.
    """
    names: dict[str, dict[str, str]] = {"s": {}, "x": {}}
    texts: dict[str, str] = {}
    for row in rows:
        for half, place in (("s", 0), ("x", -1)):
            known = names[half]
            known.setdefault(row["prompt"][place]["content"], f"{half}{'₁₂'[len(known) % 2]}")
    counts: Counter = Counter()
    for row in rows:
        system, question = names["s"][row["prompt"][0]["content"]], names["x"][row["prompt"][-1]["content"]]
        texts.setdefault(row["chosen"][0]["content"], f"{'AB'[system == 's₂']}{question[1]}")
        kept = {"s": system, "x": question}
        read = " ".join(kept[half] for half in "xs" if half in halves) or "–"
        for side, sign in (("chosen", 1), ("rejected", -1)):
            counts[read, row[side][0]["content"]] += sign
    conversations = sorted({read for read, _ in counts})
    return (
        conversations,
        sorted(texts.values(), key=lambda name: name[::-1]),
        {(read, texts[text]): n for (read, text), n in counts.items()},
    )


def square_figure(rows: list[PreferenceRow]):
    """What the eight rows of a square ask for, read whole and with halves of the conversation left out."""
    views = {"both halves": "sx", "the question only": "x", "the system prompt only": "s", "neither": ""}
    fig, axes = figure(1, 4, width=12, height=3)
    for axis, (title, halves) in zip(axes, views.items()):
        conversations, texts, counts = wanted(rows, halves)
        for down, conversation in enumerate(conversations):
            for across, text in enumerate(texts):
                count = counts.get((conversation, text), 0)
                _tile(axis, across, down, count)
        axis.set(xlim=(-0.5, len(texts) - 0.5), ylim=(3.5, -0.5), title=f"reads {title}")
        axis.set_xticks(range(len(texts)), texts)
        axis.set_yticks(range(len(conversations)), conversations)
        _bare(axis)
    return fig


def _tile(axis, across: int, down: int, count: int) -> None:
    colour = (255, 255, 255)
    if count:
        colour = MORE if count > 0 else LESS
    box = {
        "facecolor": [value / 255 for value in colour],
        "edgecolor": "#666666",
        "alpha": min(1, 0.4 + abs(count) / 3),
    }
    axis.add_patch(_square(across - 0.46, down - 0.46, 0.92, **box))
    axis.text(across, down, f"{count:+d}".replace("-", "−") if count else "0", ha="center", va="center")


def packed_figure(batch: dict[str, torch.Tensor], line: int = 0):
    """One line of a packed batch (packing.PackedCollator): which tokens each token sees, and what it predicts."""
    ids, places = batch["input_ids"][line].tolist(), batch["position_ids"][line].tolist()
    sees, labels = batch["attention_mask"][line, 0], batch["labels"][line].tolist()
    kept = batch["segment"][line].tolist()
    parts = [-1] * (len(ids) - len(kept)) + kept
    fig, axis = figure(width=7.2, height=4.6)
    for down, across in sees.nonzero().tolist():
        part = parts[across]
        box = {"facecolor": INK.get(part, SHARED), "hatch": HATCH.get(part, ""), "edgecolor": "white"}
        axis.add_patch(_square(across - 0.45, down - 0.45, 0.9, **box))
    for down, label in enumerate([None] * (len(ids) - len(labels)) + labels):
        if label is not None and label >= 0:
            axis.text(len(ids) + 0.1, down, f"→ {label}", va="center", color=INK[parts[down]], fontweight="bold")
    axis.text(len(ids) + 0.1, -0.95, "predicts", va="center")
    names = [f"{token}\n{place}" for token, place in zip(ids, places)]
    axis.set(xlim=(-0.5, len(ids) + 1), ylim=(len(ids) - 0.5, -0.5))
    axis.set(xlabel="sees these tokens (below each: its position)", ylabel="this token")
    axis.set_xticks(range(len(ids)), names)
    axis.set_yticks(range(len(ids)), ids)
    _bare(axis)
    return fig


def margins_figure(asked: dict[str, list[PreferenceRow]], margins: dict):
    """By how much a model finds the first text of each mirrored pair likelier, in either of its two conversations.

    `asked`: rows by what their pairs are mirrored over; `margins`: log p(chosen) - log p(rejected) of each row.
    """
    fig, axes = figure(1, len(asked), width=5.6 * len(asked), height=4.4, squeeze=False)
    wants = {"system prompts": ("s₁", "s₂"), "questions": ("x₁", "x₂")}
    for axis, (name, rows) in zip(axes[0], asked.items()):
        one, other = margins[name][0::2], -margins[name][1::2]  # both as log p(A) - log p(B)
        rubrics = list(dict.fromkeys(row["rubric"] for row in rows))
        for place, rubric in enumerate(rubrics):
            mine = [number for number, row in enumerate(rows[0::2]) if row["rubric"] == rubric]
            look = {"color": POINTS[place % len(POINTS)], "marker": "osD^"[place % 4], "linestyle": "", "alpha": 0.7}
            axis.plot(one[mine], other[mine], label=LABELS.get(rubric, rubric), **look)
        reach = abs(margins[name]).max() * 1.05
        axis.fill_between([0, reach], [0, 0], [-reach, -reach], color="#009E73", alpha=0.2)
        axis.text(reach * 0.97, -reach * 0.95, "right under both", ha="right", color="#006B4F")
        axis.plot([-reach, reach], [-reach, reach], "k--", linewidth=1)
        first, second = wants[name]
        axis.set(title=f"two {name}", xlabel=f"log p(A) - log p(B) under {first} (wants A)")
        axis.set(ylabel=f"the same under {second} (wants B)")
    axes[0][0].legend()
    return fig


def _square(x: float, y: float, size: float, **look):
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), size, size, linewidth=0.8, **look)


def _bare(axis) -> None:
    axis.grid(False)
    axis.set_aspect("equal")
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    axis.tick_params(length=0)
