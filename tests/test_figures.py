"""Text in figures and tables is text: names of rubrics and models, titles and tokens may hold anything."""

import io
import re

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text
from PIL import Image

from benchmarks import comparisons, drawings
from cpt_utils import charts, evaluation, plotting
from cpt_utils.diagrams import margins_figure
from cpt_utils.page import WIDTH, folded, metric_table
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.widgets import views

HOSTILE = [
    *("$5 and $10", "a $ sign", "$\\frac{$", "\\alpha ^_ {x} %", "<script>alert(1)</script>", "日本 🙂"),
    *("$\\mathdefault{10^{3}$", "$\\mathdefault{x}$"),
]


def drawn(fig) -> str:
    """All that a figure shows, once it has been drawn; no text of it is read as a formula."""
    with io.BytesIO() as page:
        fig.savefig(page, format="svg")
    texts = [text for text in fig.findobj(Text) if text.get_visible() and text.get_text()]
    plt.close(fig)
    assert not any(text.get_parse_math() for text in texts)
    return "\n".join(text.get_text() for text in texts)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("words", HOSTILE)
def test_any_text_is_shown_as_it_is(words):
    fig, axes = plotting.figure(1, 2)
    row = {"rubric": words, "target": 95, "score": 50.0}
    plotting.scores_by_target(axes[0], [row], words, legend=True)
    plotting.ranking_slopes(axes[1], {words: 1.0, "b": 2.0}, {words: 2.0, "b": 1.0}, (words, "after"))
    fig.suptitle(words)
    assert drawn(fig).count(words) >= 4
    spans = {"overall": (1.1, 0.2), "spearman_rho": (0.5, 0.1), "second_spearman_rho": (0.4, None)}
    assert words in drawn(drawings.draw_methods({words: spans, "other": spans}))
    assert words in drawn(plotting.token_heat_figure({words: [(words, 1.0)]}))


def test_formulas_of_ones_own_and_powers_of_ten_stay():
    fig, axis = plotting.figure()
    axis.plot([1, 2], [1, 1000])
    axis.set_yscale("log")
    for _ in range(2):
        fig.canvas.draw()
        assert [text.get_parse_math() for text in axis.get_yticklabels()] == [True] * len(axis.get_yticklabels())
    plt.close(fig)
    fig, axis = plt.subplots()
    assert axis.set_title(r"$\alpha$").get_parse_math()
    plt.close(fig)


def test_learning_rates_are_numbers_on_their_axis():
    found = comparisons.load_comparisons()
    fig = drawings.draw_curves(found["curves"], found["rates"])
    assert "0.001" in drawn(fig).splitlines()


@pytest.mark.parametrize("words", HOSTILE)
def test_a_rubric_in_a_notebook_runs_no_html_and_no_formulas(words):
    data = load_rubric("rococo").model_dump() | {"title": words, "objective": words, "scoring_notes": words}
    data["guiding_principles"] = data["levels"] = [words] * 5
    data["criteria"][0] |= {"name": words, "description": words, "levels": [words] * 5}
    page = views.rubric_table(Rubric.checked(data))
    assert "<script" not in page and page.startswith("<div class='mathjax_ignore tex2jax_ignore'")
    assert page.count(views.text(words)) == 5 + 5 + 7 + 3
    for table in (plotting.side_by_side({words: [words]}, [words]), plotting.token_heat({words: [(words, 1.0)]})):
        assert "<script" not in table.data and "class='mathjax_ignore tex2jax_ignore'" in table.data


def test_tables_of_texts_say_their_widths_where_jupyterlab_looks_for_them():
    page = plotting.side_by_side({"base": ["a"], "tuned": ["b"]}, ["order"]).data
    widths = [int(width) for width in re.findall(r"width:(\d+)%", page.split("</tr>")[0].split("<tr>")[1])]
    assert len(widths) == 3 and widths[0] < widths[1] == widths[2] and 98 <= sum(widths) <= 100


def test_pale_areas_of_a_figure_keep_their_colour_on_the_page():
    rows = [{"rubric": "rococo"}] * 2
    asked = {name: rows for name in ("system prompts", "questions")}
    fig = margins_figure(asked, {name: np.array([30.0, -20.0]) for name in asked})
    picture = Image.open(io.BytesIO(plotting.small_picture(fig).data)).convert("RGB")
    plt.close(fig)
    green = [colour for _, colour in picture.getcolors(2**16) if colour[1] > colour[0] + 15 and colour[1] > 225]
    assert green, "the corner 'reads both'"


def test_grey_lines_of_a_figure_stay_grey_on_the_page():
    fig = drawings.draw_methods(comparisons.load_comparisons()["methods"])
    with io.BytesIO() as full:
        fig.savefig(full, dpi=0.82 * fig.dpi)
        drawn = np.asarray(Image.open(full).convert("RGB"), int)
    shown = np.asarray(Image.open(io.BytesIO(plotting.small_picture(fig).data)).convert("RGB"), int)
    plt.close(fig)
    grey = np.ptp(drawn, -1) == 0
    assert grey.mean() > 0.5 and np.ptp(shown, -1)[grey].max() <= 4


def test_long_lines_are_broken_between_words_and_short_ones_stay():
    text = "a // b\n\n    deep\n" + "word " * 60
    lines = folded(text, "  ").split("\n")
    assert lines[:3] == ["  a // b", "", "      deep"] and max(map(len, lines)) <= WIDTH
    assert " ".join(lines).split() == text.split() and folded("") == ""


def test_metrics_stand_under_their_models_with_their_intervals_where_they_have_one():
    one = {"overall": 1.0, "tau": -0.25, "degenerate_rate": 0.5, "ci95": {"overall": [0.75, 1.25], "tau": [-1.0, 0.5]}}
    head, *lines = metric_table({"base": one, "cpt": one | {"overall": float("nan")}}, tuple(one)[:3]).split("\n")
    assert head.split() == ["base", "tuned"] and [line.split()[0] for line in lines] == ["overall", "tau", "degenerate"]
    assert {len(line) for line in (head, *lines)} == {14 + 2 * 24}
    assert lines[0][14:38].strip() == "1.00 [ 0.75,  1.25]" and lines[0][38:].strip().startswith("nan [")
    assert lines[1].count("-0.25 [-1.00,  0.50]") == 2 and lines[2].split() == ["degenerate", "0.50", "0.50"]


def test_figures_without_intervals_stand_in_narrow_columns_under_whole_names():
    effects = {"perplexity_under_base": 9.5, "distinct_2": 0.5}
    head, *lines = metric_table({"base": effects, "cpt": effects, "a teacher": effects}).split("\n")
    assert head.split() == ["base", "tuned", "a", "teacher"]
    assert lines[0].split() == ["perplexity_under_base", "9.50", "9.50", "9.50"]
    assert lines[1].split() == ["distinct_2", "0.50", "0.50", "0.50"] and len({len(one) for one in (head, *lines)}) == 1


def test_a_table_is_as_wide_as_its_names_and_figures_and_takes_numbers_only():
    one = {"perplexity": 1234567.891, "by_rubric": {"rococo": {}}, "texts": 3}
    lines = metric_table({"base": one, "tuned, paraphrased": one, "recorded teacher": one}).split("\n")
    assert "base  tuned, paraphrased" in re.sub(" {3,}", "  ", lines[0]) and len({*map(len, lines)}) == 1
    assert lines[1].split() == ["perplexity", *["1234567.89"] * 3] and lines[2].split() == ["texts", *["3.00"] * 3]


def test_bars_of_rho_are_drawn_where_texts_are_few_or_a_rubric_has_no_score():
    found = {"texts": 5, "by_rubric": {"a_style": {"spearman_rho": 1.0}}}
    fig = charts.rho_by_rubric({"base": found}, {"a_style": "A long style", "b_style": "B"})
    (axis,) = fig.axes
    assert axis.get_lines()[0].get_ydata()[0] == 1 and axis.get_ylim() == (0, 1)
    assert [t.get_text() for t in axis.get_xticklabels()] == ["A\nlong\nstyle", "B"]


def test_bars_of_rho_stand_at_the_rubrics_in_their_order_and_reach_below_nothing():
    labels = {"b_style": "B style", "a_style": "A style"}
    found = {"texts": 48, "by_rubric": {"a_style": {"spearman_rho": 0.5}, "b_style": {"spearman_rho": -0.25}}}
    fig = charts.rho_by_rubric({"base": found, "tuned": found, "tuned, paraphrased": found}, labels)
    (axis,) = fig.axes
    assert [bar.get_height() for bar in axis.patches] == [-0.25, 0.5] * 3
    assert [t.get_text() for t in axis.get_xticklabels()] == ["B\nstyle", "A\nstyle"] and axis.get_ylim()[0] <= -0.25
    assert len({bar.get_facecolor() for bar in axis.patches}) == 3
    assert axis.get_lines()[0].get_ydata()[0] == evaluation.highest_rho(8)
    assert [t.get_text() for t in axis.get_legend().get_texts()] == ["base", "tuned", "tuned, paraphrased"]


def test_styles_of_a_shift_are_keyed_by_marks_that_no_target_has():
    shift = {f"rococo {target}": {"way": 0.5, "orthogonality": 0.2} for target in (10, 50)} | {
        "mine 50": {"way": 1.5, "orthogonality": 0.9}
    }
    (axis,) = charts.style_shift_figure(shift).axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["Rococo", "Mine"]
    low, mid, other = (len(marks.get_paths()[0].vertices) for marks in axis.collections)
    assert low != mid == other and {key.get_marker() for key in axis.get_legend().get_lines()} == {"s"}


def test_half_a_character_is_drawn_as_what_it_can_be():
    fig, axis = plotting.figure()
    plotting.scores_by_target(axis, [{"rubric": "r", "target": 95, "score": 50.0}], "half \ud83d")
    assert "half ?" in drawn(fig)
    assert "half ?" in drawn(plotting.token_heat_figure({"half \ud83d": [("a \ud83d", 1.0)]}))
