"""`python -m cpt_utils check`: what this machine is, what it lacks, and how long the series takes on it.

Every part of the report is a generator of lines (label, text); the label MISSING marks what keeps the series from
running, and its mend. A part that fails costs its own lines only. Nothing here asks the network.
"""

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cpt_utils.runtime.files import ROOT, without_paths

MISSING = "missing"
PATIENCE = 90.0  # seconds after which no more gains are measured: on a busy machine the rest is worth more
SET_UP = "`make run` sets up all of them, README.md says how to do it by hand"
GPU_PROFILES = ("t4", "paper")
Lines = Iterator[tuple[str, str]]


def main() -> int:
    """Print the report; 0 if the series can run here, else 1."""
    print("A look at this machine; it takes one or two minutes.\n", flush=True)
    started, missing = time.monotonic(), []
    for label, text in report():
        if label == MISSING:
            missing.append(text)
        else:
            print(f"{label:14} {text}", flush=True)
    print(f"\n{time.monotonic() - started:.0f} s for this look.")
    if not missing:
        print("ready: `make run` runs the series here, `make lab` opens it.")
        return 0
    print("not ready:")
    for number, text in enumerate(dict.fromkeys(missing), 1):
        print(f"  {number}. {text}")
    return 1


def report() -> Lines:
    """All parts in order. Later ones use what earlier ones have told."""
    told = {"started": time.monotonic()}
    for part in (system, packages, processor, memory, disk, model, training, writing, fast_paths, minutes):
        yield from guarded(part, told)


def guarded(part: Callable[[dict], Lines], told: dict) -> Lines:
    """The lines of a part, and one sentence if it fails."""
    label = part.__name__.replace("_", " ")
    try:
        yield from part(told)
    except ModuleNotFoundError as error:
        yield label, f"not tried, as {error.name} is not installed"
        if not told.get("unfit"):  # else the packages have been named
            yield MISSING, f"{error.name} is not installed: {SET_UP}."
    except Exception as error:
        text = without_paths(" ".join(str(error).split()))
        named = type(error).__module__.startswith("cpt_utils")  # our own errors are sentences with a mend
        yield label, "failed"
        yield MISSING, f"{label}: " + (text if named else f"{type(error).__name__}: {text[:200]}")


def system(told: dict) -> Lines:
    python = platform.python_version()
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}, Python {python}"
    from packaging.specifiers import SpecifierSet

    from cpt_utils.runtime.packages import project

    wanted = project()["requires-python"]
    if not SpecifierSet(wanted).contains(python, prereleases=True):
        yield MISSING, f"Python {python} is not {wanted}: install another, and `make run PYTHON=...`."


def packages(told: dict) -> Lines:
    from cpt_utils.commands import fit
    from cpt_utils.commands.rates import quietly
    from cpt_utils.runtime.packages import hide_refused_torchao, version_of

    wrong, notes = fit.faults()
    same, all_of_them = fit.at_pins()
    whole = "they fit together" if not wrong else f"{len(wrong)} do not fit"
    yield "packages", f"{all_of_them} needed, {same} of them in the versions that were tried; {whole}"
    for note in notes:
        yield "", f"{note}; the series was tried with that"
    with quietly() as shown:
        hide_refused_torchao()
    if shown.getvalue():
        yield "", f"torchao {version_of('torchao')} is refused by peft, so the series hides it; nothing here uses it"
    if wrong:
        told["unfit"] = True
        yield MISSING, "; ".join(wrong) + f": {SET_UP}."


def processor(told: dict) -> Lines:
    import torch

    from cpt_utils.commands import rates
    from cpt_utils.runtime import machine

    threads = f"{torch.get_num_threads()} threads, {machine.instruction_set()}"
    yield "processor", f"{machine.cpu_name()}, {threads}"
    device, number_type = machine.device(), machine.number_type()
    yield "device", {"cpu": "the processor", "mps": "Apple GPU"}.get(device) or torch.cuda.get_device_name(0)
    told["rates"] = {name: rates.product_rate(name) for name in dict.fromkeys((number_type, "float32"))}
    products = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in told["rates"].items())
    yield "number type", f"{number_type}; GFLOPS of one product: {products}"


def memory(told: dict) -> Lines:
    from cpt_utils.runtime import machine
    from cpt_utils.runtime.profiles import load_profile, measured_memory

    total, free = machine.total_memory_gib(), machine.free_memory_gib()
    need = measured_memory(load_profile("embedded"))
    yield "memory", f"{total:.1f} GiB, {free:.1f} of them free; the training takes about {need:.1f}"
    told["free"] = free  # before this look fills some of it itself
    if free < need:
        told["little memory"] = True
        mend = "close other programs" if total > need else "use another machine, such as a free one on Colab"
        yield MISSING, f"memory: the training takes about {need:.1f} GiB, and {free:.1f} are free: {mend}."


def disk(told: dict) -> Lines:
    from cpt_utils.models.embedded import cache_dir
    from cpt_utils.runtime.catalogue import find_model, parameters, training_memory
    from cpt_utils.runtime.profiles import load_profile

    shape = find_model("embedded")["shape"]
    written = sum(path.stat().st_size for path in (ROOT / "notebooks").glob("*")) / 2**30
    checkpoints = 2 * training_memory(shape, load_profile("embedded"))["adapters"]  # one replaces the other
    places = {
        "the converted model": (cache_dir(), 0 if converted() else 4 * parameters(shape) / 2**30, "CPT_CACHE"),
        "results": (Path(os.environ.get("CPT_RUNS", ROOT / "runs")), written + checkpoints, "CPT_RUNS"),
    }
    for name, (place, need, variable) in places.items():
        there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free / 2**30
        yield "disk", f"{free:.1f} GiB free for {name}, {need:.1f} needed"
        if free < need:
            yield (
                MISSING,
                (
                    f"disk: {name} take{'s' * (name != 'results')} {need:.1f} GiB, and {free:.1f} are free: "
                    f"free some space, or name another folder in {variable}."
                ),
            )
        if not os.access(there, os.W_OK):
            yield MISSING, f"disk: the folder for {name} cannot be written: name another one in {variable}."


def converted() -> bool:
    """Whether an earlier run has left the converted model."""
    from cpt_utils.models.embedded import cache_dir

    return any(cache_dir().glob("smollm2-135m-instruct-*/config.json"))


def model(told: dict) -> Lines:
    from cpt_utils import runtime
    from cpt_utils.commands.rates import quietly
    from cpt_utils.models.embedded import embedded_model_path

    started, before = time.monotonic(), converted()
    with quietly():
        profile = runtime.start("embedded")
        embedded_model_path()
    told["profile"] = profile
    yield (
        "model",
        "SmolLM2-135M-Instruct, converted " + ("before" if before else f"in {time.monotonic() - started:.0f} s"),
    )


def cannot_try(told: dict) -> str:
    if "profile" not in told:
        return "the model is not there"
    return "there is too little memory" if "little memory" in told else ""


def training(told: dict) -> Lines:
    if why := cannot_try(told):
        yield "training", f"not tried, as {why}"
        return
    from cpt_utils.commands import rates
    from cpt_utils.commands.workload import pass_flops

    found = rates.training(told["profile"], pass_flops)
    told["speeds"] = {"training": found["flops"]}
    yield "training", f"three steps: {found['tokens']:,.0f} tokens a second, {found['memory_gib']:.1f} GiB"


def writing(told: dict) -> Lines:
    if why := cannot_try(told):
        yield "writing", f"not tried, as {why}"
        return
    from cpt_utils.commands import rates

    found, size = rates.writing(told["profile"]), told["profile"].sampling.batch_size
    told["speeds"] = told.get("speeds", {}) | {"writing": found["flops"]}
    yield "writing", f"twenty tokens for {size} texts at a time: {found['tokens']:,.0f} tokens a second"


def fast_paths(told: dict) -> Lines:
    from cpt_utils.commands import gains

    for name, reason, gain in gains.measure(told["started"] + PATIENCE):
        state = f"off ({reason})" if reason else "on"
        yield "fast path", f"{name}: {state}" + (f", {gain:.1f} times as fast" if gain else "")


def minutes(told: dict) -> Lines:
    from cpt_utils.commands import cost, rates
    from cpt_utils.runtime import machine, profiles

    wanted = profiles.load_profile().name
    number_type = machine.number_type()
    product = told["rates"][number_type]
    run = cost.likeliest(product, number_type)
    yield "minutes", "  ".join(f"{number:>5}" for number in run["seconds"]) + "   01-05"
    for name in dict.fromkeys(("embedded", *GPU_PROFILES, wanted)):
        profile = profiles.load_profile(name)
        if why := why_not(profile, told.get("free", machine.free_memory_gib())):
            yield f"  {name}", f"not here: {why}"
            if name == wanted:
                yield MISSING, f"profile {name}: {why}; CPT_PROFILE=embedded runs everywhere."
            continue
        if profile.student != "embedded":
            product = rates.product_rate(number_type, profile.student)
        speeds = cost.speeds_for(profile, product, run, told.get("speeds", {}))
        found = cost.seconds_by_notebook(profile, speeds, run)
        whole = sum(found[number] for number in cost.SERIES if number in found)
        yield f"  {name}", "  ".join(f"{spent / 60:5.1f}" for spent in found.values()) + f"  {whole / 60:6.1f}"
    yield "", f"estimates, from this look and a recorded run ({run['hardware']}); without downloads"


def why_not(profile, free: float) -> str:
    """Why a profile cannot run here, in a few words, or ""."""
    from cpt_utils.runtime import machine, profiles
    from cpt_utils.runtime.errors import SettingsError

    if profile.student == "embedded":
        return ""
    if machine.device() != "cuda":
        return "it needs a CUDA GPU"
    try:
        profiles.check_four_bit(profile)
        profiles.check_memory(profile, free)
    except SettingsError as error:
        return str(error).rstrip(".")
    return ""


if __name__ == "__main__":
    sys.exit(main())
