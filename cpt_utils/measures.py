"""Measures of writing style: plain numbers that a person can check by eye."""

import functools
import re

import numpy as np

from cpt_utils.runtime import files

MARKS = r"\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0dff"
"""Vowel signs of Hebrew, Arabic and the scripts of India, which Python's \\w leaves out."""
LETTER = rf"(?:[^\W\d_][{MARKS}]*)"
WORD = re.compile(rf"{LETTER}+(?:['’]{LETTER}+)*")
SENTENCE_END = re.compile(r"(?<=[.!?…؟۔।։])[\"'”’»)\]]*\s+|\n+")
UNSPACED = re.compile(r"[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""A letter of a script that writes no spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese."""
REMEMBERED = 4000
"""Texts of which what was counted is kept: views and judges ask for the same ones."""
WORD_LISTS = {  # short, general lists of word fields; whole words, lower case
    "function": """the a an of to in on at by for with from and or but if as than that this these those
        is are was were be been being am do does did has have had will would can could may might shall
        should must not no it its he she they them his her their we us our i me my you your who which
        what when where how there here so then into over under about between through out up down""",
    "first_person": "i me my mine myself we us our",
    "second_person": "you your yours yourself thou thee thy thine ye",
    "archaic": """o alas behold lo thus hence whence whither thereof wherein pray dear esteemed humble
        beseech verily nay ere shall forgive pardon indulge permit reader sir madam gentle""",
    "occult": """omen oracle seeker initiate veil sigil cipher rite ritual altar sacred hidden secret
        prophecy prophet mystery symbol sign signs alchemy alchemical mercury sulphur sulfur salt tarot
        arcana hermit hierophant moon saturn venus mars jupiter zodiac star stars gate threshold key
        temple serpent spirit soul fate destiny divine celestial mirror seven thirteen""",
    "ornament": """gilded gilt velvet silk satin brocade lace pearl pearls cherub cherubs opulent lavish
        sumptuous exquisite magnificent resplendent ornate baroque rococo filigree gossamer porcelain
        perfumed powdered marble golden jewel jewels ribbon ribbons chandelier garland plume swoon
        delicate splendid glittering sugared confection""",
    "machine": """null void error loop return true false if else undefined buffer pixel pixels frame
        frames frame_rate signal static glitch data load exe sys system file rgb hex loading render
        input output reboot corrupted cursor byte bytes reel timecode iso import print render""",
    "swerve": """wait actually correction sorry however anyway meanwhile instead nevermind pardon
        footnote note ps p.s. erratum update disclaimer warning stop""",
    "bureau": """invoice section clause form item total department committee official refund terms
        warranty receipt hereby pursuant applicant minutes complaint memo regulation ingredients step
        subject dear sincerely exhibit witness verdict""",
    "simile": "like as resembling akin",
    "hedge": "perhaps maybe somewhat almost seems seem seemed rather slightly quite",
}
ENGLISH = frozenset(WORD_LISTS) | {"rarity", "rarest_tenth", "unknown_words", "rare_words"}
"""Measures that say nothing about texts in other languages."""
WORDLESS = {"symbols", "punctuation", "capitals"}
"""Measures that count no words, and so say something about a script that writes no spaces."""
_LISTS = {name: frozenset(words.split()) for name, words in WORD_LISTS.items()}


@functools.cache
def rarity(word: str) -> float:
    """How rare a word is: 8 minus its Zipf frequency (wordfreq), so 8 is an unknown word."""
    from wordfreq import zipf_frequency

    return 8.0 - zipf_frequency(word, "en")


def words_of(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def sentences_of(text: str) -> list[str]:
    return [part.strip() for part in SENTENCE_END.split(text) if part and part.strip()]


@functools.lru_cache(maxsize=REMEMBERED)
def is_spaced(text: str) -> bool:
    """Whether words can be told apart: most letters are of scripts that write spaces between them."""
    return 2 * len(UNSPACED.findall(text)) <= sum(character.isalpha() for character in text)


def repetition(text: str, n: int = 4) -> float:
    """Share of word n-grams that occurred before in the text (0: none)."""
    words = words_of(text)
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def is_labelled(line: str) -> bool:
    """Whether a line begins like an entry of a list: with a mark or a digit, or with one to three words and a colon."""
    line = line.lstrip()
    label = line[: max(0, line.find(":", 1))]  # from the second character on: a label has one
    return line[:1] in set("-*•") or line[:1].isdecimal() or bool(re.fullmatch(r"\S+(?:\s\S+){0,2}\s?", label))


def style_measures(text: str) -> dict[str, float]:
    """Some 40 means and shares of a text, and its longest sentence: no totals. Empty text: all 0."""
    return dict(_counted(text))


@functools.lru_cache(maxsize=REMEMBERED)
def _counted(text: str) -> dict[str, float]:
    words = words_of(text) or ["the"]
    count = len(words)
    sentences = [len(WORD.findall(s)) for s in sentences_of(text)] or [0]
    letters = sum(character.isalpha() for character in text) or 1
    visible = sum(not character.isspace() for character in text) or 1
    lines = [line for line in text.split("\n") if line.strip()] or [""]
    rare = sorted(rarity(word) for word in words)

    def per_100(pattern):
        return 100 * len(re.findall(pattern, text)) / count

    mean = sum(sentences) / len(sentences)
    tokens = WORD.findall(text)
    labelled = sum(map(is_labelled, lines))
    measures = {
        "sentence_length": mean,
        "longest_sentence": max(sentences),
        "sentence_spread": (sum((n - mean) ** 2 for n in sentences) / len(sentences)) ** 0.5,
        "short_sentences": sum(n <= 3 for n in sentences) / len(sentences),
        "line_breaks": 100 * (len(lines) - 1) / count,
        "commas": per_100("[,،、]"),
        "semicolons": per_100("[;؛]"),
        "colons": per_100(":"),
        "dashes": per_100(r"—|–| - |--"),
        "parentheses": per_100(r"\("),
        "brackets": per_100(r"[\[\]{}<>]"),
        "slashes": per_100(r"[/\\|]"),
        "underscores": per_100(r"[_=#*@%^~+→]"),
        "exclamations": per_100("!"),
        "questions": per_100(r"[?؟]"),
        "ellipses": per_100(r"…|\.\.\."),
        "quotes": per_100(r"[\"“”„«»]"),
        "digits": per_100(r"\d+"),
        "symbols": 100 * sum(not (c.isalnum() or c.isspace() or c in ".,;:'’\"“”!?-—()") for c in text) / visible,
        "punctuation": 100 * sum(not (c.isalnum() or c.isspace()) for c in text) / visible,
        "capitals": 100 * sum(c.isupper() for c in text) / letters,
        "shouting": 100 * sum(len(w) > 1 and w.isupper() for w in tokens) / count,
        "inner_capitals": 100 * sum(any(c.isupper() for c in w[1:]) and not w.isupper() for w in tokens) / count,
        "lower_starts": sum(s[:1].islower() for s in sentences_of(text)) / len(sentences),
        "rarity": sum(rare) / count,
        "rarest_tenth": sum(rare[-max(1, count // 10) :]) / max(1, count // 10),
        "unknown_words": 100 * sum(r >= 7.5 for r in rare) / count,
        "rare_words": 100 * sum(r >= 4.5 for r in rare) / count,
        "word_length": sum(map(len, words)) / count,
        "long_words": 100 * sum(len(w) >= 8 for w in words) / count,
        "variety": len(set(words)) / count**0.9,
        "label_lines": labelled / len(lines) * (len(lines) > 1),  # one line is no list
        "short_lines": sum(len(WORD.findall(s)) <= 5 for s in lines) / len(lines),
    }
    return measures | {name: 100 * sum(word in members for word in words) / count for name, members in _LISTS.items()}


def meaning(name: str) -> str:
    """What a style measure counts, with its unit."""
    if name in WORD_LISTS:
        return f"words such as {', '.join(WORD_LISTS[name].split()[:5])}, in 100 words"
    return files.load_data("measures.yaml")[name]


def style_matrix(texts: list[str]) -> np.ndarray:
    """The style measures of each text on a logarithmic scale: (texts, measures), float64."""
    values = np.array([list(_counted(text).values()) for text in texts]).reshape(len(texts), -1)
    return np.sign(values) * np.log1p(np.abs(values))
