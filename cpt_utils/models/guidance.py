"""Classifier-free guidance as a dial between two system prompts: two predictions mixed at every token."""

import torch
from transformers import RepetitionPenaltyLogitsProcessor, UnbatchedClassifierFreeGuidanceLogitsProcessor

from cpt_utils.fast.decoding import library_loop
from cpt_utils.fast.sampling import Sampling
from cpt_utils.models.conversation import NEW_TOKENS, ChatModel, end_tokens, read, waiting


class Guidance(UnbatchedClassifierFreeGuidanceLogitsProcessor):
    """transformers' guidance, moved back to the scale of logits, so that a repetition penalty acts as it always does.

    Its log-probabilities are all negative, and on those the penalty does next to nothing.
    """

    def __call__(self, input_ids, scores):
        return super().__call__(input_ids, scores) + scores.logsumexp(-1, keepdim=True)


@torch.inference_mode()
def guided(
    chat_model: ChatModel,
    first: list[list[dict]],
    second: list[list[dict]],
    position: float,
    *,
    max_new_tokens: int = NEW_TOKENS,
    temperature: float = 0.7,
    top_p: float = 0.9,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    watch=None,
) -> list[tuple[str, bool]]:
    """As conversation.answered, one answer to each pair of conversations: at 0 as to the first one, at 1 as to the
    second, in between by degrees, and beyond the ends with the difference exaggerated.
    """
    low, ends = waiting(chat_model, first), end_tokens(chat_model)
    # The penalty comes after the mixture: in its own place, before it, it would act on one of the two alone.
    processors = [
        Guidance(position, chat_model.model, low["input_ids"], low["attention_mask"]),
        RepetitionPenaltyLogitsProcessor(repetition_penalty),
    ]
    sampling = Sampling(max_new_tokens, ends, chat_model.tokenizer.pad_token_id, temperature, top_p)
    torch.manual_seed(seed)
    new = library_loop(chat_model.model, waiting(chat_model, second), sampling, watch, processors)
    return read(chat_model, new, ends)
