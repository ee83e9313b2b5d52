"""Where a notebook runs and what it leaves behind: `start` comes first, the other names are what notebooks need.

Only the standard library is imported here: on Colab the setup cell comes before the packages are there.
"""

import logging
import os
import platform
import random
from typing import TYPE_CHECKING

from cpt_utils.runtime import cell_order, heap, machine, packages
from cpt_utils.runtime.errors import SettingsError
from cpt_utils.runtime.files import run_dir, shown, versions
from cpt_utils.runtime.kept import update_report
from cpt_utils.runtime.machine import engine
from cpt_utils.runtime.words import HIGHEST_SEED

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile

__all__ = ["SEED", "engine", "run_dir", "shown", "start", "update_report"]


def _seed(text: str) -> int:
    digits = text.strip() or "42"
    if not digits.isdecimal() or len(digits) > len(str(HIGHEST_SEED)) or int(digits) > HIGHEST_SEED:
        raise SettingsError(
            f"The seed CPT_SEED is {text[:50]!r}: set it to a whole number, such as 42, of at most {HIGHEST_SEED}."
        )
    return int(digits)


SEED = _seed(os.environ.get("CPT_SEED", ""))

QUIET = {  # before the libraries are imported: no bars for reading weights, no chatter, nothing sent home
    "HF_HUB_DISABLE_TELEMETRY": "1",  # TRL's trainers report their use to the Hub
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def start(profile: str = "auto", seed: int = SEED, **changes) -> "Profile":
    """Get this session ready, print where it runs, and return the profile, with `changes` to its settings."""
    from cpt_utils.runtime.profiles import start_profile  # pydantic may have to be installed first

    quieten_libraries()
    unused = machine.use_one_gpu()
    settings = start_profile(profile, seed=seed, **changes)
    random.seed(seed)
    if engine(settings) == "unsloth":
        packages.load_unsloth(settings)
    packages.hide_refused_torchao()
    heap.keep_freed_memory()
    cell_order.watch_order()
    print(_where(settings))
    if unused:
        print(
            f"note: one of {unused + 1} GPUs is used; in a terminal the command that notebook 04 writes trains on all."
        )
    tell_of_memory(settings)
    return settings


def quieten_libraries() -> None:
    """What a user has set stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it advertises a faster CPU kernel on every import


def _where(profile: "Profile") -> str:
    """Two lines, as one would break within a word on a notebook's page."""
    used = ", ".join(f"{name} {version}" for name, version in list(versions().items())[:4])
    return f"profile {profile.name} | {machine.hardware()}\npython {platform.python_version()}, {used}"


def tell_of_memory(profile: "Profile") -> None:
    """Say what a training on a GPU needs, and where memory is likely too small; other steps need less."""
    from cpt_utils.runtime.needs import check_memory, measured_memory

    free = machine.free_memory_gib()
    if machine.device() != "cuda":
        if (peak := measured_memory(profile)) and peak > free:
            print(
                f"note: {free:.1f} GiB of memory are free, and this training took {peak:.1f} where it was measured: "
                "close other programs, or choose a smaller rows_per_batch."
            )
        return
    try:
        need = check_memory(profile, free)
    except SettingsError as error:
        print(f"note: {error}")
        return
    if need and profile.four_bit:
        from cpt_utils.runtime.catalogue import MEMORY_BAND

        told = f"about {need:.0f} of {free:.0f} GiB in training, by a formula (peaks within {MEMORY_BAND:.0%} of it)"
        print(f"expected: {told}{_minutes_to_come(profile)}")


def _minutes_to_come(profile: "Profile", rows: int = 900) -> str:
    """How long a training takes on the GPU that a free Colab session has; the release's data has so many rows."""
    from cpt_utils.runtime.catalogue import T4_SECONDS, find_model
    from cpt_utils.runtime.durations import minutes

    if "T4" not in machine.hardware():
        return "; its minutes are told after two steps of it"
    told = minutes(rows * find_model(profile.student)["parameters"] * T4_SECONDS)
    return f", {told} for {rows} rows, from unsloth's DPO notebook on a T4 (4.3 s a row of a 7.2 B model)"
