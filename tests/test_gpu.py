"""What only a GPU can show: `pytest -m gpu`. Skipped, and said so in the README, where CUDA is absent."""

import json
import os

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, set_seed
from trl import DPOConfig

from cpt_utils import machine, models, registry, runtime
from cpt_utils.embedded import embedded_model_path
from cpt_utils.training import MirroredDPOTrainer, PairedDPOTrainer, prepare_trainer, trainer_for

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")]


def student(folder, shape, tokenizer):
    """A random model of a registry shape, saved in bf16 with the embedded tokenizer (its vocabulary padded)."""
    set_seed(0)
    config = Qwen3Config(
        hidden_size=shape["hidden"], intermediate_size=shape["intermediate"], num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"], num_key_value_heads=shape["kv_heads"], head_dim=shape["head_dim"],
        vocab_size=shape["vocab"], tie_word_embeddings=True, pad_token_id=2, eos_token_id=2,
    )
    with torch.device("cuda"):
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(embedded_model_path())


@pytest.fixture(scope="module")
def small(tmp_path_factory, tokenizer):
    shape = {"layers": 4, "hidden": 256, "intermediate": 512, "heads": 4, "kv_heads": 2, "head_dim": 64, "vocab": 49152}
    return student(tmp_path_factory.mktemp("small"), shape, tokenizer)


def train(profile, rows, folder, kind=None, **changes):
    from peft import LoraConfig

    set_seed(1)
    chat_model = models.load_student(profile)
    lora = LoraConfig(r=16, lora_alpha=16, target_modules=profile["lora"]["modules"], task_type="CAUSAL_LM")
    model, peft_config = models.prepare_for_lora(chat_model, lora, profile)
    args = DPOConfig(**{
        "output_dir": str(folder), **machine.training_arguments(), "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2, "gradient_accumulation_steps": 2, "max_steps": 4, "logging_steps": 1,
        "learning_rate": 1e-4, "max_length": profile["max_length"], "precompute_ref_log_probs": True, "seed": 1,
        "optim": profile["optimizer"], "gradient_checkpointing": profile["gradient_checkpointing"], "report_to": "none",
        "save_strategy": "no", "disable_tqdm": True, **changes,
    })
    trainer = prepare_trainer((kind or trainer_for(profile))(
        model=model, args=args, train_dataset=Dataset.from_list(models.fit_rows(chat_model.tokenizer, rows)),
        processing_class=chat_model.tokenizer, peft_config=peft_config,
    ))
    torch.cuda.reset_peak_memory_stats()
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return trainer, losses


def profile_of(folder, **changes):
    return runtime.load_profile("t4") | {"student": folder, "seed": 1, "engine": "transformers"} | changes


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_four_bit_training_in_either_half_precision(small, rows, tmp_path, half):
    """fp16 is what a T4 trains in; the gradient scaler must accept the adapters."""
    flags = {"fp16": half == "fp16", "bf16": half == "bf16"}
    trainer, losses = train(profile_of(small), rows[:16], tmp_path, **flags)
    assert losses[0] == pytest.approx(0.6931, abs=0.02) and all(map(torch.isfinite, map(torch.tensor, losses)))
    assert {p.dtype for p in trainer.model.parameters() if p.requires_grad} == {torch.float32}


def test_packed_and_unpacked_have_the_same_losses(small, rows, tmp_path):
    found = [train(profile_of(small, four_bit=False), rows[:16], tmp_path, kind)[1]
             for kind in (MirroredDPOTrainer, PairedDPOTrainer)]
    assert found[0] == pytest.approx(found[1], rel=2e-2)


def test_unsloth_path_agrees_with_the_plain_one(small, rows, tmp_path):
    pytest.importorskip("unsloth")
    plain, losses = train(profile_of(small), rows[:16], tmp_path)
    fast, other = train(profile_of(small, engine="unsloth"), rows[:16], tmp_path)
    assert losses == pytest.approx(other, rel=5e-2)
    files = [sorted(models.save_adapter(t.model, tmp_path / str(i), "x/y") and os.listdir(tmp_path / str(i)))
             for i, t in enumerate((plain, fast))]
    assert files[0] == files[1]


def test_peak_memory_of_the_t4_profile_on_a_4b_model(rows, tmp_path, tokenizer):
    """Rows at full length on a random model of Qwen3-4B's shape: under 15 GiB, and near the estimate."""
    shape = registry.known_models()["qwen3-4b"]["shape"]
    profile = profile_of(student(tmp_path / "4b", shape, tokenizer))
    long = [{**row, **{side: [{"role": "assistant", "content": row[side][0]["content"] * 20}]
                       for side in ("chosen", "rejected")}} for row in rows[:8]]
    train(profile, long, tmp_path, max_steps=2)
    peak = torch.cuda.max_memory_allocated() / 2**30
    estimate = registry.training_memory(shape, profile)["total"]
    print(json.dumps({"gpu": machine.hardware(), "peak_gib": round(peak, 2), "estimate_gib": round(estimate, 2)}))
    assert peak < 14 and peak == pytest.approx(estimate, rel=0.4)
