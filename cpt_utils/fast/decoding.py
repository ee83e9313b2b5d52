"""Batched generation: the tokens of transformers' generate, with less copying and no work for ended texts."""

import torch
from transformers import DynamicCache, StoppingCriteria, StoppingCriteriaList
from transformers.cache_utils import DynamicLayer

from cpt_utils.fast import switch
from cpt_utils.fast.attention import attention
from cpt_utils.fast.weights import packed_weights

BLOCK = 64  # tokens by which the cache grows
SHORTLIST = 1024  # tokens that top-p looks at first


class RoomyLayer(DynamicLayer):
    """A cache layer with room at the end: a step writes in place where DynamicLayer copies everything."""

    def update(self, key_states, value_states, *args, **kwargs):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.room = [key_states.new_empty(0), value_states.new_empty(0)]
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        for place, new in enumerate((key_states, value_states)):
            room = self.room[place]
            if room.numel() == 0 or room.shape[-2] < end:
                shape = (*new.shape[:-2], end + BLOCK, new.shape[-1])
                self.room[place] = new.new_empty(shape)
                if start:
                    self.room[place][..., :start, :] = room[..., :start, :]
            self.room[place][..., start:end, :] = new
        self.keys, self.values = (room[..., :end, :] for room in self.room)
        return self.keys, self.values

    def batch_select_indices(self, indices):
        length = self.get_seq_length()
        self.room = [room[indices] for room in self.room]
        self.keys, self.values = (room[..., :length, :] for room in self.room)


def pick(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One token a row from logits (rows, vocabulary): greedy at temperature 0, else top-p sampling.

    The smallest set of tokens with at least `top_p` probability nearly always fits a short list, so the whole
    vocabulary is sorted only for the rows where it does not (Holtzman et al. 2020, section 3.1).
    """
    if not temperature:
        return logits.argmax(-1)
    probabilities = (logits / temperature).softmax(-1)
    best, tokens = probabilities.topk(min(SHORTLIST, probabilities.shape[-1]))
    picked, wide = draw(best, tokens, top_p), best.sum(-1) < top_p
    if wide.any():
        picked[wide] = draw(*probabilities[wide].sort(-1, descending=True), top_p)
    return picked


def draw(best: torch.Tensor, tokens: torch.Tensor, top_p: float) -> torch.Tensor:
    """One token a row, from probabilities in falling order and their tokens (rows, n)."""
    before = best.cumsum(-1) - best
    best = best.masked_fill(before >= top_p, 0.0)
    return tokens.gather(-1, torch.multinomial(best, 1)).squeeze(-1)


@torch.inference_mode()
def generate(
    model, batch, *, max_new_tokens: int, ends: list[int], pad_token_id: int, watch=None, **sampling
) -> torch.Tensor:
    """New tokens (rows, up to max_new_tokens) for a left-padded batch, padded behind each end token.

    `sampling`: temperature (0: greedy), top_p, repetition_penalty. Greedy results are those of `model.generate`
    with the same settings. Sampling draws from torch's global generator. `watch(newest tokens)` is called at
    every step; True ends the generation.
    """
    loop = own_loop if loop_works(model.device.type) else library_loop
    return loop(
        model, batch, max_new_tokens=max_new_tokens, ends=ends, pad_token_id=pad_token_id, watch=watch, **sampling
    )


def loop_works(device: str) -> bool:
    """Whether our loop gives the tokens of transformers' own on this device."""

    def example():
        model = switch.small_model(device)
        ids = torch.tensor([[0, 0, 5, 9], [7, 1, 30, 11], [0, 0, 5, 9]], device=device)
        batch = {"input_ids": ids, "attention_mask": (ids > 0).long()}
        for penalty in (1.0, 1.3):
            asked = {"max_new_tokens": 12, "ends": [2, 40], "pad_token_id": 0, "repetition_penalty": penalty}
            with torch.inference_mode():  # as in generate
                fast, plain = own_loop(model, batch, **asked), library_loop(model, batch, **asked)
            yield fast.cpu(), plain.cpu()

    return switch.works(f"generation on {device}", example)


class Watch(StoppingCriteria):
    """Shows the newest tokens to `watch`, and ends the generation when it says so."""

    def __init__(self, watch):
        self.watch = watch

    def __call__(self, input_ids, scores, **kwargs):
        newest = input_ids[:, -1]
        return torch.full_like(newest, bool(self.watch(newest)), dtype=torch.bool)


def library_loop(
    model,
    batch,
    *,
    max_new_tokens: int,
    ends: list[int],
    pad_token_id: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    watch=None,
) -> torch.Tensor:
    """As `generate`, by transformers alone."""
    drawing = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if temperature:
        drawing = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    watching = StoppingCriteriaList([Watch(watch)] if watch else [])
    whole = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=max_new_tokens,
        eos_token_id=ends,
        pad_token_id=pad_token_id,
        repetition_penalty=repetition_penalty,
        stopping_criteria=watching,
        **drawing,
    )
    return whole[:, batch["input_ids"].shape[1] :]


def own_loop(
    model,
    batch,
    *,
    max_new_tokens: int,
    ends: list[int],
    pad_token_id: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    watch=None,
) -> torch.Tensor:
    """As `generate`, with a cache that grows in place, one prefill for equal prompts, and no work for ended rows."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    cache = DynamicCache(config=model.config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    out = ids.new_full((len(ids), max_new_tokens), pad_token_id)
    rows, stops = torch.arange(len(ids), device=ids.device), torch.tensor(ends, device=ids.device)
    running = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    each, copies = torch.cat([ids, mask], 1).unique(dim=0, return_inverse=True)  # samples share their prompt's work
    with attention(model, "one_token"), packed_weights(model):
        for step in range(max_new_tokens):
            once, sight = each.chunk(2, 1) if step == 0 else (ids, mask)
            positions = (sight.cumsum(-1) - 1).clamp(min=0)[:, -once.shape[1] :]
            logits = (
                model(
                    input_ids=once,
                    attention_mask=sight,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                .logits[:, -1]
                .float()
            )
            if step == 0:
                cache.batch_select_indices(copies)
                logits = logits[copies]
            if repetition_penalty != 1.0:
                seen = torch.cat([batch["input_ids"][rows], out[rows, :step]], 1)
                told = logits.gather(1, seen)
                lowered = torch.where(told < 0, told * repetition_penalty, told / repetition_penalty)
                logits = logits.scatter(1, seen, lowered)
            token = pick(logits, temperature, top_p).masked_fill(~running, pad_token_id)
            out[rows, step] = token
            running &= ~torch.isin(token, stops)
            if watch and watch(token) or not running.any():
                break
            ids, mask = token[:, None], torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            if running.float().mean() < 0.9:  # go on without the ended ones; a smaller change is not worth a copy
                keep = running.nonzero().squeeze(1)
                cache.batch_select_indices(keep)
                ids, mask, rows, running = ids[keep], mask[keep], rows[keep], running[keep]
    return out[:, : step + 1]
