"""Keep what was trained: model card, merged weights, GGUF for Ollama, the Hub."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cpt_utils import runtime
from cpt_utils.models.embedded import sha256
from cpt_utils.runtime.errors import CptError
from cpt_utils.models import hub_name
from cpt_utils.runtime.catalogue import find_model


class ExportError(CptError, RuntimeError):
    """Something trained could not be written or sent; the message says what to do."""


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


def write_card(folder: Path, profile: dict, report: dict) -> Path:
    """Write README.md beside an adapter from the run's report (runtime.update_report); returns its path."""
    entry = find_model(profile["student"])
    training, steer = report.get("training", {}), report.get("steerability", {}).get("cpt")
    rows = report.get("data", {}).get("train_rows", "?")
    measured = "It has not been measured yet (notebook 05 does that)."
    if steer:
        measured = (
            f"On {report['data'].get('heldout_prompts', '?')} held-out prompts, by the series' offline judge: accuracy "
            f"{steer['accuracy']:.2f}, Kendall's tau {steer['kendall_tau']:.2f}, Spearman's rho {steer['spearman_rho']:.2f}."
        )
    text = CARD.format(
        base=hub_name(profile), licence=entry.get("licence", "other").lower().replace("see the model page", "other"),
        name=Path(hub_name(profile)).name, **{k: profile["lora"][k] for k in ("r", "alpha")},
        training=f"Trained on {rows} rows for {training.get('steps', '?')} steps; data: {profile['data']}.",
        measured=measured, profile=profile["name"], seed=profile["seed"], hardware=report.get("hardware", "?"),
        versions=", ".join(f"{k} {v}" for k, v in list(report.get("versions", {}).items())[:4]),
        digest=sha256(folder / "adapter_model.safetensors"),
    )
    (folder / "README.md").write_text(text, "utf-8")
    return folder / "README.md"


def merge(profile: dict, adapter: Path, folder: Path) -> Path:
    """Save the student with the adapter merged in, as safetensors with its tokenizer; returns the folder.

    The base is loaded without 4-bit, since merging into rounded weights would lose the adapter.
    """
    from cpt_utils.models import load_chat_model

    chat_model = load_chat_model(profile | {"four_bit": False}, adapter)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    chat_model.model.save_pretrained(partial)
    chat_model.tokenizer.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def converter() -> Path:
    """llama.cpp's convert_hf_to_gguf.py, from the folder named in LLAMA_CPP or from the PATH."""
    name = "convert_hf_to_gguf.py"
    found = Path(os.environ.get("LLAMA_CPP", "")) / name if os.environ.get("LLAMA_CPP") else shutil.which(name)
    if not found or not Path(found).is_file():
        raise ExportError(f"{name} was not found: get llama.cpp and set LLAMA_CPP to its folder, then run this again.")
    return Path(found)


def export_gguf(merged: Path, file: Path, kind: str = "q8_0") -> Path:
    """Convert merged weights to a GGUF file with llama.cpp's converter, with a Modelfile for Ollama beside it."""
    command = [sys.executable, str(converter()), str(merged), "--outfile", str(file), "--outtype", kind]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if result.returncode or not file.exists():
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise ExportError(f"The conversion to {file.name} failed: {last}")
    file.with_name("Modelfile").write_text(f"FROM ./{file.name}\n", "utf-8")
    return file


def push(folder: Path, repository: str, really: bool = False) -> str:
    """Upload an adapter or merged model to the Hub as a private repository, only if `really` is True.

    The token is huggingface_hub's own (`hf auth login`, or HF_TOKEN). Returns what was, or would be, done.
    """
    files = sorted(file.name for file in folder.iterdir() if file.is_file())
    if "README.md" not in files or not any(name.endswith(".safetensors") for name in files):
        raise ExportError(f"{runtime.shown(folder)} has no model card or no weights: save and write_card first.")
    if not really:
        return f"would upload {', '.join(files)} to {repository}: call again with really=True"
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(repository, private=True, exist_ok=True)
    api.upload_folder(folder_path=str(folder), repo_id=repository)
    return f"uploaded {', '.join(files)} to {repository} (private)"
