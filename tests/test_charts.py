"""Figures about judges and side effects: what they draw is what they were given."""

import pytest

from cpt_utils import charts
from cpt_utils.plotting import LABELS


def test_confusion_shows_means_and_length_shows_each_high_text():
    rows = [{"rubric": name, "response": "word " * words} for name in LABELS for words in (50, 400)]
    rows += [{"rubric": "none", "response": "word " * 90}]
    scores = {name: [90.0 if row["rubric"] == name else 10.0 for row in rows] for name in LABELS}
    fig = charts.confusion_and_length(rows, scores)
    shown = [text.get_text() for text in fig.axes[0].texts]
    assert len(shown) == 20 and shown.count("90") == 4 and shown.count("10") == 16
    assert sum(len(points.get_offsets()) for points in fig.axes[1].collections) == 8


def test_overall_and_its_parts_are_bars_of_their_height():
    values = {"overall": 0.4, "follows": 1.2, "subject": 0.9, "language": 1.5}
    fig = charts.overall_parts({"base": values, "cpt": values, "teacher": values})
    heights = [bar.get_height() for bar in fig.axes[0].patches]
    assert len(heights) == 12 and heights[:4] == list(values.values())


def test_every_cell_of_a_shift_is_a_mark():
    there = {"way": 1.3, "miscalibration": 0.3, "orthogonality": 0.6}
    shift = {f"{name} {target}": there for name in LABELS for target in (10, 95)}
    fig = charts.style_shift_figure(shift)
    places = [tuple(points.get_offsets()[0]) for points in fig.axes[0].collections]
    assert (
        fig.axes[0].get_xlim()[1] > 1.3
        and len(places) == 8
        and all(place == pytest.approx((1.3, 0.6)) for place in places)
    )
