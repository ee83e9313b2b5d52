"""The estimate of a training's GPU memory, held against peaks that others measured and published."""

import pytest

from cpt_utils.runtime.catalogue import MEMORY_BAND, find_model, training_memory
from cpt_utils.runtime.profiles import load_profile


def decoder(layers, hidden, intermediate, heads, kv_heads, vocab, tied=False):
    sizes = {"layers": layers, "hidden": hidden, "intermediate": intermediate, "heads": heads, "kv_heads": kv_heads}
    return sizes | {"head_dim": 128, "vocab": vocab, "tied": tied}


LLAMA2_7B = decoder(32, 4096, 11008, 32, 32, 32000)
LLAMA31_8B = decoder(32, 4096, 14336, 32, 8, 128256)
LLAMA32_3B = decoder(28, 3072, 8192, 24, 8, 128256, tied=True)
MISTRAL_7B = decoder(32, 4096, 14336, 32, 8, 32768)
QWEN25_7B = decoder(28, 3584, 18944, 28, 4, 152064)
QWEN3_8B = decoder(36, 4096, 12288, 32, 8, 151936)
QWEN3_14B = decoder(40, 5120, 17408, 40, 8, 151936)
NEMO_12B, PHI4 = find_model("mistral-nemo-12b")["shape"], find_model("phi4")["shape"]

# hiyouga/LLaMA-Factory, wiki page "Performance comparison" (April 2024): Llama 2 7B in 4 bits, LoRA r = 8 on all
# linear layers, FlashAttention 2, an A100; GB by tokens of a batch. The last one is four rows of 1,024, without it.
LLAMA_FACTORY = [(1024, 6), (2048, 7), (4096, 9), (8192, 12), (16384, 19), (32768, 32), (4 * 1024, 9)]

# huggingface/trl, examples/notebooks/sft_trl_lora_qlora.ipynb (July 2026): QLoRA r = 32 on a T4, one row of at most
# 1,024 tokens a batch. That trainer keeps embeddings in float32 and holds no logits; ours does neither.
TRL_1024 = [(QWEN3_8B, 12.8), (QWEN25_7B, 10.8), (LLAMA31_8B, 10.9), (LLAMA32_3B, 4.7), (QWEN3_14B, 14.04)]

# unslothai/notebooks, nb/ (August 2026), "GB of memory reserved" on a T4 before the first step: weights in 4 bits
# and adapters of rank 16 (32 for Qwen3-14B, whose checkpoint is a dynamic one, as Phi-4's).
HELD = [
    (NEMO_12B, 16, 8.588),
    (LLAMA31_8B, 16, 5.984),
    (QWEN25_7B, 16, 5.764),
    (MISTRAL_7B, 16, 4.52),
    (PHI4, 16, 10.043),
    (QWEN3_14B, 32, 11.898),
]

# unslothai/unsloth, README, "Context length benchmarks": Llama 3.1 8B in 4 bits, r = 32, one row a batch; the tokens
# that fit into so many GB with unsloth, and with transformers and FlashAttention 2.
FITS = {12: (21848, 932), 16: (40724, 2551), 24: (78475, 5789), 40: (153977, 12264), 80: (342733, 28454)}


def estimate(shape, tokens, r):
    """Of a batch of so many tokens in all, in 4 bits with checkpointing; a row of ours has two responses."""
    paper = load_profile("paper")
    lora = {"r": r, "alpha": r, "modules": paper.lora.modules}
    return training_memory(shape, paper.replace(lora=lora, rows_per_batch=1, max_length=tokens // 2))


@pytest.mark.parametrize("tokens, measured", LLAMA_FACTORY)
def test_the_peaks_of_llama_factory_are_within_the_band_at_every_length(tokens, measured):
    assert estimate(LLAMA2_7B, tokens, r=8)["total"] == pytest.approx(measured, rel=MEMORY_BAND / 2)


@pytest.mark.parametrize("shape, measured", TRL_1024)
def test_the_peaks_of_trls_notebook_at_1024_tokens_are_within_the_band(shape, measured):
    assert estimate(shape, 1024, r=32)["total"] == pytest.approx(measured, rel=MEMORY_BAND)


@pytest.mark.parametrize("shape, r, measured", HELD)
def test_what_weights_and_adapters_hold_is_what_unsloths_notebooks_show(shape, r, measured):
    parts = estimate(shape, 1024, r)
    held = parts["weights"] + parts["adapters"] * 4 / 10  # before a step: no gradients, no moments
    assert held == pytest.approx(measured, rel=MEMORY_BAND * 2 / 3)


@pytest.mark.parametrize("gib", FITS)
def test_the_estimate_lies_between_unsloths_way_and_that_of_whole_float32_logits(gib):
    """At the tokens that unsloth fits it says more than there is, at those of transformers less."""
    unsloth, transformers = FITS[gib]
    assert estimate(LLAMA31_8B, transformers, r=32)["total"] < gib < estimate(LLAMA31_8B, unsloth, r=32)["total"]


def test_unsloths_dpo_notebook_fits_the_t4_that_it_ran_on():
    """unslothai/notebooks, Zephyr_(7B)-DPO.ipynb: r = 64, two rows of at most 1,024 tokens, 14.7 GiB."""
    assert estimate(MISTRAL_7B, 2 * 2 * 1024, r=64)["total"] < 14.7


def test_a_formula_without_one_of_its_parts_is_caught():
    """The checks above would see it: each large part is more than the band somewhere."""
    longest, widest = estimate(LLAMA2_7B, 32768, r=8), estimate(QWEN3_14B, 1024, r=32)
    assert longest["total"] - longest["activations"] < 32 * (1 - MEMORY_BAND / 2)
    assert longest["total"] - longest["logits"] < 32 * (1 - MEMORY_BAND / 2)
    assert widest["total"] - widest["weights"] < 14.04 * (1 - MEMORY_BAND)
