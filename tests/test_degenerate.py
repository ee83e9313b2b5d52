"""No real answer: in any language, at any length, and by the order of words."""

import json
from pathlib import Path

import numpy as np
import pytest

from cpt_utils.degenerate import degeneracy, readable
from cpt_utils.prompts import graded_texts, load_corpus, load_responses
from cpt_utils.word_order import order_score, shuffled

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
ENGLISH = [row["response"] for row in [*load_responses(), *load_corpus()]]
OTHERS = [
    json.loads(line)["response"]
    for line in (Path(__file__).parent / "graded_by_others.jsonl").read_text("utf-8").split("\n")
    if line
]


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


@pytest.mark.parametrize("text", ["", " \n\t", "...!?", "🌀🌀🌀🌀🌀🌀", "Hm.", "\u200b\u200b"])
def test_what_says_nothing_is_empty(text):
    assert degeneracy(text) == "empty"


def test_english_of_every_style_hand_and_length_is_readable():
    assert all(map(readable, [*ENGLISH, *OTHERS]))


def test_sound_texts_pass_and_shuffled_ones_do_not():
    held = [row["response"] for row in load_responses(heldout=True)]
    fresh = [*held, *OTHERS, *(row["response"] for row in load_corpus(heldout=True))]
    assert np.mean([bool(degeneracy(text)) for text in fresh]) <= 0.01
    assert not any(degeneracy(row["response"]) for row in graded_texts())
    shuffles = [degeneracy(shuffled(text, seed)) for seed in (1, 2, 3) for text in held]
    assert np.mean([bool(flag) for flag in shuffles]) >= 0.95


def test_a_language_models_order_gain_decides_where_it_is_at_hand():
    text = load_responses(heldout=True)[0]["response"]
    assert degeneracy(text, order_gain=0.1) == "keyword salad" and degeneracy(shuffled(text, 1), order_gain=3.0) == ""
    assert degeneracy(SOUND["German"], order_gain=0.1) == ""  # the model knows too little German to say


def test_order_score_is_lower_for_shuffles():
    texts = [row["response"] for row in load_responses(heldout=True)[:12]]
    assert sum(order_score(text) > order_score(shuffled(text, 4)) for text in texts) >= 11
    assert sorted(shuffled(texts[0]).split()) == sorted(texts[0].split()) and shuffled(texts[0]) == shuffled(texts[0])
    assert np.isnan(order_score("one"))
