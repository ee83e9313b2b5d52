"""Style measures of texts in other scripts than the Latin one."""

import pytest

from cpt_utils import measures
from cpt_utils.agreement import suggest_anchors
from cpt_utils.measures import (
    WORD_LISTS,
    WORDLESS,
    is_spaced,
    meaning,
    sentences_of,
    style_matrix,
    style_measures,
    words_of,
)
from cpt_utils.runtime.files import load_data
from cpt_utils.ways import Counted


def test_marks_of_other_scripts_are_counted_and_words_stay_whole():
    arabic = "هل هذا سؤال؟ نعم، هذا سؤال، حقا؟"
    found = style_measures(arabic)
    assert found["questions"] == found["commas"] == pytest.approx(100 * 2 / 7)
    assert found["sentence_length"] == 3.5
    assert style_measures("Ça va ? «Oui.» Bien.")["quotes"] == pytest.approx(100 * 2 / 4)
    assert words_of("नमस्ते दुनिया। यह क्या है?") == ["नमस्ते", "दुनिया", "यह", "क्या", "है"]
    assert len(sentences_of("यह है। वह है।")) == 2


def test_where_no_spaces_part_words_only_measures_without_words_say_something():
    chinese = "你好？你好吗？这是一个句子。"
    assert not is_spaced(chinese) and is_spaced("Is it? Yes, 東京 is.") and is_spaced("") and is_spaced("🌧️☔ 12")
    for measure in style_measures(""):
        assert (Counted(measure, 0, 10).scores([chinese]) == [None]) == (measure not in WORDLESS), measure
    assert Counted("punctuation", 0, 10).scores([chinese]) == [100.0]
    assert suggest_anchors([chinese, chinese[4:], "Yes."] * 4, [10, 50, 95] * 4).measure in WORDLESS


def test_every_measure_says_what_it_counts():
    named = {name: meaning(name) for name in style_measures("")}
    assert set(load_data("measures.yaml")) | set(WORD_LISTS) == set(named) and len(set(named.values())) == len(named)
    assert named["hedge"] == "words such as perhaps, maybe, somewhat, almost, seems, in 100 words"


def test_whether_words_can_be_told_apart_is_counted_once_for_a_text():
    before = is_spaced.cache_info()
    assert [is_spaced("A text that nobody else asks about.") for _ in range(50)] == [True] * 50
    assert is_spaced.cache_info().misses == before.misses + 1


def test_a_text_is_counted_once_and_whoever_changes_the_answer_changes_no_other():
    text = "Rain, rain, and more rain. It rains!"
    given = style_measures(text)
    before, whole = measures._counted.cache_info(), dict(given)
    given["commas"] = -1.0
    rows = style_matrix([text, text])
    assert style_measures(text) == whole and (rows[0] == rows[1]).all()
    assert measures._counted.cache_info().misses == before.misses
