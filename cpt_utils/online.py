"""Online reinforcement learning with a reward made from a rubric: TRL's GRPOTrainer, and the series' own generation."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from cpt_utils.fast.decoding import generate
from cpt_utils.models.adapters import lora_config
from cpt_utils.models.conversation import ChatModel, end_tokens, fit_turns, waiting
from cpt_utils.pace import log_shortly
from cpt_utils.prompts import messages
from cpt_utils.rewards import Reward
from cpt_utils.rows import Response, Task
from cpt_utils.runtime import files, machine
from cpt_utils.runtime.profiles import Profile
from cpt_utils.training import cast_once


@dataclass
class Diary:
    """Every text of a training with its rewards: rows with step, seconds, reward and those of other judges."""

    rewards: Reward
    others: dict[str, Reward] = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def write(self, step: int, rows: list[Response]) -> list[float]:
        """The rewards of a step's texts; they are kept with those of the other judges, which do not count."""
        paid, seconds = self.rewards(rows), time.monotonic() - self.started
        unpaid = {name: other(rows) for name, other in self.others.items()}
        for place, row in enumerate(rows):
            told = {"step": step, "seconds": seconds, "reward": paid[place]}
            self.rows.append(row | told | {name: values[place] for name, values in unpaid.items()})
        return paid

    def curve(self, name: str = "reward") -> np.ndarray:
        """The mean by step of the reward, or of another judge: (steps,)."""
        return mean_by_step(self.rows, name)


def mean_by_step(rows: list[dict], name: str) -> np.ndarray:
    """The mean of a number that a diary's rows hold, by step: (steps,)."""
    by_step: dict[int, list[float]] = {}
    for row in rows:
        by_step.setdefault(row["step"], []).append(row[name])
    return np.array([np.mean(by_step[step]) for step in sorted(by_step)])


class OnlineTrainer(GRPOTrainer):
    """TRL's GRPOTrainer, whose frozen weights are cast to training's number type once and not at every token."""

    def train(self, *args, **kwargs):
        with cast_once(self.model, self.args):
            return super().train(*args, **kwargs)


def online_trainer(
    student: ChatModel, profile: Profile, tasks: list[Task], diary: Diary, folder: Path | None = None
) -> GRPOTrainer:
    """TRL's GRPOTrainer on these tasks {prompt, rubric, target, system}, with a fresh LoRA adapter of the profile.

    The student's weights stay as they are (merge an adapter to go on from it); KL is measured from them. On a CPU
    texts are written by the series' own generation, through TRL's hook for rollouts. Checkpoints go to `folder`;
    without one none are kept.
    """
    rows = [
        {"prompt": fit_turns(student.tokenizer, messages(task["prompt"], task["system"])), "task": dict(task)}
        for task in tasks
    ]

    def reward(prompts, completions, task, trainer_state, **kwargs) -> list[float]:
        texts = [turns[0]["content"].strip() for turns in completions]
        return diary.write(trainer_state.global_step, [one | {"response": text} for one, text in zip(task, texts)])

    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # the hook is called experimental, and says so each time
    trainer = OnlineTrainer(
        model=student.model,
        args=grpo_settings(profile, folder),
        processing_class=student.tokenizer,
        train_dataset=Dataset.from_list(rows),
        reward_funcs=reward,
        peft_config=lora_config(profile),
        rollout_func=rollout if machine.device() == "cpu" else None,
    )
    return log_shortly(trainer)


def grpo_settings(profile: Profile, folder: Path | None) -> GRPOConfig:
    """TRL's settings for profile.online; a checkpoint every profile.save_steps steps, to `folder` if there is one."""
    settings = profile.online
    return GRPOConfig(
        output_dir=str(folder or files.run_dir(profile)),
        seed=profile.seed,
        **machine.training_arguments(),
        per_device_train_batch_size=settings.texts,
        num_generations=settings.group,
        max_completion_length=settings.new_tokens,
        max_steps=settings.steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=min(5, settings.steps),
        beta=settings.kl,
        temperature=settings.temperature,
        top_p=1.0,
        loss_type="grpo",
        gradient_checkpointing=profile.gradient_checkpointing,
        chat_template_kwargs={"enable_thinking": False},
        logging_steps=1,
        save_strategy="steps" if folder else "no",
        save_steps=profile.save_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )


def rollout(prompts: list[list[dict]], trainer: GRPOTrainer) -> dict[str, list]:
    """One text of the model as it is now to each conversation, as TRL's `rollout_func` gives it: ids of both parts.

    TRL repeats a prompt for each text of its group. A text ends with its end token, or where its room is full. TRL
    computes the log-probabilities itself, so none are given.
    """
    model, args = trainer.accelerator.unwrap_model(trainer.model), trainer.args
    policy = ChatModel(model, trainer.processing_class, "")
    batch, ends, training = waiting(policy, prompts), end_tokens(policy), model.training
    model.eval()
    with machine.autocast(model):
        new = generate(
            model,
            batch,
            max_new_tokens=args.max_completion_length,
            ends=ends,
            pad_token_id=policy.tokenizer.pad_token_id,
            temperature=args.temperature,
            top_p=args.top_p,
        )
    model.train(training)
    read = [ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"])]
    return {"prompt_ids": read, "completion_ids": [up_to_end(ids, ends) for ids in new.tolist()], "logprobs": None}


def up_to_end(ids: list[int], ends: list[int]) -> list[int]:
    """The ids up to the first end token and with it; all of them if there is none."""
    stop = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return ids[: stop + 1]
