"""What a profile needs of a machine: memory, and what reads 4-bit weights."""

import importlib.util

from cpt_utils.runtime.catalogue import find_model, training_memory
from cpt_utils.runtime.errors import SettingsError
from cpt_utils.runtime.files import load_data
from cpt_utils.runtime.profiles import Profile, load_profile


def check_memory(profile: Profile, available_gib: float) -> float | None:
    """The estimated GiB of this training; a SettingsError if that is more than there is, None if unknown."""
    shape = find_model(profile.student).get("shape")
    if shape is None:
        return None
    need = training_memory(shape, profile)["total"]
    if need > available_gib:
        mends = ["a smaller max_length or rows_per_batch", "a smaller student"]
        if not profile.gradient_checkpointing:
            mends.insert(0, "gradient_checkpointing=True")
        if not profile.four_bit:
            mends.insert(0, "four_bit=True")
        raise SettingsError(
            f"Training {profile.student} with profile {profile.name!r} needs about {need:.0f} GiB of "
            f"GPU memory, and {available_gib:.0f} are free: choose {', '.join(mends[:-1])} or {mends[-1]}."
        )
    return need


def measured_memory(profile: Profile) -> float | None:
    """GiB that the embedded model's training took on a processor (data/timings.json); None if this one is smaller."""
    measured = load_profile("embedded")
    smaller = profile.rows_per_batch < measured.rows_per_batch or profile.max_length < measured.max_length
    if profile.student != measured.student or smaller:
        return None
    return max(run["memory_gib"] for run in load_data("timings.json")["runs"])


def check_four_bit(profile: Profile) -> None:
    """Raise a SettingsError if 4-bit weights are asked for where nothing can read them."""
    if profile.four_bit and importlib.util.find_spec("bitsandbytes") is None:
        raise SettingsError(
            f"Profile {profile.name!r} loads 4-bit weights, and bitsandbytes is not installed: run "
            "`pip install bitsandbytes`, or set four_bit=False."
        )
