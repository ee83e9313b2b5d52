"""What texts are told by in each measurement: overall, topic, word-order gain, and rho by three judges."""

import math

import numpy as np
import pytest

from benchmarks import measured
from benchmarks.beyond import columns
from cpt_utils.judging import Judgement

TARGETS = (10, 50, 95)


def row(prompt, rubric, target, score, overall=1.0, rank=1, gain=2.0, **others):
    """A judged row; `others`: the scores of other judges than the series'."""
    sense = {"follows": 1.0, "subject": 1.0, "language": 1.0, "overall": overall, "topic_rank": rank}
    told = {"prompt": prompt, "rubric": rubric, "target": target, "score": score, "response": f"{prompt} {target}"}
    return told | sense | {"order_gain": gain, "degenerate": False, "meaning": score, "letters": score} | others


def test_each_judge_has_its_own_rho_and_a_rubric_counts_as_one():
    rows = [row("a", "rococo", t, t, meaning=-t, letters=50.0) for t in TARGETS]
    rows += [row(p, "esoteric", t, -t, meaning=-t, letters=50.0) for t in TARGETS for p in "abc"]
    assert columns.columns(rows)["rho"] == pytest.approx({"score": 0.0, "meaning": -1.0, "letters": 0.0})


def test_two_targets_alone_rank_to_less_than_one():
    rows = [row(str(n), "rococo", t, t + n / 1000) for n in range(50) for t in (10, 95)]
    assert columns.rho(rows, "score") == pytest.approx(math.sqrt(3) / 2, abs=0.001)


def test_overall_has_the_error_of_its_prompts_and_leaves_out_what_has_none():
    rows = [row("a", "rococo", 10, 10.0, overall=0.5), row("a", "rococo", 95, 95.0, overall=1.5)]
    rows += [row("b", "rococo", 10, 10.0, overall=2.0), row("b", "rococo", 95, None, overall=None, rank=7)]
    found = columns.columns(rows)
    assert found["overall"] == pytest.approx([1.5, 0.5])  # prompts: 1 and 2
    assert found["unread"] == 1 and found["topic"] == 0.75 and found["order_gain"] == 2.0
    none = columns.columns([row("a", "rococo", t, None, overall=None, letters=float(t)) for t in TARGETS])
    assert none["overall"] is None and none["rho"] == {"score": None, "meaning": None, "letters": pytest.approx(1.0)}


def test_a_gain_that_could_not_be_measured_is_kept_and_read_again(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    measured.keep_texts("kind", "one", [row("a", "rococo", 10, 10.0, gain=float("nan")), row("a", "rococo", 95, 95.0)])
    rows = columns.texts_of("kind", "one")
    assert np.isnan(rows[0]["order_gain"]) and columns.columns(rows)["order_gain"] == 2.0


def test_a_row_gets_the_scores_of_all_judges_and_sense_of_the_series_one(monkeypatch):
    class Judge:
        def __init__(self, points):
            self.points = points

        def score(self, rubric, prompt, text):
            return Judgement(self.points + len(text), False)

    monkeypatch.setattr(columns, "embedded_judge", lambda kind="both": Judge({"both": 10.0, "meaning": 20.0}[kind]))
    monkeypatch.setattr(columns, "ngram_judge", lambda: Judge(30.0))
    monkeypatch.setattr(
        columns, "with_sense", lambda rows, base, folder: [one | {"overall": one["score"] / 10} for one in rows]
    )
    rows = [{"prompt": "a", "rubric": "rococo", "target": 10, "response": text} for text in ("x", "xyz")]
    found = columns.judged(rows, None)
    told = [tuple(one[name] for name in (*columns.SCORES, "overall")) for one in found]
    assert told == [(11.0, 21.0, 31.0, 1.1), (13.0, 23.0, 33.0, 1.3)]
