"""The packed trainer computes what stock TRL computes, and pairs stay together."""

import copy

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback, set_seed
from trl import DPOConfig, DPOTrainer

from cpt_utils.blocks import training_order
from cpt_utils.fast.packing import PackedCollator, packed_logps
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.training import (
    CheckedDPOTrainer,
    MirroredDPOTrainer,
    PairedDPOTrainer,
    dpo_gradient,
    in_training_order,
    prepare_trainer,
)


@pytest.fixture
def rows(begun_rows):
    return begun_rows


def tokenized(tokenizer, rows):
    out = []
    for row in rows:

        def ids(turns, **kw):
            return tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False, **kw)

        prompt = ids(row["prompt"], add_generation_prompt=True)
        sides = {f"{s}_ids": ids(row["prompt"] + row[s])[len(prompt) :] for s in ("chosen", "rejected")}
        out.append({"prompt_ids": prompt} | sides)
    return out


def test_packed_log_probabilities_equal_one_sequence_at_a_time_in_float64(tiny_model, tokenizer, rows):
    model = tiny_model.double()
    # rows of two prompts and rubrics together, and an odd lot: lines of different widths
    some = tokenized(tokenizer, rows[:6] + rows[12:17])
    batch = PackedCollator(tokenizer.pad_token_id)(some)
    logps, lengths = packed_logps(model, batch)
    for number, row in enumerate(some):
        for side in ("chosen", "rejected"):
            sequence = torch.tensor([row["prompt_ids"] + row[f"{side}_ids"]])
            every = model(sequence).logits[0, :-1].log_softmax(-1)
            steps = range(len(row["prompt_ids"]) - 1, sequence.shape[1] - 1)
            expected = sum(every[i, sequence[0, i + 1]] for i in steps)
            place = batch[side][number]
            assert lengths[place] == len(row[f"{side}_ids"])
            torch.testing.assert_close(logps[place], expected, rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize("trained_head", [False, True])
def test_packed_gradients_equal_those_of_whole_logits_in_float64(tiny_model, tokenizer, rows, trained_head):
    model = tiny_model.double()
    model.lm_head.weight.requires_grad_(trained_head)
    batch = PackedCollator(tokenizer.pad_token_id)(tokenized(tokenizer, rows[:6] + rows[12:17]))
    weights = [w for w in model.parameters() if w.requires_grad]
    logps, _ = packed_logps(model, batch)
    found = torch.autograd.grad((logps * torch.arange(len(logps))).sum(), weights)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")}
    assert model.config._attn_implementation == "sdpa"  # torch's own attention and the whole logits
    every = model(**inputs, logits_to_keep=batch["labels"].shape[1]).logits.log_softmax(-1)
    each = every.gather(-1, batch["labels"].clamp(min=0)[..., None])[..., 0]
    place = torch.arange(len(logps)).view(len(each), -1)
    factor = place.gather(1, batch["segment"].clamp(min=0)) * (batch["labels"] != -100)
    expected = torch.autograd.grad((each * factor).sum(), weights)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_six_rows_are_packed_into_three_lines(tokenizer, whole_rows):
    batch = PackedCollator(tokenizer.pad_token_id)(tokenized(tokenizer, whole_rows[:6]))
    assert len(batch["input_ids"]) == 3
    whole = sum(
        len(r["prompt_ids"]) * 2 + len(r["chosen_ids"]) + len(r["rejected_ids"])
        for r in tokenized(tokenizer, whole_rows[:6])
    )
    assert batch["num_tokens"] == whole
    assert batch["input_ids"].numel() < 0.6 * whole


def test_max_length_cuts_responses(tokenizer, whole_rows):
    some = tokenized(tokenizer, whole_rows[:2])
    limit = len(some[0]["prompt_ids"]) + 5
    batch = PackedCollator(tokenizer.pad_token_id, limit)(some)
    for segment, labels in zip(batch["segment"], batch["labels"]):
        assert max((segment == k).sum() for k in (0, 1)) <= limit - min(len(r["prompt_ids"]) for r in some)
        assert ((labels == -100) == (segment < 0)).all()


def settings(tmp_path, **changes):
    return DPOConfig(
        **{
            "output_dir": str(tmp_path),
            "use_cpu": True,
            "bf16": False,
            "per_device_train_batch_size": 6,
            "per_device_eval_batch_size": 6,
            "max_steps": 3,
            "logging_steps": 1,
            "learning_rate": 1e-2,
            "beta": 0.1,
            "loss_type": ["sigmoid", "sft"],
            "loss_weights": [1.0, 0.5],
            "max_length": 512,
            "seed": 3,
            "precompute_ref_log_probs": True,
            "precompute_ref_batch_size": 6,
            "gradient_checkpointing": False,
            "report_to": "none",
            "save_strategy": "no",
            "disable_tqdm": True,
            **changes,
        }
    )


LORA = dict(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")


class StockInBlocks(DPOTrainer):
    def __init__(self, args, train_dataset, **kwargs):
        super().__init__(args=args, train_dataset=in_training_order(train_dataset, args, 6), **kwargs)


@pytest.fixture
def trained(tiny_model, tokenizer, rows, tmp_path):
    """Train stock TRL and ours from the same start on the same rows, three steps each."""

    def train(kind, rows=rows, **changes):
        model = copy.deepcopy(tiny_model)
        set_seed(3)
        trainer = kind(
            model=model,
            args=settings(tmp_path, **changes),
            train_dataset=Dataset.from_list(rows[:18]),
            processing_class=tokenizer,
            peft_config=LoraConfig(**LORA),
        )
        trainer.train()
        return trainer

    return train


def test_same_losses_and_margins_as_stock_trl(trained):
    stock, ours = trained(StockInBlocks), trained(MirroredDPOTrainer)

    def pick(t):
        return [e for e in t.state.log_history if "rewards/margins" in e]

    for a, b in zip(pick(stock), pick(ours), strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)
        assert b["rewards/margins"] == pytest.approx(a["rewards/margins"], rel=1e-2, abs=1e-4)
        assert b["rewards/accuracies"] == pytest.approx(a["rewards/accuracies"], abs=0.17)
        assert b["num_tokens"] == a["num_tokens"]
    first = pick(ours)[0]
    assert first["loss/sigmoid"] == pytest.approx(0.6931, abs=1e-4)
    assert first["loss"] == pytest.approx(first["loss/sigmoid"] + 0.5 * first["loss/sft"], rel=1e-5)
    last = pick(ours)[-1]
    assert last["loss/sft"] < first["loss/sft"]


def test_training_learns_the_pairs_in_both_directions(trained, whole_rows):
    changes = {"max_steps": 30, "loss_weights": [1.0, 0.0], "learning_rate": 2e-2}
    final = trained(MirroredDPOTrainer, whole_rows, **changes).evaluate(Dataset.from_list(whole_rows[:18]))
    assert final["eval_rewards/both_directions"] > 0.8


@pytest.mark.parametrize(
    "kind, batch, told",
    [
        (CheckedDPOTrainer, 6, {"rows"}),
        (MirroredDPOTrainer, 6, {"rows", "pairs"}),
        (MirroredDPOTrainer, 2, {"rows", "pairs"}),
        (PairedDPOTrainer, 2, {"rows", "pairs"}),
    ],
)
def test_every_trainer_of_the_profiles_comes_through_its_evaluation_and_to_its_end(
    tiny_model, tokenizer, rows, tmp_path, capsys, kind, batch, told
):
    """Rows that are not mirrored (profile paper) have no share of pairs; profile t4 has one pair a batch."""
    sizes = {"per_device_train_batch_size": batch, "per_device_eval_batch_size": batch}
    trainer = kind(
        model=tiny_model,
        args=settings(tmp_path, max_steps=1, eval_strategy="steps", eval_steps=1, **sizes),
        train_dataset=Dataset.from_list(rows[:6]),
        eval_dataset=Dataset.from_list(rows[6:9] if kind is CheckedDPOTrainer else rows[6:12]),
        processing_class=tokenizer,
        peft_config=LoraConfig(**LORA),
    )
    prepare_trainer(trainer).train()
    assert "train_runtime" in trainer.state.log_history[-1]
    shown = capsys.readouterr().err
    assert ("held-out rows right" in shown, "both directions" in shown) == ("rows" in told, "pairs" in told)


def test_same_seed_same_losses(trained):
    one, two = ([e["loss"] for e in trained(MirroredDPOTrainer).state.log_history if "loss" in e] for _ in range(2))
    assert one == two


@pytest.mark.parametrize("kind", [MirroredDPOTrainer, PairedDPOTrainer])
def test_gradients_of_mirrored_rows_oppose(trained, rows, kind):
    trainer = trained(kind, max_steps=1, learning_rate=0.0)
    one, other = dpo_gradient(trainer, rows[:1]), dpo_gradient(trainer, rows[1:2])
    assert torch.cosine_similarity(one, other, dim=0) < -0.5
    together = dpo_gradient(trainer, rows[:2])
    torch.testing.assert_close(together, (one + other) / 2, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", [MirroredDPOTrainer, PairedDPOTrainer])
def test_a_gradient_before_training_keeps_as_little_as_a_step(tiny_model, tokenizer, rows, tmp_path, kind):
    """With checkpointing, without which two rows of a large model fill a small GPU; and the gradient is the same."""
    kept, found = [], []
    for checkpointing in (False, True):
        set_seed(3)
        trainer = kind(
            model=copy.deepcopy(tiny_model),
            args=settings(tmp_path, gradient_checkpointing=checkpointing),
            train_dataset=Dataset.from_list(rows[:6]),
            processing_class=tokenizer,
            peft_config=LoraConfig(**LORA),
        )
        trainer.model.eval()
        kept.append(0)

        def keep(tensor):
            kept[-1] += 1
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            found.append(dpo_gradient(trainer, rows[:2]))
        assert not trainer.model.training
    torch.testing.assert_close(*found)
    assert kept[1] < 0.5 * kept[0]


def test_packed_and_unpacked_batches_have_one_gradient(trained, rows):
    """Of a trained adapter, whose log-probabilities are not its reference's."""
    packed, plain = (
        dpo_gradient(trained(kind, loss_type=["sigmoid"], loss_weights=None), rows[:6])
        for kind in (MirroredDPOTrainer, PairedDPOTrainer)
    )
    assert packed.norm() > 0
    torch.testing.assert_close(packed, plain, rtol=1e-3, atol=1e-5 * packed.abs().max().item())


def test_blocks_stay_together_and_are_shuffled_anew_in_each_epoch():
    both = training_order(27, 6, epochs=2, seed=1)
    orders = [both[:27], both[27:]]
    for order in orders:
        assert sorted(order) == list(range(27))
        for place in [i for i in range(27) if order[i] % 6 == 0]:
            block = order[place : place + min(6, 27 - order[place])]
            assert block == list(range(order[place], order[place] + len(block)))
    assert orders[0] != orders[1]
    assert training_order(24, 6, epochs=1.5, seed=1) == training_order(24, 6, epochs=2, seed=1)[:36]


def test_rows_are_read_in_training_order_and_epochs_are_kept(tiny_model, tokenizer, rows, tmp_path):
    """One epoch and a half of 18 rows in batches of 6 are 5 steps, whose rows are known beforehand."""
    read = []

    class Reader(MirroredDPOTrainer):
        def compute_loss(self, model, inputs, *args, **kwargs):
            read.append(int(inputs["num_tokens"]))
            return super().compute_loss(model, inputs, *args, **kwargs)

    trainer = Reader(
        tiny_model,
        settings(tmp_path, max_steps=-1, num_train_epochs=1.5),
        Dataset.from_list(rows[:18]),
        tokenizer,
        peft_config=LoraConfig(**LORA),
    )
    trainer.train()
    order = training_order(18, 6, epochs=1.5, seed=3)
    sizes = [
        sum(len(r["prompt_ids"]) * 2 + len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in part)
        for part in batches(tokenized(tokenizer, [rows[i] for i in order]))
    ]
    assert trainer.state.global_step == 5 == len(sizes) and read == sizes


def batches(rows):
    return [rows[start : start + 6] for start in range(0, len(rows), 6)]


def test_wrong_settings_are_refused(tiny_model, tokenizer, rows, tmp_path):
    def build(**changes):
        return MirroredDPOTrainer(
            tiny_model,
            settings(tmp_path, **changes),
            Dataset.from_list(rows),
            tokenizer,
            peft_config=LoraConfig(**LORA),
        )

    with pytest.raises(ValueError, match="even batch sizes"):
        build(per_device_train_batch_size=3)
    with pytest.raises(ValueError, match="only 'sigmoid' and 'sft'"):
        build(loss_type=["ipo"], loss_weights=[1.0])
    with pytest.raises(ValueError, match="raise max_length"):
        build(max_length=75)


def test_a_killed_training_goes_on_to_the_same_end(tiny_model, tokenizer, rows, tmp_path):
    """Stopped after step 5 of 8 (last checkpoint: 4), it resumes to the losses of an uninterrupted run."""
    import copy

    from transformers import TrainerCallback

    from cpt_utils.checkpoints import run_checkpoints

    class Killed(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 5:
                raise KeyboardInterrupt

    def train(folder, stop=False):
        checkpoints, last = run_checkpoints(folder, load_profile("smoke"), rows[:18])
        set_seed(3)
        trainer = MirroredDPOTrainer(
            copy.deepcopy(tiny_model),
            settings(checkpoints, max_steps=8, save_strategy="steps", save_steps=2, save_total_limit=1),
            Dataset.from_list(rows[:18]),
            tokenizer,
            peft_config=LoraConfig(**LORA),
            callbacks=[Killed()] if stop else None,
        )
        trainer.train(resume_from_checkpoint=last)
        return [e["loss"] for e in trainer.state.log_history if "loss" in e], last

    whole, _ = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stop=True)
    resumed, last = train(tmp_path / "cut")
    assert last.endswith("checkpoint-4") and len(whole) == len(resumed) == 8
    assert resumed == pytest.approx(whole, rel=1e-5)


def test_a_loss_that_is_no_number_stops_with_a_reason(tiny_model, tokenizer, rows, tmp_path):
    from cpt_utils.runtime.errors import TrainingError
    from cpt_utils.training import prepare_trainer

    trainer = MirroredDPOTrainer(
        tiny_model,
        settings(tmp_path, max_steps=4, logging_nan_inf_filter=False),
        Dataset.from_list(rows[:18]),
        tokenizer,
        peft_config=LoraConfig(**LORA),
    )
    with torch.no_grad():
        next(p for p in trainer.model.parameters() if p.requires_grad).fill_(float("nan"))
    with pytest.raises(TrainingError, match="The loss is nan at step 1: lower learning_rate"):
        prepare_trainer(trainer).train()


def test_an_interrupted_training_can_be_started_again(tiny_model, tokenizer, rows, tmp_path):
    class Interrupt(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if self.armed and state.global_step == 2:
                self.armed = False
                raise KeyboardInterrupt

    Interrupt.armed = True
    trainer = prepare_trainer(
        MirroredDPOTrainer(
            model=tiny_model,
            args=settings(tmp_path),
            train_dataset=Dataset.from_list(rows[:18]),
            processing_class=tokenizer,
            peft_config=LoraConfig(**LORA),
            callbacks=[Interrupt()],
        )
    )
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.train()
    assert trainer.state.global_step == 3


@pytest.mark.parametrize("half", [False, True])
def test_a_trained_model_answers_while_the_trainer_still_holds_it(trained, tokenizer, half, monkeypatch):
    """accelerate has wrapped its forward in autocast: notebook 04 asks it before and after."""
    from cpt_utils.models.conversation import ChatModel, chat
    from cpt_utils.prompts import messages

    trainer = trained(MirroredDPOTrainer, bf16=half)
    asked = [messages("Write about rain.", "Be brief."), messages("Write.", "Be very brief indeed.")]
    options = {"max_new_tokens": 8, "temperature": 0.0}
    answers = chat(ChatModel(trainer.model.eval(), tokenizer, "tuned"), asked, **options)
    assert len(answers) == 2 and any(answers)
    monkeypatch.setenv("CPT_FAST_PATHS", "off")
    plain = chat(ChatModel(trainer.model.eval(), tokenizer, "tuned"), asked, **options)
    assert half or plain == answers  # rounded differently, half precision may choose other words
