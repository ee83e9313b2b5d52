"""Execute notebooks 01-05 in order, or those named: `python -m cpt_utils run [--in-place] [--only 06]`."""

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from cpt_utils import runtime
from cpt_utils.commands.cost import SERIES
from cpt_utils.runtime import files, folders, kept, profiles
from cpt_utils.runtime.errors import CptError
from cpt_utils.runtime.keys import one_line

EVERY = 30  # seconds from one line of progress to the next where the output is no terminal
QUIET_KERNEL = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # ipykernel 6's debugger would warn of frozen modules
STOPS = (signal.SIGINT, signal.SIGTERM)
WIDGET = "application/vnd.jupyter.widget-view+json"


def _tidy(cell) -> None:
    """Drop what is not a result: timings, widgets without state, and a progress bar's former states."""
    cell.metadata.pop("execution", None)
    outputs, cell.outputs = [out for out in cell.outputs if WIDGET not in out.get("data", {})], []
    for streams, group in itertools.groupby(outputs, key=is_stream):
        if streams:
            cell.outputs.append(nbformat.v4.new_output("stream", text=one_text(group)))
        else:
            cell.outputs.extend(group)


def is_stream(out) -> bool:
    return out.output_type == "stream"


def one_text(streams) -> str:
    """The text of stdout and stderr in turn: no line of the one, such as a progress bar, is continued by the other."""
    lines, unfinished = [], {}
    for out in streams:
        for piece in re.findall(r"[^\n]*\n|[^\n]+", out.text):
            if out.name not in unfinished:
                unfinished[out.name] = len(lines)
                lines.append("")
            lines[unfinished[out.name]] += piece
            if piece.endswith("\n"):
                del unfinished[out.name]
    whole = "\n".join(line.removesuffix("\n") for line in lines)
    if lines and lines[-1].endswith("\n"):
        whole += "\n"
    return re.sub(r"[^\n]*\r(?!\n)", "", whole)


def tell_progress(name: str, code: list, over: threading.Event) -> None:
    """Until `over`, say which cell runs, for how long, and its progress bar: live in a terminal, else now and then."""
    started, live = time.time(), sys.stdout.isatty()
    while not over.wait(1 if live else EVERY):
        begun = [cell for cell in code if cell.execution_count is not None]
        shown = newest_line(begun[-1]) if begun else "the kernel starts"
        line = f"  {name}: cell {len(begun)}/{len(code)}, {time.time() - started:.0f} s  {shown}"
        if live:  # over the line before
            print(f"\r{line[:100]:100}", end="", flush=True)
        else:
            print(line, flush=True)


def newest_line(cell) -> str:
    """The last line that a cell has shown so far, such as the present state of its progress bar."""
    shown = [out.text for out in list(cell.outputs) if out.output_type == "stream"]
    for line in reversed(re.split(r"[\r\n]", "".join(shown[-1:]))):
        if line.strip():
            return line.strip()
    return ""


class Client(NotebookClient):
    """nbclient's client, which a signal stops at once: what nbclient itself does then ends in an AssertionError."""

    stopped_by = 0

    async def async_start_new_kernel(self, **kwargs):
        """Called when nbclient has set its own handling of signals."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with contextlib.suppress(NotImplementedError):  # Windows
            for number in STOPS:
                loop.add_signal_handler(number, self.stop, number, task)
        await super().async_start_new_kernel(**kwargs)

    def stop(self, number: int, task: asyncio.Task) -> None:
        self.stopped_by, self.shutdown_kernel = number, "immediate"
        fall_silent()
        task.cancel()


def fall_silent() -> None:
    """Log nothing more in this process, which ends: libraries tell of tasks and sockets that a signal breaks off."""
    logging.disable()


def leave(number: int, frame=None) -> None:
    """End as the shell expects of a process that a signal has ended."""
    fall_silent()
    raise SystemExit(128 + number)


def execute(source: Path, target: Path) -> float:
    """Run one notebook from a fresh kernel and write it to `target`; returns seconds.

    A failing notebook is written too, up to its error, before the error is raised; one that a signal stops is not. What
    someone else changed at `target` is kept beside it (folders.write_beside).
    """
    before = source.read_bytes()
    notebook = nbformat.reads(before.decode("utf-8"), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:  # what an earlier run left must not be taken for this one's
        cell.outputs, cell.execution_count = [], None
    started = time.time()
    client = Client(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(source.parent)}},
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=40"],
    )
    handlers = {number: signal.getsignal(number) for number in STOPS}
    over = threading.Event()
    teller = threading.Thread(target=tell_progress, args=(source.stem, code, over), daemon=True)
    teller.start()
    try:
        client.execute(env=QUIET_KERNEL | os.environ)
    finally:
        over.set()
        teller.join()
        for number, handler in handlers.items():  # nbclient takes them away
            signal.signal(number, handler)
        if client.stopped_by:
            leave(client.stopped_by)
        for cell in code:
            _tidy(cell)
        notebook.metadata.pop("widgets", None)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = nbformat.writes(notebook) + "\n"
        if target != source:
            folders.write_beside(target, text)
        elif target.is_file() and target.read_bytes() == before:
            files.write_whole(target, text)
        else:
            target = target.with_name(f"executed-{target.name}")
            folders.write_beside(target, text)
            print(f"note: {source.name} was changed while it ran, and stays as it is")
    seconds = time.time() - started
    print(f"\r{source.stem}: {len(code)} cells in {seconds:.0f} s -> {files.shown(target)}", flush=True)
    return seconds


def estimate(wanted: list[str]) -> str:
    """How long these notebooks take here, in a few words, or "" where that cannot be told.

    Measured in a process of its own: PyTorch, and a GPU's memory, are not kept beside the notebooks' kernels.
    """
    command = [sys.executable, "-m", "cpt_utils.commands.cost", "--only", ",".join(wanted)]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=120)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m cpt_utils run", description=__doc__)
    parser.add_argument("--in-place", action="store_true", help="write the outputs into notebooks/")
    parser.add_argument("--only", help="numbers of the notebooks to run, such as 03,04")
    options = parser.parse_args(arguments)
    there = {path.name[:2]: path for path in sorted((files.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    wanted = options.only.replace(",", " ").split() if options.only is not None else SERIES
    if not wanted or set(wanted) - set(there):
        parser.error(f"--only is {options.only!r}: write numbers of notebooks, such as {','.join(there)}")
    handlers = {number: signal.signal(number, leave) for number in STOPS}
    try:
        return run([there[number] for number in wanted], options.in_place, whole=options.only is None)
    except SystemExit as stop:
        print("\nstopped by a signal: what was finished before is kept", file=sys.stderr)
        return stop.code
    except CptError as error:
        print(f"run stopped: {error}", file=sys.stderr)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return 1


def run(sources: list[Path], in_place: bool, whole: bool) -> int:
    """Execute these notebooks in order and tell the report; 0 if all went well. `whole`: they are the whole series."""
    profile = profiles.load_profile().replace(seed=runtime.SEED)
    folder, seconds = files.run_dir(profile), {}
    if minutes := estimate([source.name[:2] for source in sources]):
        print(minutes, flush=True)
    if whole:
        kept.begin_report(folder)
    for source in sources:
        print(f"{source.stem} ...", flush=True)
        try:
            seconds[source.name[:2]] = execute(source, source if in_place else folder / source.name)
        except CellExecutionError as error:
            print(f"{source.stem} stopped: {one_line(str(error).strip().splitlines()[-1])}", file=sys.stderr)
            return 1
        except DeadKernelError:
            print(
                f"{source.stem} stopped: its kernel died, likely for want of memory: close other programs, "
                "or choose a smaller profile.",
                file=sys.stderr,
            )
            return 1
    total = sum(seconds.values())
    if whole:  # the report's total is that of the whole series
        seconds["total"] = total
    report = runtime.update_report(profile, "seconds", {k: round(v, 1) for k, v in seconds.items()})
    print(f"total {total:.0f} s; report: {files.shown(folder / 'report.json')}")
    print(json.dumps({k: report.get(k) for k in ("preference", "steerability") if k in report})[:400])
    return 0


if __name__ == "__main__":
    sys.exit(main())
