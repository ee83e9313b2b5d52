"""Sense: topic, word-order gain, the overall score, and the look without a judge."""

import warnings

import numpy as np
import pytest

from cpt_utils import overall, sense
from cpt_utils.models.conversation import ChatModel
from cpt_utils.prompts import load_prompts, load_responses
from cpt_utils.runtime.errors import JudgeError
from cpt_utils.shift import moved, style_shift
from cpt_utils.word_order import shuffled

HELD = load_responses(heldout=True)


def test_topic_tells_the_own_prompt_from_25_others():
    ranks = sense.topic_ranks(HELD)
    assert ranks.min() == 1 and ranks.max() <= 26
    assert (ranks == 1).mean() >= 0.65 and (ranks <= 3).mean() >= 0.75
    others = HELD[36:] + HELD[:36]  # every text under another's prompt
    moved_ranks = sense.topic_ranks([{**row, "prompt": other["prompt"]} for row, other in zip(HELD, others)])
    assert (moved_ranks == 1).mean() < 0.2


def test_topic_depends_on_nothing_but_the_row():
    alone = [sense.topic_ranks([row])[0] for row in HELD[:6]]
    assert alone == sense.topic_ranks(HELD)[:6].tolist()
    mine = [{"prompt": "Write about my cat.", "response": "My cat sleeps on the warm stove all day."}]
    assert sense.topic_ranks(mine, ["Describe a bridge.", "Explain taxes.", "Describe my cat."]).tolist() in ([1], [2])


@pytest.fixture
def model(tiny_model, tokenizer):
    return ChatModel(tiny_model, tokenizer, "tiny")


def test_order_gains_are_computed_once_and_kept(model, tmp_path, monkeypatch):
    from cpt_utils.models import logps

    texts = [HELD[0]["response"], HELD[1]["response"], HELD[0]["response"], "one"]
    first = sense.order_gains(model, texts, tmp_path)
    assert first.shape == (4,) and first[0] == first[2] and np.isnan(first[3]) and np.isfinite(first[:3]).all()
    sums, _ = logps.text_logps(model, [texts[1], shuffled(texts[1])])
    assert first[1] == pytest.approx((sums[0] - sums[1]) / len(texts[1].split()), abs=1e-3)
    monkeypatch.setattr(logps, "text_logps", None)
    assert np.array_equal(sense.order_gains(model, texts, tmp_path), first, equal_nan=True)
    (tmp_path / sense.FILE).write_text("{torn")
    with pytest.raises(TypeError):  # it would be computed again
        sense.order_gains(model, texts, tmp_path)


def test_overall_is_zero_where_one_part_is_and_full_where_all_are(monkeypatch):
    rows = [
        {"score": 95, "target": 95, "degenerate": False, "response": "a"},
        {"score": 70, "target": 95, "degenerate": False, "response": "b"},
        {"score": 95, "target": 95, "degenerate": False, "response": "c"},
        {"score": 95, "target": 95, "degenerate": False, "response": "d"},
        {"score": 95, "target": 95, "degenerate": False, "response": "e"},
        {"score": 45, "target": 95, "degenerate": False, "response": "f"},
        {"score": None, "target": 95, "degenerate": False, "response": "g"},
        {"score": 95, "target": 95, "degenerate": False, "response": "h"},
    ]
    gains = {"a": 4.0, "b": 3.0, "c": 3.0, "d": 3.0, "e": 1.5, "f": 3.0, "g": 3.0, "h": float("nan")}
    monkeypatch.setattr(overall, "topic_ranks", lambda rows: np.array([1, 1, 4, 1, 3, 1, 1, 1]))
    monkeypatch.setattr(overall, "order_gains", lambda model, texts, folder: np.array([gains[text] for text in texts]))
    monkeypatch.setattr(overall, "degeneracy", lambda text, gain: "repetition" if text == "d" else "")
    monkeypatch.setattr(overall, "recorded_gain", lambda model, folder: 3.0)
    measured = overall.with_sense(rows, None)
    assert [row["overall"] for row in measured] == pytest.approx([2, 1.5, 0, 0, 1.2, 0, None, 0])
    assert measured[1]["follows"] == 1 and measured[4]["subject"] == 1 and measured[4]["language"] == 1
    means = overall.sense_metrics(measured)
    assert means["topic"] == pytest.approx(6 / 8) and means["overall"] == pytest.approx(4.7 / 7)
    assert means["order_gain"] == pytest.approx(np.mean([4, 3, 3, 3, 1.5, 3, 3]))


def test_moves_are_taken_apart_along_and_aside():
    start, goal = np.zeros(2), np.array([2.0, 0.0])
    assert moved(start, goal, goal) == {"way": 1, "miscalibration": 0, "orthogonality": 0}
    assert moved(start, start, goal) == {"way": 0, "miscalibration": 1, "orthogonality": 0}
    twice, back = (moved(start, np.array([x, 0.0]), goal) for x in (4.0, -2.0))
    assert (twice["way"], twice["miscalibration"]) == (2, 1) and (back["way"], back["miscalibration"]) == (-1, 2)
    aside = moved(start, np.array([1.0, 1.0]), goal)
    assert aside["miscalibration"] == pytest.approx(0.5) and aside["orthogonality"] == pytest.approx(0.5**0.5)
    assert moved(start, np.array([0.0, 3.0]), goal)["orthogonality"] == 1
    assert moved(start, start, start) == {"way": 1, "miscalibration": 0, "orthogonality": 0}


def test_texts_that_are_the_recorded_ones_have_arrived():
    low = [row for row in HELD if row["target"] == 10]
    base = [{**row, "target": target} for row in low for target in (10, 50, 95)]
    shift = style_shift(base, HELD, HELD)
    assert set(shift) == {f"{row['rubric']} {row['target']}" for row in HELD}
    assert all(cell["miscalibration"] < 1e-9 for name, cell in shift.items() if not name.endswith(" 10"))
    assert style_shift(base, base, HELD)["rococo 95"]["miscalibration"] == pytest.approx(1)


def test_the_order_gain_of_recorded_texts_is_shipped_for_the_embedded_model():
    import json
    from importlib import resources

    shipped = json.loads(resources.files("cpt_utils").joinpath("data", sense.FILE).read_text("utf-8"))
    from cpt_utils.runtime import files

    wanted = {files.json_hash(row["response"], 16, ascii=True) for row in HELD}
    assert len(shipped) == 2 and all(wanted <= set(gains) for gains in shipped.values()), "run `make logps`"
    assert all(2.5 < np.median([gains[key] for key in wanted]) < 3.5 for gains in shipped.values())
    assert len(load_prompts(heldout=True)) * 12 == len(HELD)


BROKEN_STORES = [b"[]", b"null", b"\xff\xfe{}", b'{"m": 5}', b"{", b'{"m": {"k": [1]}}']


@pytest.mark.parametrize("content", BROKEN_STORES)
def test_a_broken_store_is_computed_again(model, tmp_path, content):
    (tmp_path / sense.FILE).write_bytes(content)
    gain = sense.order_gains(model, [HELD[0]["response"]], tmp_path)
    assert np.isfinite(gain).all()
    assert sense.order_gains(model, [HELD[0]["response"]], tmp_path) == gain


def test_half_a_character_is_measured_like_any_other(model, tmp_path):
    text = "the \ud83c broken half of an emoji stands in this text and nobody cares at all"
    assert sense.topic_ranks([{"prompt": HELD[0]["prompt"], "response": text}]).shape == (1,)
    assert np.isfinite(sense.order_gains(model, [text], tmp_path)).all()


def test_what_cannot_be_measured_is_none_and_not_bad(model, tmp_path):
    german = "Der Bericht beschreibt den Ablauf des Abends und nennt die Namen aller, die dabei gewesen sind."
    row = {"prompt": HELD[0]["prompt"], "rubric": "rococo", "target": 10, "degenerate": False, "score": 12.0}
    rows = overall.with_sense([{**row, "response": german}, {**row, "response": HELD[0]["response"]}], model, tmp_path)
    assert rows[0]["language"] is None and rows[0]["overall"] is None and rows[1]["overall"] is not None
    means = overall.sense_metrics(rows)
    assert means["overall"] == rows[1]["overall"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = overall.sense_metrics([])
    assert np.isnan(nothing["overall"])
    from cpt_utils.runtime.files import rounded

    assert rounded(nothing)["overall"] is None


def test_the_same_texts_in_another_order_have_not_moved():
    cell = [row for row in HELD if row["rubric"] == "rococo" and row["target"] == 95]
    elsewhere = [{**row, "response": "Plain words."} for row in cell]
    (found,) = style_shift(cell[::-1], elsewhere, cell).values()
    assert found["miscalibration"] == 0 and found["orthogonality"] == 1
    with pytest.raises(JudgeError, match="A shift needs texts of all three"):
        style_shift(cell, cell, [])
