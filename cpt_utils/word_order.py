"""Are the words of an English text in an order? Told from which words, endings and marks stand side by side.

A cheap stand-in for sense.order_gains, which asks a language model: a logistic regression on pairs of neighbours,
fitted on sound texts of the training prompts against the same texts with their words shuffled (`make judges`).
"""

import functools
import random
import re

import numpy as np

from cpt_utils.measures import rarity
from cpt_utils.runtime.files import encodable

FILE = "word_order.safetensors"
HASHES = 2**16
COMMON = 3.0
"""Words up to this rarity are told by name, rarer ones by their ending."""
CLOSERS = "'\"”’)]}*_`"
MARKS = {**dict.fromkeys(".!?…", "."), **dict.fromkeys(",;:—–-", ",")}


@functools.lru_cache(maxsize=100_000)
def token_class(token: str) -> tuple[str, str, str, str]:
    """The mark after a token, its first letter's case, its word (an ending where it is rare), and its ending."""
    word = re.sub(r"^\W+|\W+$", "", token)
    mark = MARKS.get(token.rstrip(CLOSERS)[-1:], "")
    case = "capital" if word[:1].isupper() else "small" if word[:1].islower() else "none"
    word = word.lower()
    ending = "~" + word[-2:]
    known = word and rarity(word) <= COMMON
    return mark, case, word if known else ending, ending


def pair_features(text: str) -> list[list[str]]:
    """What is noted of each two neighbours among the text's tokens."""
    classes = [token_class(token) for token in text.split()]
    return [
        [
            f"mark {one[0]} {two[1]}",
            f"words {one[2]} {two[2]}",
            f"all {one[0]} {one[2]} {two[1]} {two[2]}",
            f"endings {one[3]} {two[3]}",
            f"before {one[2]} {two[0]}",
            f"after {one[0]} {two[2]}",
            f"left {one[2]}",
            f"right {two[2]}",
        ]
        for one, two in zip(classes, classes[1:])
    ]


def hashed(pairs: list[list[str]]):
    """The sparse matrix (pairs, HASHES) of the features."""
    from sklearn.feature_extraction import FeatureHasher

    return FeatureHasher(HASHES, input_type="string", alternate_sign=False).transform(pairs)


def shuffled(text: str, seed: int = 0) -> str:
    """The text with its words in another order, in one line."""
    words = text.split()
    random.Random(encodable(f"{seed} {text}")).shuffle(words)  # hashes the text in the same way everywhere
    return " ".join(words)


def order_score(text: str) -> float:
    """Mean log-odds of the text's neighbours for a sound text against a shuffled one; nan for under 2 tokens."""
    pairs = pair_features(text)
    if not pairs:
        return float("nan")
    weights, intercept = _fitted()
    return float(np.mean(hashed(pairs) @ weights)) + intercept


@functools.cache
def _fitted() -> tuple[np.ndarray, float]:
    from cpt_utils.runtime.files import load_arrays

    arrays = load_arrays(FILE)
    return arrays["weights"].astype(np.float64), float(arrays["intercept"][0])


def fit(texts: list[str], copies: int = 3) -> dict[str, np.ndarray]:
    """The weights (HASHES,) and intercept (1,) from sound texts against `copies` shuffles of each and a list of words.

    Each text serves twice, the second time in small letters and without marks, so that neither decides alone.
    """
    from sklearn.linear_model import LogisticRegression

    pairs, sound = [], []
    for text in texts:
        for words in [text, *(shuffled(text, seed + 1) for seed in range(copies)), rare_words(text)]:
            new = pair_features(words) + pair_features(re.sub(r"[^\w\s'’-]", "", words.lower()))
            pairs += new
            sound += [words == text] * len(new)
    model = LogisticRegression(max_iter=1000, class_weight="balanced").fit(hashed(pairs), sound)
    return {"weights": model.coef_[0].astype(np.float16), "intercept": model.intercept_.astype(np.float16)}


def rare_words(text: str) -> str:
    """The text's rarer words in no order, with commas: the salad of one who wants to please a counting judge."""
    words = [re.sub(r"^\W+|\W+$", "", token).lower() for token in shuffled(text).split()]
    return ", ".join(word for word in words if word and rarity(word) > COMMON)
