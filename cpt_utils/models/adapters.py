"""LoRA adapters: prepared for training, found, kept."""

import re
import warnings
from pathlib import Path

from cpt_utils.models.checks import ADAPTER_FILES, adapter_config, check_adapter
from cpt_utils.models.conversation import ChatModel
from cpt_utils.runtime import files, folders, machine
from cpt_utils.runtime.errors import ModelError, SettingsError, TrainingError
from cpt_utils.runtime.keys import one_line
from cpt_utils.runtime.profiles import Profile
from cpt_utils.runtime.words import nearest

SHIPPED_ADAPTER = Path(__file__).parent.parent / "data" / "adapter"


def lora_config(profile: Profile, layers: list[int] | None = None):
    """peft's LoraConfig of a profile; with `layers` only these blocks get an adapter, its modules named one by one."""
    from peft import LoraConfig

    return LoraConfig(
        r=profile.lora.r,
        lora_alpha=profile.lora.alpha,
        target_modules=profile.lora.modules,
        layers_to_transform=layers,
        task_type="CAUSAL_LM",
    )


def prepare_for_lora(chat_model: ChatModel, lora, profile: Profile):
    """The model and the `peft_config` to hand to a DPO trainer.

    unsloth adds the adapter itself, so that its kernels see it; otherwise TRL adds it from the config. A TrainingError
    refuses a model that has one already: the second would be trained on top of it.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    if any(isinstance(module, BaseTunerLayer) for module in chat_model.model.modules()):
        raise TrainingError(
            "The model has an adapter already, and a second one would come on top: run the notebook again from the "
            "cell that loads the model (load_student), or go on with the trainer that there is."
        )
    check_modules(chat_model.model, lora.target_modules)
    if machine.engine(profile) != "unsloth":
        return chat_model.model, lora
    from unsloth import FastLanguageModel

    FastLanguageModel.for_training(chat_model.model)
    modules = profile.lora.modules
    model = FastLanguageModel.get_peft_model(
        chat_model.model,
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=modules,
        random_state=profile.seed,
        use_gradient_checkpointing="unsloth",
        max_seq_length=profile.max_length,
    )
    return model, None


def check_modules(model, modules) -> None:
    """Raise a SettingsError if the model has no layer of one of these names: peft passes over it where others fit."""
    if modules is None or isinstance(modules, str):  # "all-linear", or a pattern that peft tries itself
        return
    weights = ((name, getattr(module, "weight", None)) for name, module in model.named_modules())
    layers = [name for name, weight in weights if weight is not None and weight.dim() == 2]
    for wanted in sorted(modules):
        if not any(f".{name}".endswith(f".{wanted}") for name in layers):
            near = nearest(wanted.rpartition(".")[2], dict.fromkeys(name.rpartition(".")[2] for name in layers))
            raise SettingsError(f"lora.modules: the model has no layer {wanted!r} (is it {near}?); mend its spelling.")


def with_adapter(model, folder: Path, profile: Profile):
    """The model with a folder's LoRA adapter beside its weights, as a PeftModel; a ModelError unless they fit whole."""
    from peft import PeftModel

    check_adapter(folder, profile, model)
    place, config = ADAPTER_FILES[0], adapter_config(folder)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # check_whole names them
            adapted = PeftModel.from_pretrained(model, str(folder), config=config)
    except RuntimeError as error:
        if "size mismatch" not in str(error):
            raise
        fault = f"has weights of another rank or size than its {place} says"
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, re.error) as error:
        fault = f"has an {place} that peft cannot use ({one_line(str(error))[:160]})"
    else:
        check_whole(adapted, folder)
        return adapted
    raise ModelError(f"The adapter {folder.name} {fault}: copy the whole folder again, or train it again.")


def check_whole(adapted, folder: Path) -> None:
    """Raise a ModelError unless the folder held every weight of the model's adapter, no other, and numbers only."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    wanted = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    with safe_open(folder / ADAPTER_FILES[1], "pt") as weights:
        found = set(weights.keys())
    again = "copy the whole folder again, or train it again"
    if missing := sorted(set(wanted) - found):
        lacks = f"{len(missing)} of its {len(wanted)} weights, such as {missing[0]}"
        raise ModelError(f"The adapter {folder.name} lacks {lacks}: {again}.")
    if spare := sorted(found - set(wanted) - set(adapted.state_dict())):
        raise ModelError(f"The adapter {folder.name} has weights of layers that it does not name: {spare[0]}; {again}.")
    if broken := sorted(name for name, weight in wanted.items() if not weight.isfinite().all()):
        raise ModelError(f"The adapter {folder.name} has values that are no numbers, in {broken[0]}: {again}.")
    # Every training begins with zeros in the second halves; in the first ones they are what a disk has lost.
    if lost := sorted(name for name, weight in wanted.items() if ".lora_A." in name and not weight.any(-1).all()):
        raise ModelError(f"The adapter {folder.name} has lost a part of {lost[0]}, which is zeros: {again}.")


def find_adapter(profile: Profile) -> tuple[Path, str]:
    """The adapter that notebook 04 trained for this profile, else the shipped one, and which it is.

    The shipped one knows the shipped rubrics only.
    """
    trained = files.run_dir(profile) / "adapter"
    if (trained / "adapter_config.json").exists():
        return trained, f"trained by notebook 04 ({files.shown(trained)})"
    if profile.student == "embedded" and not profile.rubrics and (SHIPPED_ADAPTER / "adapter_config.json").exists():
        return SHIPPED_ADAPTER, "shipped with the series"
    same = f" with RUBRICS = {profile.rubrics}" if profile.rubrics else ""
    shipped = "" if profile.rubrics else ', or take the shipped one by PROFILE = "embedded" in the first cell'
    raise ModelError(f"There is no adapter in {files.shown(trained)}: run notebook 04{same} first{shipped}.")


def save_adapter(peft_model, folder: Path, base_model: str) -> int:
    """Save a LoRA adapter as bf16 safetensors under `folder`, whole or not at all; returns its bytes.

    Only what the series wrote is replaced (folders.whole_folder). `base_model` goes into the adapter's config, so that
    no local path does. A TrainingError unless the training came to its end (pace.ShortLog).
    """
    import torch

    if hasattr(peft_model, "unfinished"):
        raise TrainingError(
            "The training was not begun or was stopped before its end, and nothing was saved: run its cell again, "
            "which goes on from the last checkpoint, then this one."
        )
    peft_model.peft_config["default"].base_model_name_or_path = base_model
    weights = {n: w.to(torch.bfloat16) for n, w in peft_model.state_dict().items() if "lora_" in n}
    with folders.whole_folder(folder) as place:
        peft_model.save_pretrained(
            place, state_dict=weights, save_embedding_layers=False, selected_adapters=["default"]
        )
        (place / "README.md").unlink(missing_ok=True)  # an empty form; the series' own card is the README
    return sum(file.stat().st_size for file in Path(folder).iterdir() if file.name != folders.MARK)
