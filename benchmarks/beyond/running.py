"""How the measurements of this folder run: unit by unit, each in its own process, in the full or a tiny size."""

import argparse
import importlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import measured
from benchmarks.trainings import FOLDER
from cpt_utils import runtime

TINY = FOLDER / "tiny"
"""Where a run of tiny size leaves what it wrote, in a folder by its name: it only shows that the steps work."""


def run_unit(module: str, tiny: bool, unit: str) -> dict:
    """What a unit of a module comes to; `units(tiny)` there says {name: (function, its arguments)}."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    runtime.start("embedded")
    function, *arguments = importlib.import_module(module).units(tiny)[unit]
    return function(*arguments)


def run(
    name: str,
    module: str,
    assemble: Callable,
    draw: Callable,
    arguments: list[str] | None = None,
    workers: int = 2,
) -> None:
    """Measure what is missing of a module's units and, when none is, write benchmarks/results/`name`.json and .png.

    `assemble(planned units)` gives what the file holds, `draw` its figure. `workers`: units at a time, unless the
    command line says another number.
    """
    parser = argparse.ArgumentParser(prog=f"make {name.replace('_', '-')}")
    parser.add_argument("--workers", type=int, default=workers)
    parser.add_argument("--only", default="", help="units whose name begins with this, then stop")
    parser.add_argument("--so-far", action="store_true", help="measure nothing, assemble the units that are there")
    parser.add_argument("--tiny", action="store_true", help="the smallest size, which only tries the steps")
    options = parser.parse_args(arguments)
    if options.tiny:
        measured.RESULTS = tiny_folder(name)
    planned = list(importlib.import_module(module).units(options.tiny))
    job = partial(run_unit, module, options.tiny)
    workers = 0 if options.tiny else options.workers
    if options.so_far:
        there = [unit for unit in planned if unit in measured.so_far(f"{name}_units")]
        missing = [unit for unit in planned if unit not in there]
        measured.keep(name, assemble(there) | ({"missing": missing} if missing else {}))
    else:
        measured.resume(name, planned, job, partial(assemble, planned), workers, options.only)
    if found := measured.so_far(name):
        draw(found).savefig(measured.RESULTS / f"{name}.png")


def tiny_folder(name: str) -> Path:
    """The folder of a tiny run, which goes on where it was stopped, and begins anew once it has come to its end."""
    folder = TINY / name
    if (folder / f"{name}.png").exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def hardware_of(name: str) -> str:
    """Of all machines that measured a unit of it."""
    return measured.machines(measured.so_far(f"{name}_units"))
