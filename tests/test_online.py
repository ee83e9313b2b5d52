"""The rubric as a reward: rewards, groups and advantages, TRL's GRPO with the series' own generation."""

import numpy as np
import pytest
import torch

from cpt_utils import online
from cpt_utils.evaluation import evaluation_tasks
from cpt_utils.judging import Judgement
from cpt_utils.models.conversation import ChatModel
from cpt_utils.rewards import group_advantages, least_of, nearness, parting, smooth
from cpt_utils.runtime import machine
from cpt_utils.runtime.errors import JudgeError, SettingsError
from cpt_utils.runtime.profiles import load_profile


class Length:
    """A judge that counts letters, and cannot read what begins with a question mark."""

    def score(self, rubric, prompt, response):
        return Judgement(None if response.startswith("?") else float(min(100, len(response))), False)


def row(text, target=50):
    return {"prompt": "Why?", "rubric": "rococo", "target": target, "response": text}


def test_a_reward_is_one_at_the_target_and_falls_to_both_sides():
    reward = nearness(Length())
    rows = [row("a" * 50), row("a" * 40), row("a" * 60), row("?"), row("", 95), row("a" * 100, 0)]
    assert reward(rows) == pytest.approx([1.0, 0.9, 0.9, 0.0, 0.05, 0.0])
    strict = least_of(reward, lambda rows: [0.5] * len(rows))
    assert strict(rows) == pytest.approx([0.5, 0.5, 0.5, 0.0, 0.05, 0.0])


def test_advantages_compare_texts_of_one_prompt_only():
    found = group_advantages([0.2, 0.4, 0.6, 0.8, 5.0, 5.0, 5.0, 5.0], 4)
    spread = np.std([0.2, 0.4, 0.6, 0.8], ddof=1)
    assert found[:4] == pytest.approx(np.array([-0.3, -0.1, 0.1, 0.3]) / spread, rel=1e-3)
    assert found[4:].tolist() == [0.0] * 4 and found[:4].sum() == pytest.approx(0)
    for wrong in ([1.0, 2.0, 3.0], [1.0]):
        with pytest.raises(JudgeError, match="no groups of 2"):
            group_advantages(wrong, 2)


def test_reward_and_judge_part_where_the_gap_begins_to_stay():
    together = np.linspace(0.2, 0.6, 40)
    apart = np.concatenate([together[:20], np.linspace(0.4, 0.0, 20)])
    assert parting(together, together) is None and parting(together, together + 0.05) is None
    moment = parting(together, apart)
    assert 20 < moment < 30
    assert parting(together, np.concatenate([apart[:30], together[30:]])) is None  # they meet again
    assert parting([], []) is None
    assert smooth([1, 3, 5], 2).tolist() == [1, 2, 4]


def trained(tiny_model, tokenizer, tmp_path, reward, **changes):
    """A tiny model after some steps of GRPO: trainer and diary."""
    torch.manual_seed(0)
    profile = load_profile("embedded")
    told = profile.online.model_dump() | {"steps": 2, "texts": 4, "group": 2, "new_tokens": 6} | changes
    save_steps = told.pop("save_steps", 1000)
    profile = profile.replace(online=told, save_steps=save_steps)
    diary = online.Diary(reward, {"length": lambda rows: [len(one["response"]) / 100 for one in rows]})
    tasks = evaluation_tasks(["Tell me of rain.", "Why is the sky blue?"], ["rococo"])
    student = ChatModel(tiny_model, tokenizer, "tiny")
    trainer = online.online_trainer(student, profile, tasks, diary, tmp_path)
    return trainer, diary


def test_a_step_writes_groups_pays_them_and_moves_the_adapter_only(tiny_model, tokenizer, tmp_path):
    before = {name: weight.clone() for name, weight in tiny_model.named_parameters()}
    paid = []

    def reward(rows):
        paid.append(rows)
        return [place / 10 for place in range(len(rows))]

    trainer, diary = trained(tiny_model, tokenizer, tmp_path, reward)
    trainer.train()
    assert len(paid) == 2 and [len(rows) for rows in paid] == [4, 4] and len(diary.rows) == 8
    for rows in paid:
        asked = [(one["prompt"], one["target"], one["system"]) for one in rows]
        assert asked[0] == asked[1] != asked[2] == asked[3]
    assert {one["step"] for one in diary.rows} == {0, 1} and diary.curve().tolist() == pytest.approx([0.15, 0.15])
    assert diary.rows[3]["reward"] == 0.3 and diary.rows[3]["length"] == len(diary.rows[3]["response"]) / 100
    moved = {name for name, weight in trainer.model.named_parameters() if weight.requires_grad and weight.abs().sum()}
    assert any("lora_B" in name for name in moved)
    after = {name.replace(".base_layer", "").removeprefix("base_model.model."): weight
             for name, weight in trainer.model.named_parameters() if "lora" not in name}  # fmt: skip
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_frozen_weights_are_cast_once_for_training_and_stand_as_before_behind_it(
    tiny_model, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(machine, "number_type", lambda: "bfloat16")
    seen = []

    def reward(rows):
        layers = [m for name, m in trainer.model.named_modules() if name.endswith("base_layer")]
        seen.append({layer.weight.dtype for layer in layers})
        return [0.1, 0.9] * 2

    trainer, _ = trained(tiny_model, tokenizer, tmp_path, reward)
    before = {name: weight.clone() for name, weight in trainer.model.named_parameters() if "lora" not in name}
    trainer.train()
    assert trainer.args.bf16 and seen == [{torch.bfloat16}] * 2
    after = dict(trainer.model.named_parameters())
    assert all(weight.dtype == torch.float32 and torch.equal(weight, after[name]) for name, weight in before.items())


def test_a_rollout_is_the_policys_own_text_up_to_its_end(tiny_model, tokenizer, tmp_path):
    trainer, _ = trained(tiny_model, tokenizer, tmp_path, lambda rows: [0.0] * len(rows))
    prompts = [one["prompt"] for one in trainer.train_dataset][:2] * 2
    trainer.model.train()
    found = online.rollout(prompts, trainer)
    assert trainer.model.training and found["logprobs"] is None
    for turns, ids in zip(prompts, found["prompt_ids"], strict=True):
        told = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert ids == tokenizer(told, add_special_tokens=False)["input_ids"]
    assert all(1 <= len(ids) <= 6 for ids in found["completion_ids"])
    assert online.up_to_end([5, 2, 7, 2], [2]) == [5, 2] and online.up_to_end([5, 7], [2]) == [5, 7]


@torch.no_grad()
def logp(model, prompt, answer):
    """Of an answer behind its prompt, in nats."""
    ids = torch.tensor([prompt + answer])
    logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
    return logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None]).sum().item()


def test_what_pays_more_than_its_neighbours_becomes_more_likely(tiny_model, tokenizer, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(online, "rollout", lambda *told, own=online.rollout: written.append(own(*told)) or written[-1])
    rewards = [0.9, 0.1, 0.5, 0.5]  # one group with a winner, and one of equals
    told = {"steps": 2, "learning_rate": 1e-2}  # the first step's rate is 0: it warms up
    trainer, _ = trained(tiny_model, tokenizer, tmp_path, lambda rows: rewards, **told)
    trainer.train()
    model, changes = trainer.model.eval(), []
    for prompt, answer in zip(written[1]["prompt_ids"], written[1]["completion_ids"]):
        with model.disable_adapter():
            before = logp(model, prompt, answer)
        changes.append(logp(model, prompt, answer) - before)
    assert changes[0] > 0.01 > -0.01 > changes[1]
    assert changes[0] > max(changes[2:]) and changes[1] < min(changes[2:])


def test_without_a_folder_nothing_is_written(tiny_model, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    trainer, _ = trained(tiny_model, tokenizer, None, lambda rows: [0.1, 0.2] * 2, steps=2, save_steps=1)
    trainer.train()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_training_goes_on_from_its_checkpoint(tiny_model, tokenizer, tmp_path):
    from cpt_utils.checkpoints import last_checkpoint

    trainer, _ = trained(tiny_model, tokenizer, tmp_path, lambda rows: [0.1, 0.2] * 2, steps=2, save_steps=1)
    trainer.train()
    assert last_checkpoint(tmp_path).endswith("checkpoint-2")
    trainer, diary = trained(trainer.model.unload(), tokenizer, tmp_path, lambda rows: [0.1, 0.2] * 2, steps=3)
    trainer.train(resume_from_checkpoint=last_checkpoint(tmp_path))
    assert trainer.state.global_step == 3 and [one["step"] for one in diary.rows] == [2] * 4


@pytest.mark.parametrize(
    "changes, told", [({"texts": 6}, "make it a multiple of group, 4"), ({"group": 1}, "online.group")]
)
def test_texts_that_make_no_groups_are_refused_in_one_sentence(changes, told):
    profile = load_profile("embedded")
    with pytest.raises(SettingsError, match=told):
        profile.replace(online=profile.online.model_dump() | changes)
