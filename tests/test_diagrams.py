"""Diagrams of pairs draw what the rows and the packed batch hold."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from cpt_utils import diagrams
from cpt_utils.blocks import mirrored_squares
from cpt_utils.fast.packing import PackedCollator

ROWS = [
    {"prompt_ids": [11, 12, 13], "chosen_ids": [21, 22], "rejected_ids": [31, 32, 33]},
    {"prompt_ids": [14, 15], "chosen_ids": [31, 32, 33], "rejected_ids": [21, 22]},
]


@pytest.fixture
def square(rows):
    return mirrored_squares(rows, 0)[:8]


def test_each_half_that_is_read_decides_its_half_of_the_wish(square):
    names, texts, counts = diagrams.wanted(square, "sx")
    assert names == ["x₁ s₁", "x₁ s₂", "x₂ s₁", "x₂ s₂"] and texts == ["A₁", "B₁", "A₂", "B₂"]
    table = [[counts.get((name, text), 0) for text in texts] for name in names]
    assert table == [[2, -1, -1, 0], [-1, 2, 0, -1], [-1, 0, 2, -1], [0, -1, -1, 2]]
    names, texts, counts = diagrams.wanted(square, "x")
    assert [[counts[name, text] for text in texts] for name in names] == [[1, 1, -1, -1], [-1, -1, 1, 1]]
    names, texts, counts = diagrams.wanted(square, "s")
    assert [[counts[name, text] for text in texts] for name in names] == [[1, -1, 1, -1], [-1, 1, -1, 1]]
    assert set(diagrams.wanted(square, "")[2].values()) == {0}


def test_pairs_over_the_system_prompt_alone_ask_nothing_of_who_reads_the_question(rows, square):
    assert set(diagrams.wanted(square[:4], "x")[2].values()) == {0}
    assert set(diagrams.wanted(square[4:], "s")[2].values()) == {0}


def test_the_square_is_drawn_with_its_numbers(square):
    fig = diagrams.square_figure(square)
    shown = [text.get_text() for axis in fig.axes for text in axis.texts]
    assert len(shown) == 16 + 8 + 8 + 4 and shown.count("+2") == 4 and shown.count("0") == 4 + 4
    plt.close(fig)


@pytest.mark.parametrize("line", [0, 1])
def test_a_packed_line_is_drawn_with_its_mask_and_labels(line):
    batch = PackedCollator(0)(ROWS)
    fig = diagrams.packed_figure(batch, line)
    (axis,) = fig.axes
    tiles = {(round(box.get_y() + 0.45), round(box.get_x() + 0.45)) for box in axis.patches}
    assert tiles == {tuple(place) for place in batch["attention_mask"][line, 0].nonzero().tolist()}
    labels = [f"→ {label}" for label in batch["labels"][line].tolist()]
    assert [text.get_text() for text in axis.texts if "→" in text.get_text()] == labels
    parts = {(box.get_facecolor(), box.get_hatch()) for box in axis.patches}
    assert len(parts) == 3 and len({hatch for _, hatch in parts}) == 2, "the two texts differ without colour, too"
    plt.close(fig)


def test_margins_are_points_of_their_rubrics(rows):
    margins = torch.arange(24.0).numpy() - 12
    fig = diagrams.margins_figure(
        {"system prompts": rows, "questions": rows}, {"system prompts": margins} | {"questions": margins}
    )
    points = [line for line in fig.axes[0].lines if line.get_linestyle() == "None"]
    drawn = np.concatenate([line.get_xydata() for line in points])
    assert len(points) == 2 and sorted(map(tuple, drawn)) == sorted(zip(margins[0::2], -margins[1::2]))
    plt.close(fig)
