"""Two attentions that save work on a CPU: for rows packed into lines, and for one new token a row."""

from contextlib import contextmanager

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

LONG = 640  # tokens


def one_token(module, query, key, value, attention_mask, **kwargs):
    """SDPA for one new token: query heads that share a key head become rows, so keys are not repeated."""
    batch, heads, length, width = query.shape
    if length > 1 or kwargs.get("dropout") or attention_mask is not None and attention_mask.dim() != 4:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    out = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(batch, key.shape[1], -1, width), key, value,
        attn_mask=attention_mask, scale=kwargs.get("scaling"),
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


for name in (one_token, packed):
    ALL_ATTENTION_FUNCTIONS.register(name.__name__, name)
    ALL_MASK_ATTENTION_FUNCTIONS.register(name.__name__, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


@contextmanager
def attention(model, name: str):
    """Inside, a model that uses SDPA on a CPU uses the attention of that name."""
    before = model.config._attn_implementation
    swap = before == "sdpa" and model.device.type == "cpu"
    if swap:
        model.set_attn_implementation(name)
    try:
        yield
    finally:
        if swap:
            model.set_attn_implementation(before)
