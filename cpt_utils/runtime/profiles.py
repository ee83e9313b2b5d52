"""What a profile may hold, and whether this machine can do it."""

import importlib.util
import json
import os
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cpt_utils.runtime import machine
from cpt_utils.runtime.errors import SettingsError, first_fault

Whole = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Lora(Strict):
    r: Whole
    alpha: Whole
    modules: Literal["all-linear"] | list[str] = Field(min_length=1)


class Sampling(Strict):
    temperature: float = Field(ge=0, le=5)
    top_p: float = Field(gt=0, le=1)
    repetition_penalty: Positive
    batch_size: Whole


class Profile(Strict):
    """The keys of data/profiles.yaml."""

    name: str
    base: str | None = None
    """Another profile, whose values count where this one has none."""
    seed: int = 0
    student: str = Field(min_length=1)
    """"embedded", a key of data/models.yaml, owner/name of the Hub, or a folder."""
    engine: Literal["transformers", "unsloth"]
    four_bit: bool
    data: str = Field(min_length=1)
    """"recorded" (the shipped responses), a preference data set of the Hub, or a file of such rows."""
    mirrored: bool
    """Both rows of a pair in the same step."""
    lora: Lora
    beta: Positive
    loss: dict[str, Positive] = Field(min_length=1)
    """Weight by TRL's name of the loss."""
    learning_rate: Positive
    scheduler: str
    warmup: float = Field(ge=0)
    """Steps, or a share of them below 1."""
    optimizer: str
    gradient_checkpointing: bool
    max_length: int = Field(ge=32)
    """Tokens of a prompt and response; what is longer is cut."""
    rows_per_batch: Whole
    batches_per_step: Whole
    epochs: Positive
    max_steps: int = Field(ge=-1)
    """-1: as many as the epochs have."""
    train_prompts: Whole | None
    heldout_prompts: Whole | None
    eval_steps: Whole
    logging_steps: Whole
    save_steps: Whole
    max_new_tokens: Whole
    generation_dtype: Literal["auto", "float32", "bfloat16", "float16"]
    sampling: Sampling
    samples_per_prompt: Whole
    capstone: dict[str, int | float | dict]
    """What notebook 06 changes in the settings above, and its own sizes."""

    @model_validator(mode="after")
    def _agree(self) -> "Profile":
        if self.mirrored and self.rows_per_batch % 2:
            raise ValueError(
                "mirrored needs both rows of a pair in one batch, and rows_per_batch is "
                f"{self.rows_per_batch}; make it even, or set mirrored to false"
            )
        if self.mirrored and self.engine == "transformers" and (odd := set(self.loss) - {"sigmoid", "sft"}):
            raise ValueError(
                f"mirrored rows are trained with sigmoid and sft, not {min(odd)!r}; change loss or mirrored"
            )
        if self.max_steps == 0:
            raise ValueError("max_steps is 0, which trains nothing; write -1 for whole epochs")
        return self


def check_profile(profile: dict) -> dict:
    """The profile as it came, or a SettingsError that names the first setting that is wrong."""
    from cpt_utils.runtime.catalogue import find_model
    from cpt_utils.runtime.errors import ModelError

    where = f"Profile {profile.get('name', '?')!r}" if isinstance(profile, dict) else "The profile"
    try:
        Profile.model_validate(profile)
        find_model(profile["student"])
    except ValidationError as error:
        raise SettingsError(f"{where}: {first_fault(error)}.") from None
    except ModelError as error:
        raise SettingsError(f"{where}: student: {error}") from None
    return profile


def check_memory(profile: dict, available_gib: float) -> float | None:
    """The estimated GiB of this training; a SettingsError if that is more than there is, None if unknown."""
    from cpt_utils.runtime.catalogue import find_model, training_memory

    shape = find_model(profile["student"]).get("shape")
    if shape is None:
        return None
    need = training_memory(shape, profile)["total"]
    if need > available_gib:
        mends = ["a smaller max_length or rows_per_batch", "a smaller student"]
        if not profile["gradient_checkpointing"]:
            mends.insert(0, "gradient_checkpointing=True")
        if not profile["four_bit"]:
            mends.insert(0, "four_bit=True")
        raise SettingsError(
            f"Training {profile['student']} with profile {profile['name']!r} needs about {need:.0f} GiB of "
            f"GPU memory, and {available_gib:.0f} are free: choose {', '.join(mends[:-1])} or {mends[-1]}."
        )
    return need


def measured_memory(profile: dict) -> float | None:
    """GiB that the embedded model's training took on a processor (data/timings.json); None if this one is smaller."""
    timings = resources.files("cpt_utils").joinpath("data/timings.json")
    measured = load_profile("embedded")
    smaller = any(profile[name] < measured[name] for name in ("rows_per_batch", "max_length"))
    if profile["student"] != measured["student"] or smaller:
        return None
    return max(run["memory_gib"] for run in json.loads(timings.read_text("utf-8"))["runs"])


def check_four_bit(profile: dict) -> None:
    """Raise a SettingsError if 4-bit weights are asked for where nothing can read them."""
    if profile["four_bit"] and importlib.util.find_spec("bitsandbytes") is None:
        raise SettingsError(
            f"Profile {profile['name']!r} loads 4-bit weights, and bitsandbytes is not installed: run "
            "`pip install bitsandbytes`, or set four_bit=False."
        )


def load_profile(name: str = "auto") -> dict:
    """A profile's settings by name. "auto": CPT_PROFILE, else t4 on Colab with a GPU, else embedded."""
    if name == "auto":
        from cpt_utils.runtime import colab

        name = os.environ.get("CPT_PROFILE") or ("t4" if colab.here() and machine.device() == "cuda" else "embedded")
    profiles = yaml.safe_load(resources.files("cpt_utils").joinpath("data/profiles.yaml").read_text("utf-8"))
    if name not in profiles:
        raise SettingsError(f"There is no profile {name!r}: use one of {', '.join(profiles)}.")
    base = profiles[name].get("base")
    return {**(profiles[base] if base else {}), **profiles[name], "name": name}
