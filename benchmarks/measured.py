"""How the long measurements run and where their results lie."""

import json
import lzma
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from cpt_utils.runtime import files, machine, torn
from cpt_utils.runtime.errors import DataError

COMMITTED = files.ROOT / "benchmarks" / "results"
RESULTS = COMMITTED
"""Where this process writes: elsewhere in a run of tiny size (beyond/running.py), whose files say so."""


def result(name: str) -> dict:
    """What benchmarks/results/`name`.json holds; a DataError if that is of a tiny run."""
    told = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    parts = [part for part in (told, *told.values()) if isinstance(part, dict)]
    if RESULTS == COMMITTED and any("tiny" in part for part in parts):
        raise DataError(
            f"{files.shown(RESULTS / name)}.json is of a run with TINY=1, which measures nothing: delete it and what "
            f"stands beside it, and run make {name.removesuffix('_units').replace('_', '-')}."
        )
    return told


def committed(name: str) -> dict:
    """What benchmarks/results/`name`.json holds, wherever this process writes."""
    return json.loads((COMMITTED / f"{name}.json").read_text("utf-8"))


def so_far(name: str) -> dict:
    """The same, or {} where nothing has been measured yet."""
    return result(name) if (RESULTS / f"{name}.json").exists() else {}


def here() -> dict:
    """What every file says of where it was measured: hardware, versions, and whether only steps were tried."""
    told = {"hardware": machine.hardware(), "versions": files.versions()}
    return told if RESULTS == COMMITTED else told | {"tiny": True}


def machines(measured: dict[str, dict]) -> str:
    """The hardware of all that measured one of these units or trials."""
    return "; ".join(sorted({one["hardware"] for one in measured.values()}))


def keep(name: str, found: dict) -> None:
    """Write benchmarks/results/`name`.json, with the hardware and versions of this machine where it has none."""
    told = here() | files.rounded(found)
    RESULTS.mkdir(exist_ok=True)
    files.write_whole(RESULTS / f"{name}.json", json.dumps(told, indent=1) + "\n")
    print(f"wrote {files.shown(RESULTS / name)}.json", flush=True)


def add(name: str, of: str, found: dict) -> None:
    """Add what was measured of one thing to benchmarks/results/`name`.json, with this machine's hardware."""
    told = here() | {"found": files.rounded(found)}
    files.write_whole(RESULTS / f"{name}.json", json.dumps(so_far(name) | {of: told}, indent=1) + "\n")


def keep_texts(name: str, of: str, rows: list[dict]) -> None:
    """Add rows to benchmarks/results/`name`.jsonl.xz under "of", so that another judge only has to read."""
    if not rows:  # what writes no texts gets no file of them
        return
    path = RESULTS / f"{name}.jsonl.xz"
    write_texts(path, (path.read_bytes() if path.exists() else b"") + packed(of, rows))


def keep_all_texts(name: str, texts: dict[str, list[dict]]) -> None:
    """Write benchmarks/results/`name`.jsonl.xz anew, with the rows under the names of what they are of."""
    write_texts(RESULTS / f"{name}.jsonl.xz", b"".join(packed(of, rows) for of, rows in texts.items() if rows))


def packed(of: str, rows: list[dict]) -> bytes:
    """The rows as compressed lines, which may stand behind others."""
    kept = [{"of": of} | files.rounded({key: row[key] for key in row if key != "system"}) for row in rows]
    return lzma.compress(torn.lines_of(kept).encode())


def write_texts(path: Path, data: bytes) -> None:
    """The file whole or as it was: one that ends in the middle could not be read at all. No data, no file."""
    if data:
        files.write_whole(path, data)
    else:
        path.unlink(missing_ok=True)


def forget_texts(name: str, units: list[str]) -> None:
    """Take out the texts of these units: of a run that was stopped before it kept their figures."""
    if not units or not (RESULTS / f"{name}.jsonl.xz").exists():
        return
    texts: dict[str, list[dict]] = {}
    for row in all_texts(name):
        texts.setdefault(row["of"], []).append(row)
    if set(units) & set(texts):
        keep_all_texts(name, {of: rows for of, rows in texts.items() if of not in units})


def all_texts(name: str) -> list[dict]:
    """All rows that benchmarks/results/`name`.jsonl.xz holds."""
    with lzma.open(RESULTS / f"{name}.jsonl.xz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def kept_texts(name: str, of: str) -> list[dict]:
    """The rows that benchmarks/results/`name`.jsonl.xz holds under "of"."""
    return [row for row in all_texts(name) if row["of"] == of]


def side_by_side(function, names: list[str], workers: int = 2):
    """Yield (name, function(name)) as they end, each in a process of its own; exit at the end if some failed.

    Without any workers they run one after another in this process, which is quicker where each takes little.
    """
    if not workers:
        yield from ((name, function(name)) for name in names)
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    if workers > 1:  # idle OpenMP threads that spin would slow the other process manyfold; alone, they are faster
        os.environ["OMP_WAIT_POLICY"] = "passive"
    started, failed = time.time(), 0
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        work = {pool.submit(function, name): name for name in names}
        for done, job in enumerate(as_completed(work), 1):
            fault = job.exception()
            told = "done" if fault is None else repr(fault)
            print(f"{done}/{len(names)}, {time.time() - started:.0f} s: {work[job]}: {told}", flush=True)
            failed += fault is not None
            if fault is None:
                yield work[job], job.result()
    if failed:
        sys.exit(f"{failed} of {len(names)} failed; the others are kept: run it again.")


def take_texts(found) -> list[dict]:
    """The rows that a unit's result holds under "written", however deep; they are taken out of it."""
    if isinstance(found, list):
        return [row for part in found for row in take_texts(part)]
    return found.pop("written", []) + take_texts(list(found.values())) if isinstance(found, dict) else []


def resume(name: str, planned: list[str], run: Callable, assemble: Callable, workers: int = 2, only: str = "") -> None:
    """Run those planned units whose name begins with `only` and which were not run yet, then assemble all of them.

    What a unit came to is kept at once in benchmarks/results/`name`_units.json, its texts in `name`.jsonl.xz beside it.
    When all planned ones are there, `assemble()` is written to `name`.json.
    """
    missing = [unit for unit in planned if unit not in so_far(f"{name}_units") and unit.startswith(only)]
    forget_texts(name, missing)
    for unit, found in side_by_side(run, missing, workers):
        keep_texts(name, unit, take_texts(found))
        add(f"{name}_units", unit, found)
    if set(planned) <= set(so_far(f"{name}_units")):
        keep(name, assemble())
