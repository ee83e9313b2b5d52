"""What a stage gets: its sizes, the time it has left, and a place where each figure is kept as it is found."""

import importlib
import importlib.util
import json
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gpu import processes, stages
from cpt_utils.runtime import files
from cpt_utils.runtime.keys import one_line

MARGIN = 2  # seconds that a stage keeps for itself, so that it still tells what a stopped part had found


class Skipped(Exception):
    """A stage cannot run here, which is no fault; the message says why."""


@dataclass
class Stage:
    letter: str
    part: str
    """"" or the name of a part that runs in a process of its own."""
    dry: bool
    folder: Path
    deadline: float
    """Seconds of time.time()."""
    found: dict = field(default_factory=dict)

    @property
    def sizes(self) -> dict:
        return stages.REHEARSAL if self.dry else stages.SIZES

    def left(self) -> float:
        """Seconds until the limit."""
        return self.deadline - time.time()

    def keep(self, **figures) -> None:
        """Add figures to what the runner will find, even if this process is stopped later."""
        self.found |= figures
        text = json.dumps(files.rounded(self.found), indent=1)
        files.write_whole(processes.result_file(self.folder, self.letter, self.part), text + "\n")

    def run_part(self, name: str, share: float = 1.0, **environment: str) -> None:
        """Run this stage's part `name` in its own process, in that share of the time left, and keep what it found."""
        limit = (self.left() - MARGIN) * share
        told = processes.run(self.letter, name, self.dry, self.folder, limit, environment)
        self.keep(**{name: told})


def run(letter: str, part: str, dry: bool, folder: Path, seconds: float) -> int:
    """Run a stage, or a part of it, in this process; returns the exit code."""
    stage = Stage(letter, part, dry, folder, time.time() + seconds)
    module = importlib.import_module(f"benchmarks.gpu.{stages.MODULES.get(letter, letter)}")
    try:
        if part:
            module.run_part(stage)
        else:
            module.run(stage)
    except Skipped as reason:
        stage.keep(skipped=str(reason))
    except Exception as error:
        traceback.print_exc()
        stage.keep(error=one_line(f"{type(error).__name__}: {error}")[:300])
        return 1
    stage.keep()
    return 0


def check_parts(stage: Stage) -> None:
    """Raise if a part failed, with what it said."""
    parts = {name: told for name, told in stage.found.items() if isinstance(told, dict)}
    failed = [f"{name}: {told['error']}" for name, told in parts.items() if "error" in told]
    if failed:
        raise RuntimeError("; ".join(failed))


def has(package: str) -> bool:
    """Whether a package is installed, without importing it."""
    return importlib.util.find_spec(package) is not None
