"""What the measurements beyond training come to: shown as strong as they are, and no stronger."""

import matplotlib
import pytest
from test_holds import cells, judged
from test_two_styles import PAIR, rows_by

from benchmarks import measured
from benchmarks.beyond import drawings, holds, summary, tables, two_styles
from tools import carry

matplotlib.use("agg")


def test_what_was_not_read_is_no_gap_and_is_told():
    """A vector whose texts fall apart must not look steadier than it is: filled dots and figures are over all pairs."""
    rows = [judged("first turn", prompt, target, 20.0 + target / 2) for prompt in "abcd" for target in (10, 95)]
    later = [row | {"condition": "fourth turn"} for row in rows]
    for row in (later[1], later[2], later[3]):  # one text of the first pair, and both of the second
        row["meaning"] = row["overall"] = None
    found = {name: holds.condition_of(mine) for name, mine in (("first turn", rows), ("fourth turn", later))}
    found = measured.files.rounded(found)
    assert found["fourth turn"]["gap"][0] == pytest.approx(42.5) and found["fourth turn"]["unread_pairs"] == 2
    assert summary.kept(found) == pytest.approx({"first turn": 1.0, "fourth turn": 0.5})
    assert summary.kept({"first turn": {"gap_of_all": [42.5, None]}}) == {"first turn": None}, "of one prompt"
    shares = {"nothing asked": {"sum": 0.5}, "rococo": {"sum": 0.5}}
    told = {"table": dict.fromkeys(tables.HEADS, found), "lost": dict.fromkeys(tables.HEADS, shares)}
    assert cells(tables.holds_table(told))["fourth turn"][:5] == ["21 ±12"] * 3 + ["2 / 2 / 2", "50%"]
    assert "keeps 50% (fourth turn) to 50%" in drawings.finding_holds(told)
    axis = drawings.draw_holds(told).axes[0]
    hollow = [line.get_xdata() for line in axis.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 3 and all(str(x[0]) == "nan" and x[1] == pytest.approx(42.5) for x in hollow)
    filled = [bars.lines[0].get_xdata().tolist() for bars in axis.containers]
    assert filled == [pytest.approx([42.5, 21.25])] * 3


def test_the_committed_gaps_are_shown_over_all_pairs():
    held = measured.committed("holds")
    shown = cells(tables.holds_table(held))
    for name, told in held["table"]["vector"].items():
        assert shown[name][1].split(" ±")[0] == f"{told['gap_of_all'][0]:.0f}"
        assert shown[name][3].split(" / ")[1] == str(told["unread_pairs"])
    rows = [row for row in measured.all_texts("holds") if row["of"].startswith("prompting")]
    german = [row for row in rows if "German" in row["condition"] and row["meaning"] is None]
    pairs = {(row["prompt"], row["rubric"]) for row in german}
    assert shown["system prompt in German"][3].startswith(f"{len(pairs)} / ") and len(pairs) < len(german)


def test_the_readme_tells_the_situations_that_cost_most_too():
    told, shares = carry.carries(), summary.kept(measured.committed("holds")["table"]["cpt"])
    for name in ("fourth turn", "code", "typing errors", "system prompt in German"):
        assert f"{shares[name]:.0%}" in told
    assert "in code" in told and "typing errors" in told and "with equal steps" in told and "series' judge" in told


def test_how_far_scores_go_is_told_against_where_they_started():
    assert summary.way_there({10: 20.0, 95: 45.0}, {10: 20.0, 95: 20.0}) == pytest.approx(1 / 3)
    scores = summary.scores_by_target()
    assert 0.2 < summary.way_there(scores["16"], scores["base"]) < 0.3, "notebook 09 says a quarter"
    seen = {"x y, 8 small, 1": {"large": 10}, "x y, 8 small, 2": {"large": 20}, "x y, 0 small, 1": {"large": 90}}
    assert summary.large_rows({"rows_seen": seen}, "8") == 15


def test_slopes_are_shown_by_all_three_judges_and_a_title_names_them():
    """The series' judge counts other styles' texts as none, so what it says of mixtures does not stand alone."""
    rows = rows_by(0.5, -0.3)
    for row, other in zip(rows, rows_by(0.4, 0.2)):
        row["letters"] = other["score"]
    found = {"grids": {"dial, tuned": {" + ".join(PAIR): two_styles.grid_of(rows, PAIR)}}}
    own, other = summary.slopes_of(found["grids"]["dial, tuned"], "letters")
    assert own == pytest.approx([0.4] * 2) and other == pytest.approx([0.2] * 2)
    title = drawings.finding_two_styles(found)
    assert title.startswith("By the series' judge") and "-0.30 to -0.30 (series' judge)" in title
    assert "-0.30 to -0.30 (meaning)" in title and "+0.20 to +0.20 (letters)" in title
    table = tables.slopes_table(found)
    assert table.count("<tr>") == 2 and "own, series' judge" in table and "by the other, letters" in table
    assert ">0.50<" in table and ">0.40<" in table and ">-0.30<" in table and ">0.20<" in table
    by_style = tables.slopes_table(found, by_style=("dial, tuned",))
    assert by_style.count("<tr>") == 4 and "dial, tuned: Rococo" in by_style
    assert by_style.count(">-0.30 (-0.30 to -0.30)<") == 4 and by_style.count(">0.20 (0.20 to 0.20)<") == 2
