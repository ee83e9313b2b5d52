"""The released models' families as tiny random models in 4 bits, from loading to whole merged weights, on a CPU."""

import math
import warnings

import pytest
import torch
from peft import get_peft_model
from test_templates import WORKING, tokenizer_with
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Phi3Config, Qwen3Config

from benchmarks.gpu import trials
from cpt_utils.export import merge
from cpt_utils.models import loading
from cpt_utils.models.adapters import lora_config, save_adapter
from cpt_utils.models.checks import check_template
from cpt_utils.models.conversation import chat
from cpt_utils.models.logps import row_tokens, with_reference
from cpt_utils.runtime.errors import ExportError
from cpt_utils.runtime.profiles import load_profile

SIZES = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
NEMO = MistralConfig(head_dim=32, **SIZES)  # heads x head_dim is not hidden_size, as in the model itself
FAMILIES = {  # name: architecture, the family's template, the layers that get a LoRA
    "qwen3-4b": (Qwen3Config(head_dim=32, **SIZES), "qwen3-4b", SEVEN),
    "phi-4 as Llama": (LlamaConfig(**SIZES), "phi-4", SEVEN),
    "phi-4 as Phi3": (Phi3Config(original_max_position_embeddings=2048, **SIZES), "phi-4", FUSED),
    "mistral-nemo-12b": (NEMO, "mistral-nemo-12b", SEVEN),
    "rocinante-12b": (NEMO, "rocinante-12b", SEVEN),
}

QUICK = ("qwen3-4b", "mistral-nemo-12b")
"""What `make test` takes through it: seconds each."""


def saved(folder, name: str) -> str:
    """A tiny random model of a family with its tokenizer, in a folder."""
    config, family, _ = FAMILIES[name]
    template, _, _, end = WORKING[family]
    tokenizer = tokenizer_with(template, end)
    tokenizer.save_pretrained(folder)
    config.vocab_size = len(tokenizer)
    config.bos_token_id, config.pad_token_id, config.eos_token_id = 1, 2, tokenizer.eos_token_id
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    return str(folder)


def logits(model, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits.float()


def profile_of(folder, name: str, **changes):
    lora = {"r": 4, "alpha": 8, "modules": FAMILIES[name][2]}
    sizes = dict(max_length=192, rows_per_batch=4, batches_per_step=1, max_steps=8, learning_rate=1e-2, warmup=0)
    settings = dict(student=str(folder), lora=lora, optimizer="adamw_torch", seed=1)
    return load_profile("t4").replace(**settings | sizes | changes)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_the_whole_path_in_four_bits(name, rows, tmp_path):
    pytest.importorskip("bitsandbytes")
    rows, modules = rows[:4], FAMILIES[name][2]
    profile = profile_of(saved(tmp_path / "student", name), name)

    student = loading.load_student(profile)
    check_template(student.name, student.tokenizer)
    assert sum(type(module).__name__ == "Linear4bit" for module in student.model.modules()) == 2 * len(modules)
    assert with_reference(student, rows, profile) == rows, "weights in 4 bits: the trainer computes its reference"
    prompts = [tuple(row_tokens(student.tokenizer, row)["prompt_ids"]) for row in rows[:2]]
    assert len(set(prompts)) == 2, "two system prompts, two prompts"

    trainer = trials.build(profile, rows, tmp_path / "out", held=rows)
    trainer.train()
    losses = trials.losses(trainer)
    assert losses[0] == pytest.approx(math.log(2), abs=0.02) and losses[-1] < 0.3
    assert trainer.evaluate()["eval_rewards/both_directions"] == 1
    trained = {n.split(".lora_")[0].rsplit(".")[-1] for n, p in trainer.model.named_parameters() if p.requires_grad}
    assert trained == set(modules)

    adapter = tmp_path / "adapter"
    save_adapter(trainer.model, adapter, loading.hub_name(profile))
    tuned, base = loading.load_chat_model(profile, adapter), loading.load_chat_model(profile)
    ids = list(prompts[0])
    torch.testing.assert_close(logits(tuned.model, ids), logits(trainer.model.eval(), ids), rtol=0.05, atol=0.05)
    assert (logits(tuned.model, ids) - logits(base.model, ids)).abs().max() > 0.1
    texts = chat(tuned, [row["prompt"] for row in rows[:2]], max_new_tokens=6, temperature=0)
    assert len(texts) == 2 and all(isinstance(text, str) for text in texts)

    whole = loading.load_chat_model(profile.replace(four_bit=False), adapter).model
    merged = loading.load_chat_model(
        profile.replace(four_bit=False, student=str(merge(profile, adapter, tmp_path / "merged")))
    )
    assert not [m for m in merged.model.modules() if type(m).__name__ == "Linear4bit"]
    torch.testing.assert_close(logits(merged.model, ids), logits(whole, ids), rtol=0.02, atol=0.02)
    assert chat(merged, [rows[0]["prompt"]], max_new_tokens=3, temperature=0)


def test_an_adapter_is_never_merged_into_weights_that_were_quantised_in_advance(tmp_path):
    """Whatever the profile says of them: it would be rounded away."""
    pytest.importorskip("bitsandbytes")
    profile = profile_of(saved(tmp_path / "student", "qwen3-4b"), "qwen3-4b")
    student = loading.load_student(profile)
    for part in (student.model, student.tokenizer):
        part.save_pretrained(tmp_path / "quantised")
    save_adapter(get_peft_model(student.model, lora_config(profile)), tmp_path / "adapter", "x/y")
    for four_bit in (True, False):
        quantised = profile.replace(student=str(tmp_path / "quantised"), four_bit=four_bit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tuned = loading.load_chat_model(quantised, tmp_path / "adapter")
        assert tuned.model.peft_config, "the adapter stands beside the weights"
        with pytest.raises(ExportError, match="weights of quantised are quantised.*the whole model"):
            merge(quantised, tmp_path / "adapter", tmp_path / "merged")
        assert not (tmp_path / "merged").exists()
