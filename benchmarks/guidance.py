"""Classifier-free guidance as a dial between the low and the high system prompt."""

import numpy as np

from benchmarks.answers import base_model, by_prompt, tuned_model
from benchmarks.trainings import PROMPTS, RUBRICS, settings
from cpt_utils.degenerate import degeneracy
from cpt_utils.judging import embedded_judge
from cpt_utils.models.guidance import guided
from cpt_utils.models.logps import perplexity
from cpt_utils.prompts import messages, system_prompt

POSITIONS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
"""Of the dial: at 0 the low system prompt, at 1 the high one."""
NEW_TOKENS = 90


def dial(which: str) -> dict:
    """Score, perplexity, and degenerate and unreadable texts at each position of the dial, sampled as everywhere."""
    base = base_model()
    chat_model = base if which == "base" else tuned_model()
    judge, measured = embedded_judge(), {}
    cells = [(prompt, rubric) for prompt in PROMPTS for rubric in RUBRICS]
    low, high = (
        [messages(prompt, system_prompt(rubric, name)) for prompt, rubric in cells] for name in ("low", "high")
    )
    sampling = settings().sampling.model_dump(exclude={"batch_size"})
    for position in POSITIONS:
        answers = guided(chat_model, low, high, position, max_new_tokens=NEW_TOKENS, **sampling)
        texts = [text for text, _ in answers]
        scores = [judge.score(rubric, prompt, text).score for (prompt, rubric), text in zip(cells, texts)]
        measured[position] = {
            "score": by_prompt(scores, [prompt for prompt, _ in cells]),
            "perplexity": perplexity(base, texts),
            "degenerate": float(np.mean([bool(degeneracy(text)) for text in texts])),
            "unjudged": float(np.mean([score is None for score in scores])),
        }
    return measured
