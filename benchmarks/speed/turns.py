"""The sides of `make bench` take turns: each waits in a process of its own while another one works."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.processes import last_line
from cpt_utils.runtime import files

SERIES_OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""What cpt_utils sets for itself; the libraries run as they would without it."""


class SideError(Exception):
    """A side's process ended; the message is its last line."""


class Side:
    """A process that trains and writes when it is asked."""

    def __init__(self, name: str, folder: Path, python: str | None = None):
        """The series' side, or with a `python` the libraries' side in that environment. Its log lies in `folder`."""
        self.name, self.log = name, folder / f"{name}.log"
        environment = dict(os.environ)
        if python is not None:
            for hidden in (*SERIES_OWN, "PYTHONPATH"):
                environment.pop(hidden, None)
        module = "benchmarks.speed.series" if python is None else "benchmarks.speed.stock"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [python or sys.executable, "-m", module, str(folder)],
                cwd=files.ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )

    def ask(self, what: str, **options) -> dict:
        """The answer to an order (orders.py); a SideError if there is none."""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"do": what, **options}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            raise SideError(f"{what}: {last_line(self.log)}")
        return json.loads(answer)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # an order may still lie in the pipe
            self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def sides(folder: Path, newest: str | None = None) -> Iterator[dict[str, Side]]:
    """The sides by name: "ours", the libraries at the series' pins ("stock"), and "newest" in another environment."""
    pythons = {"stock": sys.executable, "ours": None}
    if newest:
        pythons["newest"] = newest
    with contextlib.ExitStack() as stack:
        started = {}
        for name, python in pythons.items():
            started[name] = Side(name, folder, python)
            stack.callback(started[name].end)
        yield started
