"""Whether weights and adapters on the disk are whole and belong together, before they are used."""

import contextlib
import json
from pathlib import Path

from cpt_utils.models.embedded import HUB_FALLBACK
from cpt_utils.models.templates import takes_system, template_fault
from cpt_utils.runtime.catalogue import known_models
from cpt_utils.runtime.errors import ModelError
from cpt_utils.runtime.keys import first_line
from cpt_utils.runtime.places import cache_fault
from cpt_utils.runtime.profiles import Profile

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


@contextlib.contextmanager
def loading(name: str, source: "str | Path"):
    """Turn the errors of transformers and safetensors while loading a model into a ModelError."""
    from safetensors import SafetensorError

    again = "delete them and download or write them again"

    # Without folders of this machine.
    def line(error):
        return first_line(error).rstrip(". :").replace(str(source), name)[:160]

    try:
        yield
        return
    except SafetensorError:
        said = f"The weights of {name} are damaged or cut off: {again}."
    except OSError as error:
        if told := cache_fault(error, source):
            raise ModelError(f"{name} cannot be loaded, as {told}.") from None
        if "safetensors" in str(error) and not isinstance(error, PermissionError):
            raise ModelError(
                f"{name} cannot be loaded, as it has no weights as safetensors, the only kind that is read: choose "
                "another model, or write its weights again with save_pretrained."
            ) from None
        said = f"{name} cannot be loaded ({line(error)}): check the name or folder, and the connection."
    except ImportError as error:
        said = f"{name} cannot be loaded ({line(error)}): install what is missing, or change the settings."
    except RuntimeError as error:
        if isinstance(error, ModelError):
            raise
        if "out of memory" in str(error).lower():
            said = f"{name} does not fit into memory: set four_bit=True, or choose a smaller model."
        elif "size mismatch" in str(error) or "ignore_mismatched_sizes" in str(error):
            said = f"The weights of {name} do not fit its config.json: {again}, both from one place."
        else:
            said = f"{name} cannot be loaded ({line(error)}): {again}."
    except Exception as error:  # of many types: tokenizers has none of its own, and configs are checked by others
        if "custom code" in str(error):
            raise ModelError(
                f"{name} cannot be loaded, as it comes with code of its own, which is never run: choose a model that "
                "transformers knows."
            ) from None
        said = f"{name} cannot be loaded ({line(error)}): choose a causal language model that is whole."
    raise ModelError(said)


def check_shards(name: str, folder: Path) -> None:
    """Raise a ModelError if the list of a model's files of weights names others than safetensors, which are pickles."""
    for path in folder.glob("*.safetensors.index.json"):
        with loading(name, folder):
            files = set(json.loads(path.read_text("utf-8"))["weight_map"].values())
        if odd := sorted(str(file) for file in files if not str(file).endswith(".safetensors")):
            raise ModelError(
                f"{name} cannot be loaded, as its {path.name} names {odd[0]!r}, and weights as safetensors are the "
                "only kind that is read: choose another model, or write its weights again with save_pretrained."
            )


def check_weights(name: str, missing: "list[str] | set[str]") -> None:
    """Raise a ModelError if the weights lack some of the architecture's, which would be left at random."""
    if missing:
        raise ModelError(
            f"The weights of {name} lack {len(missing)} of its architecture's, such as {min(missing)}: its "
            "config.json belongs to another model; download or write it again."
        )


def check_numbers(name: str, model) -> None:
    """Raise a ModelError if a weight has a value that is no number or has no end: every answer would be noise."""
    import torch

    with torch.inference_mode():
        for place, weight in model.named_parameters():
            # What is offloaded or quantised is passed over: it would have to be fetched or unpacked for this.
            if weight.is_meta or not weight.is_floating_point() or weight.dtype.itemsize == 1:
                continue
            # A sum takes a tenth of the time of a look at each value: 0.06 s for 135 million of them, and for any
            # model less than to read it from the disk. As it may overflow, its verdict is looked into.
            if not weight.sum(dtype=torch.float32).isfinite() and not weight.isfinite().all():
                raise ModelError(
                    f"The weights of {name} have values that are no numbers, in {place}: delete them and download or "
                    "write them again."
                )


def check_template(name: str, tokenizer) -> None:
    """Raise a ModelError unless the model has a chat template with which it is trained as it is used."""
    if not tokenizer.chat_template:
        raise ModelError(
            f"{name} has no chat template: choose a model that is tuned for chat, often named -Instruct or -it."
        )
    if not takes_system(tokenizer) and (fault := template_fault(tokenizer, moved=True)):
        raise ModelError(
            f"{name} would not be trained as it is used, for its chat template {fault}: choose another model, or set "
            "another chat_template in its folder."
        )


def adapter_config(folder: "str | Path"):
    """The LoraConfig of an adapter's folder. What a newer peft added to it is passed over where it is off."""
    import dataclasses

    from peft import LoraConfig, PeftConfig

    config, _ = _read_adapter(Path(folder))
    known = {setting.name for setting in dataclasses.fields(LoraConfig)}
    if needed := sorted(name for name, value in config.items() if value and name not in known):
        raise ModelError(
            f"The adapter {Path(folder).name} was saved by a newer peft and needs its {needed[0]!r}: "
            "run `pip install -U peft`, or train the adapter with the peft that is here."
        )
    return PeftConfig.from_peft_type(**{name: value for name, value in config.items() if name in known})


def check_adapter(folder: "str | Path", profile: Profile, model) -> None:
    """Raise a ModelError unless `folder` holds a whole LoRA adapter of this base model."""
    folder = Path(folder)
    config, shapes = _read_adapter(folder)
    base, student = config.get("base_model_name_or_path"), profile.student
    if base and not Path(student).is_dir() and _known(base) != _known(student):
        raise ModelError(f"The adapter {folder.name} was trained on {base}, not on {student}: load it on its own base.")
    modules = dict(model.named_modules())
    for name, shape in shapes.items():
        place, _, part = name.removeprefix("base_model.model.").rpartition(".lora_")
        if not part:
            continue
        module = modules.get(place) if len(shape) > 1 else None
        if module and part.startswith("A"):  # (r, in features); B is (out features, r)
            size, wanted = shape[1], getattr(module, "in_features", None)
        elif module:
            size, wanted = shape[0], getattr(module, "out_features", None)
        if module is None or wanted not in (None, size):
            raise ModelError(
                f"The adapter {folder.name} does not fit {Path(student).name}: {place} has another size or is "
                "not there; load it on the model it was trained on."
            )


def _read_adapter(folder: Path) -> tuple[dict, dict[str, list[int]]]:
    """An adapter's config, and the shapes of its weights by name."""
    from safetensors import SafetensorError, safe_open

    again = "run notebook 04 again, or copy the whole folder again"
    if absent := [name for name in ADAPTER_FILES if not (folder / name).is_file()]:
        raise ModelError(f"The adapter folder {folder.name} has no {absent[0]}: {again}.")
    try:
        config = json.loads((folder / ADAPTER_FILES[0]).read_text("utf-8"), parse_constant=_no_number)
        if config["peft_type"] != "LORA":
            kind = config["peft_type"]
            raise ModelError(f"The adapter {folder.name} is of type {kind!r}: train one of type LORA.")
        if not isinstance(config.get("base_model_name_or_path") or "", str):
            raise TypeError("a name that is none")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(f"The adapter's {ADAPTER_FILES[0]} in {folder.name} is damaged: {again}.") from None
    if (task := config.get("task_type")) not in (None, "CAUSAL_LM"):
        raise ModelError(f"The adapter {folder.name} is for the task {task!r}: train one that writes text, CAUSAL_LM.")
    if config.get("lora_alpha") == 0:
        raise ModelError(f"The adapter {folder.name} changes nothing, as its lora_alpha is 0: train one with another.")
    try:
        with safe_open(folder / ADAPTER_FILES[1], "pt") as weights:
            parts = {name: weights.get_slice(name) for name in weights.keys()}
            types = {part.get_dtype() for part in parts.values()}
            shapes = {name: part.get_shape() for name, part in parts.items()}
    except (SafetensorError, OSError):
        raise ModelError(f"The weights in {folder.name} are damaged or cut off: {again}.") from None
    if odd := sorted(kind for kind in types if not kind.startswith(("F", "BF"))):
        raise ModelError(f"The weights in {folder.name} are of type {odd[0]}, which loses what was trained: {again}.")
    return config, shapes


def _no_number(word: str) -> None:
    """For json, which would take NaN and Infinity."""
    raise ValueError(word)


def _known(name: str) -> str:
    """One name for a model of the registry, whichever is given; else the name without its owner."""
    name = HUB_FALLBACK if name == "embedded" else name
    for entry in known_models().values():
        names = (entry["key"], entry["hub"], *(entry.get(name, "") for name in ("four_bit", "tuned", "alias")))
        if name.lower() in map(str.lower, names):  # unsloth writes its own names in small letters
            return entry["key"]
    return Path(name).name.lower()
