"""Classifier-free guidance as a dial between the low and the high system prompt."""

import numpy as np
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

from benchmarks.answers import base_model, by_prompt, tuned_model
from benchmarks.trainings import PROMPTS, RUBRICS, settings
from cpt_utils.degenerate import degeneracy
from cpt_utils.judging import embedded_judge
from cpt_utils.models.conversation import ChatModel, templated
from cpt_utils.models.logps import perplexity
from cpt_utils.prompts import messages, system_prompt

POSITIONS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
"""Of the dial: at 0 the low system prompt, at 1 the high one."""
NEW_TOKENS = 90


class Guidance(UnbatchedClassifierFreeGuidanceLogitsProcessor):
    """transformers' guidance, moved back to the scale of logits, so that a repetition penalty acts as it always does.

    Its log-probabilities are all negative, and on those the penalty does next to nothing.
    """

    def __call__(self, input_ids, scores):
        return super().__call__(input_ids, scores) + scores.logsumexp(-1, keepdim=True)


def dial(which: str) -> dict:
    """Score, perplexity, and broken and unreadable texts at each position of the dial, sampled as everywhere else."""
    base = base_model()
    chat_model = base if which == "base" else tuned_model()
    judge, measured = embedded_judge(), {}
    cells = [(prompt, rubric) for prompt in PROMPTS for rubric in RUBRICS]
    low, high = (prefixes(chat_model.tokenizer, cells, name) for name in ("low", "high"))
    for position in POSITIONS:
        texts = guided_texts(chat_model, low, high, position)
        scores = [judge.score(rubric, prompt, text).score for (prompt, rubric), text in zip(cells, texts)]
        measured[position] = {
            "score": by_prompt(scores, [prompt for prompt, _ in cells]),
            "perplexity": perplexity(base, texts),
            "degenerate": float(np.mean([bool(degeneracy(text)) for text in texts])),
            "unjudged": float(np.mean([score is None for score in scores])),
        }
    return measured


def prefixes(tokenizer, cells: list[tuple[str, str]], target: str):
    """The conversations about all (prompt, rubric) up to the answer, with that target's system prompts, left-padded."""
    texts = []
    for prompt, rubric in cells:
        turns = messages(prompt, system_prompt(rubric, target))
        texts.append(templated(tokenizer, turns, tokenize=False, add_generation_prompt=True))
    return tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)


def guided_texts(chat_model: ChatModel, low, high, position: float) -> list[str]:
    """One text to each prefix, `position` of the way from what follows `low` to what follows `high`."""
    model, tokenizer, sampling = chat_model.model, chat_model.tokenizer, settings().sampling
    torch.manual_seed(0)
    processors = [
        Guidance(position, model, low["input_ids"], low["attention_mask"]),
        RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
    ]
    with torch.inference_mode():
        tokens = model.generate(
            **high,
            logits_processor=LogitsProcessorList(processors),
            max_new_tokens=NEW_TOKENS,
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            pad_token_id=tokenizer.pad_token_id,
        )
    return tokenizer.batch_decode(tokens[:, high["input_ids"].shape[1] :], skip_special_tokens=True)
