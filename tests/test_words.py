"""Words with a closed meaning are checked against the libraries' own lists, and the shipped ones need no library."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpt_utils.runtime import words
from cpt_utils.runtime.files import load_data
from cpt_utils.runtime.profiles import SettingsError, load_profile

EMBEDDED = load_profile("embedded")


@pytest.mark.parametrize("setting", words.VOCABULARIES)
def test_the_words_of_the_shipped_profiles_are_the_libraries(setting):
    known = words.VOCABULARIES[setting]()
    entries = [entry[setting] for entry in load_data("profiles.yaml").values() if setting in entry]
    used = {word for entry in entries for word in ([entry] if isinstance(entry, str) else entry)}
    assert used and used <= set(known)


def test_each_word_of_the_libraries_passes():
    for word in words.optimizers():
        assert EMBEDDED.replace(optimizer=word).optimizer == word
    for word in words.schedules():
        assert EMBEDDED.replace(scheduler=word).scheduler == word
    for word in words.losses():
        assert EMBEDDED.replace(mirrored=False, loss={word: 1.0}).loss == {word: 1.0}


@settings(max_examples=30, deadline=None)
@given(word=st.text(max_size=20), setting=st.sampled_from(["scheduler", "optimizer"]))
def test_any_other_word_is_refused_with_one_that_is_known(word, setting):
    known = words.VOCABULARIES[setting]()
    if word in known:
        return
    with pytest.raises(SettingsError) as caught:
        EMBEDDED.replace(**{setting: word})
    said = str(caught.value)
    assert len(said.splitlines()) == 1 and setting in said and said.split("is it ")[1].split("?")[0] in known


def test_a_word_that_goes_on_is_nearer_than_one_that_looks_alike():
    assert words.nearest("adam", ["adalomo", "adamw_torch", "adamw_8bit"]) == "adamw_torch"
    assert words.nearest("COSIN", ["linear", "cosine"]) == "cosine" and words.nearest("", ["linear"]) == "linear"


def test_a_shipped_profile_loads_without_the_libraries():
    code = (
        "import sys\nfrom cpt_utils.runtime.profiles import load_profile\nload_profile('t4').replace(seed=3)\n"
        "assert not {'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
