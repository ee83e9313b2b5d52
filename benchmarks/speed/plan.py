"""What both sides of `make bench` do: the same weights, rows, settings and questions, as plain data in plan.json."""

import json
from pathlib import Path

from cpt_utils.blocks import training_order
from cpt_utils.models.adapters import lora_config
from cpt_utils.models.conversation import ChatModel, fit_rows, templated
from cpt_utils.models.loading import weights_of
from cpt_utils.pairs import rows_for
from cpt_utils.prompts import load_prompts, messages, system_prompt
from cpt_utils.runtime import files
from cpt_utils.runtime.profiles import Profile
from cpt_utils.training import dpo_settings

SETTINGS = (  # of TRL's DPOConfig, by names that old and new versions share
    "seed",
    "use_cpu",
    "bf16",
    "fp16",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "max_steps",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "optim",
    "beta",
    "loss_type",
    "loss_weights",
    "max_length",
    "precompute_ref_log_probs",
    "gradient_checkpointing",
    "logging_steps",
    "logging_nan_inf_filter",
    "report_to",
    "disable_tqdm",
)
WAYS = {"greedy": {}, "sampling": {"temperature": 0.7, "top_p": 0.9}}
"""How texts are written, and the options for it."""
TEXTS = 32
NEW_TOKENS = 64


def write_plan(
    profile: Profile, student: ChatModel, changes: dict, folder: Path, texts: int = TEXTS, new_tokens: int = NEW_TOKENS
) -> None:
    """Write `folder`/plan.json for all steps of a training, and for so many texts of so many new tokens.

    `changes` are what `profile` changes of the profile "embedded". "order" is the series' order of the rows.
    """
    settings = dpo_settings(profile, folder)
    rows = rows_for(profile, "train")[: settings.per_device_train_batch_size * settings.max_steps]
    lora = lora_config(profile)
    plan = {
        "model": str(weights_of(profile)),
        "changes": changes,
        "settings": {name: getattr(settings, name) for name in SETTINGS},
        "lora": {
            "r": lora.r,
            "lora_alpha": lora.lora_alpha,
            "target_modules": profile.lora.modules,
            "task_type": lora.task_type,
        },
        "rows": fit_rows(student.tokenizer, rows),
        "order": training_order(len(rows), settings.per_device_train_batch_size, 1, settings.seed),
        "texts": questions(student.tokenizer)[:texts],
        "new_tokens": new_tokens,
    }
    folder.mkdir(parents=True, exist_ok=True)
    files.write_whole(folder / "plan.json", json.dumps(plan, indent=1) + "\n")


def questions(tokenizer) -> list[str]:
    """Conversations about every prompt under two system prompts, up to the answer."""
    texts = []
    for prompt in load_prompts():
        for target in ("low", "high"):
            turns = messages(prompt["prompt"], system_prompt("rococo", target))
            texts.append(templated(tokenizer, turns, tokenize=False, add_generation_prompt=True))
    return texts
