"""Hand a training over to `trl dpo` / `accelerate launch`: the same rows and settings, any number of GPUs."""

import json
import math
import random
from pathlib import Path

import yaml

from cpt_utils.runtime import machine
from cpt_utils.runtime.errors import SettingsError
from cpt_utils.models import weights_of


def in_blocks(rows: list[dict], block: int, epochs: float, seed: int) -> list[dict]:
    """Rows of all epochs in training order: blocks of `block` rows shuffled, rows in a block kept together."""
    blocks = [rows[i : i + block] for i in range(0, len(rows) - block + 1, block)]
    ordered = []
    for epoch in range(math.ceil(epochs)):
        random.Random(seed + epoch).shuffle(blocks)
        ordered += blocks
    return [row for each in ordered[: math.ceil(epochs * len(blocks))] for row in each]


def write_launch(profile: dict, rows: list[dict], folder: Path, processes: int = 1) -> str:
    """Write `rows.jsonl` and `dpo.yaml` into `folder` and return the command that trains from them.

    TRL's command shuffles rows one by one, which would tear mirrored pairs apart. So the shuffling (by
    pairs, for every epoch) is done here, and the file is read in order. Each process takes whole batches of
    two rows, so a pair never straddles two processes; rows per step stay those of the profile.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    per_step = profile["rows_per_batch"] * profile["batches_per_step"]
    mirrored = profile["mirrored"]
    batch = 2 if mirrored else 1
    if per_step % (batch * processes):
        raise SettingsError(
            f"{per_step} rows a step cannot be shared by {processes} processes in batches of {batch}: choose "
            f"a divisor of {per_step // batch} for processes, or change rows_per_batch x batches_per_step."
        )
    epochs = profile["epochs"] if mirrored else 1
    data = folder / "rows.jsonl"
    ordered = in_blocks(rows, 2, epochs, profile["seed"]) if mirrored else rows
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ordered), "utf-8")
    lora, modules = profile["lora"], profile["lora"]["modules"]
    # The command is for GPUs: written on a processor, for one with bf16.
    half = "float16" if machine.number_type() == "float16" else "bfloat16"
    config = {
        "model_name_or_path": str(weights_of(profile)),
        "dtype": _weights_type(profile, half),
        "bf16": half == "bfloat16",
        "fp16": half == "float16",
        "datasets": [{"path": "json", "data_files": {"train": str(data)}}],
        "output_dir": str(folder / "trained"),
        "seed": profile["seed"],
        "use_peft": True,
        "lora_r": lora["r"],
        "lora_alpha": lora["alpha"],
        "lora_dropout": 0.0,
        "lora_target_modules": modules,
        "load_in_4bit": profile["four_bit"],
        "beta": profile["beta"],
        "loss_type": list(profile["loss"]),
        "loss_weights": list(profile["loss"].values()),
        "max_length": profile["max_length"],
        "learning_rate": profile["learning_rate"],
        "lr_scheduler_type": profile["scheduler"],
        "warmup_steps": profile["warmup"],
        "optim": profile["optimizer"],
        "gradient_checkpointing": profile["gradient_checkpointing"],
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": per_step // (batch * processes),
        "num_train_epochs": 1 if mirrored else profile["epochs"],
        "max_steps": profile["max_steps"],
        "train_sampling_strategy": "sequential" if mirrored else "random",
        "logging_steps": profile["logging_steps"],
        "report_to": "none",
    }
    (folder / "dpo.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    spread = f"accelerate launch --num_processes {processes} -m trl.scripts.dpo"
    return f"{spread if processes > 1 else 'trl dpo'} --config dpo.yaml"


def _weights_type(profile: dict, half: str) -> str:
    """The dtype of the file; TRL multiplies 4-bit weights in it, so that "auto" is none for them."""
    if profile["student"] == "embedded":
        return "float32"
    return half if profile["four_bit"] else "auto"
