"""Load chat models, talk to them, and keep their adapters."""

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

from cpt_utils import runtime
from cpt_utils.models import four_bit
from cpt_utils.runtime import machine, packages
from cpt_utils.models.embedded import embedded_source
from cpt_utils.models.checks import check_adapter, check_weights, loading
from cpt_utils.prompts import messages
from cpt_utils.runtime.catalogue import ModelError, find_model
from cpt_utils.runtime.profiles import check_four_bit

SHIPPED_ADAPTER = Path(__file__).parent.parent / "data" / "adapter"


@dataclass
class ChatModel:
    """A model with its tokenizer and a name for data rows and reports."""

    model: object
    tokenizer: object
    name: str


def load_chat_model(profile: "str | dict" = "embedded", adapter: "str | Path | None" = None, **options):
    """Load the profile's student for inference, with a LoRA adapter if one is given; returns a ChatModel.

    A plain model gets the adapter merged in; a 4-bit one keeps it beside its weights, since merging would
    round it. `options` go to `from_pretrained`.
    """
    profile = runtime.load_profile(profile) if isinstance(profile, str) else profile
    chat_model = load_student(profile | {"engine": "transformers"}, **options)
    if adapter is not None:
        from peft import PeftModel

        check_adapter(adapter, profile, chat_model.model)
        model = PeftModel.from_pretrained(chat_model.model, str(adapter))
        chat_model.model = (model if profile["four_bit"] else model.merge_and_unload()).eval()
        chat_model.name += "+cpt"
    return chat_model


def load_released(key: str, profile: "str | dict" = "t4", **options) -> ChatModel:
    """Load the tuned model that the original release published for a registry key ("qwen3-4b", ...)."""
    profile = runtime.load_profile(profile) if isinstance(profile, str) else profile
    entry = find_model(key)
    if "tuned" not in entry:
        raise ModelError(f"The release has no tuned version of {key!r}: use qwen3-4b, phi4, "
                         "mistral-nemo-12b or rocinante-12b.")
    chat_model = load_student(profile | {"student": entry["tuned"], "engine": "transformers"}, **options)
    chat_model.name = Path(entry["tuned"]).name
    return chat_model


def load_pair(profile: dict, released: str | None = None, **options) -> tuple[ChatModel, ChatModel, str]:
    """Base and tuned model to compare, and where the tuned one is from.

    `released` is a registry key: the release's tuned model beside its base. Otherwise the tuned model is the
    profile's student with the adapter of notebook 04, or the shipped one (find_adapter).
    """
    if released:
        tuned = load_released(released, profile, **options)
        return load_chat_model(profile | {"student": released}, **options), tuned, f"the release's {tuned.name}"
    adapter, origin = find_adapter(profile)
    tuned = load_chat_model(profile, adapter, **options)
    return load_chat_model(profile, **options), tuned, origin


def load_student(profile: dict, **options) -> ChatModel:
    """Load the profile's student without an adapter, through its engine (see runtime.engine)."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_four_bit(profile)
    source, name = weights_of(profile), Path(hub_name(profile)).name
    if runtime.engine(profile) == "unsloth":
        from unsloth import FastLanguageModel

        model, tokenizer = FastLanguageModel.from_pretrained(
            str(source), max_seq_length=profile["max_length"], load_in_4bit=profile["four_bit"], dtype=None
        )
    else:
        packages.hide_refused_torchao()  # whatever gets a LoRA adapter here is loaded here first
        options["dtype"] = weights_type(profile, options.get("dtype"))
        options.setdefault("device_map", machine.device())
        options.setdefault("local_files_only", isinstance(source, Path))  # what lies here asks no hub
        if profile["four_bit"]:
            options.setdefault("quantization_config", four_bit.config())
        with loading(name, source):
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=options["local_files_only"])
            model, found = AutoModelForCausalLM.from_pretrained(source, output_loading_info=True, **options)
        check_weights(name, found["missing_keys"])
        four_bit.keep_trainable(model)
    if not tokenizer.chat_template:
        raise ModelError(f"{name} has no chat template: choose a model that is "
                         "tuned for chat, often named -Instruct or -it.")
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return ChatModel(model.eval(), tokenizer, name)


def weights_type(profile: dict, asked=None):
    """The dtype to load weights in: as asked for, where "auto" is the machine's number type.

    Unasked, the embedded model is float32, and others are as they were saved where the machine can multiply that.
    """
    if asked is not None:
        return machine.torch_type() if asked == "auto" else asked
    if profile["student"] == "embedded":
        return machine.torch_type("float32")
    return "auto" if machine.number_type() == "bfloat16" else machine.torch_type()


def weights_of(profile: dict) -> "str | Path":
    """Where the student's weights are loaded from: a folder, the embedded model, or a name on the Hub."""
    if profile["student"] == "embedded":
        return embedded_source()
    if Path(profile["student"]).is_dir():
        return Path(profile["student"])
    entry = find_model(profile["student"])
    if profile["student"] == entry.get("tuned"):
        return entry["tuned"]
    return entry.get("four_bit", entry["hub"]) if profile["four_bit"] else entry["hub"]


def prepare_for_lora(chat_model: ChatModel, lora, profile: dict):
    """The model and the `peft_config` to hand to a DPO trainer.

    unsloth adds the adapter itself, so that its kernels see it; otherwise TRL adds it from the config.
    """
    if runtime.engine(profile) != "unsloth":
        return chat_model.model, lora
    from unsloth import FastLanguageModel

    FastLanguageModel.for_training(chat_model.model)
    modules = profile["lora"]["modules"]
    model = FastLanguageModel.get_peft_model(
        chat_model.model, r=lora.r, lora_alpha=lora.lora_alpha, lora_dropout=lora.lora_dropout,
        target_modules=modules, random_state=profile["seed"], use_gradient_checkpointing="unsloth",
        max_seq_length=profile["max_length"],
    )
    return model, None


@functools.lru_cache(maxsize=8)
def takes_system(tokenizer) -> bool:
    """Whether the chat template renders a system message (Gemma's raises, some drop it)."""
    from jinja2.exceptions import TemplateError

    probe = "a-system-message"
    try:
        return probe in tokenizer.apply_chat_template(messages("hello", probe), tokenize=False)
    except TemplateError:
        return False


def fit_turns(tokenizer, turns: list[dict]) -> list[dict]:
    """The conversation as the template can take it: a system message moves into the user's turn if it must."""
    if turns[0]["role"] != "system" or takes_system(tokenizer):
        return turns
    first = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
    return [first, *turns[2:]]


def templated(tokenizer, turns: list[dict], **options):
    """The conversation through the chat template: the one way from turns to tokens (or text: tokenize=False).

    A system message goes where the template can take it (fit_turns), and Qwen3's thinking is off.
    """
    return tokenizer.apply_chat_template(
        fit_turns(tokenizer, turns), **{"tokenize": True, "return_dict": False, "enable_thinking": False, **options}
    )


def fit_rows(tokenizer, rows: list[dict]) -> list[dict]:
    """Preference rows as the tokenizer's template needs them; Qwen3's thinking is off (see chat)."""
    return [
        {**row, "prompt": fit_turns(tokenizer, row["prompt"]), "chat_template_kwargs": {"enable_thinking": False}}
        for row in rows
    ]


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
    watch=None,
) -> list[str]:
    """One answer to each conversation; temperature 0 is greedy. `progress` labels a progress bar.

    `watch` sees the new tokens at every step and may end the generation (decoding.generate).
    """
    import torch
    from tqdm import tqdm

    from cpt_utils.fast.decoding import generate

    model, tokenizer = chat_model.model, chat_model.tokenizer
    texts = [templated(tokenizer, turns, tokenize=False, add_generation_prompt=True) for turns in conversations]
    ends = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
    torch.manual_seed(seed)
    answers = []
    for start in tqdm(range(0, len(texts), batch_size), desc=progress, disable=progress is None):
        batch = tokenizer(
            texts[start : start + batch_size], return_tensors="pt", padding=True, add_special_tokens=False
        ).to(model.device)
        new = generate(
            model, batch, max_new_tokens=max_new_tokens, ends=sorted(ends), pad_token_id=tokenizer.pad_token_id,
            temperature=temperature, top_p=top_p, repetition_penalty=repetition_penalty, watch=watch,
        )
        answers += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return answers


def find_adapter(profile: dict) -> tuple[Path, str]:
    """The adapter that notebook 04 trained for this profile, else the shipped one, and which it is."""
    trained = runtime.run_dir(profile) / "adapter"
    if (trained / "adapter_config.json").exists():
        return trained, f"trained by notebook 04 ({runtime.shown(trained)})"
    if profile["student"] == "embedded" and (SHIPPED_ADAPTER / "adapter_config.json").exists():
        return SHIPPED_ADAPTER, "shipped with the series"
    raise ModelError(f"There is no adapter in {runtime.shown(trained)}: run notebook 04 first.")


def save_adapter(peft_model, folder: Path, base_model: str) -> int:
    """Save a LoRA adapter as bf16 safetensors under `folder`, whole or not at all; returns its bytes.

    `base_model` goes into the adapter's config, so that no local path does.
    """
    import torch

    peft_model.peft_config["default"].base_model_name_or_path = base_model
    weights = {n: w.to(torch.bfloat16) for n, w in peft_model.state_dict().items() if "lora_" in n}
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    peft_model.save_pretrained(partial, state_dict=weights, save_embedding_layers=False,
                               selected_adapters=["default"])
    (partial / "README.md").unlink(missing_ok=True)  # an empty form; the series' own card is the README
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return sum(file.stat().st_size for file in folder.iterdir())


def hub_name(profile: dict) -> str:
    """The student's name on the Hub, without a folder of this machine."""
    student = profile["student"]
    return Path(student).name if Path(student).is_dir() else find_model(student)["hub"]
