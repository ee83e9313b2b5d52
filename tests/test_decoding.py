"""Our generation gives the tokens of transformers' generate, and samples as top-p says."""

import types

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Gemma2Config, GenerationConfig, MistralConfig, Qwen3Config

from cpt_utils.fast import decoding
from cpt_utils.fast.decoding import generate
from cpt_utils.fast.sampling import SHORTLIST, pick
from cpt_utils.models.conversation import ChatModel, answered
from cpt_utils.prompts import messages


@pytest.fixture
def batch(tokenizer):
    tokenizer.padding_side = "left"
    texts = ["One.", "Tell me more about rain, please, and do not stop.", "Why", "A slightly longer one than that"]
    return tokenizer(texts, return_tensors="pt", padding=True)


def sharpened(model):
    """Random models repeat themselves; larger weights make their choices vary and end at different steps."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(4)
    return model.eval()


def reference(model, batch, ends, **options):
    out = model.generate(**batch, do_sample=False, pad_token_id=2, eos_token_id=ends, **options)
    return out[:, batch["input_ids"].shape[1] :]


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_tokens_are_those_of_transformers(tiny_model, batch, penalty):
    model = sharpened(tiny_model)
    free = reference(model, batch, [2], max_new_tokens=80, repetition_penalty=penalty)
    # tokens that some rows meet early and others late or never: rows end at different steps
    ends = [2, free[0, 5].item(), free[1, 30].item()]
    expected = reference(model, batch, ends, max_new_tokens=80, repetition_penalty=penalty)
    found = generate(model, batch, max_new_tokens=80, ends=ends, pad_token_id=2, repetition_penalty=penalty)
    assert len({(row == 2).sum().item() for row in expected}) > 1
    torch.testing.assert_close(found, expected)
    assert model.config._attn_implementation == "sdpa"


def test_sliding_windows_keep_their_own_cache(tokenizer, batch):
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=8,
        pad_token_id=2,
        eos_token_id=2,
    )
    model = sharpened(AutoModelForCausalLM.from_config(config))
    expected = reference(model, batch, [2], max_new_tokens=30)
    torch.testing.assert_close(generate(model, batch, max_new_tokens=30, ends=[2], pad_token_id=2), expected)


def test_samples_of_one_prompt_share_its_prefill(tiny_model, tokenizer, batch):
    model, lengths = sharpened(tiny_model), []
    twice = {name: values.repeat(2, 1) for name, values in batch.items()}
    watch = model.register_forward_pre_hook(lambda m, a, k: lengths.append(len(k["input_ids"])), with_kwargs=True)
    found = generate(model, twice, max_new_tokens=20, ends=[-1], pad_token_id=2)
    watch.remove()
    torch.testing.assert_close(found, reference(model, batch, [2], max_new_tokens=20).repeat(2, 1)[:, :20])
    assert lengths[:2] == [4, 8]


def test_an_interrupt_leaves_the_model_as_it_was(tiny_model, batch):
    model, calls = sharpened(tiny_model), []

    def stop(token):
        calls.append(token)
        if len(calls) == 3:
            raise KeyboardInterrupt

    expected = generate(model, batch, max_new_tokens=8, ends=[-1], pad_token_id=2)
    with pytest.raises(KeyboardInterrupt):
        generate(model, batch, max_new_tokens=8, ends=[-1], pad_token_id=2, watch=stop)
    assert model.config._attn_implementation == "sdpa" and not any("forward" in vars(m) for m in model.modules())
    torch.testing.assert_close(generate(model, batch, max_new_tokens=8, ends=[-1], pad_token_id=2), expected)


def test_sampling_keeps_to_the_smallest_set_with_enough_probability():
    torch.manual_seed(0)
    peaked = torch.tensor([[3.0, 2.0, 1.0] + [-9.0] * 5000])
    drawn = torch.cat([pick(peaked, 1.0, 0.8) for _ in range(4000)])
    share = torch.bincount(drawn, minlength=3)[:3] / 4000
    probabilities = peaked[0].softmax(-1)[:2]
    torch.testing.assert_close(
        share, torch.cat([probabilities / probabilities.sum(), torch.zeros(1)]), atol=0.03, rtol=0
    )


def test_a_flat_distribution_outgrows_the_short_list():
    torch.manual_seed(0)
    flat = torch.zeros(1, 4 * SHORTLIST)
    drawn = {pick(flat, 1.0, 0.9).item() for _ in range(3000)}
    assert len(drawn) > 1.5 * SHORTLIST
    peaked = torch.zeros(1, 4 * SHORTLIST).index_fill(1, torch.tensor([7]), 50.0)
    both = torch.stack([pick(torch.cat([peaked, flat]), 1.0, 0.9) for _ in range(300)])
    assert (both[:, 0] == 7).all() and (both[:, 1] >= SHORTLIST).any()  # only the flat row is drawn from all


def test_at_top_p_one_every_token_may_come_and_nothing_is_sorted(monkeypatch):
    torch.manual_seed(0)
    for name in ("sort", "topk"):
        monkeypatch.setattr(torch.Tensor, name, lambda *told, **named: pytest.fail("sorted"))
    logits = torch.tensor([[0.0, 1.0, 2.0] + [-12.0] * 5000]).repeat(4000, 1)
    drawn = pick(logits, 2.0, 1.0)
    assert drawn.shape == (4000,) and (drawn > 2).any()
    share = torch.bincount(drawn, minlength=3)[:3] / 4000
    torch.testing.assert_close(share, (logits[0] / 2).softmax(-1)[:3], atol=0.03, rtol=0)


def test_temperature_zero_is_greedy_and_low_temperature_nearly_so():
    logits = torch.tensor([[0.0, 1.0, 0.5]])
    assert pick(logits, 0.0, 0.9).item() == 1
    assert {pick(logits, 0.01, 0.99).item() for _ in range(50)} == {1}


def test_watch_sees_every_token_and_can_stop(tiny_model, batch):
    seen = []

    def watch(tokens):
        seen.append(tokens.tolist())
        return len(seen) == 3

    out = generate(tiny_model.eval(), batch, max_new_tokens=20, ends=[-1], pad_token_id=2, watch=watch)
    assert out.shape == (4, 3) and out.T.tolist() == seen


def test_our_loop_is_for_cpus_and_the_library_writes_elsewhere(monkeypatch):
    assert decoding.loop_for("cpu") is decoding.own_loop
    assert {decoding.loop_for(device) for device in ("cuda", "mps", "xpu")} == {decoding.library_loop}
    monkeypatch.setenv("CPT_FAST_PATHS", "off")
    assert decoding.loop_for("cpu") is decoding.library_loop


def family(name, tokenizer):
    sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    sizes |= dict(num_key_value_heads=2, head_dim=8, vocab_size=len(tokenizer), pad_token_id=2, eos_token_id=2)
    torch.manual_seed(0)
    config = {"qwen3": Qwen3Config, "mistral": MistralConfig}[name](**sizes)
    return sharpened(AutoModelForCausalLM.from_config(config))


def adapted(model):
    """The model with a LoRA adapter that changes its texts, beside its weights as on 4-bit ones."""
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    return model.eval()


CONVERSATIONS = [
    messages("One.", "Be brief."),
    messages("Tell me more about rain, please, and do not stop before the evening.", "Write as a corrupted film reel."),
    messages("Why?"),
]


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Takes the way of a GPU on this processor."""
    choose = decoding.loop_for

    def ask(chat_model, **options):
        monkeypatch.setattr(decoding, "loop_for", lambda device: choose("cuda"))
        monkeypatch.setattr(decoding, "own_loop", None)
        texts = answered(chat_model, CONVERSATIONS, **options)
        monkeypatch.undo()
        return texts

    return ask


@pytest.mark.parametrize("adapter", [False, True], ids=["base", "adapter"])
@pytest.mark.parametrize("name", ["qwen3", "mistral"])
def test_a_gpus_greedy_texts_are_those_of_our_loop(name, adapter, tokenizer, as_on_a_gpu):
    model = family(name, tokenizer)
    base = answered(ChatModel(model, tokenizer, name), CONVERSATIONS, max_new_tokens=40, temperature=0)
    model = adapted(model) if adapter else model
    # What comes with a model, here what would change its greedy texts, is not for chat to follow.
    own = GenerationConfig(no_repeat_ngram_size=2, min_new_tokens=35, eos_token_id=[2, 9], pad_token_id=2, top_k=3)
    (model.get_base_model() if adapter else model).generation_config = own
    chat_model = ChatModel(model, tokenizer, name)
    for penalty in (1.0, 1.2):
        options = dict(max_new_tokens=40, temperature=0, repetition_penalty=penalty, batch_size=2)
        ours, library = answered(chat_model, CONVERSATIONS, **options), as_on_a_gpu(chat_model, **options)
        assert library == ours and len({text for text, _ in ours}) == 3
    assert model.generation_config is own and (ours != base)


@pytest.mark.parametrize("adapter", [False, True], ids=["base", "adapter"])
def test_unsloths_generate_is_the_one_that_writes_where_it_is_loaded(adapter, tokenizer, as_on_a_gpu):
    """It puts a method of its own in the place of the model's, and that is what chat calls on a GPU."""
    inner = family("qwen3", tokenizer)
    model, plain, calls = adapted(inner) if adapter else inner, inner.generate, []

    def fast_generate(self, *args, **kwargs):
        calls.append(kwargs["input_ids"].shape)
        return plain(*args, **kwargs)

    inner.generate = types.MethodType(fast_generate, inner)
    chat_model = ChatModel(model, tokenizer, "m")
    ours = answered(chat_model, CONVERSATIONS, max_new_tokens=12, temperature=0)
    assert not calls
    assert as_on_a_gpu(chat_model, max_new_tokens=12, temperature=0) == ours and len(calls) == 1
    assert as_on_a_gpu(chat_model, max_new_tokens=5, temperature=0.7) and len(calls) == 2


def test_a_gpus_answers_are_watched_and_stopped_as_ours(tokenizer, as_on_a_gpu):
    chat_model = ChatModel(family("qwen3", tokenizer), tokenizer, "m")
    seen = {}
    for way, ask in (("ours", lambda chat_model, **o: answered(chat_model, CONVERSATIONS, **o)), ("gpu", as_on_a_gpu)):
        tokens = seen[way] = []

        def watch(newest, tokens=tokens):
            tokens.append(newest.tolist())
            return len(tokens) == 4

        ask(chat_model, max_new_tokens=20, temperature=0, watch=watch)
    assert seen["ours"] == seen["gpu"] and len(seen["gpu"]) == 4
