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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cpt_utils.runtime.errors import CptError
from cpt_utils.runtime.files import ROOT, without_paths
from cpt_utils.runtime.keys import one_line
from cpt_utils.runtime.places import named_folder

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile

MISSING = "missing"
PATIENCE = 90.0  # seconds after which no more gains are measured: on a busy machine the rest is worth more
SET_UP = "`make run` sets up all of them, README.md says how to do it by hand"
GPU_PROFILES = ("t4", "paper")
Lines = Iterator[tuple[str, str]]


@dataclass
class Look:
    """What the parts have seen so far, for those that follow."""

    started: float = field(default_factory=time.monotonic)
    unfit: bool = False  # packages do not fit, and have been named
    free: float | None = None  # GiB of memory before this look fills some of it itself
    little_memory: bool = False
    rates: dict[str, float] = field(default_factory=dict)  # operations a second of one product, by number type
    profile: "Profile | None" = None  # None: the model is not there
    speeds: dict[str, float] = field(default_factory=dict)  # operations a second of a kind of work


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
    """All parts in order."""
    look = Look()
    for part in (system, packages, processor, memory, disk, model, training, writing, fast_paths, minutes):
        yield from guarded(part, look)


def guarded(part: Callable[[Look], Lines], look: Look) -> Lines:
    """The lines of a part, and one sentence if it fails."""
    label = part.__name__.replace("_", " ")
    try:
        yield from part(look)
    except ModuleNotFoundError as error:
        yield label, f"not tried, as {error.name} is not installed"
        if not look.unfit:  # else the packages have been named
            yield MISSING, f"{error.name} is not installed: {SET_UP}."
    except Exception as error:
        text = without_paths(one_line(str(error)))
        if not isinstance(error, CptError):  # those are sentences with a mend
            text = f"{type(error).__name__}: {text[:200]}"
        yield label, "failed"
        yield MISSING, f"{label}: {text}"


def system(look: Look) -> Lines:
    python = platform.python_version()
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}, Python {python}"
    from packaging.specifiers import SpecifierSet

    from cpt_utils.runtime.packages import project

    wanted = project()["requires-python"]
    if not SpecifierSet(wanted).contains(python, prereleases=True):
        yield MISSING, f"Python {python} is not {wanted}: install another, and `make run PYTHON=...`."


def packages(look: Look) -> Lines:
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
        look.unfit = True
        yield MISSING, "; ".join(wrong) + f": {SET_UP}."


def processor(look: Look) -> Lines:
    import torch

    from cpt_utils.commands import rates
    from cpt_utils.runtime import machine

    yield "processor", f"{machine.cpu_name()}, {machine.instruction_set()}, threads: {torch.get_num_threads()}"
    device, number_type = machine.device(), machine.number_type()
    yield "device", {"cpu": "the processor", "mps": "Apple GPU"}.get(device) or torch.cuda.get_device_name(0)
    look.rates = {name: rates.product_rate(name) for name in dict.fromkeys((number_type, "float32"))}
    products = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in look.rates.items())
    yield "number type", f"{number_type}; GFLOPS of one product: {products}"


def memory(look: Look) -> Lines:
    from cpt_utils.runtime import machine
    from cpt_utils.runtime.needs import measured_memory
    from cpt_utils.runtime.profiles import load_profile

    total, free = machine.total_memory_gib(), machine.free_memory_gib()
    need = measured_memory(load_profile("embedded"))
    yield "memory", f"{total:.1f} GiB, {free:.1f} of them free; the training takes about {need:.1f}"
    look.free = free
    if free < need:
        look.little_memory = True
        mend = "close other programs" if total > need else "use another machine, such as a free one on Colab"
        yield MISSING, f"memory: the training takes about {need:.1f} GiB, and {free:.1f} are free: {mend}."


def disk(look: Look) -> Lines:
    from cpt_utils.models.embedded import cache_dir
    from cpt_utils.runtime.catalogue import find_model, parameters, training_memory
    from cpt_utils.runtime.profiles import load_profile

    shape = find_model("embedded")["shape"]
    written = sum(path.stat().st_size for path in (ROOT / "notebooks").glob("*")) / 2**30
    checkpoints = 3 * training_memory(shape, load_profile("embedded"))["adapters"]  # two are kept while one is written
    places = {
        "the converted model": (cache_dir(), "takes", 0 if converted() else 4 * parameters(shape) / 2**30, "CPT_CACHE"),
        "results": (named_folder("CPT_RUNS", "runs"), "take", written + checkpoints, "CPT_RUNS"),
    }
    for name, (place, verb, need, variable) in places.items():
        there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free / 2**30
        yield "disk", f"{free:.1f} GiB free for {name}, {need:.1f} needed"
        if free < need:
            mend = f"free some space, or name another folder in {variable}"
            yield MISSING, f"disk: {name} {verb} {need:.1f} GiB, and {free:.1f} are free: {mend}."
        if not os.access(there, os.W_OK):
            yield MISSING, f"disk: the folder for {name} cannot be written: name another one in {variable}."


def converted() -> bool:
    """Whether an earlier run has left the converted model."""
    from cpt_utils.models.embedded import cache_dir

    return any(cache_dir().glob("smollm2-135m-instruct-*/config.json"))


def model(look: Look) -> Lines:
    from cpt_utils import runtime
    from cpt_utils.commands.rates import quietly
    from cpt_utils.models.embedded import embedded_model_path

    started, before = time.monotonic(), converted()
    with quietly():
        profile = runtime.start("embedded")
        embedded_model_path()
    look.profile = profile
    when = "before" if before else f"in {time.monotonic() - started:.0f} s"
    yield "model", f"SmolLM2-135M-Instruct, converted {when}"


def cannot_try(look: Look) -> str:
    if look.profile is None:
        return "the model is not there"
    return "there is too little memory" if look.little_memory else ""


def training(look: Look) -> Lines:
    if why := cannot_try(look):
        yield "training", f"not tried, as {why}"
        return
    from cpt_utils.commands import rates
    from cpt_utils.commands.workload import pass_flops

    measured = rates.training(look.profile, pass_flops)
    look.speeds["training"] = measured["flops"]
    yield "training", f"three steps: {measured['tokens']:,.0f} tokens a second, {measured['memory_gib']:.1f} GiB"


def writing(look: Look) -> Lines:
    if why := cannot_try(look):
        yield "writing", f"not tried, as {why}"
        return
    from cpt_utils.commands import rates

    measured, size = rates.writing(look.profile), look.profile.sampling.batch_size
    look.speeds["writing"] = measured["flops"]
    yield "writing", f"twenty tokens for {size} texts at a time: {measured['tokens']:,.0f} tokens a second"


def fast_paths(look: Look) -> Lines:
    from cpt_utils.commands import gains

    for name, reason, gain in gains.measure(look.started + PATIENCE):
        state = f"off ({reason})" if reason else "on"
        yield "fast path", f"{name}: {state}" + (f", {gain:.1f} times as fast" if gain else "")


def minutes(look: Look) -> Lines:
    from cpt_utils.commands import cost, plan, rates
    from cpt_utils.runtime import machine, profiles

    wanted = profiles.load_profile(profiles.usual_name()).name  # not the one that the look itself has started
    free = look.free or machine.free_memory_gib()
    number_type = machine.number_type()
    product, estimated = look.rates[number_type], {}
    run = cost.likeliest(product, number_type)
    yield "minutes", "  ".join(f"{number:>5}" for number in run["seconds"]) + "   01-05"
    for name in dict.fromkeys(("embedded", *GPU_PROFILES, wanted)):
        profile = profiles.load_profile(name)
        if why := cost.why_not(profile, free):
            yield f"  {name}", f"not here: {why}"
            if name == wanted:
                yield MISSING, f"profile {name}: {why}; CPT_PROFILE=embedded runs everywhere."
            continue
        if profile.student != "embedded":
            product = rates.product_rate(number_type, profile.student)
        speeds = cost.speeds_for(profile, product, run, look.speeds)
        estimated[name] = seconds = cost.seconds_by_notebook(profile, speeds, run)
        whole = sum(seconds[number] for number in cost.SERIES if number in seconds)
        yield f"  {name}", "  ".join(f"{spent / 60:5.1f}" for spent in seconds.values()) + f"  {whole / 60:6.1f}"
    yield "", f"estimates, from this look and a recorded run ({run['hardware']}); without downloads"
    yield from plan.verdict(estimated.get("embedded", {}))


if __name__ == "__main__":
    sys.exit(main())
