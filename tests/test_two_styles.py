"""Two styles at once: the dial over two differences, amounts in words, and what one does to the other."""

import matplotlib
import numpy as np
import pytest
import torch
from test_decoding import sharpened

from benchmarks import measured
from benchmarks.beyond import drawings, running, tables, two_styles
from benchmarks.beyond.columns import columns
from benchmarks.beyond.mixed import mixed_texts
from cpt_utils.models.conversation import ChatModel, chat
from cpt_utils.prompts import messages, system_prompt

matplotlib.use("agg")
PAIR = ("rococo", "chaos_cinema")


@pytest.mark.parametrize("asked", [{"rococo": 30}, {"rococo": 0, "esoteric": 100}, {"rococo": 80, "esoteric": 30}])
def test_a_dial_weighs_to_one_and_each_slider_moves_its_own_two_prompts(asked):
    cell = {"prompt": "Why?", "asked": asked}
    turns, weights = two_styles.dialled(cell)
    assert len(turns) == len(weights) == 2 * len(asked) and sum(weights) == pytest.approx(1)
    told = dict(zip([turn[0]["content"] for turn in turns], weights))
    for rubric, amount in asked.items():
        assert told[system_prompt(rubric, "high")] == pytest.approx(amount / 100)
    moved = two_styles.dialled({"prompt": "Why?", "asked": asked | {"rococo": asked["rococo"] + 10}})[1]
    assert np.subtract(moved, weights).tolist() == pytest.approx([-0.1, 0.1] + [0.0] * (len(weights) - 2))


def test_amounts_stand_in_the_system_prompt_with_what_they_are_of():
    told = two_styles.in_numbers({"rococo": 80, "chaos_cinema": 30})
    assert f"At 80 of 100: {system_prompt('rococo', 'high')}" in told and "at once" in told
    assert f"At 30 of 100: {system_prompt('chaos_cinema', 'high')}" in told
    assert "at once" not in two_styles.in_numbers({"rococo": 80})


def test_mixed_by_a_weight_of_one_a_text_is_that_conversations_own(tiny_model, tokenizer):
    model = sharpened(tiny_model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    chat_model = ChatModel(model, tokenizer, "tiny")
    first, second = messages("Tell me of rain.", "Be brief."), messages("Tell me of rain.", "Be long and winding.")
    options = {"max_new_tokens": 10, "temperature": 0.0}
    alone = chat(chat_model, [first, second], **options)
    groups = [[first, second], [first, second]]
    assert alone[0] != alone[1]
    assert mixed_texts(chat_model, groups, [[1.0, 0.0], [0.0, 1.0]], **options) == alone
    same = mixed_texts(chat_model, [[first, first]] * 3, [[0.3, 0.7], [-0.5, 1.5], [1.0, 0.0]], **options)
    assert same == [alone[0]] * 3
    split = mixed_texts(chat_model, groups, [[1.0, 0.0], [0.0, 1.0]], batch_size=2, **options)
    assert split == alone


def test_what_is_mixed_is_the_weighted_sum_of_logits(tiny_model, tokenizer):
    model = sharpened(tiny_model)
    turns = [messages("Why?", "Be brief."), messages("Why?", "Be long and winding, dear reader.")]
    logits = []
    for one in turns:
        text = tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits.append(model(ids).logits[0, -1].float())
    for weights in ([0.5, 0.5], [-0.5, 1.5]):
        wanted = tokenizer.decode([(weights[0] * logits[0] + weights[1] * logits[1]).argmax().item()])
        found = mixed_texts(ChatModel(model, tokenizer, ""), [turns], [weights], max_new_tokens=1, temperature=0.0)
        assert found == [wanted.strip()]


SENSE = {"subject": 2.0, "language": 1.5, "topic_rank": 1, "order_gain": 2.0, "degenerate": False}


def judged(rows):
    """Rows as a unit keeps them, whose "score" all three judges give."""
    told = []
    for row in rows:
        follows = 2 * (1 - min(1, abs(row["score"] - row["target"]) / 50))
        told.append(row | SENSE | {"follows": follows, "overall": follows / 2, "response": "A text."})
        told[-1] |= {"meaning": row["score"], "letters": row["score"]}
    return told


def rows_by(own, interference, noise=0.0, pair=PAIR):
    """Rows of a grid in which each style's score is what these slopes say."""
    chance, rows = np.random.default_rng(0), []
    for prompt in ("one", "two", "three", "four"):
        for a in two_styles.GRID:
            for b in two_styles.GRID:
                asked = dict(zip(pair, (a, b)))
                for rubric, amount, other, start in zip(pair, (a, b), (b, a), (0, 20)):
                    score = start + own * amount + interference * other + noise * chance.normal()
                    row = {"prompt": prompt, "asked": asked, "rubric": rubric, "target": amount, "score": score}
                    rows.append(row)
    return judged(rows)


def test_slopes_are_told_apart_and_their_intervals_hold_them():
    exact = two_styles.slopes(rows_by(0.6, -0.1), PAIR, "score")
    assert exact[PAIR[0]] == pytest.approx([0.6, -0.1]) and exact[PAIR[1]] == pytest.approx([0.6, -0.1])
    found = two_styles.with_interval(rows_by(0.6, 0.2, noise=8.0), PAIR, "letters")
    for style in found.values():
        (own, low, high), (other, least, most) = style["own"], style["interference"]
        assert low < own < high and least < other < most and high - low < 0.2
        assert own == pytest.approx(0.6, abs=0.1) and other == pytest.approx(0.2, abs=0.1)


def test_texts_that_no_judge_could_read_are_left_out():
    rows = rows_by(0.6, 0.0)
    for row in rows[::7]:
        row["score"] = None
    assert two_styles.slopes(rows, PAIR, "score")[PAIR[0]] == pytest.approx([0.6, 0.0], abs=1e-9)
    assert two_styles.slopes(rows[:1], PAIR, "score") == {}
    assert np.isnan(two_styles.mean_score(rows[:1], PAIR[0]))


def test_a_text_counts_once_for_each_style_that_it_was_asked():
    """At its target in one style and far from it in the other, it gets half."""
    cells = [{"prompt": "one", "asked": {"rococo": 80, "esoteric": 30}}, {"prompt": "one", "asked": {"rococo": 10}}]
    rows = two_styles.by_style(cells, ["both", "alone"])
    told = [(row["rubric"], row["target"], row["response"]) for row in rows]
    assert told == [("rococo", 80, "both"), ("esoteric", 30, "both"), ("rococo", 10, "alone")]
    kept_to_one = judged([row | {"score": 80.0} for row in rows[:2]])
    assert columns(kept_to_one)["follows"] == pytest.approx(1.0)
    assert columns(kept_to_one)["overall"][0] == pytest.approx(0.5 * columns(kept_to_one[:1])["overall"][0])


def test_grids_and_curves_are_assembled_and_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    monkeypatch.setattr(two_styles, "DRAWS", 20)
    planned = list(two_styles.units(tiny=False))
    assert len(planned) == 12
    for unit in planned:
        way, what = unit.split(": ")
        rows = rows_by(0.5, 0.1, pair=tuple(what.split(" + "))) if what != "curve" else []
        for rubric in drawings.LABELS if what == "curve" else ():
            for amount in two_styles.CURVE:
                row = {"prompt": "one", "asked": {rubric: amount}, "rubric": rubric, "target": amount}
                rows += judged([row | {"score": amount / 2}])
                rows[-1] |= {"score": None, "overall": None} if amount == 30 else {}
        measured.keep_texts("two_styles", unit, rows)
        measured.add("two_styles_units", unit, {})
    found = measured.files.rounded(two_styles.assemble(planned))
    assert set(found["grids"]) == set(found["curves"]) == set(two_styles.WAYS)
    grid = found["grids"]["dial, tuned"]["rococo + chaos_cinema"]
    assert len(grid["points"]) == 25
    assert set(grid["slopes"]) == {"score", "meaning", "letters"}
    assert all(slopes["rococo"]["interference"][0] == pytest.approx(0.1) for slopes in grid["slopes"].values())
    curve = found["curves"]["dial, tuned"]["rococo"]
    assert curve["rho"] == pytest.approx({"score": 1.0, "meaning": 1.0, "letters": 1.0}) and curve["unread"] == 1
    for told in found["ways"].values():
        assert set(told) == {"one style", "two styles"} and told["two styles"]["topic"] == 1.0
        assert told["one style"]["unread"] == len(drawings.LABELS) and 0 < told["two styles"]["overall"][0] < 1
    table = tables.two_styles_table(found)
    assert ">word-order gain<" in table
    assert table.count("<tr>") == 9 and "dial, tuned: two styles" in table and ">1.00</td>" in table
    fig = drawings.draw_two_styles(found)
    assert "dial, tuned +0.50;" in (title := fig.get_suptitle()) and "+0.10 to +0.10" in title and len(fig.axes) == 12


@pytest.mark.slow
def test_two_styles_runs_at_its_tiny_size(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "TINY", tmp_path)
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    module = "benchmarks.beyond.two_styles"
    running.run("two_styles", module, two_styles.assemble, drawings.draw_two_styles, ["--tiny"])
    found = measured.so_far("two_styles")
    assert set(found["grids"]) == set(found["ways"]) == set(two_styles.WAYS)
    for told in found["ways"].values():
        assert all({"overall", "topic", "order_gain", "rho"} <= set(one) for one in told.values())
