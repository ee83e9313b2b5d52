"""Where a notebook runs and what it leaves behind: profile, seed, folders, versions, report."""

import importlib.util
import json
import logging
import os
import platform
import random
from importlib import metadata, resources
from pathlib import Path

import yaml

from cpt_utils.runtime import machine
from cpt_utils.runtime.errors import SettingsError


def _seed(text: str) -> int:
    if not text.strip().isdecimal():
        raise SettingsError(f"The seed CPT_SEED is {text!r}: set it to a whole number, such as 42.")
    return int(text)


SEED = _seed(os.environ.get("CPT_SEED", "42"))
ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "scikit-learn", "wordfreq")

QUIET = {  # before the libraries are imported: no bars for reading weights, no chatter, nothing sent home
    "HF_HUB_DISABLE_TELEMETRY": "1",  # TRL's trainers report their use to the Hub
    "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false",
}


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


def check_profile(profile: dict) -> dict:
    """The profile as it came, or a SettingsError that names the first wrong setting (settings.Profile)."""
    from cpt_utils.runtime import profiles  # not at the top: on Colab, pydantic may have to be installed first

    return profiles.check_profile(profile)


def start(profile: str = "auto", seed: int = SEED, **changes) -> dict:
    """Set the seed, print one line, and return the profile, with `changes` to its settings."""
    from cpt_utils.runtime import cell_order, packages

    for name in QUIET:
        os.environ.setdefault(name, QUIET[name])
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it advertises a faster CPU kernel on every import
    settings = load_profile(profile) | {"seed": seed}
    if unknown := set(changes) - set(settings):
        known = ", ".join(settings)
        raise SettingsError(f"A profile has no setting {sorted(unknown)[0]!r}: use one of {known}.")
    settings = check_profile(settings | changes)
    random.seed(seed)
    if engine(settings) == "unsloth":
        import unsloth  # noqa: F401  it must come before transformers, trl and peft
    packages.hide_refused_torchao()
    machine.keep_freed_memory()
    cell_order.watch_order()
    shown = ", ".join(f"{name} {version}" for name, version in list(versions().items())[:4])
    print(f"profile {settings['name']} | {machine.hardware()} | python {platform.python_version()}, {shown}")
    _warn_of_memory(settings)
    return settings


def _warn_of_memory(profile: dict) -> None:
    """Say so where memory is likely too small: only training needs that much, so nothing is refused."""
    from cpt_utils.runtime.profiles import check_memory, measured_memory

    free = machine.free_memory_gib()
    if machine.device() != "cuda":
        if (peak := measured_memory(profile)) and peak > free:
            print(f"note: {free:.1f} GiB of memory are free, and this training took {peak:.1f} where it was measured: "
                  "close other programs, or choose a smaller rows_per_batch.")
        return
    try:
        check_memory(profile, free)
    except SettingsError as error:
        print(f"note: {error}")


def engine(profile: dict) -> str:
    """ "unsloth" where the profile asks for it and it can run, else "transformers"."""
    wanted = profile["engine"] == "unsloth" and machine.device() == "cuda" and importlib.util.find_spec("unsloth")
    return "unsloth" if wanted else "transformers"


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide the results."""
    return {name: metadata.version(name) for name in PACKAGES}


def run_dir(profile: dict) -> Path:
    """The folder of this profile's run (CPT_RUNS, else runs/ in the repository), created."""
    folder = Path(os.environ.get("CPT_RUNS", ROOT / "runs")) / profile["name"]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown(path: Path) -> str:
    """A path as it may be printed: relative to the repository."""
    path = Path(path).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def rounded(values):
    """The same nested dicts and lists as JSON has them: every key a string, floats at four digits (tiny ones at one)."""
    if isinstance(values, dict):
        return {str(k): rounded(v) for k, v in values.items()}
    if isinstance(values, list):
        return [rounded(v) for v in values]
    return round(values, 4) or float(f"{values:.1g}") if isinstance(values, float) else values


def update_report(profile: dict, section: str, values: dict) -> dict:
    """Merge values into one section of the run's report.json and return the whole report."""
    path = run_dir(profile) / "report.json"
    report = json.loads(path.read_text("utf-8")) if path.exists() else {}
    report |= {
        "profile": profile["name"], "seed": profile["seed"], "hardware": machine.hardware(), "versions": versions()
    }
    report[section] = report.get(section, {}) | rounded(values)
    write_whole(path, json.dumps(report, indent=1) + "\n")
    return report


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
