"""Words with a closed meaning: the libraries' own names for schedules, optimizers and losses, and the nearest one."""

import dataclasses
import difflib
import re
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING

from cpt_utils.runtime import machine, packages
from cpt_utils.runtime.files import load_data
from cpt_utils.runtime.keys import first_line

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile

HIGHEST_SEED = 2**32 - 1
"""NumPy's generator takes no higher one."""


def nearest(word: object, known: Iterable[str]) -> str:
    """The known word that begins with this one, else the one most like it."""
    known, word = list(known), str(word).lower()[:100]
    longer = [other for other in known if word and other.lower().startswith(word)]
    return (longer or difflib.get_close_matches(word, known, 1, cutoff=0.0))[0]


def schedules() -> list[str]:
    """transformers' learning rate schedules, without those that need settings which a profile has no place for."""
    from torch import zeros
    from torch.nn import Parameter
    from torch.optim import SGD
    from transformers.optimization import get_scheduler
    from transformers.trainer_utils import SchedulerType

    names, optimizer = [], SGD([Parameter(zeros(1))])
    for kind in SchedulerType:
        try:
            get_scheduler(kind, optimizer, num_warmup_steps=1, num_training_steps=2)
        except (TypeError, ValueError):
            continue
        names.append(kind.value)
    return names


def optimizers() -> list[str]:
    """Names that transformers' Trainer has for optimizers."""
    from transformers.training_args import OptimizerNames

    return [kind.value for kind in OptimizerNames]


def unusable(optimizer: str) -> str | None:
    """Why transformers cannot make this optimizer here: a package that is missing, or settings beyond a profile's."""
    from torch.nn import Linear
    from transformers import Trainer, TrainingArguments

    # Its defaults alone: making one resets what all trainers of the process share.
    usual = {
        field.name: getattr(TrainingArguments, field.name, None) for field in dataclasses.fields(TrainingArguments)
    }
    try:
        Trainer.get_optimizer_cls_and_kwargs(SimpleNamespace(**usual | {"optim": optimizer}), Linear(1, 1))
    except Exception as error:  # of many types, as each optimizer is imported in a way of its own
        return first_line(error).rstrip(". ")[:160]
    return None


def losses() -> list[str]:
    """TRL's names of its losses, which it has in no list but in the help of its setting."""
    from trl import DPOConfig

    (setting,) = [field for field in dataclasses.fields(DPOConfig) if field.name == "loss_type"]
    return re.findall(r"`'(\w+)'`", setting.metadata["help"])


VOCABULARIES = {"scheduler": schedules, "optimizer": optimizers, "loss": losses}


def unknown_word(profile: "Profile") -> str | None:
    """What is wrong with the first name of a profile that its library does not know; None if all are known.

    The words of the shipped profiles are known (a test asks the libraries), so that those load without them.
    """
    for setting, known in VOCABULARIES.items():
        shipped = {word for entry in load_data("profiles.yaml").values() for word in _words(entry.get(setting, []))}
        for word in _words(getattr(profile, setting)):
            if word not in shipped:
                if machine.engine(profile) == "unsloth" and "transformers" not in sys.modules:
                    packages.load_unsloth(profile)  # before transformers, which it patches
                if word not in (names := known()):
                    return f"{setting}: there is no {word[:50]!r} (is it {nearest(word, names)}?); mend its spelling"
                if setting == "optimizer" and (why := unusable(word)):
                    return f"optimizer: {word} cannot be used here ({why}); choose another, such as adamw_torch"
    return None


def _words(value: "str | Iterable[str]") -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def listed(names):
    """What may be a list of rubrics' names; a ValueError for a single text, whose letters would count as names."""
    if isinstance(names, str):
        raise ValueError(f"is the text {names[:50]!r}; write a list, [{names[:50]!r}]")
    return names


def rubric_names(names: list[str]) -> list[str]:
    """The names, which name files and folders too; a ValueError for one that no rubric can have."""
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
            raise ValueError(
                f"{name[:50]!r} is no rubric's name: small letters, digits and '_', such as my_style (the studio "
                "says it when a rubric is saved)"
            )
    return names
