"""The log-probabilities that are computed once: right, found again, and never taken for another model's."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from test_training import LORA, settings
from transformers import set_seed

from cpt_utils import runtime, training
from cpt_utils.blocks import mirrored_squares, training_order
from cpt_utils.models import logps
from cpt_utils.models.conversation import ChatModel
from cpt_utils.models.loading import load_chat_model
from cpt_utils.models.logps import response_logps, row_tokens, weights_hash, with_reference
from cpt_utils.pairs import rows_for
from cpt_utils.runtime import kept, profiles
from cpt_utils.runtime.errors import PairError
from cpt_utils.training import MirroredDPOTrainer


@pytest.fixture
def model(tiny_model, tokenizer):
    return ChatModel(tiny_model, tokenizer, "tiny")


@pytest.fixture
def computed(monkeypatch):
    """The batches that had to be computed, as numbers of rows."""
    batches, compute = [], logps._computed

    def counted(model, rows):
        batches.append(len(rows))
        return compute(model, rows)

    monkeypatch.setattr(logps, "_computed", counted)
    return batches


def plain_logps(model, row: dict, max_length: int | None = None) -> list[float]:
    """The two log-probabilities of a row, one sequence at a time and without packing."""
    tokens, found = row_tokens(model.tokenizer, row, max_length), []
    for side in ("chosen_ids", "rejected_ids"):
        ids = torch.tensor([tokens["prompt_ids"] + tokens[side]])
        every = model.model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
        found.append(every[len(tokens["prompt_ids"]) - 1 :].sum().item())
    return found


def trainer_of(model, rows, tmp_path, **changes):
    set_seed(3)
    return MirroredDPOTrainer(
        model=model.model,
        args=settings(tmp_path, **changes),
        train_dataset=Dataset.from_list(rows),
        processing_class=model.tokenizer,
        peft_config=LoraConfig(**LORA),
    )


@pytest.mark.parametrize("max_length", [None, 90])
def test_values_are_those_of_each_sequence_alone(model, rows, monkeypatch, max_length):
    monkeypatch.setenv("CPT_PRECISION", "float32")
    with torch.no_grad():
        expected = [plain_logps(model, row, max_length) for row in rows[:8]]
    np.testing.assert_allclose(response_logps(model, rows[:8], None, max_length), expected, rtol=1e-4)


def test_tokens_are_those_that_the_trainer_sees(model, rows, tmp_path):
    dataset = trainer_of(model, rows, tmp_path, max_steps=-1, num_train_epochs=1).train_dataset
    order = training_order(len(rows), block=6, epochs=1, seed=3)
    for number, trained in zip(order, dataset, strict=True):
        tokens = row_tokens(model.tokenizer, rows[number])
        assert tokens == {name: trained[name] for name in tokens}


def test_a_response_starts_where_its_conversation_departs_from_the_prompt(model, rows, monkeypatch):
    """A template that closes the prompt otherwise once an answer follows: TRL's rule, not the prompt's length."""
    row, prompt, whole = rows[0], [1, 2, 3, 9, 9], {"chosen": [1, 2, 3, 4, 5], "rejected": [1, 2, 3, 9, 6, 7]}

    def templated(tokenizer, turns, **options):
        side = next((s for s in whole if turns[-1:] == row[s]), None)
        return whole[side] if side else prompt

    monkeypatch.setattr("cpt_utils.models.conversation.templated", templated)
    assert row_tokens(None, row) == {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [9, 6, 7]}


def test_nothing_is_computed_twice(model, rows, tmp_path, computed):
    first = response_logps(model, rows[:8], tmp_path)
    assert sum(computed) == 8
    again = response_logps(model, rows, tmp_path)
    assert sum(computed) == len(rows), "eight rows were known"
    np.testing.assert_allclose(again[:8], first)
    np.testing.assert_allclose(response_logps(model, rows[::-1], tmp_path), again[::-1])
    assert sum(computed) == len(rows)


def test_other_weights_number_types_and_lengths_are_others(model, rows, tmp_path, computed, monkeypatch):
    monkeypatch.setenv("CPT_PRECISION", "float32")
    first = response_logps(model, rows[:6], tmp_path)
    before = weights_hash(model.model)
    with torch.no_grad():
        next(model.model.parameters()).mul_(3)
    assert weights_hash(model.model) != before
    changed = response_logps(model, rows[:6], tmp_path)
    assert computed == [6, 6] and not np.allclose(changed, first)
    monkeypatch.setenv("CPT_PRECISION", "bfloat16")
    response_logps(model, rows[:6], tmp_path)
    response_logps(model, rows[:6], tmp_path, 90)
    assert computed == [6, 6, 6, 6]


def test_an_interrupted_pass_keeps_what_it_has(model, rows, tmp_path, monkeypatch):
    compute, calls = logps._computed, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return compute(*arguments)

    monkeypatch.setattr(logps, "_computed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        response_logps(model, rows, tmp_path)
    response_logps(model, rows, tmp_path)
    assert len(calls) == 3 + 1, "two of three batches were known"


def test_the_file_of_measurements_is_not_written_for_every_batch(model, rows, tmp_path, monkeypatch):
    written, keep = [], kept.keep_numbers
    monkeypatch.setattr(kept, "keep_numbers", lambda *told: written.append(1) or keep(*told))
    response_logps(model, rows, tmp_path)
    assert len(written) == 1
    monkeypatch.setattr(logps, "EVERY", 0)
    response_logps(model, rows, tmp_path / "other")
    assert len(written) == 1 + len(rows) / logps.ROWS + 1


def test_a_trainer_takes_the_reference_from_the_rows(model, rows, tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_PRECISION", "float32")
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    profile = profiles.load_profile("smoke").replace(max_length=512)  # as the trainers below
    plain = trainer_of(ChatModel(_copy(model.model), model.tokenizer, "tiny"), rows[:12], tmp_path)
    plain.train()
    late = trainer_of(
        ChatModel(_copy(model.model), model.tokenizer, "tiny"), rows[:12], tmp_path, precompute_ref_log_probs=False
    )
    late.train()  # neither columns nor a pass before: computed with each batch
    known = with_reference(model, rows[:12], profile)
    assert known[0].keys() == rows[0].keys() | {"ref_chosen_logps", "ref_rejected_logps"}

    def never(*arguments):
        raise AssertionError("the reference is known")

    monkeypatch.setattr(training, "pair_logps", never)  # which computes a reference
    given = trainer_of(ChatModel(_copy(model.model), model.tokenizer, "tiny"), known, tmp_path)
    given.train()
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (plain, late, given)]
    assert len(losses[0]) == 3
    assert losses[1] == pytest.approx(losses[0], rel=1e-4) and losses[2] == pytest.approx(losses[0], rel=1e-4)


def _copy(model):
    import copy

    return copy.deepcopy(model)


@pytest.mark.parametrize("changes", [{"four_bit": True}, {"mirrored": False}])
def test_where_the_trainer_changes_the_weights_first_it_computes_the_reference(model, rows, changes, computed):
    assert with_reference(model, rows, profiles.load_profile("smoke").replace(**changes)) == rows and not computed


@pytest.mark.parametrize("number_type", ["float32", "bfloat16"])
def test_all_shipped_rows_are_known(number_type, tmp_path, computed, monkeypatch):
    monkeypatch.setenv("CPT_PRECISION", number_type)
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    embedded = load_chat_model("embedded")
    profile = runtime.start("embedded")
    parts = [rows_for(profile, part) for part in ("train", "heldout")]
    for rows in parts:
        with_reference(embedded, rows, profile)
    response_logps(embedded, parts[1] + mirrored_squares(parts[1][: len(parts[1]) // 2], profile.seed))  # notebook 03
    assert not computed, "make logps computes them anew"


def test_shipped_values_are_those_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_PRECISION", "float32")
    embedded, some = load_chat_model("embedded"), rows_for(profiles.load_profile("embedded"), "heldout")[:6]
    shipped = response_logps(embedded, some)
    monkeypatch.setattr(kept, "read_numbers", lambda path: {})
    np.testing.assert_allclose(response_logps(embedded, some), shipped, rtol=1e-4)


def test_a_broken_file_is_said_and_made_again(model, rows, tmp_path, computed, capsys):
    (tmp_path / logps.FILE).write_text('{"cut off', "utf-8")
    response_logps(model, rows[:2], tmp_path)
    assert "logps.json is broken" in capsys.readouterr().out
    response_logps(model, rows[:2], tmp_path)
    assert computed == [2]


def test_prompts_that_fill_the_length_are_named(model, rows):
    longest = max(len(row_tokens(model.tokenizer, row)["prompt_ids"]) for row in rows)
    profile = profiles.load_profile("smoke").replace(max_length=longest)
    with pytest.raises(PairError, match=rf"rows have prompts that fill max_length={longest}, the first row \d+ with"):
        with_reference(model, rows, profile)
    assert response_logps(model, rows[:2], None, longest + 1).shape == (2, 2)
