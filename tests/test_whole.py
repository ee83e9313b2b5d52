"""The cache of models: made once, made again when damaged, nothing left by a kill, and every message says where."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from harm import HARM
from safetensors.numpy import save_file

from cpt_utils.models import embedded, embedding, whole
from cpt_utils.runtime.errors import ExportError, ModelError, SettingsError

NAMES = ("config.json", "model.safetensors", "template.jinja")


def make(made, folder):
    made.append(folder)
    (folder / "config.json").write_text(json.dumps({"size": 1}))
    (folder / "template.jinja").write_text("{{ messages }}")
    save_file({"weight": np.ones(500)}, folder / "model.safetensors")


@pytest.fixture
def cached(tmp_path):
    """A function that asks for the model, and the list of times that it had to be made."""
    made = []
    return lambda: whole.make_once(tmp_path / "cache" / "model", NAMES, partial(make, made)), made


def test_a_model_is_made_once(cached, tmp_path, capsys):
    ask, made = cached
    ask()
    ask()
    assert len(made) == 1 and whole.damage(tmp_path / "cache" / "model", NAMES) == ""
    assert sorted(os.listdir(tmp_path / "cache")) == [".model.lock", "model"] and not capsys.readouterr().out


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_model_is_made_again_and_its_folder_is_named(cached, tmp_path, capsys, name, harm):
    if name.endswith(".jinja") and harm in ("cut", "nulls"):
        pytest.skip("text has no form to check")
    ask, made = cached
    ask()
    HARM[harm](tmp_path / "cache" / "model" / name)
    assert name in whole.damage(tmp_path / "cache" / "model", NAMES)
    ask()
    assert len(made) == 2 and whole.damage(tmp_path / "cache" / "model", NAMES) == ""
    said = capsys.readouterr().out
    assert f"note: the model in {tmp_path}/cache/model is damaged ({name} " in said and "made again" in said


@pytest.mark.parametrize("lost", [0.0, np.nan])
def test_weights_that_were_lost_behind_a_whole_header_are_made_again(cached, tmp_path, capsys, lost):
    ask, made = cached
    ask()
    weight = np.ones((20, 25))
    weight[10] = lost
    save_file({"weight": weight}, tmp_path / "cache" / "model" / "model.safetensors")
    ask()
    assert len(made) == 2 and "model.safetensors cannot be loaded: " in capsys.readouterr().out


def test_someones_file_in_the_cache_stays(cached, tmp_path):
    ask, _ = cached
    ask()
    (tmp_path / "cache" / "model" / "config.json").unlink()
    (tmp_path / "cache" / "model" / "thesis.txt").write_text("years")
    with pytest.raises(ExportError, match="thesis.txt"):
        ask()
    assert (tmp_path / "cache" / "model" / "thesis.txt").exists()


KILLED = """
import sys, time
from pathlib import Path
from cpt_utils.models import whole
def make(folder):
    (folder / "model.safetensors").write_bytes(b"0" * 5000)
    print("begun", flush=True)
    time.sleep(60)
whole.make_once(Path(sys.argv[1]), ("model.safetensors",), make)
"""


def test_kills_in_the_making_do_not_add_up(cached, tmp_path):
    ask, made = cached
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "cache" / "model"], stdout=subprocess.PIPE)
        process.stdout.readline()
        process.kill()
        process.wait()
        assert sorted(os.listdir(tmp_path / "cache")) == [".model.cpt_utils-partial", ".model.lock"]
    ask()
    assert len(made) == 1 and sorted(os.listdir(tmp_path / "cache")) == [".model.lock", "model"]


def test_a_cache_that_cannot_be_written_is_named_with_its_mend(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SettingsError, match="cannot be written .*: set CPT_CACHE to one that can"):
        whole.make_once(tmp_path / "cache" / "model", NAMES, lambda folder: None)

    def full(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(ModelError, match=rf"{tmp_path}/other .*No space left on device.*free some space there"):
        whole.make_once(tmp_path / "other", NAMES, full)
    assert sorted(os.listdir(tmp_path)) == [".other.lock", "cache"]


def test_the_models_here_are_whole():
    for folder in (embedded.embedded_model_path(), Path(embedding.embedding_source())):
        assert whole.damage(folder, ("model.safetensors",)) == ""


def test_zeros_in_an_adapter_are_lost_parts_in_its_first_halves_only(tmp_path):
    weights = {
        "q.lora_A.weight": np.ones((2, 4)),
        "q.lora_B.weight": np.zeros((4, 2)),
        "embed.weight": np.zeros((3, 4)),
    }
    save_file(weights, tmp_path / "adapter_model.safetensors")
    assert whole.damage(tmp_path, ()) == ""
    weights["q.lora_A.weight"][1] = 0
    save_file(weights, tmp_path / "adapter_model.safetensors")
    assert "a part of q.lora_A.weight is zeros" in whole.damage(tmp_path, ())
