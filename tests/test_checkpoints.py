"""A training cell that is stopped and run again, in this kernel or the next, comes to the same end, and only once."""

import copy
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from datasets import Dataset
from harm import HARM
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, set_seed
from trl import DPOConfig

from cpt_utils import checkpoints
from cpt_utils.checkpoints import OTHERS, last_checkpoint, run_checkpoints, train
from cpt_utils.models.adapters import prepare_for_lora, save_adapter
from cpt_utils.models.conversation import ChatModel
from cpt_utils.runtime.errors import TrainingError
from cpt_utils.runtime.profiles import load_profile
from cpt_utils.training import MirroredDPOTrainer, dpo_gradient, dpo_settings, prepare_trainer, trainer_for

SMOKE = load_profile("smoke").replace(seed=1)
LORA = dict(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM")
STEPS = 6


class Stop(TrainerCallback):
    """A user's Stop after some step; each of them once."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step in self.steps:
            self.steps.remove(state.global_step)
            raise KeyboardInterrupt


class Drawing(TrainerCallback):
    lines = 0

    def on_log(self, *args, **kwargs):
        self.lines += 1


@pytest.fixture(scope="module")
def tiny(tokenizer):
    from transformers import AutoModelForCausalLM, LlamaConfig

    set_seed(0)
    sizes = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    ends = dict(pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id)
    return AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=2, **sizes, **ends)
    )


@pytest.fixture
def trainer_in(tiny, tokenizer, rows):
    def build(folder, *stops, kind=MirroredDPOTrainer, **changes):
        set_seed(3)
        options = dict(per_device_train_batch_size=2, per_device_eval_batch_size=2, max_steps=STEPS, logging_steps=1)
        options |= dict(output_dir=str(folder), use_cpu=True, bf16=False, learning_rate=1e-2, beta=0.1, seed=3)
        options |= dict(loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5], max_length=256, report_to="none")
        options |= dict(save_strategy="steps", save_steps=2, save_total_limit=2, disable_tqdm=True)
        trainer = kind(
            copy.deepcopy(tiny),
            args=DPOConfig(**options | changes, gradient_checkpointing=False),
            train_dataset=Dataset.from_list(rows[:8]),
            processing_class=tokenizer,
            peft_config=LoraConfig(**LORA),
            callbacks=[Stop(*stops)],
        )
        return prepare_trainer(trainer)

    return build


def end_of(trainer):
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return losses, {n: w.detach().clone() for n, w in trainer.model.named_parameters() if w.requires_grad}


def same(one, other):
    assert len(one[0]) == len(other[0]) == STEPS and one[0] == pytest.approx(other[0], rel=1e-5)
    for name, weight in one[1].items():
        torch.testing.assert_close(weight, other[1][name], rtol=1e-4, atol=1e-6)


def test_a_cell_that_is_stopped_and_run_again_comes_to_the_end_of_one_that_was_not(trainer_in, tmp_path, capsys):
    """Stopped before the first checkpoint, after one, and before the last one; and run again when all is done."""
    whole = trainer_in(tmp_path / "whole")
    told = train(whole)
    assert (
        told["steps"] == STEPS
        and told["tokens_per_second"] > 0
        and set(told)
        == {
            "steps",
            "seconds",
            "tokens_per_second",
        }
    )
    cut, drawing = trainer_in(tmp_path / "cut", 1, 5, STEPS), Drawing()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(cut, drawing)
    capsys.readouterr()
    told = train(cut, drawing)
    assert f"2 of {STEPS} steps in " in capsys.readouterr().out and told["steps"] == cut.state.global_step == STEPS
    same(end_of(whole), end_of(cut))
    assert sum(isinstance(one, Drawing) for one in cut.callback_handler.callbacks) == 1
    before = end_of(cut)
    assert train(cut, drawing) == told
    assert f"all {STEPS} steps are done, and nothing was trained now" in capsys.readouterr().out
    assert all(torch.equal(weight, before[1][name]) for name, weight in end_of(cut)[1].items())


def test_a_stopped_training_takes_no_finished_adapters_place(trainer_in, tmp_path):
    place = tmp_path / "adapter"
    first = trainer_in(tmp_path / "first")
    train(first)
    save_adapter(first.model, place, "owner/base")
    before = (place / "adapter_model.safetensors").read_bytes()
    cut = trainer_in(tmp_path / "cut", 1, 3)
    for _ in range(2):
        with pytest.raises(TrainingError, match="not begun or was stopped before its end, and nothing was saved"):
            save_adapter(cut.model, place, "owner/base")
        with pytest.raises(KeyboardInterrupt):
            train(cut)
    assert (place / "adapter_model.safetensors").read_bytes() == before
    train(cut)
    save_adapter(cut.model, place, "owner/base")


def test_the_next_kernel_goes_on_past_a_damaged_checkpoint(trainer_in, tmp_path, capsys):
    whole = trainer_in(tmp_path / "whole")
    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(trainer_in(tmp_path / "cut", 5))
    (tmp_path / "cut" / "checkpoint-4" / "optimizer.pt").write_bytes(b"")
    again = trainer_in(tmp_path / "cut")
    train(again)
    said = capsys.readouterr().out
    assert "checkpoint-4 is damaged (optimizer.pt cannot be loaded" in said and f"4 of {STEPS} steps" in said
    assert (tmp_path / "cut" / "damaged-checkpoint-4").is_dir()
    same(end_of(whole), end_of(again))
    done = trainer_in(tmp_path / "cut")  # a third kernel: the adapter was not saved yet
    assert train(done) == {"steps": STEPS}
    same(end_of(whole), end_of(done))


@pytest.fixture(scope="module")
def saved(tiny, tokenizer, rows, tmp_path_factory):
    """A folder with two real checkpoints, of steps 2 and 4."""
    folder = tmp_path_factory.mktemp("saved")
    trainer = trainer_in.__wrapped__(tiny, tokenizer, rows)(folder, max_steps=4)
    trainer.train()
    return folder


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", checkpoints.NEEDED)
def test_whole_is_what_can_be_loaded(saved, tmp_path, capsys, name, harm):
    shutil.copytree(saved, tmp_path / "run")
    assert last_checkpoint(tmp_path / "run").endswith("checkpoint-4")
    HARM[harm](tmp_path / "run" / "checkpoint-4" / name)
    assert last_checkpoint(tmp_path / "run").endswith("checkpoint-2")
    assert f"note: checkpoint-4 is damaged ({name} " in capsys.readouterr().out
    assert last_checkpoint(tmp_path / "run").endswith("checkpoint-2") and not capsys.readouterr().out
    HARM[harm](tmp_path / "run" / "checkpoint-2" / name)
    assert last_checkpoint(tmp_path / "run") is None


def test_a_bit_that_flipped_in_the_optimizers_memory_is_seen(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint-4" / "optimizer.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert last_checkpoint(tmp_path / "run").endswith("checkpoint-2")


def changed_weights(change):
    def harm(place):
        path = place / "adapter_model.safetensors"
        weights = load_file(path)
        change(weights, min(weights))
        save_file(weights, path)

    return harm


def zeros_to_the_end(place):
    path = place / "adapter_model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


SPOILT = {  # what can be loaded, and is not what was saved
    "has values that are no numbers": changed_weights(lambda weights, name: weights[name].fill_(torch.nan)),
    "is zeros": zeros_to_the_end,
    "down_proj.lora_A.weight": changed_weights(lambda weights, name: weights.pop(name)),
    "trainer_state.json cannot be loaded: TypeError": lambda place: write(place, '{"no such key": 1}'),
    "its train_batch_size is 'None'": lambda place: write_state(place, train_batch_size=None),
    "its log_history is '3'": lambda place: write_state(place, log_history=3),
    "its save_steps is 'x'": lambda place: write_state(place, save_steps="x"),
    "its stateful_callbacks is '{}'": lambda place: write_state(place, stateful_callbacks=[]),
    "trainer_state.json is of step 0": lambda place: write_state(place, global_step=0),
    "trainer_state.json is of step 2": lambda place: write(
        place, (place.with_name("checkpoint-2") / "trainer_state.json").read_text()
    ),
    "scheduler.pt cannot be loaded: it has another form": lambda place: torch.save([1], place / "scheduler.pt"),
    "optimizer.pt cannot be loaded: it has another form": lambda place: torch.save({"a": 1}, place / "optimizer.pt"),
    "rng_state.pth cannot be loaded: it has another form": lambda place: torch.save([], place / "rng_state.pth"),
}


def write_state(place, **changes):
    write(place, json.dumps(json.loads((place / "trainer_state.json").read_text()) | changes))


def write(place, text):
    (place / "trainer_state.json").write_text(text)


@pytest.mark.parametrize("why", SPOILT)
def test_a_checkpoint_of_another_form_is_damaged(saved, tmp_path, capsys, why):
    shutil.copytree(saved, tmp_path / "run")
    SPOILT[why](tmp_path / "run" / "checkpoint-4")
    assert last_checkpoint(tmp_path / "run").endswith("checkpoint-2")
    assert f"{why})" in capsys.readouterr().out and (tmp_path / "run" / "damaged-checkpoint-4").is_dir()


def test_two_checkpoints_are_kept(tmp_path):
    assert dpo_settings(SMOKE, tmp_path).save_total_limit == 2


def test_checkpoints_of_other_settings_stay_until_a_limit(tmp_path, saved, capsys):
    places = []
    for number in range(OTHERS + 2):
        place, last = run_checkpoints(tmp_path, SMOKE.replace(logging_steps=number + 1), [{"a": 1}])
        assert last is None
        shutil.copytree(saved / "checkpoint-4", place / "checkpoint-4")
        os.utime(place, (number, number))
        places.append(place)
    assert [place.exists() for place in places] == [False] + [True] * (OTHERS + 1)
    assert f"older training ({places[0].name}) are removed; {OTHERS} others are kept" in capsys.readouterr().out
    assert run_checkpoints(tmp_path, SMOKE.replace(logging_steps=2), [{"a": 1}])[1] == str(places[1] / "checkpoint-4")


HOLDER = """
import sys
from pathlib import Path
from filelock import FileLock
with FileLock(Path(sys.argv[1]) / ".lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_training_that_runs_is_left_alone_whatever_its_age(tmp_path, trainer_in):
    live, _ = run_checkpoints(tmp_path, SMOKE.replace(beta=0.9), [{"a": 1}])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, live], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    holder.stdout.readline()
    for number in range(OTHERS + 2):
        os.utime(live, (0, 0))
        run_checkpoints(tmp_path, SMOKE.replace(logging_steps=number + 1), [{"a": 1}])
    assert live.exists()
    with pytest.raises(TrainingError, match="same training runs in another process: wait for its end or stop it"):
        run_checkpoints(tmp_path, SMOKE.replace(beta=0.9), [{"a": 1}])
    with pytest.raises(TrainingError, match="same training runs in another process"):
        train(trainer_in(live))
    holder.communicate("")
    assert run_checkpoints(tmp_path, SMOKE.replace(beta=0.9), [{"a": 1}]) == (live, None)


def test_someones_folder_beside_the_checkpoints_stays(tmp_path):
    (tmp_path / "checkpoints" / "thesis").mkdir(parents=True)
    for number in range(OTHERS + 3):
        run_checkpoints(tmp_path, SMOKE.replace(logging_steps=number + 1), [{"a": 1}])
    assert (tmp_path / "checkpoints" / "thesis").exists()


@pytest.mark.parametrize("mirrored", [True, False])  # False: as on the profile `paper`
def test_a_trainer_that_is_older_than_the_settings_is_refused_in_one_sentence(trainer_in, tmp_path, rows, mirrored):
    trainer = trainer_in(tmp_path, kind=trainer_for(SMOKE.replace(mirrored=mirrored)))
    DPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)  # the settings' cell, run again
    for use in (train, type(trainer).train, type(trainer).evaluate, lambda trainer: dpo_gradient(trainer, rows[:1])):
        with pytest.raises(TrainingError, match="made anew after this trainer: run the notebook again from"):
            use(trainer)


def test_a_second_adapter_is_never_made_silently(tiny, tokenizer):
    from peft import get_peft_model

    chat_model = ChatModel(copy.deepcopy(tiny), tokenizer, "tiny")
    lora = LoraConfig(**LORA)
    assert prepare_for_lora(chat_model, lora, SMOKE) == (chat_model.model, lora)
    get_peft_model(chat_model.model, lora)  # what the trainer does
    with pytest.raises(TrainingError, match="has an adapter already.*run the notebook again from the cell"):
        prepare_for_lora(chat_model, lora, SMOKE)
