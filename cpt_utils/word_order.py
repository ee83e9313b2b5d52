"""Are the words of an English text in an order? Told from which words, endings and marks stand side by side.

A cheap stand-in for sense.order_gains, which asks a language model: a logistic regression on runs of three words,
fitted on sound texts of the training prompts against the same texts with their words shuffled, and against lists of
their rarer words (`make judges`).
"""

import functools
import itertools
import random
import re

import numpy as np

from cpt_utils.measures import WORD, rarity
from cpt_utils.runtime.files import encodable

FILE = "word_order.safetensors"
HASHES = 2**17
COMMON = 3.0
"""Words up to this rarity are told by name, rarer ones by their ending."""
LONG = 40
"""Letters that are read of a word: what is longer is none, and takes long to look up."""
MOST = 20_000
"""Words that are read of a text: many times an answer's."""
MARKS = {**dict.fromkeys(".!?…", "."), **dict.fromkeys(",;:—–", ","), **dict.fromkeys("/|\\+=#&_*~·•→", "/")}
ONE_CASE = 0.7
"""Share of words with the same first case from which a capital says nothing, as in headlines and shouted texts."""
UNKNOWN = 40.0
"""As if so many more runs of words were there that say nothing: the fewer words, the more they must say. Chosen on
texts for the fit, so that a text's beginning of 8 to 30 words is below degenerate.SALAD hardly more often
than the text."""


@functools.lru_cache(maxsize=100_000)
def word_class(word: str) -> tuple[str, str]:
    """The word in small letters (its ending where it is rare), and its ending."""
    word = word.lower()
    ending = "~" + word[-2:]
    return (word if rarity(word) <= COMMON else ending), ending


@functools.lru_cache(maxsize=100_000)
def mark_between(gap: str) -> str:
    """What parts two words: the end of a sentence, a pause, another sign, a new line, a number, or nothing of these.

    What a new line begins with, such as a dash, is part of its list and says nothing.
    """
    before, *after = gap.split("\n", 1)
    marks = {MARKS[sign] for sign in before if sign in MARKS}
    number = "0" if any(map(str.isdecimal, gap)) else ""
    return next((mark for mark in ".,/" if mark in marks), "line" if after else number)


def run_features(text: str) -> list[list[str]]:
    """What is noted of each run of three words in the text, the last of which may be wanting."""
    found = list(itertools.islice(WORD.finditer(text), MOST))
    words = [match.group()[:LONG] for match in found]
    gaps = [mark_between(text[one.end() : min(two.start(), one.end() + LONG)]) for one, two in zip(found, found[1:])]
    capitals = [word[0].isupper() for word in words]
    telling = 0 < sum(capitals) < ONE_CASE * len(words)
    cases = ["" if not telling else "capital" if capital else "small" for capital in capitals]
    classes = [word_class(word) for word in words] + [("", "")]
    gaps.append("end")
    runs = []
    for i in range(len(words) - 1):
        (one, first), (two, second), (three, third) = classes[i : i + 3]
        mark, after, case = gaps[i], gaps[i + 1], cases[i + 1]
        runs.append(
            [
                f"mark {mark} {case}",
                f"words {one} {two}",
                f"all {mark} {one} {case} {two}",
                f"endings {first} {mark} {second}",
                f"before {one} {mark} {case}",
                f"after {mark} {two}",
                f"left {one}",
                f"right {two}",
                f"marks {mark} {after} {first}",
                f"skip {one} {mark} {after} {three}",
                f"three {first} {two} {third}",
            ]
        )
    return runs


def hashed(runs: list[list[str]]):
    """The sparse matrix (runs, HASHES) of the features."""
    from sklearn.feature_extraction import FeatureHasher

    return FeatureHasher(HASHES, input_type="string", alternate_sign=False).transform(runs)


def shuffled(text: str, seed: int = 0) -> str:
    """The text with its words in another order, in one line."""
    words = text.split()
    random.Random(encodable(f"{seed} {text}")).shuffle(words)  # hashes the text in the same way everywhere
    return " ".join(words)


def order_score(text: str) -> float:
    """Mean log-odds of the text's runs for a sound text against a salad, nearer to 0 the fewer they are; nan for none.

    See UNKNOWN.
    """
    runs = run_features(text)
    if not runs:
        return float("nan")
    weights, intercept = _fitted()
    return (float(np.sum(hashed(runs) @ weights)) + len(runs) * intercept) / (len(runs) + UNKNOWN)


@functools.cache
def _fitted() -> tuple[np.ndarray, float]:
    from cpt_utils.runtime.files import load_arrays

    arrays = load_arrays(FILE)
    return arrays["weights"].astype(np.float64), float(arrays["intercept"][0])


def fit(texts: list[str], copies: int = 3) -> dict[str, np.ndarray]:
    """The weights (HASHES,) and intercept (1,) from sound texts against `copies` shuffles of each and lists of words.

    Each text serves three times, the second time in small letters and the third without marks, too, so that neither
    decides alone. The last shuffle keeps the lines, so that these say nothing of themselves.
    """
    from sklearn.linear_model import LogisticRegression

    runs, sound = [], []
    for number, text in enumerate(texts):
        mixed = [shuffled(text, seed + 1) for seed in range(copies - 1)] + [in_lines(shuffled(text, copies), text)]
        for words in [text, *mixed, *keyword_lists(text, number)]:
            small = words.lower()
            new = run_features(words) + run_features(small) + run_features(re.sub(r"[^\w\s'’-]", "", small))
            runs += new
            sound += [words == text] * len(new)
    model = LogisticRegression(max_iter=200, tol=1e-3, class_weight="balanced").fit(hashed(runs), sound)
    return {"weights": model.coef_[0].astype(np.float16), "intercept": model.intercept_.astype(np.float16)}


def in_lines(words: str, text: str) -> str:
    """The words with the breaks of the text between them."""
    breaks = re.findall(r"\s+", text.strip())
    return "".join(word + gap for word, gap in zip(words.split(), [*breaks, ""]))


def keyword_lists(text: str, number: int) -> list[str]:
    """The text's rarer words in no order, in four shapes: the salads of one who wants to please a counting judge."""
    mixed = [word.lower() for word in WORD.findall(shuffled(text))]
    words = [word for word in mixed if rarity(word) > COMMON][:30]
    small = ["a", "the", "my", *(word for word in mixed if rarity(word) <= COMMON)][number // 9 % 6 :][:1]
    bound = [" ".join([*small, word]) for word in words]
    joint = (" and ", " or ", " of ", " and ")[number // 3 % 4]
    shapes = [
        ", ".join(words),
        " ".join(words),
        "\n".join(words),
        " ".join(word.capitalize() + "." for word in words),
        "/".join(words),
        joint.join(words),
        joint.join(bound),
        ", ".join(bound),
        ". ".join(map(str.capitalize, bound)),
    ]
    pairs = (", ", "; ", ". ")[number % 3].join(map(" ".join, zip(words[::2], words[1::2])))
    return [pairs, *(shapes[(number + step) % len(shapes)] for step in (0, 3, 7))]
