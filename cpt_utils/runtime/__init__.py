"""Where a notebook runs and what it leaves behind: `start` comes first, the other names are what notebooks need.

Only the standard library is imported here: on Colab the setup cell comes before the packages are there.
"""

import logging
import os
import platform
import random

from cpt_utils.runtime import machine
from cpt_utils.runtime.errors import SettingsError
from cpt_utils.runtime.files import run_dir, shown, update_report, versions
from cpt_utils.runtime.machine import engine

__all__ = ["SEED", "engine", "run_dir", "shown", "start", "update_report"]


def _seed(text: str) -> int:
    if not text.strip().isdecimal():
        raise SettingsError(f"The seed CPT_SEED is {text!r}: set it to a whole number, such as 42.")
    return int(text)


SEED = _seed(os.environ.get("CPT_SEED", "42"))

QUIET = {  # before the libraries are imported: no bars for reading weights, no chatter, nothing sent home
    "HF_HUB_DISABLE_TELEMETRY": "1",  # TRL's trainers report their use to the Hub
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def start(profile: str = "auto", seed: int = SEED, **changes) -> dict:
    """Set the seed, print one line, and return the profile, with `changes` to its settings."""
    from cpt_utils.runtime import cell_order, packages, profiles

    for name in QUIET:
        os.environ.setdefault(name, QUIET[name])
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it advertises a faster CPU kernel on every import
    settings = profiles.load_profile(profile) | {"seed": seed}
    if unknown := set(changes) - set(settings):
        known = ", ".join(settings)
        raise SettingsError(f"A profile has no setting {sorted(unknown)[0]!r}: use one of {known}.")
    settings = profiles.check_profile(settings | changes)
    random.seed(seed)
    if engine(settings) == "unsloth":
        import unsloth  # noqa: F401  it must come before transformers, trl and peft
    packages.hide_refused_torchao()
    machine.keep_freed_memory()
    cell_order.watch_order()
    used = ", ".join(f"{name} {version}" for name, version in list(versions().items())[:4])
    print(f"profile {settings['name']} | {machine.hardware()} | python {platform.python_version()}, {used}")
    _warn_of_memory(settings)
    return settings


def _warn_of_memory(profile: dict) -> None:
    """Say so where memory is likely too small: only training needs that much, so nothing is refused."""
    from cpt_utils.runtime.profiles import check_memory, measured_memory

    free = machine.free_memory_gib()
    if machine.device() != "cuda":
        if (peak := measured_memory(profile)) and peak > free:
            print(
                f"note: {free:.1f} GiB of memory are free, and this training took {peak:.1f} where it was measured: "
                "close other programs, or choose a smaller rows_per_batch."
            )
        return
    try:
        check_memory(profile, free)
    except SettingsError as error:
        print(f"note: {error}")
