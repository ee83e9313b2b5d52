"""Batched generation: on a CPU the tokens of transformers' generate, with less copying and no work for ended texts."""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from cpt_utils.fast import switch
from cpt_utils.fast.attention import attention
from cpt_utils.fast.cache import roomy_cache
from cpt_utils.fast.sampling import Sampling, penalise, pick
from cpt_utils.fast.weights import packed_weights

WORTH_A_COPY = 0.9  # share of running rows below which the ended ones are dropped


@torch.inference_mode()
def generate(model, batch, *, watch=None, **sampling) -> torch.Tensor:
    """New tokens (rows, up to max_new_tokens) for a left-padded batch, padded behind each end token.

    `sampling`: the fields of Sampling, by their names; nothing else counts, whatever comes with the model. Sampling
    draws from torch's global generator. `watch(newest tokens)` is called at every step; True ends the generation.
    """
    return loop_for(model.device.type)(model, batch, Sampling(**sampling), watch)


def loop_for(device: str):
    """Our loop on a CPU, `model.generate` elsewhere, which unsloth replaces by its own. Greedy, both write the same."""
    return own_loop if device == "cpu" and loop_works() else library_loop


def loop_works() -> bool:
    """Whether our loop gives the tokens of transformers' own on this processor."""

    def example():
        model = switch.small_model()
        ids = torch.tensor([[0, 0, 5, 9], [7, 1, 30, 11], [0, 0, 5, 9]])
        batch = {"input_ids": ids, "attention_mask": (ids > 0).long()}
        for penalty in (1.0, 1.3):
            sampling = Sampling(max_new_tokens=12, ends=[2, 40], pad_token_id=0, repetition_penalty=penalty)
            with torch.inference_mode():  # as in generate
                yield own_loop(model, batch, sampling), library_loop(model, batch, sampling)

    return switch.works("generation on cpu", example)


class Watch(StoppingCriteria):
    """Shows the newest tokens to `watch`, and ends the generation when it says so."""

    def __init__(self, watch):
        self.watch = watch

    def __call__(self, input_ids, scores, **kwargs):
        newest = input_ids[:, -1]
        return torch.full_like(newest, bool(self.watch(newest)), dtype=torch.bool)


def library_loop(model, batch, sampling: Sampling, watch=None, processors=()) -> torch.Tensor:
    """As `generate`, by `model.generate` alone. `processors` change the logits, after the penalty."""
    drawing = {"do_sample": False}
    if sampling.temperature:  # top_k is 50 unless said otherwise
        drawing = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    with own_settings_aside(model):
        whole = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=sampling.ends,
            pad_token_id=sampling.pad_token_id,
            repetition_penalty=sampling.repetition_penalty,
            logits_processor=LogitsProcessorList(processors),
            stopping_criteria=StoppingCriteriaList([Watch(watch)] if watch else []),
            **drawing,
        )
    return whole[:, batch["input_ids"].shape[1] :]


@contextmanager
def own_settings_aside(model):
    """Inside, what comes with the model (generation_config.json) says nothing: generate takes the rest from there."""
    owner = model.get_base_model() if hasattr(model, "get_base_model") else model  # under an adapter
    before, owner.generation_config = owner.generation_config, GenerationConfig()
    try:
        yield
    finally:
        owner.generation_config = before


@dataclass
class Texts:
    """The n texts of a batch that are still in work. Ended ones stay until `drop_ended` finds them worth a copy."""

    rows: torch.Tensor  # (n,) where each is in the batch
    running: torch.Tensor  # (n,) bool: not ended yet
    unread: torch.Tensor  # (n, prompt) tokens that the model has not seen: first the prompt, then (n, 1) the newest
    mask: torch.Tensor  # (n, tokens so far): 0 where the prompt is padded
    cache: DynamicCache  # keys and values of the tokens that the model has seen

    def append(self, newest: torch.Tensor) -> None:
        """One more token for each text, (n,)."""
        self.unread = newest[:, None]
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], 1)

    def drop_ended(self) -> None:
        """Go on without the ended texts, if they are many enough: the cache is copied for it."""
        if self.running.float().mean() >= WORTH_A_COPY:
            return
        keep = self.running.nonzero().squeeze(1)
        self.cache.batch_select_indices(keep)
        self.rows, self.running = self.rows[keep], self.running[keep]
        self.unread, self.mask = self.unread[keep], self.mask[keep]


def own_loop(model, batch, sampling: Sampling, watch=None) -> torch.Tensor:
    """As `generate`, with a cache that grows in place, one prefill for equal prompts, and no work for ended rows."""
    prompts = batch["input_ids"]  # (rows, prompt)
    texts = all_texts(model, batch)
    written = prompts.new_full((len(prompts), sampling.max_new_tokens), sampling.pad_token_id)
    ends = torch.tensor(sampling.ends, device=prompts.device)
    with attention(model, "one_token"), packed_weights(model):
        for step in range(sampling.max_new_tokens):
            if step == 0:
                logits = prefill(model, texts)
            else:
                logits = next_logits(model, texts.unread, texts.mask, texts.cache)
            if sampling.repetition_penalty != 1.0:
                so_far = torch.cat([prompts[texts.rows], written[texts.rows, :step]], 1)
                logits = penalise(logits, so_far, sampling.repetition_penalty)
            newest = pick(logits, sampling.temperature, sampling.top_p)
            newest = newest.masked_fill(~texts.running, sampling.pad_token_id)
            written[texts.rows, step] = newest
            texts.running &= ~torch.isin(newest, ends)
            stopped = watch and watch(newest)
            if stopped or not texts.running.any():
                break
            texts.append(newest)
            texts.drop_ended()
    return written[:, : step + 1]


def all_texts(model, batch) -> Texts:
    """Every row of a batch, unread, with an empty cache."""
    ids = batch["input_ids"]
    return Texts(
        rows=torch.arange(len(ids), device=ids.device),
        running=torch.ones(len(ids), dtype=torch.bool, device=ids.device),
        unread=ids,
        mask=batch["attention_mask"],
        cache=roomy_cache(model),
    )


def prefill(model, texts: Texts) -> torch.Tensor:
    """Logits (n, vocabulary) of the first new tokens. Equal prompts are read once, and share what that gives."""
    prompts = torch.cat([texts.unread, texts.mask], 1)
    distinct, of_each = prompts.unique(dim=0, return_inverse=True)  # (distinct, 2 * prompt), (n,)
    ids, mask = distinct.chunk(2, 1)
    logits = next_logits(model, ids, mask, texts.cache)
    texts.cache.batch_select_indices(of_each)
    return logits[of_each]


def next_logits(model, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
    """Logits (n, vocabulary), in float32, of what follows unread ids (n, new); the cache takes these in.

    The mask is (n, tokens so far). Padding on the left takes no positions.
    """
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions[:, -ids.shape[1] :],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,  # of a prompt, only the last token's are needed
    )
    return output.logits[:, -1].float()
