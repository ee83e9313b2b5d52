"""No real answer: in any language, at any length, and by the order of words."""

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from cpt_utils.degenerate import degeneracy, readable
from cpt_utils.measures import WORD, rarity, sentences_of
from cpt_utils.prompts import graded_texts, load_corpus, load_responses
from cpt_utils.word_order import in_lines, order_score, shuffled

SOUND = {
    "German": "Der Regen fiel den ganzen Tag auf die Dächer der kleinen Stadt, und niemand ging hinaus, der nicht "
    "musste. Im Kino an der Ecke lief ein alter Film, den drei Leute sahen.",
    "Spanish": "La lluvia cayó todo el día sobre los tejados de la pequeña ciudad, y nadie salió si no era necesario. "
    "En el cine de la esquina ponían una vieja película que vieron tres personas.",
    "French": "La pluie tomba toute la journée sur les toits de la petite ville, et personne ne sortit sans raison. "
    "Au cinéma du coin passait un vieux film que trois personnes regardaient.",
    "Portuguese": "A chuva caiu o dia todo sobre os telhados da pequena cidade, e ninguém saiu sem precisar. No "
    "cinema da esquina passava um filme antigo que três pessoas viram.",
    "Turkish": "Yağmur bütün gün küçük kasabanın çatılarına yağdı ve zorunda olmayan kimse dışarı çıkmadı. Köşedeki "
    "sinemada üç kişinin izlediği eski bir film oynuyordu.",
    "Finnish": "Sade lankesi koko päivän pienen kaupungin katoille, eikä kukaan lähtenyt ulos ellei ollut pakko. "
    "Kulman elokuvateatterissa esitettiin vanhaa elokuvaa, jonka näki kolme ihmistä.",
    "Russian": "Дождь весь день падал на крыши маленького города, и никто не выходил без нужды. В кинотеатре на углу "
    "шёл старый фильм, который смотрели три человека.",
    "Arabic": "هطل المطر طوال اليوم على أسطح المدينة الصغيرة، ولم يخرج أحد إلا من اضطر. في السينما عند الزاوية كان "
    "يعرض فيلم قديم شاهده ثلاثة أشخاص.",
    "Hindi": "पूरे दिन छोटे शहर की छतों पर बारिश होती रही और जिसे ज़रूरत नहीं थी वह बाहर नहीं निकला। कोने के सिनेमाघर में एक "
    "पुरानी फ़िल्म चल रही थी जिसे तीन लोग देख रहे थे।",
    "Korean": "비가 하루 종일 작은 도시의 지붕 위로 내렸고, 꼭 나가야 하는 사람 말고는 아무도 "
    "나가지 않았다. 모퉁이 극장에서는 세 사람이 본 오래된 영화가 상영되고 있었다.",
    "Chinese": "下了一整天的雨,没有人愿意出门。街角的电影院正在放映一部老电影,只有三个人在看。",
    "Japanese": "一日中、小さな町の屋根に雨が降り、用のない人は誰も外に出なかった。"
    "角の映画館では古い映画が上映され、三人が見ていた。",
    "Thai": "ฝนตกทั้งวันบนหลังคาของเมืองเล็ก ๆ และไม่มีใครออกไปข้างนอกถ้าไม่จำเป็น โรงหนังตรงหัวมุมฉายหนังเก่าที่มีคนดูสามคน",
}
HERE = Path(__file__).parent
LANGUAGES, GENRES = (
    yaml.safe_load((HERE / "data" / f"{name}.yaml").read_text("utf-8")) for name in ("languages", "genres")
)
FOREIGN = [text for texts in LANGUAGES.values() for text in texts]
SHAPED = [text for texts in GENRES.values() for text in texts]
ENGLISH = [row["response"] for row in [*load_responses(), *load_corpus()]]
OTHERS = [
    json.loads(line)["response"] for line in (HERE / "graded_by_others.jsonl").read_text("utf-8").split("\n") if line
]
HELD = [row["response"] for row in [*load_responses(heldout=True), *load_corpus(heldout=True)]]
FRESH = [*HELD, *OTHERS]


def flagged(texts: list[str], order_gain: float | None = None) -> float:
    return float(np.mean([bool(degeneracy(text, order_gain)) for text in texts]))


def beginning(text: str, words: int) -> str:
    return " ".join(text.split()[:words])


@pytest.mark.parametrize("language", SOUND)
def test_sound_texts_of_other_languages_are_never_flagged_and_known_as_such(language):
    text = SOUND[language]
    assert degeneracy(text) == "" and not readable(text)
    assert degeneracy(f"{text} {text} {text} {text}") == "repetition"
    first = text[: max(20, len(text) // 2)]
    assert degeneracy(first) == ""


@pytest.mark.parametrize(
    "slogan", ["Taste the night. Pay at dawn.", "We do it so you can.", "雨は友だち。", "Nur heute: alles muss raus!"]
)
def test_slogans_are_no_faults(slogan):
    assert degeneracy(slogan) == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_of_another_language_is_flagged_or_taken_for_english(language):
    """Short words, loan words and film titles included; whole, shouted, begun and joined."""
    texts = LANGUAGES[language]
    for text in [*texts, " ".join(texts), *map(str.upper, texts), *(beginning(text, 12) for text in texts)]:
        assert degeneracy(text) == degeneracy(text, 0.1) == "" and not readable(text), text
    assert degeneracy(f"{texts[1]} {f'{texts[0]} ' * 4}") == "repetition"


NOTHING = [
    "",
    " \n\t",
    "...!?",
    "🌀🌀🌀🌀🌀🌀",
    "Hm.",
    "\u200b\u200b",
    "🌀 " * 30,
    ". " * 50,
    "- " * 30,
    "—" * 60,
    "\x07 \x1b " * 9,
]
NOTHING += ["\u200b \u200d " * 20, "\u3164 " * 20, "\u2800 " * 20, "* * * * * * *", "?! " * 40]


@pytest.mark.parametrize("text", NOTHING, ids=ascii)
def test_what_says_nothing_is_empty(text):
    assert degeneracy(text) == "empty"


def test_english_of_every_style_hand_shape_and_length_is_readable():
    """Slang, dialect, new words, and quotations of other languages, too."""
    assert all(map(readable, [*ENGLISH, *OTHERS, *SHAPED]))


def test_sound_texts_pass_and_shuffled_ones_do_not():
    assert flagged(FRESH) <= 0.01 and not any(degeneracy(row["response"]) for row in graded_texts())
    assert not any(degeneracy(text, order_gain=1.3) for text in FRESH)
    for seed in (1, 2):
        mixed = [shuffled(text, seed) for text in HELD]
        assert flagged(mixed) >= 0.95 and flagged(mixed, order_gain=0.3) == 1
        assert flagged([in_lines(new, old) for new, old in zip(mixed, HELD)]) >= 0.95


@pytest.mark.parametrize("shape", [str.upper, str.lower, str.title])
def test_capitals_decide_nothing(shape):
    assert flagged(list(map(shape, HELD))) <= 0.02
    assert flagged([shape(shuffled(text, 1)) for text in HELD]) >= 0.9


@pytest.mark.parametrize("words", [8, 12, 20, 30])
def test_little_is_said_of_few_words(words):
    assert flagged([beginning(text, words) for text in FRESH]) <= 0.02


@pytest.mark.parametrize("genre", GENRES)
def test_texts_that_are_no_prose_pass(genre):
    wrong = [text for text in GENRES[genre] if degeneracy(text)]
    assert all(text.startswith("SELECT") for text in wrong), wrong  # one line of SQL reads as a list of keywords


def keywords(text: str) -> list[str]:
    """12 to 30 rarer words of a text, each once, in no order."""
    words = {word.lower(): 0 for word in WORD.findall(shuffled(text, 5)) if rarity(word.lower()) > 3}
    return list(words)[: random.Random(text).choice((12, 20, 30))]


SHAPES = {  # the first half is among those of word_order.fit, the second is not
    "commas": ", ".join,
    "bullets": lambda words: "\n".join(f"- {word}" for word in words),
    "sentences": lambda words: " ".join(f"{word.capitalize()}." for word in words),
    "articles": lambda words: ", ".join(f"a {word}" for word in words),
    "slashes": "/".join,
    "and": " and ".join,
    "lines": "\n".join,
    "pipes": " | ".join,
    "dashes": "—".join,
    "hashtags": lambda words: " ".join(f"#{word}" for word in words),
    "numbers": lambda words: "\n".join(f"{number}. {word}" for number, word in enumerate(words, 1)),
    "quotes": lambda words: ", ".join(f'"{word}"' for word in words),
    "shouts": lambda words: " ".join(f"{word.upper()}!" for word in words),
    "dots": "... ".join,
    "semicolons": "; ".join,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_lists_of_keywords_are_salads_in_every_shape(shape):
    lists = [words for words in map(keywords, HELD) if len(words) >= 12]
    assert flagged([SHAPES[shape](words) for words in lists]) >= 0.95


def test_keywords_in_pairs_and_without_marks_are_mostly_found():
    lists = [words for words in map(keywords, HELD) if len(words) >= 12]
    assert flagged([", ".join(map(" ".join, zip(words[::2], words[1::2]))) for words in lists]) >= 0.85
    assert flagged([" ".join(words) for words in lists]) >= 0.8


def test_loops_are_found_wherever_they_stand():
    sentences = [part for text in HELD for part in sentences_of(text) if 4 <= len(WORD.findall(part)) <= 14][:100]
    for one, two, text in zip(sentences, sentences[1:], HELD):
        for good in (beginning(text, 60), " ".join(HELD[-6:])):
            for loop in (f"{one} " * 5, f"{one} {two} " * 4):
                assert degeneracy(f"{good} {loop}") == degeneracy(f"{loop} {good}") == "repetition", (good, loop)
    assert all(degeneracy("Yes. No. " * times) == "repetition" for times in (3, 4, 5, 20))
    assert degeneracy("Never, never, never, never say that this is a bad film.") == ""


@pytest.mark.parametrize("words", [600, 1500, 5000])
def test_long_texts_are_no_worse_for_their_length(words):
    for seed in range(3):
        parts = random.Random(seed).sample(HELD, len(HELD))
        text = beginning("\n\n".join(parts), words)
        assert degeneracy(text) == "" and degeneracy(shuffled(text)) == "keyword salad"
        assert degeneracy(" ".join(sorted(text.split()[:40]) * (words // 40))) == "repetition"


KINDS = [
    "a",
    "a ",
    "a.",
    "a-",
    "a'",
    "!",
    ". ",
    '"',
    "\n",
    " ",
    "1",
    "é",
    "漢",
    "กา",
    "🌀",
    "\u200b",
    "Abc! ",
    "_",
    "| a ",
]


@pytest.mark.parametrize("kind", KINDS, ids=ascii)
def test_time_grows_with_the_length_only(kind):
    def seconds(judge, length):
        start = time.process_time()
        judge(kind * (length // len(kind)))
        return time.process_time() - start

    for judge in (degeneracy, readable, order_score, lambda text: order_score(f"a{text} b")):
        judge(FOREIGN[0])  # files are read once
        # Eight times the text in less than three times eight times the time, on any machine; a square would be 64,
        # each time. What else the machine does may spoil a measurement, so one of five is enough.
        rounds = ((seconds(judge, 200_000), seconds(judge, 25_000)) for _ in range(5))
        assert any(whole < 24 * max(part, 0.01) for whole, part in rounds)


def test_a_language_models_order_gain_decides_where_it_is_at_hand():
    text = load_responses(heldout=True)[0]["response"]
    assert degeneracy(text, order_gain=0.1) == "keyword salad" and degeneracy(shuffled(text, 1), order_gain=3.0) == ""
    assert degeneracy(SOUND["German"], order_gain=0.1) == ""  # the model knows too little German to say


def test_order_score_is_lower_for_shuffles():
    texts = [row["response"] for row in load_responses(heldout=True)[:12]]
    assert sum(order_score(text) > order_score(shuffled(text, 4)) for text in texts) >= 11
    assert sorted(shuffled(texts[0]).split()) == sorted(texts[0].split()) and shuffled(texts[0]) == shuffled(texts[0])
    assert np.isnan(order_score("one"))
