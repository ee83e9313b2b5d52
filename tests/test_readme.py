"""The README's tables are what the committed results and data say; those of a run's own files need that run."""

import pytest

from cpt_utils.prompts import load_responses
from cpt_utils.runtime.files import ROOT
from cpt_utils.runtime.profiles import load_profile
from tools import last_run, readme, rivals

FROM_COMMITTED_FILES = [make for make in readme.PARTS if make.__name__ not in ("results", "example")]


@pytest.mark.parametrize("make", FROM_COMMITTED_FILES)
def test_readme_shows_what_the_committed_files_hold(make):
    text = (ROOT / "README.md").read_text("utf-8")
    assert readme.filled(text, make) == text, "make readme"


def test_a_part_that_stands_twice_is_a_fault():
    text = "<!-- speed -->\n<!-- /speed -->\n"
    with pytest.raises(AssertionError, match="speed"):
        readme.filled(text + text, rivals.speed)


def test_the_sentence_about_learning_rates_follows_the_figures():
    assert rivals.other_rates({"0.0001": [0.2], "0.001": [0.1, 0.5]}).startswith("no other learning rate")
    assert "0.0001 would help it" in rivals.other_rates({"0.0001": [0.4], "0.001": [0.1, 0.5], "0.003": [0.1]})


def test_the_example_is_the_pair_in_the_middle_not_the_best():
    def row(prompt, rubric, overall, model="cpt"):
        return {"prompt": prompt, "rubric": rubric, "overall": overall, "model": model}

    rows = [row("best", "r", 2.0), row("middle", "s", 1.9), row("middle", "s", None), row("worst", "r", 0.1)]
    assert last_run.middle([row("worst", "r", 2.0, "base"), *rows]) == ("middle", "s")
    assert last_run.middle([*rows, row("better", "r", 1.5)]) == ("middle", "s")  # of two in the middle the lower one


def test_the_line_of_the_embedded_profile_says_what_it_holds():
    (line,) = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("| `embedded`")]
    profile = load_profile("embedded")
    epochs = f"{profile.epochs:g} epoch" + "s" * (profile.epochs != 1)
    told = (f"r = {profile.lora.r},", f"β = {profile.beta:g}", f"{profile.loss['sft']:g} × next-token")
    for words in (*told, f"first {profile.max_length} tokens", epochs, f"{len(load_responses(False))} recorded"):
        assert words in line
