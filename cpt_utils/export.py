"""Keep what was trained: model card, merged weights, GGUF for Ollama, the Hub."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from cpt_utils.blocks import training_order
from cpt_utils.models.loading import hub_name, weights_of
from cpt_utils.models.modelfile import modelfile, write_tokenizer_plainly
from cpt_utils.prompts import system_prompt
from cpt_utils.runtime import files, folders, machine, torn
from cpt_utils.runtime.catalogue import find_model
from cpt_utils.runtime.errors import ExportError, SettingsError
from cpt_utils.runtime.profiles import Profile

CARD = """---
base_model: {base}
library_name: peft
license: {licence}
tags: [dpo, configurable-preference-tuning]
---
# {name}, tuned to follow style system prompts

A LoRA adapter (r = {r}, alpha = {alpha}) trained with DPO on mirrored preference pairs, as in *Configurable
Preference Tuning with Rubric-Guided Synthetic Data* (arXiv 2506.11702): the system prompt decides which of two
responses is preferred.

{training}

{measured}

Profile `{profile}`, seed {seed}; {hardware}; {versions}.

The model learns style, not sense: facts in its texts may be invented, and nothing filters what it writes.
The licence of the base model applies.

sha256 of adapter_model.safetensors: {digest}
"""


MIXED = {"bfloat16": "bf16", "float16": "fp16"}
"""accelerate's names of number types."""
SAMPLING = {"temperature": 0.7, "top_p": 0.9}
"""What Ollama is told, by its names: as in the profiles."""


def write_card(folder: Path, profile: Profile, report: dict) -> Path:
    """Write README.md beside an adapter from the run's report (runtime.update_report); returns its path."""
    weights = Path(folder) / "adapter_model.safetensors"
    if not weights.is_file():
        raise ExportError(f"{str(folder)!r} has no {weights.name}: save the adapter there first.")
    entry = find_model(profile.student)
    training, steer = report.get("training", {}), report.get("steerability", {}).get("cpt")
    rows, data = report.get("data", {}).get("train_rows", "?"), files.without_paths(profile.data)
    measured = "It has not been measured yet (notebook 05 does that)."
    if steer:
        sense = ""
        if "overall" in steer:
            sense = f"overall {steer['overall']:.2f} of 2, own prompt the nearest of 26 {steer['topic']:.2f}, "
        measured = (
            f"On {steer.get('texts', '?')} texts for held-out prompts, by the series' offline judge: {sense}"
            f"accuracy {steer['accuracy']:.2f}, Kendall's tau {steer['kendall_tau']:.2f}, "
            f"Spearman's rho {steer['spearman_rho']:.2f}."
        )
    text = CARD.format(
        base=hub_name(profile),
        licence=entry.get("licence", "other").lower().replace("see the model page", "other"),
        name=Path(hub_name(profile)).name,
        r=profile.lora.r,
        alpha=profile.lora.alpha,
        training=f"Trained on {rows} rows for {training.get('steps', '?')} steps; data: {data}.",
        measured=measured,
        profile=profile.name,
        seed=profile.seed,
        hardware=report.get("hardware", "?"),
        versions=", ".join(f"{k} {v}" for k, v in list(report.get("versions", {}).items())[:4]),
        digest=files.sha256(weights),
    )
    folders.write_own(weights.with_name("README.md"), text)
    return weights.with_name("README.md")


def merge(profile: Profile, adapter: Path, folder: Path) -> Path:
    """Save the student with the adapter merged in, as safetensors with its tokenizer; returns the folder.

    Only what the series wrote is replaced. The base is loaded without 4-bit, since merging into rounded weights would
    lose the adapter; an ExportError if it was quantised in advance.
    """
    from cpt_utils.models.loading import is_quantised, load_chat_model

    if folders.resolved(adapter).is_relative_to(folders.resolved(folder)):
        raise ExportError(f"{files.shown(folder)} holds the adapter itself: give the merged weights another folder.")
    with folders.whole_folder(folder) as place:  # first, as it may refuse
        chat_model = load_chat_model(profile.replace(four_bit=False), adapter)
        if is_quantised(chat_model.model):
            raise ExportError(
                f"The weights of {chat_model.name.removesuffix('+cpt')} are quantised, and an adapter merged into them "
                "would be rounded: set student to the whole model that they were made from."
            )
        chat_model.model.save_pretrained(place)
        chat_model.tokenizer.save_pretrained(place)
        write_tokenizer_plainly(place)
    return folder


def converter() -> Path:
    """llama.cpp's convert_hf_to_gguf.py, from the folder named in LLAMA_CPP or from the PATH."""
    name = "convert_hf_to_gguf.py"
    script = shutil.which(name)
    if folder := os.environ.get("LLAMA_CPP"):
        script = Path(folder) / name
    if script is None or not Path(script).is_file():
        raise ExportError(f"{name} was not found: get llama.cpp and set LLAMA_CPP to its folder, then run this again.")
    return Path(script)


def export_gguf(merged: Path, file: Path, kind: str = "q8_0", system: str | None = None) -> Path:
    """Convert merged weights to a GGUF file with llama.cpp's converter, with a Modelfile for Ollama beside it.

    `system`: the system prompt that Ollama sends, of which the style depends; the series' for a high Rococo if None.
    """
    from transformers import AutoTokenizer

    file = Path(file)
    for place in (file, file.with_name("Modelfile")):  # before the work
        folders.refuse_strange(place)
    partial = file.with_name(f".{file.stem}.cpt_utils-partial{file.suffix}")
    command = [sys.executable, str(converter()), str(merged), "--outfile", str(partial), "--outtype", kind]
    try:
        tokenizer = AutoTokenizer.from_pretrained(merged, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError):
        raise ExportError(f"{files.shown(merged)} has no tokenizer that can be read: merge() writes one.") from None
    system = system_prompt("rococo", "high") if system is None else system
    text = modelfile(tokenizer, file.name, system, SAMPLING)
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if result.returncode or not partial.exists():
        partial.unlink(missing_ok=True)
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        if "No module named" in last:
            last += f" (it is needed by the converter: install it into the folder of {converter().name} or here)"
        raise ExportError(f"The conversion to {file.name} failed: {last}")
    folders.write_own(file.with_name("Modelfile"), text)
    partial.replace(file)
    folders.mark_own(file)
    return file


def push(folder: Path, repository: str, really: bool = False) -> str:
    """Upload an adapter or merged model to the Hub as a private repository, only if `really` is True.

    The token is huggingface_hub's own (`hf auth login`, or HF_TOKEN). Returns what was, or would be, done.
    """
    folder = Path(folder)
    inside = folder.iterdir() if folder.is_dir() else ()
    names = sorted(file.name for file in inside if file.is_file() and not file.name.startswith("."))
    if "README.md" not in names or not any(name.endswith(".safetensors") for name in names):
        raise ExportError(f"{files.shown(folder)} has no model card or no weights: save and write_card first.")
    if not really:
        return f"would upload {', '.join(names)} to {repository}: call again with really=True"
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(repository, private=True, exist_ok=True)
    if not api.repo_info(repository).private:  # it was there before
        raise ExportError(
            f"{repository} is a public repository: make it private on the Hub, or choose another name; nothing was "
            "uploaded."
        )
    api.upload_folder(folder_path=str(folder), repo_id=repository, ignore_patterns=[".*"])
    return f"uploaded {', '.join(names)} to {repository} (private)"


def write_launch(profile: Profile, rows: list[dict], folder: Path, processes: int = 1, sharded: bool = False) -> str:
    """Write `rows.jsonl` and `dpo.yaml` into `folder` and return the command that trains from them.

    TRL's command shuffles rows one by one, which would tear mirrored pairs apart. So the shuffling (by
    pairs, for every epoch) is done here, and the file is read in order. Each process takes whole batches of
    two rows, so a pair never straddles two processes; rows per step stay those of the profile.

    Usually every process holds the model. `sharded`: its weights, in 16 bits, are split over all of them, as
    data/fsdp.yaml says; for a model that no single GPU holds.
    """
    folder = Path(folder)
    if sharded and (profile.four_bit or processes == 1):
        raise SettingsError(
            "A model is split over 2 or more processes, and in 16 bits: set processes and four_bit=False."
        )
    per_step = profile.rows_per_batch * profile.batches_per_step
    batch, epochs, strategy = 1, profile.epochs, "random"
    if profile.mirrored:
        batch, epochs, strategy = 2, 1, "sequential"
        rows = [rows[i] for i in training_order(len(rows), 2, profile.epochs, profile.seed)]
    if per_step % (batch * processes):
        raise SettingsError(
            f"{per_step} rows a step cannot be shared by {processes} processes in batches of {batch}: choose "
            f"a divisor of {per_step // batch} for processes, or change rows_per_batch x batches_per_step."
        )
    data = folder / "rows.jsonl"
    folders.write_own(data, torn.lines_of(rows))
    # The command is for GPUs: written on a processor, for one with bf16.
    half = "float16" if machine.number_type() == "float16" else "bfloat16"
    config = {
        "model_name_or_path": str(weights_of(profile)),
        "dtype": _weights_type(profile, half),
        "bf16": half == "bfloat16",
        "fp16": half == "float16",
        "datasets": [{"path": "json", "data_files": {"train": str(data)}}],
        "output_dir": str(folder / "trained"),
        "seed": profile.seed,
        "use_peft": True,
        "lora_r": profile.lora.r,
        "lora_alpha": profile.lora.alpha,
        "lora_dropout": 0.0,
        "lora_target_modules": profile.lora.modules,
        "load_in_4bit": profile.four_bit,
        "beta": profile.beta,
        "loss_type": list(profile.loss),
        "loss_weights": list(profile.loss.values()),
        "max_length": profile.max_length,
        "learning_rate": profile.learning_rate,
        "lr_scheduler_type": profile.scheduler,
        "warmup_steps": profile.warmup,
        "optim": "adamw_torch" if sharded else profile.optimizer,  # bitsandbytes' takes no split weights
        "gradient_checkpointing": profile.gradient_checkpointing,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": per_step // (batch * processes),
        "num_train_epochs": epochs,
        "max_steps": profile.max_steps,
        "train_sampling_strategy": strategy,
        "logging_steps": profile.logging_steps,
        "report_to": "none",
    }
    folders.write_own(folder / "dpo.yaml", yaml.safe_dump(config, sort_keys=False))
    if sharded:
        split = files.load_data("fsdp.yaml") | {"num_processes": processes, "mixed_precision": MIXED[half]}
        folders.write_own(folder / "fsdp.yaml", yaml.safe_dump(split, sort_keys=False))
        return "accelerate launch --config_file fsdp.yaml -m trl.scripts.dpo --config dpo.yaml"
    if processes == 1:
        return "trl dpo --config dpo.yaml"
    return f"accelerate launch --num_processes {processes} -m trl.scripts.dpo --config dpo.yaml"


def _weights_type(profile: Profile, half: str) -> str:
    """The dtype of the file; TRL multiplies 4-bit weights in it, so that "auto" is none for them."""
    if profile.student == "embedded":
        return "float32"
    return half if profile.four_bit else "auto"
