import json

import numpy as np
import pytest

from cpt_utils.evaluation import judge_quality
from cpt_utils.judging import degeneracy, embedded_judge
from cpt_utils.measures import style_measures
from cpt_utils.prompts import load_responses
from cpt_utils.rubrics import load_rubric, shipped_rubrics


@pytest.fixture(scope="module")
def judge():
    return embedded_judge()


def test_heldout_quality_meets_the_bar(judge):
    rho = {k: v["spearman_rho"] for k, v in judge_quality(judge, load_responses(heldout=True)).items()}
    assert np.mean(list(rho.values())) >= 0.85 and min(rho.values()) >= 0.75, rho


def test_the_judge_is_not_fitted_on_heldout_prompts(monkeypatch):
    from cpt_utils import prompts
    from cpt_utils.judging import StyleJudge

    seen = []
    monkeypatch.setattr(StyleJudge, "__init__", lambda self, rows: seen.extend(rows))
    embedded_judge.__wrapped__()
    held = {p["prompt"] for p in prompts.load_prompts(heldout=True)}
    assert seen and not held & {row["prompt"] for row in seen}


def test_graded_texts_by_other_hands(judge):
    """Texts whose authors never saw the recorded responses: the judge must rank them too."""
    from pathlib import Path

    path = Path(__file__).parent / "graded_by_others.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    ours = {r["response"] for r in load_responses()}
    assert len(rows) == 72 and not ours & {r["response"] for r in rows}
    rho = {k: v["spearman_rho"] for k, v in judge_quality(judge, rows).items()}
    assert np.mean(list(rho.values())) >= 0.85 and min(rho.values()) >= 0.75, rho


def test_score_has_every_criterion_and_stays_in_range(judge):
    row = load_responses(heldout=True)[0]
    for name in shipped_rubrics():
        judged = judge.score(name, row["prompt"], row["response"])
        assert 0 <= judged.score <= 100 and not judged.degenerate
        assert list(judged.by_criterion) == [c.name for c in load_rubric(name).criteria]
        assert all(0 <= v <= 100 for v in judged.by_criterion.values())
    with pytest.raises(ValueError, match="knows no rubric 'haiku'"):
        judge.score("haiku", "", "text")


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "empty"),
        ("...!?", "empty"),
        ("Too short a text.", "empty"),
        ("a window. A window. " * 20, "repetition"),
        ("the red light and the blue light and " * 9, "repetition"),
        (
            "velvet cherub pearl gilded lace brocade silk opulent sumptuous baroque porcelain ribbon garland plume",
            "keyword salad",
        ),
    ],
)
def test_degenerate_texts_are_flagged(judge, text, reason):
    assert degeneracy(text) == reason
    assert judge.score("rococo", "", text).degenerate


def test_length_does_not_buy_a_score(judge):
    """Half of a text scores about as much as the whole."""
    shifts = []
    for row in load_responses(heldout=True):
        tokens = row["response"].split(" ")
        if row["rubric"] == "rococo" and row["target"] == 95:
            continue  # one sentence: half of it has no end
        half = " ".join(tokens[: len(tokens) // 2])
        scores = [judge.score(row["rubric"], "", text).score for text in (half, row["response"])]
        shifts.append(scores[0] - scores[1])
    assert abs(np.mean(shifts)) < 10


def test_odd_unicode_is_measured_without_error():
    for text in ("\u2028\u2029\x00", "🌀" * 50, "ﷺ" * 40, "a\u0301" * 100, "\ud83c" * 3, "١٢٣ " * 30):
        values = style_measures(text)
        assert all(np.isfinite(v) for v in values.values())
