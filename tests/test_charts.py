"""Figures about judges and side effects: what they draw is what they were given."""

import warnings
from pathlib import Path

import matplotlib
import pytest
from matplotlib.font_manager import fontManager

from cpt_utils import charts, lettering
from cpt_utils.plotting import LABELS, figure


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


@pytest.fixture
def few_fonts(monkeypatch):
    """A machine whose only fonts are those that come with the library: DejaVu, STIX, and the last resort's boxes."""
    home = Path(matplotlib.get_data_path())
    monkeypatch.setattr(
        fontManager, "ttflist", [font for font in fontManager.ttflist if home in Path(font.fname).parents]
    )
    lettering._others.cache_clear()
    yield
    lettering._others.cache_clear()


def drawn(words: str):
    fig, axis = figure()
    axis.set(title=words, xlabel="plain")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig.canvas.draw()
    return fig, axis.title if axis.title.get_text() else axis._left_title


def test_letters_that_the_usual_font_lacks_are_drawn_with_another(few_fonts):
    fig, title = drawn("a \u1d81 b \u20e5")  # a phonetic d and a mark, which STIX has
    families = title.get_fontfamily()
    assert families[0] != "STIXGeneral" and "STIXGeneral" in families and lettering.told(fig) == ""
    fig, title = drawn("é ψ ж ✓\n\t\u200b")
    assert "STIXGeneral" not in title.get_fontfamily() and lettering.told(fig) == ""


def test_letters_that_no_font_has_are_told_in_one_sentence(few_fonts, tmp_path):
    for words, letters in (("港の話", "港 話:"), ("항구", "구 항:"), ("नमस्ते", "त न म स")):
        assert f"No font of this machine has {letters}" in lettering.told(drawn(words)[0])
    many = "".join(map(chr, range(0x4E00, 0x4E40)))
    told = charts.save_ranking(tmp_path / "a.png", many, {"Air": 100}, [(1, "text", 50.0, {"Air": 50.0})])
    assert len(told) < 150 and " ...:" in told and (tmp_path / "a.png").exists()
    assert charts.save_ranking(tmp_path / "b.png", "Air", {"Air": 100}, [(1, "text", 50.0, {"Air": 50.0})]) == ""


def test_a_broken_font_or_one_of_pictures_is_passed_over(few_fonts, monkeypatch, tmp_path):
    broken = tmp_path / "sans.ttf"
    broken.write_bytes(b"no font")
    there = lettering._upright()
    monkeypatch.setattr(lettering, "_upright", lambda: [(str(broken), "A Sans"), (str(tmp_path / "gone"), "B"), *there])
    assert lettering._others(frozenset("\u1d81")) == (["STIXGeneral"], [])
