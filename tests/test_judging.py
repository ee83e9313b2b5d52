import json
import time
from pathlib import Path

import numpy as np
import pytest

from cpt_utils.degenerate import degeneracy
from cpt_utils.evaluation import judge_quality, steerability
from cpt_utils.judging import FEATURES, KINDS, FittedJudge, embedded_judge, judge_rows
from cpt_utils.measures import is_labelled, style_measures
from cpt_utils.prompts import graded_texts, load_corpus, load_prompts, load_responses
from cpt_utils.rubrics import load_rubric, shipped_rubrics
from cpt_utils.runtime.errors import JudgeError


@pytest.fixture(scope="module")
def judge():
    return embedded_judge()


def rho_of(judge, rows) -> list[float]:
    return [values["spearman_rho"] for values in judge_quality(judge, rows).values()]


def by_others() -> list[dict]:
    """Texts whose authors never saw the recorded responses."""
    path = Path(__file__).parent / "graded_by_others.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    ours = {row["response"] for row in [*load_responses(), *load_corpus()]}
    assert len(rows) == 72 and not ours & {row["response"] for row in rows}
    return rows


def unseen_hands() -> list[dict]:
    return [row for row in load_corpus(heldout=True) if row["kind"] == "hand"]


def test_heldout_quality_meets_the_bar(judge):
    rho = rho_of(judge, load_responses(heldout=True))
    assert np.mean(rho) >= 0.90 and min(rho) >= 0.80, rho


def test_hands_that_fitted_no_judge_are_ranked_too(judge):
    assert np.mean(rho_of(judge, unseen_hands())) >= 0.88
    assert np.mean(rho_of(judge, by_others())) >= 0.85


def test_the_own_style_is_named_whatever_the_hand_and_the_length(judge):
    """High texts get their own rubric's highest score; of four judges that only know ornament, one in four would."""
    rows = [*unseen_hands(), *by_others(), *(row for row in load_corpus(heldout=True) if "long" in row["kind"])]
    high = [row for row in rows if row["target"] == 95]
    scores = [{name: judge.score(name, "", row["response"]).score for name in shipped_rubrics()} for row in high]
    assert np.mean([max(by, key=by.get) == row["rubric"] for by, row in zip(scores, high)]) >= 0.9
    assert np.mean([by[row["rubric"]] >= 72.5 for by, row in zip(scores, high)]) >= 0.8


def test_foreign_texts_are_seldom_high(judge):
    foreign = [row["response"] for row in load_corpus(heldout=True) if row["rubric"] == "none"]
    top = [max(judge.score(name, "", text).score for name in shipped_rubrics()) for text in foreign]
    assert len(foreign) >= 10 and np.mean([score >= 72.5 for score in top]) <= 0.15


def test_both_kinds_of_features_together_beat_either_on_unseen_hands():
    rows = [*unseen_hands(), *by_others()]
    mean = {kind: np.mean(rho_of(embedded_judge(kind), rows)) for kind in KINDS}
    assert mean["both"] >= max(mean.values()) - 0.01, mean


def test_no_judge_is_fitted_on_heldout_prompts_or_hands():
    fitted = graded_texts()
    assert not {row["prompt"] for row in fitted} & {prompt["prompt"] for prompt in load_prompts(heldout=True)}
    assert not {row["prompt"] for row in fitted} & {row["prompt"] for row in load_corpus(heldout=True)}
    hands = {row["hand"] for row in load_corpus(heldout=True)}
    assert hands and not hands & {row["hand"] for row in load_corpus(heldout=False)}


def test_shipped_embeddings_are_those_of_the_graded_texts():
    from cpt_utils.models.embedding import embedder
    from cpt_utils.runtime.files import load_arrays

    texts = [row["response"] for row in graded_texts()]
    shipped = load_arrays(FEATURES)["embeddings"]
    assert len(shipped) == len(texts), "run `make judges`"
    some = list(range(0, len(texts), 29))
    assert np.abs(embedder()([texts[i] for i in some]) - shipped[some]).max() < 0.002, "run `make judges`"


@pytest.mark.parametrize(
    "text",
    [
        "Der Regen fiel den ganzen Tag auf die Dächer der Stadt, und niemand ging hinaus, der nicht musste.",
        "下了一整天的雨,没有人愿意出门。街角的电影院正在放映一部老电影,只有三个人在看。",
    ],
)
def test_a_language_that_it_cannot_read_gets_no_score(judge, text):
    judged = judge.score("rococo", "", text)
    assert judged.score is None and not judged.degenerate and "English" in judged.reason


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="no judge of kind 'taste'.*style, meaning, both"):
        FittedJudge([], "taste")


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
        ("Too short.", "empty"),
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


@pytest.mark.parametrize(
    "text", ["x" * 20_000, "ha" * 5_000, "-" * 8_000, "字" * 3_000, "a " * 20_000, "=" * 9_000 + ":"]
)
def test_endless_texts_are_measured_in_no_time(text):
    style_measures("warm")
    started = time.perf_counter()
    style_measures(text)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "line, labelled",
    [("FRAME 12: dark", True), ("one two three : x", True), ("one two three four: x", False), ("a  b: c", False)]
    + [
        ("- item", True),
        ("7 steps", True),
        (": nothing", False),
        ("no colon here", False),
        ("\t• dot", True),
        ("", False),
    ],
)
def test_lines_with_a_label_are_told(line, labelled):
    assert is_labelled(line) is labelled


def test_half_a_character_does_not_stop_the_others(judge):
    row = {"rubric": "rococo", "response": "the \ud83c broken half of an emoji stands in this text and nobody cares"}
    judged = judge_rows(judge, [row, {**row, "response": "The soup is in the pot and the bread is on the table."}])
    assert all(0 <= one["score"] <= 100 for one in judged)


@pytest.mark.parametrize("response", [None, 5, b"text", ["text"]])
def test_a_row_without_text_is_named(judge, response):
    rows = [{"rubric": "rococo", "response": "The soup is in the pot."}, {"rubric": "rococo", "response": response}]
    with pytest.raises(JudgeError, match="Row 2 of 2 has no text under 'response' but .*: fill or drop it"):
        judge_rows(judge, rows)


def test_texts_without_any_score_are_said_to_be(judge):
    rows = [
        {
            "rubric": "rococo",
            "prompt": "p",
            "target": 10,
            "response": "Das ist nur ein kurzer Satz auf Deutsch, und mehr nicht.",
        }
    ]
    with pytest.raises(JudgeError, match="None of the 1 texts has a score"):
        steerability(judge_rows(judge, rows))
