"""The small training beside a notebook's own: what it does is as asked, and it leaves the model as it was."""

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from trl import DPOConfig

from cpt_utils import experiment
from cpt_utils.blocks import mirrored_squares
from cpt_utils.experiment import HELD_PAIRS, STEPS, TOKENS, TRAIN_PAIRS, experiment_table, short_pairs, small_training
from cpt_utils.fast.packing import PackedCollator
from cpt_utils.models.logps import row_tokens
from cpt_utils.pairs import rows_for
from cpt_utils.runtime.errors import PairError
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.training import MirroredDPOTrainer, PairedDPOTrainer, held_out_shares


@pytest.fixture(params=[MirroredDPOTrainer, PairedDPOTrainer])
def trainer(request, tiny_model, tokenizer, rows, tmp_path):
    return request.param(
        model=tiny_model,
        args=DPOConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            bf16=False,
            max_steps=2,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=2,
            max_length=512,
            precompute_ref_log_probs=True,
            gradient_checkpointing=False,
            report_to="none",
            disable_tqdm=True,
            seed=3,
        ),
        train_dataset=Dataset.from_list(rows[:6]),
        eval_dataset=Dataset.from_list(rows[6:10]),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )


@pytest.fixture
def few(tokenizer, rows):
    return short_pairs(tokenizer, rows, "rococo", 2)


def weights_of(trainer):
    return {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}


def same_weights(trainer, kept):
    return all(torch.equal(weight, kept[name]) for name, weight in trainer.model.named_parameters())


def test_the_model_is_as_before_and_a_training_before_it_makes_no_difference(trainer, few, monkeypatch):
    monkeypatch.setattr(experiment, "STEPS", 4)
    before, drawn = weights_of(trainer), torch.random.get_rng_state()
    first = small_training(trainer, few, few, 0.1, 1e-2, True)
    assert same_weights(trainer, before) and torch.equal(torch.random.get_rng_state(), drawn)
    trainer.train()
    assert not same_weights(trainer, before)
    before = weights_of(trainer)
    trainer.model.eval()
    second = small_training(trainer, few, few, 0.1, 1e-2, True)
    assert same_weights(trainer, before) and not trainer.model.training
    assert not any(weight.grad is not None for weight in trainer.model.parameters())
    assert first | {"seconds": 0} == pytest.approx(second | {"seconds": 0}, rel=1e-5)
    assert first["loss"] < 0.69 and first["moved"] > 0 and first["both_directions"] > 0


def test_an_interrupted_one_gives_the_adapter_back(trainer, few, monkeypatch):
    before = weights_of(trainer)
    calls = []

    def stopped(*row):
        calls.append(row)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return row[0].mean()

    monkeypatch.setattr(experiment, "dpo_loss", stopped)
    with pytest.raises(KeyboardInterrupt):
        small_training(trainer, few, few, 0.1, 1e-2, True)
    assert same_weights(trainer, before)


def test_without_steps_worth_the_name_nothing_moves(trainer, few, monkeypatch):
    monkeypatch.setattr(experiment, "STEPS", 4)
    found = small_training(trainer, few, few, 0.1, 0.0, True)
    assert found["loss"] == pytest.approx(0.6931, abs=1e-4) and found["moved"] == pytest.approx(0, abs=1e-4)


def test_mirrored_rows_share_a_step_and_others_do_not(trainer, tokenizer, rows, monkeypatch):
    few = short_pairs(tokenizer, rows, "rococo", 9)
    numbers = {str(row): place for place, row in enumerate(few)}
    monkeypatch.setattr(experiment, "STEPS", 6)
    collate, seen = trainer.data_collator, []

    def spied(some):
        seen.append([numbers[str(row)] for row in some])
        return collate(some)

    monkeypatch.setattr(trainer, "data_collator", spied)
    together = {}
    for mirrored in (True, False):
        seen.clear()
        small_training(trainer, few, few, 0.1, 1e-3, mirrored)
        steps = [places for places in seen if len(places) == 2][:6]
        together[mirrored] = [one // 2 == other // 2 for one, other in steps]
    assert all(together[True]) and not all(together[False])


def test_short_pairs_are_low_against_high_of_one_rubric_and_short(tokenizer, rows):
    found = short_pairs(tokenizer, rows, "rococo", 99)
    texts = {tuple(row[f"{side}_ids"]) for row in found for side in ("chosen", "rejected")}
    assert len(found) == 4 and len(texts) == 4 and {len(text) for text in texts} == {TOKENS}
    for one, other in zip(found[::2], found[1::2]):
        assert one["chosen_ids"] == other["rejected_ids"] and one["prompt_ids"] != other["prompt_ids"]
    squares = mirrored_squares(rows, 0)
    with pytest.raises(PairError, match="No pair of 'rococo'"):
        short_pairs(tokenizer, [row for place, row in enumerate(squares) if place % 8 > 3], "rococo", 2)


def test_it_costs_no_more_than_some_steps_of_the_training(tokenizer):
    """Counted in tokens: a step computes each three times (forward, and twice as much backward), a question once."""
    profile = load_profile("embedded")
    rows, held = rows_for(profile, "train"), rows_for(profile, "heldout")
    pack = PackedCollator(tokenizer.pad_token_id, profile.max_length)

    def tokens(some):
        return pack(some)["input_ids"].numel()

    step = 3 * tokens([row_tokens(tokenizer, row) for row in rows[: profile.rows_per_batch]])
    few, few_held = (
        short_pairs(tokenizer, part, "rococo", pairs) for part, pairs in ((rows, TRAIN_PAIRS), (held, HELD_PAIRS))
    )
    assert len(few) == 2 * TRAIN_PAIRS and len(few_held) == 2 * HELD_PAIRS
    training = 3 * STEPS * max(tokens(few[start : start + 2]) for start in range(0, len(few), 2))
    assert training + tokens(few) + 2 * tokens(few_held) < 7 * step


def test_the_table_has_a_line_for_each(trainer, few, monkeypatch):
    monkeypatch.setattr(experiment, "STEPS", 4)
    tried = [small_training(trainer, few, few, 0.1, rate, False) for rate in (1e-3, 1e-2)]
    lines = experiment_table(tried).splitlines()
    assert len(lines) == 3 and len({len(line) for line in lines}) == 1
    assert [line.split()[1:3] for line in lines[1:]] == [["0.001", "no"], ["0.01", "no"]]


def test_shares_of_held_out_rows_are_measured_once_for_each_state(trainer, monkeypatch):
    evaluate, asked = trainer.evaluate, []
    monkeypatch.setattr(trainer, "evaluate", lambda *a, **k: asked.append(1) or evaluate(*a, **k))
    assert held_out_shares(trainer) == held_out_shares(trainer) and len(asked) == 1
    trainer.train()
    found = held_out_shares(trainer)
    assert len(asked) == 2 and set(found) == {"accuracy", "both_directions"} and 0 <= found["both_directions"] <= 1
