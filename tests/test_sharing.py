"""What sharing saves: the counts are those of the collators' batches, and the formulas are the counts."""

from itertools import permutations

import pytest
from peft import LoraConfig
from transformers import AutoModelForCausalLM, LlamaConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference

from benchmarks import measured, sharing
from benchmarks.beyond import drawings, running, steps
from benchmarks.beyond import sharing as measured_steps
from benchmarks.sharing import BLOCKS, REPORTED, WAYS, break_even, counts, example, formulas, gains, size, tree, work
from cpt_utils.blocks import mirrored_squares
from cpt_utils.fast.output_layer import NO_LABEL
from cpt_utils.fast.packing import PackedCollator, unpacked_tokens
from cpt_utils.models.logps import row_tokens
from cpt_utils.runtime.catalogue import config_sizes, find_model

SHAPE = find_model("embedded")["shape"]
ODD = {
    "one row": [{"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6]}],
    "prompts of one token": [{"prompt_ids": [1], "chosen_ids": [4, 5], "rejected_ids": [6]}] * 2,
    "the same row twice": [{"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6]}] * 2,
    "equal responses": [{"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [4, 5]}],
    "a prompt that begins another": [
        {"prompt_ids": [1, 2], "chosen_ids": [3, 4], "rejected_ids": [6]},
        {"prompt_ids": [1, 2, 3], "chosen_ids": [4], "rejected_ids": [6, 7, 8, 9]},
    ],
    "the longest prompt has the shortest responses": [
        {"prompt_ids": [1] * 9, "chosen_ids": [3], "rejected_ids": [4]},
        {"prompt_ids": [2], "chosen_ids": [3] * 7, "rejected_ids": [4] * 8},
    ],
}


def of_batches(rows: list[dict]) -> dict[str, dict[str, int]]:
    """The same counts, read off the batches of TRL's collator and of ours."""
    pad = -1  # no token
    stock = DataCollatorForPreference(pad_token_id=pad)(rows)["input_ids"]
    packed = PackedCollator(pad_token_id=pad)(rows)
    found = {}
    for way, ids in (("stock", stock), ("packed", packed["input_ids"])):
        found[way] = {"lines": len(ids), "tokens": int((ids != pad).sum()), "columns": ids.numel()}
        found[way] |= {"attention": ids.numel() * ids.shape[1], "head": ids.numel()}
    assert found["packed"]["attention"] == packed["attention_mask"].numel()
    found["packed"]["head"] = int((packed["labels"] != NO_LABEL).sum())
    return found


def check(rows: list[dict]) -> dict[str, dict[str, int]]:
    """The counts of rows, which are those of the batches."""
    found, expected = counts(rows), of_batches(rows)
    assert {way: found[way] for way in expected} == expected
    assert found["stock"]["tokens"] == sum(map(unpacked_tokens, rows))
    per_row = [check_row(row) for row in rows]
    assert found["row"]["tokens"] == sum(per_row) and found["row"]["columns"] == len(rows) * max(per_row)
    assert tree(rows) == len(beginnings(rows)) <= min(count["tokens"] for count in found.values())
    return found


def check_row(row: dict) -> int:
    """Tokens of a row's line, where its prompt stands once."""
    return unpacked_tokens(row) - len(row["prompt_ids"])


def beginnings(rows: list[dict]) -> set[tuple]:
    """Of all sequences, all different beginnings, each of which needs a hidden state to predict what follows."""
    sequences = [[*row["prompt_ids"], *row[side]] for row in rows for side in ("chosen_ids", "rejected_ids")]
    return {tuple(sequence[: end + 1]) for sequence in sequences for end in range(len(sequence) - 1)}


@pytest.mark.parametrize("name", ODD)
def test_odd_rows_are_counted_as_the_collators_lay_them(name):
    check(ODD[name])


def test_blocks_of_real_rows_are_counted_as_the_collators_lay_them(tokenizer, rows):
    """Six rows of one prompt and rubric, squares, pairs and single rows, whole and cut as in training."""
    squares = mirrored_squares(rows, seed=42)
    for block, some in ((6, rows), (8, squares), (2, rows[:6]), (1, rows[:2]), (24, rows)):
        for limit in (None, 135):
            tokens = [row_tokens(tokenizer, row, limit) for row in some]
            for start in range(0, len(tokens), block):
                found = check(tokens[start : start + block])
    assert gains(found)["packed"] > gains(found)["row"] > 1, "of all rows at once"
    steps = [counts(tokens[:16]), counts(tokens[16:])]
    total = {way: {name: sum(step[way][name] for step in steps) for name in steps[0][way]} for way in WAYS}
    assert sharing.over_steps(tokens, 16) == total


def test_a_block_holds_what_the_formulas_say_that_it_does(tokenizer, rows):
    """n rows, p distinct prompts and q distinct (prompt, response), in real rows as in the example."""
    squares = mirrored_squares(rows, seed=42)
    for block, some in (("pair", rows[:2]), ("six rows", rows[:6]), ("square", squares[:8])):
        for tokens in ([row_tokens(tokenizer, row) for row in some], example(block, 5, 3)):
            prompts = {tuple(row["prompt_ids"]) for row in tokens}
            sequences = {
                (tuple(row["prompt_ids"]), tuple(row[side]))
                for row in tokens
                for side in ("chosen_ids", "rejected_ids")
            }
            assert (len(tokens), len(prompts), len(sequences)) == size(block)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("lengths", [(1, 1), (2, 30), (30, 2), (17, 17)])
def test_the_formulas_are_the_counts_of_a_block(block, lengths):
    assert formulas(*size(block), *lengths) == check(example(block, *lengths))


def test_all_pairs_of_k_texts():
    for k in (2, 3, 4, 5):
        rows = [
            {"prompt_ids": [asked] * 6, "chosen_ids": [10 + asked] * 4, "rejected_ids": [10 + other] * 4}
            for asked, other in permutations(range(k), 2)
        ]
        assert formulas(k * (k - 1), k, k * k, 6, 4) == check(rows)


def test_the_ratios_and_limits_that_the_text_states():
    """Up to the one token of a prompt that each response copies or drops."""
    long = 10**7
    for block, (n, p, q) in ((block, size(block)) for block in BLOCKS):
        for ratio in (0.1, 1, 8):
            gain = gains(formulas(n, p, q, int(ratio * long), long))
            stated = 2 * (ratio + 1) / (ratio + 2) if block == "pair" else 4 * (ratio + 1) / (ratio + 3)
            assert gain["packed"] == pytest.approx(stated, rel=1e-5)
            assert gain["row"] == pytest.approx(2 * (ratio + 1) / (ratio + 2), rel=1e-5)
        assert gains(formulas(n, p, q, 1, long))["packed"] == pytest.approx(2 * n / q, rel=1e-5)
        assert gains(formulas(n, p, q, long, 1))["packed"] == pytest.approx(2 * n / p, rel=1e-5)
    pair = gains(formulas(*size("pair"), 60, 60))
    assert pair["packed"] == pytest.approx(pair["row"], rel=0.02), "a pair alone gains by its rows' own prompts"


def test_where_it_stops_to_pay():
    """Without an output layer, and with short prompts, it is the length that the text gives."""
    n, p, q = size("six rows")
    weights = (parameters := work({"columns": 1, "attention": 0, "head": 0}, SHAPE)) / 2 / SHAPE["layers"]
    width = SHAPE["heads"] * SHAPE["head_dim"]
    stated = weights * (2 * n - q) / (2 * width * (q * q / p - 2 * n))
    bare = SHAPE | {"vocab": 0}
    assert parameters and break_even("six rows", 0, bare) == pytest.approx(stated, rel=0.02)
    assert f"some {round(stated, -1):.0f} for the embedded model" in sharing.__doc__
    assert break_even("six rows", 0, SHAPE) > 1.2 * stated, "stock gives its output layer all columns"
    found = break_even("six rows", 0.5, bare)
    before, there = (gains(formulas(n, p, q, round(0.5 * length), length), bare) for length in (found - 1, found))
    assert before["packed"] >= 1 > there["packed"]
    assert break_even("pair", 0, bare) < 0.2 * break_even("pair", 0.25, bare), "a pair has little to save"
    assert break_even("six rows", 0.5, bare, overhead=0.2) < found
    assert break_even("six rows", 1, SHAPE | {"heads": 0}) is None, "without attention it always pays"


def test_operations_are_two_for_each_weight_of_a_token():
    per_token = work({"columns": 1, "attention": 0, "head": 1}, SHAPE)
    assert per_token == pytest.approx(2 * find_model("embedded")["parameters"], rel=0.01)


def test_what_the_paper_reports_is_near_what_its_tokens_say():
    """At or below the count, but where saved attention adds a little; with the longest prompts far below."""
    counted = {
        name: gains(formulas(1, 1, 2, round(1000 * ratio), 1000))["row"] for name, (ratio, _) in REPORTED.items()
    }
    for name, (_, reported) in REPORTED.items():
        assert 1 < reported < counted[name] + 0.05 < 2, name
    assert max(counted, key=counted.get) == "TLDR" and REPORTED["TLDR"][1] < 0.8 * counted["TLDR"]


def test_rows_of_the_measured_steps_have_the_lengths_that_they_are_named_by(tokenizer, tmp_path):
    """Through TRL's own tokenization; blocks have texts of their own; and all trainers get the same batch."""
    model = AutoModelForCausalLM.from_config(LlamaConfig(**config_sizes(SHAPE | measured_steps.SMALL)))
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    plain = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False}
    for block, blocks, prompt, response in (("six rows", 1, 12, 9), ("pair", 3, 3, 20)):
        rows = steps.text_rows(tokenizer, block, prompt, response, blocks)
        sides = steps.trainers(model, tokenizer, lora, rows, str(tmp_path), **plain)
        found, one = counts(list(sides["stock"].train_dataset)), formulas(*size(block), prompt, response)
        assert found == {way: {name: blocks * number for name, number in one[way].items()} for way in WAYS}
        losses = set()
        for trainer in sides.values():
            batch = trainer.data_collator(list(sides["stock"].train_dataset))
            losses.add(round(trainer.compute_loss(trainer.model, batch).item(), 5))
        assert losses == {0.69315}


def test_steps_are_measured_at_their_tiny_size_and_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "TINY", tmp_path)
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    told = (measured_steps.assemble, drawings.draw_sharing, ["--tiny"])
    running.run("sharing", "benchmarks.beyond.sharing", *told, workers=0)
    found = measured.result("sharing")
    assert [point["block"] for point in found["points"]] == ["six rows", "pair"]
    assert {"hardware", "versions", "points"} <= set(found) and (
        tmp_path / "sharing" / "sharing.png"
    ).stat().st_size > 5000
    for point in found["points"]:
        assert point["tokens"] == pytest.approx(gains(counts(example(point["block"], 6, 4))), rel=1e-3)
        assert set(point["measured"]) == {"shared", "packed"} and point["stock_seconds"] > 0
        assert point["columns"]["packed"] == pytest.approx(point["tokens"]["packed"], rel=1e-3), "no line is padded"
        assert 1 < point["columns"]["shared"] < point["columns"]["packed"], "a line of its ends in padding"
        assert point["agreement"] == pytest.approx({"shared": 1, "packed": 1}, abs=1e-3)
        for name, middle in point["measured"].items():
            low, high = point["spread"][name]
            assert 0 < low <= middle <= high
    title = drawings.finding_sharing(found)
    assert f"{found['points'][0]['measured']['packed']:.1f} to" in title


def test_all_units_of_a_whole_run():
    planned = measured_steps.units(tiny=False)
    assert len(planned) == 5 + 3 and {sum(lengths) for lengths in measured_steps.LENGTHS} == {96}
