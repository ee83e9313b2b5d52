"""Merged weights through llama.cpp's own converter, and loaded again: `make gguf` fetches the converter."""

import importlib.util

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from cpt_utils import export
from cpt_utils.models import adapters
from cpt_utils.runtime.errors import ExportError
from cpt_utils.runtime.profiles import load_profile

TEXT = "Write 2 lines about the rain in a café."


@pytest.fixture(scope="module")
def converted(tokenizer, tmp_path_factory):
    """{type: GGUF file} of a tiny student with its adapter merged in, the merged folder, the merged model."""
    try:
        export.converter()
    except ExportError as error:
        pytest.skip(str(error))
    from transformers import AutoModelForCausalLM, LlamaConfig

    folder = tmp_path_factory.mktemp("gguf")
    sizes = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4)
    ends = dict(bos_token_id=1, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id)
    torch.manual_seed(0)
    student = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=512, **sizes, **ends)
    )
    student.save_pretrained(folder / "student")
    tokenizer.save_pretrained(folder / "student")
    tuned = get_peft_model(student, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    adapters.save_adapter(tuned, folder / "adapter", "owner/student")
    profile = load_profile("t4").replace(student=str(folder / "student"), four_bit=False, seed=1)
    merged = export.merge(profile, folder / "adapter", folder / "merged")
    files = {kind: export.export_gguf(merged, folder / f"{kind}.gguf", kind) for kind in ("f32", "q8_0")}
    return files, merged, AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("kind, rounding", [("f32", 1e-4), ("q8_0", 0.05)])
def test_the_converted_model_computes_what_the_merged_one_does(converted, tokenizer, kind, rounding):
    from transformers import AutoModelForCausalLM

    files, _, model = converted
    again = AutoModelForCausalLM.from_pretrained(files[kind].parent, gguf_file=files[kind].name, dtype=torch.float32)
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    torch.testing.assert_close(again(ids).logits, model(ids).logits, rtol=0, atol=rounding)


@pytest.mark.slow
def test_the_vocabulary_is_written_as_the_byte_level_one_it_is(converted, tokenizer):
    """transformers reads it from GGUF as one of SentencePiece, at which llama.cpp would stop."""
    from gguf import GGUFReader
    from transformers import AutoTokenizer

    files, merged, _ = converted
    fields = GGUFReader(files["f32"]).fields
    model, pre = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("model", "pre"))
    assert (model, pre) == ("gpt2", "smollm")
    saved = AutoTokenizer.from_pretrained(merged)
    odd = f"{TEXT} 1893 \u00a0 字🎬 \x00 {chr(0x10FFFF)}"
    assert saved(odd)["input_ids"] == tokenizer(odd)["input_ids"] and saved.decode(saved(odd)["input_ids"]) == odd


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed: it compiles llama.cpp"
)
def test_llama_cpp_reads_the_same_tokens_and_writes_the_same_words(converted, tokenizer):
    from llama_cpp import Llama

    files, _, merged = converted
    there = Llama(str(files["f32"]), n_ctx=64, n_threads=1, logits_all=True, verbose=False)
    ids = there.tokenize(TEXT.encode(), add_bos=False)
    assert ids == tokenizer(TEXT)["input_ids"]
    there.eval(ids)
    expected = merged(torch.tensor([ids])).logits[0].detach().numpy()
    np.testing.assert_allclose(np.array(there.scores[: len(ids)]), expected, atol=2e-3)
    written = [token for token, _ in zip(there.generate(ids, temp=0.0, top_k=1), range(12))]
    greedy = merged.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12, min_new_tokens=12)
    assert written == greedy[0, len(ids) :].tolist()
