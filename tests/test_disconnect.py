"""A session that is gone, its machine with it: the next one goes on from Google Drive, and comes to the same end."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from cpt_utils.runtime.files import ROOT

DRIVE = """
from pathlib import Path

def mount(place):
    (Path(place) / "MyDrive").mkdir(parents=True, exist_ok=True)
"""
SESSION = """
import os, sys
from pathlib import Path

import google.colab
from cpt_utils import runtime
from cpt_utils.runtime import colab

student, last = sys.argv[2], int(sys.argv[3])
colab.DRIVE = Path(sys.argv[1])
colab.keep_results(on_drive=True)  # what the setup cell does with DRIVE = True

profile = runtime.start("smoke", student=student, max_steps=6, save_steps=2, eval_steps=100, max_length=256)

from datasets import Dataset
from transformers import TrainerCallback, set_seed

from cpt_utils.checkpoints import run_checkpoints, train
from cpt_utils.models.adapters import lora_config, prepare_for_lora, save_adapter
from cpt_utils.models.conversation import fit_rows
from cpt_utils.models.loading import hub_name, load_student
from cpt_utils.models.logps import with_reference
from cpt_utils.pairs import rows_for
from cpt_utils.training import dpo_settings, prepare_trainer, trainer_for


class Disconnect(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == last:
            os._exit(9)  # no word of parting, no last save


rows = rows_for(profile, "train")[:16]
chat_model = load_student(profile)
data = Dataset.from_list(fit_rows(chat_model.tokenizer, with_reference(chat_model, rows, profile)))
folder = runtime.run_dir(profile)
checkpoints, _ = run_checkpoints(folder, profile, rows)
settings = dpo_settings(profile, checkpoints)
set_seed(profile.seed)  # as notebook 04 does
model, peft_config = prepare_for_lora(chat_model, lora_config(profile), profile)
trainer = trainer_for(profile)(model=model, args=settings, train_dataset=data, eval_dataset=data.select(range(8)),
                               processing_class=chat_model.tokenizer, peft_config=peft_config)
train(prepare_trainer(trainer), Disconnect())
save_adapter(trainer.model, folder / "adapter", hub_name(profile))
"""


@pytest.fixture
def session(tiny_model, tokenizer, tmp_path, monkeypatch):
    """Runs a session with a Drive until the step at which it is cut off (0: to its end)."""
    for thing in (tiny_model, tokenizer):
        thing.save_pretrained(tmp_path / "student")
    package = tmp_path / "image" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "drive.py").write_text(DRIVE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path / "image")]))
    monkeypatch.delenv("CPT_RUNS", raising=False)

    def run(drive, last=0):
        command = [sys.executable, "-c", SESSION, str(tmp_path / drive), str(tmp_path / "student"), str(last)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)

    return run


def test_a_fresh_session_goes_on_from_drive_to_the_same_end(session, tmp_path):
    kept = tmp_path / "drive" / "MyDrive" / "cpt-runs" / "smoke"
    cut = session("drive", last=3)
    assert cut.returncode == 9 and "results go to the folder cpt-runs on your Drive" in cut.stdout
    assert [place.name for place in kept.glob("checkpoints/*/checkpoint-*")] == ["checkpoint-2"]
    assert not (kept / "adapter").exists()

    again = session("drive")
    assert again.returncode == 0, again.stderr[-2000:]
    assert "4 of 6 steps in" in again.stdout and "from the checkpoint of step 2 on" in again.stdout
    assert "for 4 steps on this machine" in again.stderr

    whole = session("another")
    assert "6 of 6 steps in" in whole.stdout, whole.stderr[-2000:]
    name = "adapter/adapter_model.safetensors"
    one, other = (load_file(place / name) for place in (kept, tmp_path / "another/MyDrive/cpt-runs/smoke"))
    assert set(one) == set(other)
    for weight, values in one.items():
        torch.testing.assert_close(values, other[weight], rtol=1e-4, atol=1e-6)
