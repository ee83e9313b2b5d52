"""How the next token is chosen: repeated ones made less likely, then greedy or top-p."""

import math
from dataclasses import dataclass

import torch

from cpt_utils.runtime.errors import SettingsError

SHORTLIST = 1024  # tokens that top-p looks at first


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen and where a text ends."""

    max_new_tokens: int
    ends: list[int]  # tokens that end a text
    pad_token_id: int
    temperature: float = 0.0  # 0: greedy
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __post_init__(self):
        """A SettingsError names the first that would end in an error of torch, or in no text."""
        bounds = {
            "max_new_tokens": (self.max_new_tokens >= 1, "1 or more"),
            "temperature": (0 <= self.temperature < math.inf, "0 (greedy) or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "repetition_penalty": (0 < self.repetition_penalty < math.inf, "above 0"),
        }
        for name, (fits, words) in bounds.items():
            if not fits:
                raise SettingsError(f"{name} is {getattr(self, name)}: it has to be {words}; change it.")


def penalise(logits: torch.Tensor, so_far: torch.Tensor, penalty: float) -> torch.Tensor:
    """Logits (n, vocabulary) with those of the tokens so far (n, tokens) lowered (Keskar et al. 2019, section 4.1).

    As transformers' RepetitionPenaltyLogitsProcessor does it: the prompt counts, its padding too, and a token
    that came often is lowered once. A negative logit is multiplied, since divided it would rise.
    """
    repeated = logits.gather(1, so_far)
    lowered = torch.where(repeated < 0, repeated * penalty, repeated / penalty)
    return logits.scatter(1, so_far, lowered)


def pick(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One token a row from logits (n, vocabulary): greedy at temperature 0, else top-p sampling.

    The smallest set of tokens with at least `top_p` probability nearly always fits a short list, so the whole
    vocabulary is sorted only for the rows where it does not (Holtzman et al. 2020, section 3.1). At `top_p` 1 every
    token may come, and nothing is sorted.
    """
    if not temperature:
        return logits.argmax(-1)
    probabilities = (logits / temperature).softmax(-1)
    if top_p == 1:
        return torch.multinomial(probabilities, 1).squeeze(-1)
    best, tokens = probabilities.topk(min(SHORTLIST, probabilities.shape[-1]))
    picked = draw(best, tokens, top_p)
    wide = best.sum(-1) < top_p
    if wide.any():
        picked[wide] = draw(*probabilities[wide].sort(-1, descending=True), top_p)
    return picked


def draw(best: torch.Tensor, tokens: torch.Tensor, top_p: float) -> torch.Tensor:
    """One token a row, from probabilities in falling order and their tokens (n, some)."""
    before = best.cumsum(-1) - best  # a token belongs to the set as long as those before it do not suffice
    best = best.masked_fill(before >= top_p, 0.0)
    return tokens.gather(-1, torch.multinomial(best, 1)).squeeze(-1)
