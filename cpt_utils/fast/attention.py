"""Two attentions that save work on a CPU: for rows packed into lines, and for one new token a row."""

from contextlib import contextmanager

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from cpt_utils.fast import switch

LONG = 640  # tokens


def one_token(module, query, key, value, attention_mask, **kwargs):
    """SDPA for one new token: query heads that share a key head become rows, so keys are not repeated.

    Query (batch, heads, 1, width), key and value (batch, key heads, tokens, width); returns (batch, 1, heads, width).
    transformers packs grouped queries for one new token itself in 5.24: this goes once its pin can move there.
    """
    batch, heads, length, width = query.shape
    other_mask = attention_mask is not None and attention_mask.dim() != 4
    if length > 1 or kwargs.get("dropout") or other_mask:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    key_heads = key.shape[1]
    answers = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(batch, key_heads, -1, width),  # (batch, key heads, queries a key head, width)
        key,
        value,
        attn_mask=attention_mask,
        scale=kwargs.get("scaling"),
    )
    return answers.reshape(batch, heads, 1, width).transpose(1, 2), None


def packed(module, query, key, value, attention_mask, **kwargs):
    """Attention under any boolean mask, in plain products: torch's fused kernel is slow backwards on a CPU.

    Query (batch, heads, length, width), key and value (batch, key heads, tokens, width), mask (batch, 1, length,
    tokens); returns (batch, length, heads, width). The weights of all heads are kept for the backward pass, so long
    lines are left to the fused kernel.
    """
    batch, heads, length, width = query.shape
    other_mask = attention_mask is None or attention_mask.dtype != torch.bool
    if length > LONG or other_mask or kwargs.get("dropout"):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    key_heads, tokens = key.shape[1], key.shape[2]
    scaling = kwargs.get("scaling")
    if scaling is None:
        scaling = width**-0.5
    grouped = (query * scaling).reshape(batch, key_heads, -1, width)  # heads that share keys are rows of one product
    scores = (grouped @ key.transpose(-1, -2)).view(batch, key_heads, -1, length, tokens)
    # A sum is cheaper than masking the scores of every head, forwards and backwards.
    bias = torch.zeros_like(attention_mask, dtype=scores.dtype).masked_fill_(~attention_mask, float("-inf"))
    scores = scores + bias[:, :, None]
    weights = scores.softmax(-1)  # sums in float32 whatever the type; asked for float32, it would copy twice
    answers = weights.view(batch, key_heads, -1, tokens) @ value
    return answers.view(batch, heads, length, width).transpose(1, 2), None


for kind in (one_token, packed):
    AttentionInterface.register(kind.__name__, kind)
    AttentionMaskInterface.register(kind.__name__, AttentionMaskInterface()["sdpa"])


@contextmanager
def attention(model, name: str):
    """Inside, a model that uses SDPA on a CPU uses the attention of that name, where that works here."""
    before = model.config._attn_implementation
    swap = before == "sdpa" and model.device.type == "cpu" and name != "sdpa" and attention_works(name)
    if swap:
        model.set_attn_implementation(name)
    try:
        yield
    finally:
        if swap:
            model.set_attn_implementation(before)


def attention_works(name: str) -> bool:
    """Whether a small model gives the same logits and gradients with this attention as with SDPA."""
    label, answers = {
        "one_token": ("attention for one new token", _next_token),
        "packed": ("attention for packed rows", _packed_rows),
    }[name]

    def example():
        return zip(answers(name), answers("sdpa"), strict=True)

    return switch.works(label, example)


def _next_token(name: str) -> list[torch.Tensor]:
    """A small model's logits of the token after two texts, first whole and then padded on the left."""
    model = switch.small_model()
    model.set_attn_implementation(name)
    ids = torch.arange(2 * 12).view(2, 12) % 60 + 3
    whole = torch.ones_like(ids)
    padded = whole.index_fill(1, torch.tensor([0, 1]), 0)  # columns 0 and 1
    logits = []
    for mask in (whole, padded):
        with torch.no_grad():
            cache = model(input_ids=ids[:, :-1], attention_mask=mask[:, :-1], use_cache=True).past_key_values
            logits.append(model(input_ids=ids[:, -1:], attention_mask=mask, past_key_values=cache).logits)
    return logits


def _packed_rows(name: str) -> list[torch.Tensor]:
    """A small model's logits of two lines with two responses each, and a gradient."""
    model = switch.small_model()
    model.set_attn_implementation(name)
    ids = torch.arange(2 * 12).view(2, 12) % 60
    segment = torch.tensor([[0] * 4 + [1] * 4 + [2] * 4, [0] * 2 + [1] * 6 + [2] * 4])  # 0: the prompt
    shared = segment[:, None] == 0
    own = segment[:, None] == segment[:, :, None]
    visible = (shared | own).tril()[:, None]
    logits = model(input_ids=ids, attention_mask=visible, use_cache=False).logits
    logits.pow(2).mean().backward()
    return [logits.detach(), model.model.layers[0].self_attn.k_proj.weight.grad]
