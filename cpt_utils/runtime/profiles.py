"""A profile: what to load, how to train, how much to evaluate."""

import os
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cpt_utils.runtime import machine
from cpt_utils.runtime.catalogue import find_model
from cpt_utils.runtime.errors import ModelError, SettingsError, first_fault
from cpt_utils.runtime.files import load_data
from cpt_utils.runtime.words import HIGHEST_SEED, listed, nearest, rubric_names, unknown_word

Whole = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
"""Ends of the names of files that hold preference rows."""


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
        raise ValueError("names a folder in runs/ as well; write letters, digits, '_', '-' and '.', such as mine-2")
    return name


def _source(name: str) -> str:
    if name == "recorded" or re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) or name.lower().endswith(TABLES):
        return name
    if os.path.exists(name):
        return name
    raise ValueError(f"there is no {name[:50]!r} (is it recorded?); write that, owner/name of the Hub, or a file")


def _profile_name(name: str | None) -> str | None:
    if name is not None and name not in (shipped := load_data("profiles.yaml")):
        raise ValueError(f"there is no profile {name[:50]!r} (is it {nearest(name, shipped)}?); mend its spelling")
    return name


def _changes(settings: dict[str, Any]) -> dict[str, Any]:
    if fixed := sorted({"name", "base", "capstone"} & set(settings)):
        raise ValueError(f"notebook 06 keeps {fixed[0]!r}; delete it")
    return settings


Place = Annotated[str, Field(min_length=1), AfterValidator(os.path.expanduser)]
Rubrics = Annotated[list[str], Field(min_length=1), AfterValidator(rubric_names)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        unknown = [key for key in data if key not in cls.model_fields] if isinstance(data, dict) else []
        if unknown:
            near = nearest(unknown[0], cls.model_fields)
            raise ValueError(f"there is no setting {str(unknown[0])[:50]!r} (is it {near}?); see data/profiles.yaml")
        return data


class Lora(Strict):
    """A low-rank adapter: its rank r, its alpha (the update is scaled by alpha / r), and the layers that get one."""

    r: Whole
    alpha: Whole
    modules: Literal["all-linear"] | list[str] = Field(min_length=1)


class Sampling(Strict):
    """How the next token is drawn, and how many texts are written at a time."""

    temperature: float = Field(ge=0, le=5)
    top_p: float = Field(gt=0, le=1)
    repetition_penalty: Positive
    batch_size: Whole


class Capstone(Strict):
    """Notebook 06: its own sizes, and the settings that it changes."""

    candidates: Whole
    """Tries of the teacher at every prompt and target."""
    watch_prompts: Whole
    """Prompts that only watch the training."""
    settings: Annotated[dict[str, Any], AfterValidator(_changes)]


class Online(Strict):
    """Notebook 07: a step writes `texts`, `group` of them to each prompt; `kl` weighs the divergence from the start."""

    steps: Whole
    texts: Whole
    group: int = Field(ge=2)
    new_tokens: Whole
    learning_rate: Positive
    kl: float = Field(ge=0, allow_inf_nan=False)
    temperature: Positive


class Profile(Strict):
    """The settings of data/profiles.yaml; none changes, and `replace` gives a copy with others."""

    name: Annotated[str, AfterValidator(_folder_name)]
    base: Annotated[str | None, AfterValidator(_profile_name)] = None
    """Another profile, whose values count where this one has none."""
    seed: int = Field(0, ge=0, le=HIGHEST_SEED)
    student: Place
    """"embedded", a key of data/models.yaml, owner/name of the Hub, or a folder."""
    engine: Literal["transformers", "unsloth"]
    four_bit: bool
    data: Annotated[Place, AfterValidator(_source)]
    """"recorded" (the shipped responses), a preference data set of the Hub, or a file of such rows."""
    mirrored: bool
    """Both rows of a pair in the same step."""
    asks_subject: bool
    """Recorded responses only: some training rows are mirrored over the user prompt (blocks.training_blocks)."""
    rubrics: Annotated[Rubrics | None, BeforeValidator(listed)] = None
    """Names of the rubrics whose texts take the place of `data`, one's own among them; null: `data` as it is."""
    lora: Lora
    beta: Positive
    loss: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(min_length=1)
    """Weight by TRL's name of the loss; 0: it is watched only."""
    learning_rate: Positive
    scheduler: str
    warmup: float = Field(ge=0, le=100_000)
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
    capstone: Capstone
    online: Online

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
        if not any(self.loss.values()):
            raise ValueError("loss has no weight above 0, which trains nothing; raise one")
        if self.online.texts % self.online.group:
            raise ValueError(f"online.texts is {self.online.texts}; make it a multiple of group, {self.online.group}")
        if self.max_steps == 0:
            raise ValueError("max_steps is 0, which trains nothing; write -1 for whole epochs")
        return self

    def replace(self, **changes) -> "Profile":
        """A copy with these settings in place of its own, checked."""
        return check_profile(self.model_dump() | changes)

    def for_capstone(self) -> "Profile":
        """The profile with the settings of notebook 06."""
        return self.replace(**self.capstone.settings)

    def for_rubrics(self, names: list[str] | None) -> "Profile":
        """The profile for these rubrics, with the settings of few texts (capstone); None: the profile as it is."""
        if names is not None:
            return self.for_capstone().replace(rubrics=names)
        if self.rubrics:
            raise SettingsError("RUBRICS went back to None: run the setup cell again first, then this one.")
        return self


def check_profile(settings: dict) -> Profile:
    """The profile of these settings, or a SettingsError that names the first one that is wrong.

    Those of the capstone are checked with it: they are needed last, when the work of five notebooks is done.
    """
    where = f"Profile {str(settings.get('name', '?'))[:50]!r}" if isinstance(settings, dict) else "The profile"
    profile = _checked(settings, where)
    _checked(profile.model_dump() | profile.capstone.settings, f"{where}, settings of the capstone")
    return profile


def _checked(settings: dict, where: str) -> Profile:
    try:
        profile = Profile.model_validate(settings)
        find_model(profile.student)
    except ValidationError as error:
        raise SettingsError(f"{where}: {first_fault(error)}.") from None
    except ModelError as error:
        raise SettingsError(f"{where}: student: {error}") from None
    if fault := unknown_word(profile):
        raise SettingsError(f"{where}: {fault}.")
    return profile


def load_profile(name: str | Profile = "auto") -> Profile:
    """A shipped profile by name; a Profile is returned as it is.

    "auto": what this process started with (start_profile), else the usual one.
    """
    if isinstance(name, Profile):
        return name
    if name == "auto":
        if _started:
            return _started[0]
        name = usual_name()
    shipped = load_data("profiles.yaml")
    if not isinstance(name, str) or name not in shipped:
        raise SettingsError(f"There is no profile {name!r}: use one of {', '.join(shipped)}.")
    own = shipped[name]
    inherited = shipped[own["base"]] if "base" in own else {}
    return check_profile({**inherited, **own, "name": name})


_started: list[Profile] = []
"""The profile of this process: one, or none yet."""


def start_profile(name: str | Profile = "auto", **changes) -> Profile:
    """Load a profile with `changes`. From now on "auto" means it in this process, so that widgets share its folder.

    That is without RUBRICS, which change from run to run. A new start forgets the one before.
    """
    profile = load_profile(usual_name() if name == "auto" else name).replace(**changes)
    _started[:] = [profile.replace(rubrics=None)]
    return profile


def usual_name() -> str:
    """The name of the profile of a process that has chosen none: CPT_PROFILE, t4 on Colab with a GPU, or embedded."""
    from cpt_utils.runtime import colab

    if named := os.environ.get("CPT_PROFILE", "").strip():
        return named
    return "t4" if colab.here() and machine.device() == "cuda" else "embedded"
