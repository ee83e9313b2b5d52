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
    for word in {*words.optimizers()} - {word for word in words.optimizers() if words.unusable(word)}:
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


@pytest.mark.parametrize("word", ["galore_adamw", "lomo", "grokadamw"])
def test_an_optimizer_that_cannot_be_made_here_is_refused_with_the_reason(word):
    with pytest.raises(SettingsError, match=f"optimizer: {word} cannot be used here .* such as adamw_torch.$"):
        EMBEDDED.replace(optimizer=word)
    assert not [good for good in ("adamw_torch", "sgd", "adafactor") if words.unusable(good)]


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"data": "./recoded"}, "data: there is no './recoded' .is it recorded"),
        ({"data": "a/b/c"}, "data: there is no"),
        ({"warmup": 1e9}, "warmup: has to be 100000"),
        ({"base": "nope"}, "base: there is no profile 'nope' .is it "),
        ({"capstone": EMBEDDED.capstone.model_dump() | {"settings": {"name": "x"}}}, "capstone.settings: .* 'name'"),
    ],
)
def test_what_would_be_wrong_later_is_refused_at_once(changes, told):
    with pytest.raises(SettingsError, match=told):
        EMBEDDED.replace(**changes)
    assert EMBEDDED.replace(data="owner/name", warmup=0.1, base="embedded").data == "owner/name"


def test_a_word_that_goes_on_is_nearer_than_one_that_looks_alike():
    assert words.nearest("adam", ["adalomo", "adamw_torch", "adamw_8bit"]) == "adamw_torch"
    assert words.nearest("COSIN", ["linear", "cosine"]) == "cosine" and words.nearest("", ["linear"]) == "linear"


def test_a_shipped_profile_loads_without_the_libraries():
    code = (
        "import sys\nfrom cpt_utils.runtime.profiles import load_profile\nload_profile('t4').replace(seed=3)\n"
        "assert not {'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_optimizer_is_tried_without_touching_what_trainers_share(tmp_path):
    from accelerate.state import AcceleratorState
    from transformers import TrainingArguments

    TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    profile = load_profile("embedded")
    from accelerate import Accelerator

    Accelerator(cpu=True)
    before = dict(AcceleratorState._shared_state)
    assert before and profile.replace(optimizer="adafactor").optimizer == "adafactor"
    assert AcceleratorState._shared_state == before
