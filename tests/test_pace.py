"""After two steps every trainer says once how long the whole will take."""

import types

import pytest
from datasets import Dataset
from peft import LoraConfig
from trl import DPOConfig, DPOTrainer

from cpt_utils import pace
from cpt_utils.runtime.durations import minutes
from cpt_utils.training import MirroredDPOTrainer, PairedDPOTrainer, prepare_trainer


def run(capsys, monkeypatch, step_ends, steps, done=0):
    """What is told of a training whose steps end at these times, and after which step."""
    clock = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: clock[-1])
    state = types.SimpleNamespace(global_step=done, max_steps=steps, is_world_process_zero=True)
    callback, told = pace.Pace(), {}
    callback.on_train_begin(None, state, None)
    for end in step_ends:
        clock.append(end)
        state.global_step += 1
        callback.on_step_end(None, state, None)
        if said := capsys.readouterr().err.strip():
            told[state.global_step] = said
    return told


def test_the_first_step_warms_up_and_the_second_is_what_the_others_take(capsys, monkeypatch):
    told = run(capsys, monkeypatch, [60, 72, 84, 96], steps=225)
    assert list(told) == [2] and "about 46 minutes for 225 steps on this machine" in told[2]  # 72 s + 223 x 12 s
    assert "evaluations come on top" in told[2]


def test_a_training_that_goes_on_tells_of_what_is_left(capsys, monkeypatch):
    told = run(capsys, monkeypatch, [60, 72, 84], steps=225, done=100)
    assert list(told) == [102] and "about 26 minutes for 125 steps" in told[102]


@pytest.mark.parametrize("steps, ends", [(2, [60, 72]), (1, [60])])
def test_nothing_is_told_when_nothing_is_left(capsys, monkeypatch, steps, ends):
    assert run(capsys, monkeypatch, ends, steps=steps) == {}


def test_durations_are_as_exact_as_an_estimate():
    assert [minutes(s) for s in (3, 60, 2400)] == ["less than a minute", "about a minute", "about 40 minutes"]


@pytest.mark.parametrize("kind", [DPOTrainer, PairedDPOTrainer, MirroredDPOTrainer])
def test_every_trainer_of_the_series_tells_it(kind, tiny_model, tokenizer, rows, tmp_path, capsys):
    settings = DPOConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        max_steps=4,
        max_length=256,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    data = Dataset.from_list(rows[:4])
    trainer = kind(model=tiny_model, args=settings, train_dataset=data, processing_class=tokenizer, peft_config=lora)
    prepare_trainer(trainer).train()
    assert capsys.readouterr().err.count("less than a minute for 4 steps on this machine") == 1
