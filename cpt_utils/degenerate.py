"""Why a text is no real answer, in any language: too little, the same again, or words in no order. No word lists."""

import functools
import math
import unicodedata

import numpy as np

from cpt_utils.measures import REMEMBERED, words_of
from cpt_utils.word_order import order_score

FEW_WORDS = 8
"""Below it nothing is said about the order of words, and of repetition only that it is all there is."""
WINDOW, VARIETY_WINDOW = 100, 300
"""Words that are looked at together: a longer text says more again, and has fewer new words, without being worse."""
REPEATED = 0.25
"""Share of runs of three words (eight characters where words are not parted) that were there before, from which a
window repeats: of the texts for the fit none has more than 0.17."""
VARIETY = 0.6
"""Different words over words to the power of 0.9: of the texts for the fit no window has less than 0.83."""
LOOP, TIMES = 10, 3
"""Words that stand again at the same distance, one after the other, with which a text loops, if that makes it say them
so many times: of the texts for the fit none has more than 7. Four times as many characters."""
FARTHEST = 200
"""The longest loop that is looked for, in words."""
CLEAR, ENGLISH, FOREIGN = 5.3, -0.5, 2.2
"""Mean Zipf frequency in English from which a text is surely English; the difference to the same in the language that
fits best, up to which it is not; and the frequency up to which it is a language that we do not know. Of 12 words from
texts for the fit the difference is -0.1 and more, and of 12 words drawn from another language's list -2.2 and less; of
8 drawn words the frequency is 5.1 and less."""
READ = 1000
"""Words that are looked up to tell the language."""
LATIN = "ca cs da de es fi fil fr hu id is it lt lv ms nb nl pl pt ro sh sk sl sv tr vi".split()
"""Languages in Latin letters that wordfreq knows, beside English."""
SALAD = -0.17
"""Word order score below which a text is a salad. With the model fitted on one half of the texts for the fit, of those
of the other half 1 of 100 sound ones, 4 of 100 beginnings of 12 words, and 94 of 100 shuffled ones are below it; the
model that is shipped has seen twice as many."""
RARE = 2.8
"""Mean Zipf frequency in English below which 16 words and more are but keywords, however they are put: texts for the
fit have 4.1 and more, and no sentence does without common words."""
SALAD_GAIN = 0.7
"""The same for a language model's word-order gain, in nats a word: recorded texts have 1.3 and more, lists, tables and
code 1.6, shuffled ones 0.5 at most. It is less where there are few words, see `degeneracy`: of beginnings of 12 words,
3 of 100 have less than 0.7, but 1 less than the 0.4 that this leaves."""

CODE = 3
"""Words to each bracket, brace and equals sign up to which a line is code."""


@functools.lru_cache(maxsize=REMEMBERED)
def readable(text: str) -> bool:
    """Whether the offline measures can read the text: it is English, or too short to tell."""
    words = words_of(text)[:READ]
    if not words:
        return not any(character.isalpha() for character in text)
    if len(words) < FEW_WORDS / 2 and all(map(str.isascii, words)):
        return True
    english = frequency(words, "en")
    if FOREIGN < english < CLEAR:  # rare English words, or another language with many that are English, too
        return english - max(frequency(words, language) for language in LATIN) > ENGLISH
    return english >= CLEAR


def frequency(words: list[str], language: str) -> float:
    """Mean Zipf frequency of the words in a language (wordfreq's short lists); a word that is not there has 0."""
    known = _frequencies(language)
    return sum(math.log10(known[word]) + 9 for word in words if word in known) / len(words)


@functools.cache
def _frequencies(language: str) -> dict[str, float]:
    from wordfreq import get_frequency_dict

    return get_frequency_dict(language, "small")


def is_seen(text: str) -> bool:
    """Whether anything of a text can be seen."""
    return any(c.isprintable() and not c.isspace() for c in text)


@functools.lru_cache(maxsize=REMEMBERED)
def degeneracy(text: str, order_gain: float | None = None) -> str:
    """Why a text is no real answer: "empty", "repetition", "keyword salad", or "" if it is fine.

    The order of words is judged by `order_gain` (sense.order_gains) where it is at hand, else by a stand-in
    (word_order); in English only, as neither model knows enough of other languages.
    """
    seen = [character for character in text if _kind(character) in "LN"]
    letters = sum(3 if unicodedata.east_asian_width(character) in "WF" else 1 for character in seen)
    if not letters or (letters < 14 and len(text.split()) < 6):
        return "empty"
    if _repeats(text):
        return "repetition"
    if len(words_of(text)) < FEW_WORDS or not readable(text):
        return ""
    if order_gain is None:
        plain = prose(text)
        words = words_of(plain)[:READ]
        rare = len(words) >= 2 * FEW_WORDS and frequency(words, "en") < RARE
        salad = len(words) >= FEW_WORDS and (rare or order_score(plain) < SALAD)
    else:
        salad = order_gain < SALAD_GAIN * len(text.split()) / (len(text.split()) + FEW_WORDS)
    return "keyword salad" if salad else ""


def prose(text: str) -> str:
    """The text without code (fenced, or lines full of its signs) and Markdown tables: their order is their own."""
    lines, fenced, table = [], False, False
    for line in text.split("\n"):
        bare = line.strip()
        fence = bare.startswith("```")
        fenced = fenced != fence
        rule = bare.startswith("|") and not set(bare) - set("|-: ")
        table = bare.startswith("|") and (table or rule)
        signs = sum(map(bare.count, "(){}=<>"))
        if rule and lines:
            lines.pop()  # the head stands above the rule
        if not (fence or fenced or table or (signs >= 2 and CODE * signs >= len(bare.split()))):
            lines.append(line)
    return "\n".join(lines)


@functools.lru_cache(maxsize=100_000)
def _kind(character: str) -> str:
    """The first letter of a character's Unicode category; a letter that shows nothing is no letter."""
    return "C" if "FILLER" in unicodedata.name(character, "") else unicodedata.category(character)[0]


def _repeats(text: str) -> bool:
    """Whether the text says the same again: by words, or by characters where these are not parted by spaces."""
    plain = "".join(c if _kind(c) in "LM" else "" if c in "'’" else " " for c in text.lower())
    words = plain.split()
    parted = len("".join(words)) <= 15 * len(text.split())
    units = words if parted else list("".join(words))
    places: dict[str, int] = {}
    codes = np.array([places.setdefault(unit, len(places)) for unit in units])
    if len(codes) < 6:
        return False
    if _loops(codes, LOOP if parted else 4 * LOOP):
        return True
    if len(codes) < FEW_WORDS:
        return False
    runs = _runs(codes, 3 if parted else 8)
    if any(_again(window) > REPEATED for window in [runs, *_windows(runs, WINDOW if parted else 4 * WINDOW)]):
        return True
    return parted and any(
        len(set(window)) / len(window) ** 0.9 < VARIETY for window in _windows(codes.tolist(), VARIETY_WINDOW)
    )


def _loops(codes: np.ndarray, least: int) -> bool:
    """Whether a stretch of more than `least` units, or all of them, is the same `TIMES` times one after the other."""
    for distance in range(1, min(FARTHEST, len(codes) // TIMES) + 1):
        breaks = np.flatnonzero(np.concatenate([[True], codes[distance:] != codes[:-distance], [True]]))
        longest = int(np.diff(breaks).max()) - 1
        if longest >= (TIMES - 1) * distance and (longest > least or longest + distance == len(codes)):
            return True
    return False


def _runs(codes: np.ndarray, length: int) -> list[tuple]:
    return list(zip(*(codes[start:].tolist() for start in range(length))))


def _windows(units: list, size: int) -> list[list]:
    """Stretches of `size`, each half over the one before; the last, or only, one may be shorter."""
    return [units[start : start + size] for start in range(0, max(1, len(units) - size // 2), size // 2)]


def _again(runs: list[tuple]) -> float:
    """Share of the runs that were there before."""
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
