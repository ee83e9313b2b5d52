"""Why a text is no real answer, in any language: too little, the same again, or words in no order. No word lists."""

import unicodedata

from cpt_utils.measures import repetition, words_of
from cpt_utils.word_order import order_score

FEW_WORDS = 8
"""Below it nothing is said about repetition and order."""
ENGLISH, FOREIGN = 3.6, 2.0
"""Mean Zipf frequency in English (capped at 6) from which a text is surely English, and up to which surely not. English
texts, glitches and neologisms included, have 4.2 and more, those of other languages 3.1 and less."""
LATIN = "ca cs da de es fi fil fr hu id is it lt lv ms nb nl pl pt ro sh sk sl sv tr vi".split()
"""Languages in Latin letters that wordfreq knows, beside English."""
SALAD = -0.55
"""Word order score below which a text is a salad: of held-out texts, at most 1 of 100 sound ones and at least 95 of 100
shuffled ones are below it."""
SALAD_GAIN = 0.7
"""The same for a language model's order gain, in nats a word: recorded texts have 1.3 and more, shuffled ones 0.5 at
most."""


def readable(text: str) -> bool:
    """Whether the offline measures can read the text: it is English, or too short to tell."""
    words = words_of(text)
    if not words:
        return not any(character.isalpha() for character in text)
    if len(words) < FEW_WORDS / 2 and all(map(str.isascii, words)):
        return True
    english = frequency(words, "en")
    if FOREIGN < english < ENGLISH:  # rare English words, or another language with a few that are English, too
        return english > max(frequency(words, language) for language in LATIN)
    return english >= ENGLISH


def frequency(words: list[str], language: str) -> float:
    """Mean Zipf frequency of the words in a language, each capped at 6 (wordfreq)."""
    from wordfreq import zipf_frequency

    return sum(min(zipf_frequency(word, language), 6) for word in words) / len(words)


def degeneracy(text: str, order_gain: float | None = None) -> str:
    """Why a text is no real answer: "empty", "repetition", "keyword salad", or "" if it is fine.

    The order of words is judged by `order_gain` (sense.order_gains) where it is at hand, else by a stand-in
    (word_order); in English only, as neither model knows enough of other languages.
    """
    letters = sum(3 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if c.isalnum())
    if letters < 14 and len(text.split()) < 6:
        return "empty"
    words = words_of(text)
    if len(words) < FEW_WORDS:
        return "repetition" if _repeats(text) else ""
    if repetition(text, 3) > 0.25 or len(set(words)) / len(words) ** 0.9 < 0.55:
        return "repetition"
    if len(text.split()) < FEW_WORDS or not readable(text):
        return ""
    salad = order_score(text) < SALAD if order_gain is None else order_gain < SALAD_GAIN
    return "keyword salad" if salad else ""


def _repeats(text: str, length: int = 8) -> bool:
    """Whether a text without spaces, such as a Chinese one, says the same again: by runs of characters."""
    letters = [character for character in text if character.isalnum()]
    runs = ["".join(letters[i : i + length]) for i in range(len(letters) - length + 1)]
    return len(runs) > length and len(set(runs)) < 0.75 * len(runs)
