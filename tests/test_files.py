"""Names that are hashes stay what they were, and nobody can spoil the shipped data for others."""

import pytest

from cpt_utils.bestof import fingerprint
from cpt_utils.generation import digest
from cpt_utils.models.logps import token_keys
from cpt_utils.prompts import messages
from cpt_utils.rubrics import Rubric, load_rubric, shipped_rubrics
from cpt_utils.runtime.files import ROOT, json_hash, load_data


def test_old_files_keep_their_names():
    """Rows of responses, files of best-of-N, log-probabilities and checkpoints are looked for under these."""
    assert digest(messages("Schreib über Möwen.")) == "4ae61ef2cf12e93c"
    assert digest(messages("\ud83d")) == "a09fd54b8f0c7d95", "half an emoji"
    assert fingerprint("Möwen", {"b": 1, "a": 0.5}) == "f2302738"
    assert token_keys({"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4]})[0] == "192f318fa6690229"
    assert json_hash([{"name": "Möwe", "seed": 1}, [{"chosen": "x"}]], 12) == "186f2be16203", "run_checkpoints"


def test_the_order_of_keys_makes_no_other_name():
    assert json_hash({"a": 1, "b": 2}, 64) == json_hash({"b": 2, "a": 1}, 64) != json_hash({"a": 2, "b": 1}, 64)
    assert len(json_hash([], 64)) == 64


@pytest.mark.parametrize("name", ["prompts.yaml", "responses.jsonl"])
def test_shipped_data_is_a_copy_of_ones_own(name):
    rows = load_data(name)
    rows[0].clear()
    rows.pop()
    assert len(load_data(name)) == len(rows) + 1 and load_data(name)[0]["prompt"]


def test_json_is_read_too():
    assert load_data("timings.json")["runs"]


@pytest.mark.parametrize("name", shipped_rubrics())
def test_shipped_rubrics_are_sound_yaml(name):
    """load_rubric takes a shipped file as it is; from_yaml also looks for doubled keys."""
    assert Rubric.from_yaml(ROOT / "cpt_utils" / "data" / "rubrics" / f"{name}.yaml") == load_rubric(name)
