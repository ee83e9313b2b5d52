"""One text from several conversations at once: their next-token logits are mixed by weights at every step."""

from itertools import chain, takewhile

import torch

from cpt_utils.fast.attention import attention
from cpt_utils.fast.decoding import all_texts, next_logits, prefill
from cpt_utils.fast.sampling import penalise, pick
from cpt_utils.fast.weights import packed_weights
from cpt_utils.models.conversation import ChatModel, end_tokens, waiting


@torch.inference_mode()
def mixed_texts(
    chat_model: ChatModel,
    groups: list[list[list[dict]]],
    weights: list[list[float]],
    *,
    max_new_tokens: int,
    temperature: float = 0.7,
    top_p: float = 0.9,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    batch_size: int = 72,
) -> list[str]:
    """One text to each of n groups of k conversations, by the weighted sum of their logits; (n, k) weights.

    Each row of weights sums to 1, so that logits keep their scale and the sum is a product of the k distributions to
    the power of their weights. What was written is the same in all conversations of a group; the repetition penalty
    looks at all that the group has read. `batch_size` counts conversations.
    """
    torch.manual_seed(seed)
    texts, size = [], max(1, batch_size // len(groups[0]))
    for start in range(0, len(groups), size):
        rows = slice(start, start + size)
        texts += _batch(
            chat_model, groups[rows], weights[rows], max_new_tokens, (temperature, top_p), repetition_penalty
        )
    return texts


def _batch(chat_model, groups, weights, max_new_tokens: int, sampling: tuple, penalty: float) -> list[str]:
    """The texts of some groups."""
    model, tokenizer = chat_model.model, chat_model.tokenizer
    batch = waiting(chat_model, [*chain(*groups)])
    each, share = len(groups[0]), torch.tensor(weights, device=model.device)  # (n, k)
    read = batch["input_ids"].view(len(groups), -1)  # (n, k * prompt)
    ends = torch.tensor(end_tokens(chat_model), device=model.device)
    running, state = torch.ones(len(groups), dtype=torch.bool, device=model.device), all_texts(model, batch)
    written = []
    with attention(model, "one_token"), packed_weights(model):
        for step in range(max_new_tokens):
            logits = prefill(model, state) if step == 0 else next_logits(model, state.unread, state.mask, state.cache)
            mixed = (logits.view(len(groups), each, -1) * share[..., None]).sum(1)
            newest = pick(penalise(mixed, torch.cat([read, *written], 1), penalty), *sampling)
            newest = newest.masked_fill(~running, tokenizer.pad_token_id)
            written.append(newest[:, None])
            running &= ~torch.isin(newest, ends)
            if not running.any():
                break
            state.append(newest.repeat_interleave(each))
    stops = {*ends.tolist(), tokenizer.pad_token_id}
    said = [list(takewhile(lambda token: token not in stops, row)) for row in torch.cat(written, 1).tolist()]
    return [text.strip() for text in tokenizer.batch_decode(said, skip_special_tokens=True)]
