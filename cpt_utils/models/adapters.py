"""LoRA adapters: prepared for training, found, kept."""

from pathlib import Path

from cpt_utils.models.conversation import ChatModel
from cpt_utils.runtime import files, folders, machine
from cpt_utils.runtime.errors import ModelError, TrainingError
from cpt_utils.runtime.profiles import Profile

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


def find_adapter(profile: Profile) -> tuple[Path, str]:
    """The adapter that notebook 04 trained for this profile, else the shipped one, and which it is."""
    trained = files.run_dir(profile) / "adapter"
    if (trained / "adapter_config.json").exists():
        return trained, f"trained by notebook 04 ({files.shown(trained)})"
    if profile.student == "embedded" and (SHIPPED_ADAPTER / "adapter_config.json").exists():
        return SHIPPED_ADAPTER, "shipped with the series"
    raise ModelError(f"There is no adapter in {files.shown(trained)}: run notebook 04 first.")


def save_adapter(peft_model, folder: Path, base_model: str) -> int:
    """Save a LoRA adapter as bf16 safetensors under `folder`, whole or not at all; returns its bytes.

    Only what the series wrote is replaced (folders.whole_folder). `base_model` goes into the adapter's config, so that
    no local path does.
    """
    import torch

    peft_model.peft_config["default"].base_model_name_or_path = base_model
    weights = {n: w.to(torch.bfloat16) for n, w in peft_model.state_dict().items() if "lora_" in n}
    with folders.whole_folder(folder) as place:
        peft_model.save_pretrained(
            place, state_dict=weights, save_embedding_layers=False, selected_adapters=["default"]
        )
        (place / "README.md").unlink(missing_ok=True)  # an empty form; the series' own card is the README
    return sum(file.stat().st_size for file in Path(folder).iterdir() if file.name != folders.MARK)
