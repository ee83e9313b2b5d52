"""Two attentions that save work on a CPU: for rows packed into lines, and for one new token a row."""

from contextlib import contextmanager

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from cpt_utils.fast import switch

LONG = 640  # tokens


def one_token(module, query, key, value, attention_mask, **kwargs):
    """SDPA for one new token: query heads that share a key head become rows, so keys are not repeated."""
    batch, heads, length, width = query.shape
    if length > 1 or kwargs.get("dropout") or attention_mask is not None and attention_mask.dim() != 4:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    out = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(batch, key.shape[1], -1, width),
        key,
        value,
        attn_mask=attention_mask,
        scale=kwargs.get("scaling"),
    )
    return out.reshape(batch, heads, 1, width).transpose(1, 2), None


def packed(module, query, key, value, attention_mask, **kwargs):
    """Attention under any boolean mask, in plain products: torch's fused kernel is slow backwards on a CPU.

    The weights of all heads are kept for the backward pass, so long lines are left to the fused kernel.
    """
    batch, heads, length, width = query.shape
    if length > LONG or attention_mask is None or attention_mask.dtype != torch.bool or kwargs.get("dropout"):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    scaling = width**-0.5 if kwargs.get("scaling") is None else kwargs["scaling"]
    grouped = (query * scaling).reshape(batch, key.shape[1], -1, width)  # heads that share keys are rows
    scores = (grouped @ key.transpose(-1, -2)).view(batch, key.shape[1], -1, length, key.shape[2])
    hidden = torch.zeros_like(attention_mask, dtype=scores.dtype).masked_fill_(~attention_mask, float("-inf"))
    scores = scores + hidden[:, :, None]  # cheaper than masking the scores of every head, forwards and backwards
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)
    out = weights.view(batch, key.shape[1], -1, key.shape[2]) @ value
    return out.view(batch, heads, length, width).transpose(1, 2), None


for way in (one_token, packed):
    AttentionInterface.register(way.__name__, way)
    AttentionMaskInterface.register(way.__name__, AttentionMaskInterface()["sdpa"])


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
    answers, label = {
        "one_token": (_next_token, "attention for one new token"),
        "packed": (_packed_rows, "attention for packed rows"),
    }[name]

    def example():
        return zip(answers(name), answers("sdpa"), strict=True)

    return switch.works(label, example)


def _next_token(kind: str) -> list[torch.Tensor]:
    """A small model's logits of the token after two texts, one of them left-padded, and both whole."""
    model = switch.small_model()
    model.set_attn_implementation(kind)
    ids, found = torch.arange(2 * 12).view(2, 12) % 60 + 3, []
    for mask in (torch.ones_like(ids), torch.ones_like(ids).index_fill(1, torch.tensor([0, 1]), 0)):
        with torch.no_grad():
            cache = model(input_ids=ids[:, :-1], attention_mask=mask[:, :-1], use_cache=True).past_key_values
            found.append(model(input_ids=ids[:, -1:], attention_mask=mask, past_key_values=cache).logits)
    return found


def _packed_rows(kind: str) -> list[torch.Tensor]:
    """A small model's logits of two lines with two responses each, and a gradient."""
    model = switch.small_model()
    model.set_attn_implementation(kind)
    ids = torch.arange(2 * 12).view(2, 12) % 60
    segment = torch.tensor([[0] * 4 + [1] * 4 + [2] * 4, [0] * 2 + [1] * 6 + [2] * 4])
    visible = ((segment[:, None] == 0) | (segment[:, None] == segment[:, :, None])).tril()[:, None]
    logits = model(input_ids=ids, attention_mask=visible, use_cache=False).logits
    logits.pow(2).mean().backward()
    return [logits.detach(), model.model.layers[0].self_attn.k_proj.weight.grad]
