"""Load chat models: the student of a profile, with an adapter or without, and the release's tuned models."""

import os
import warnings
from pathlib import Path

from cpt_utils.models import four_bit
from cpt_utils.models.adapters import find_adapter, with_adapter
from cpt_utils.models.checks import check_numbers, check_shards, check_template, check_weights, loading
from cpt_utils.models.conversation import ChatModel
from cpt_utils.models.embedded import embedded_source
from cpt_utils.runtime import machine, packages, profiles
from cpt_utils.runtime.catalogue import find_model, weight_bytes
from cpt_utils.runtime.errors import ModelError
from cpt_utils.runtime.needs import check_four_bit
from cpt_utils.runtime.profiles import Profile

SAFE = {"use_safetensors": True, "trust_remote_code": False}
"""No pickles, which can run anything, and no code that comes with the weights: neither is asked for."""


def load_chat_model(profile: str | Profile = "embedded", adapter: "str | Path | None" = None, **options):
    """Load the profile's student for inference, with a LoRA adapter if one is given; returns a ChatModel.

    A plain model gets the adapter merged in; a 4-bit one keeps it beside its weights, since merging would
    round it, and so does one that was quantised in advance, whatever the profile says. `options` go to
    `from_pretrained`.
    """
    profile = profiles.load_profile(profile)
    chat_model = load_student(profile, **options)
    if adapter is not None:
        model = with_adapter(chat_model.model, Path(os.path.expanduser(adapter)), profile)
        chat_model.model = (model if is_quantised(chat_model.model) else model.merge_and_unload()).eval()
        chat_model.name += "+cpt"
    return chat_model


def is_quantised(model) -> bool:
    """Whether the model's weights are rounded to fewer bits."""
    return getattr(model.config, "quantization_config", None) is not None


def load_released(key: str, profile: str | Profile = "t4", **options) -> ChatModel:
    """Load the tuned model that the original release published for a registry key ("qwen3-4b", ...)."""
    profile = profiles.load_profile(profile)
    entry = find_model(key)
    if "tuned" not in entry:
        raise ModelError(
            f"The release has no tuned version of {key!r}: use qwen3-4b, phi4, mistral-nemo-12b or rocinante-12b."
        )
    chat_model = load_student(profile.replace(student=entry["tuned"]), **options)
    chat_model.name = Path(entry["tuned"]).name
    return chat_model


def load_pair(profile: Profile, released: str | None = None, **options) -> tuple[ChatModel, ChatModel, str]:
    """Base and tuned model to compare, and where the tuned one is from.

    `released` is a registry key: the release's tuned model beside its base. Otherwise the tuned model is the
    profile's student with the adapter of notebook 04, or the shipped one (find_adapter).
    """
    if released:
        check_room_for_two(released, profile)
        tuned = load_released(released, profile, **options)
        return load_chat_model(profile.replace(student=released), **options), tuned, f"the release's {tuned.name}"
    adapter, origin = find_adapter(profile)
    tuned = load_chat_model(profile, adapter, **options)
    return load_chat_model(profile, **options), tuned, origin


def check_room_for_two(key: str, profile: Profile) -> None:
    """Raise a ModelError before anything is downloaded if base and tuned model do not fit into memory together."""
    if (shape := find_model(key).get("shape")) is None:
        return
    need, free = 2 * weight_bytes(shape, profile.four_bit) / 2**30, machine.free_memory_gib()
    if need > free:
        raise ModelError(
            f"Base and tuned {key} take about {need:.0f} GiB together, and {free:.0f} are free: "
            f"cpt_utils.released.compare_released({key!r}) holds one at a time; or choose a smaller model"
            + (", or a profile with four_bit." if not profile.four_bit else ".")
        )


def load_student(profile: Profile, **options) -> ChatModel:
    """Load the profile's student without an adapter, through its engine (see runtime.engine).

    All models of a session come through it: unsloth puts its own forward into transformers' classes when it loads one,
    and models that transformers loaded stop answering.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_four_bit(profile)
    source, name = weights_of(profile), Path(hub_name(profile)).name
    if isinstance(source, Path):
        check_shards(name, source)
    if machine.engine(profile) == "unsloth":
        from unsloth import FastLanguageModel

        # Left to itself it takes what the GPU can do, and its trainer refuses another type than the weights'.
        asked = options.pop("dtype", None)
        options["dtype"] = machine.torch_type() if asked in (None, "auto") else asked
        options |= {"max_seq_length": profile.max_length, "load_in_4bit": profile.four_bit} | SAFE
        options.setdefault("local_files_only", isinstance(source, Path))
        with loading(name, source):  # it does not say which weights are missing
            model, tokenizer = FastLanguageModel.from_pretrained(str(source), **options)
    else:
        packages.hide_refused_torchao()  # whatever gets a LoRA adapter here is loaded here first
        options["dtype"] = weights_type(profile, options.get("dtype"))
        options.setdefault("device_map", machine.device())
        options.setdefault("local_files_only", isinstance(source, Path))  # what lies here asks no hub
        options |= SAFE
        own = options.get("quantization_config")
        if profile.four_bit and own is None:
            options["quantization_config"] = four_bit.config()
        with loading(name, source), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You passed `quantization_config`")  # weights that have one go by it
            tokenizer = AutoTokenizer.from_pretrained(
                source, local_files_only=options["local_files_only"], trust_remote_code=False
            )
            model, loaded = AutoModelForCausalLM.from_pretrained(source, output_loading_info=True, **options)
        check_weights(name, loaded["missing_keys"])
        four_bit.prepare(model, own)
    check_numbers(name, model)
    check_template(name, tokenizer)
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return ChatModel(model.eval(), tokenizer, name)


def weights_type(profile: Profile, asked=None):
    """The dtype to load weights in: as asked for, where "auto" is the machine's number type.

    Unasked, the embedded model is float32, and others are as they were saved where the machine can multiply that.
    """
    if asked is not None:
        return machine.torch_type() if asked == "auto" else asked
    if profile.student == "embedded":
        return machine.torch_type("float32")
    return "auto" if machine.number_type() == "bfloat16" else machine.torch_type()


def weights_of(profile: Profile) -> "str | Path":
    """Where the student's weights are loaded from: a folder, the embedded model, or a name on the Hub."""
    if profile.student == "embedded":
        return embedded_source()
    if Path(profile.student).is_dir():
        return Path(profile.student)
    entry = find_model(profile.student)
    if profile.student == entry.get("tuned"):
        return entry["tuned"]
    return entry.get("four_bit", entry["hub"]) if profile.four_bit else entry["hub"]


def hub_name(profile: Profile) -> str:
    """The student's name on the Hub, without a folder of this machine."""
    student = profile.student
    return Path(student).name if Path(student).is_dir() else find_model(student)["hub"]
