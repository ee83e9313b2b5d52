"""Many requests to a model that may fail, be interrupted or refuse: what arrives is kept the moment it does."""

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait

from cpt_utils.runtime.errors import RefusedError, StoreError
from cpt_utils.runtime.keys import one_line

GIVE_UP = 20
"""So many failed requests in a row end the asking: the next ones would fail too."""
KINDS = 8
"""So many kinds of faults are told; the others are counted."""


def ask_all(
    batches: list[list], workers: int, ask: Callable, keep: Callable, is_kept: Callable, remote: bool = False
) -> list[Exception]:
    """Ask about every batch, `workers` at a time, and return the faults: one for each entry of a batch.

    `ask(batch)` gives the answers or raises; `keep(batch, answers)` stores them at once and returns the faults that
    they have. One failed request leaves the others; GIVE_UP in a row, or a fatal one (a refused key, a wrong name),
    end the rest. A refusal concerns one conversation alone, so it does not count. Whatever ends the asking waits for
    what is under way, and keeps what `is_kept(batch)` does not say to be there; a single worker that is not `remote`
    is broken off. A StoreError comes through.
    """
    faults, in_a_row, stop = [], 0, threading.Event()

    def work(batch: list):
        if stop.is_set():
            return None
        try:
            return ask(batch)
        except StoreError:
            stop.set()
            raise
        except Exception as error:  # any fault of a model: the others' answers count
            if getattr(error, "fatal", False):
                stop.set()
            return error

    def handle(batch: list, outcome) -> None:
        nonlocal in_a_row
        if isinstance(outcome, Exception):
            faults.extend([outcome] * len(batch))
            in_a_row += not isinstance(outcome, RefusedError)
            if in_a_row >= GIVE_UP:
                stop.set()
        elif outcome is not None:
            in_a_row = 0
            faults.extend(keep(batch, outcome))

    def handle_late(batch: list, outcome) -> None:
        """As `handle`, after an end that may have come before, in or after it."""
        if not is_kept(batch):
            handle(batch, outcome)

    if workers == 1 and not remote:  # in this thread, so that an interrupt reaches the work itself
        for batch in batches:
            handle(batch, work(batch))
    else:
        _work_through(work, batches, workers, handle, handle_late)
    return faults


def _work_through(work: Callable, batches: list, workers: int, handle: Callable, handle_late: Callable) -> None:
    """Call `handle(batch, outcome)` as the work is done; `handle_late` gets what an interrupt or a fault met."""
    pool, handled = ThreadPoolExecutor(workers), set()
    futures = {pool.submit(work, batch): batch for batch in batches}
    try:
        for future in as_completed(futures):
            handle(futures[future], future.result())
            handled.add(future)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)  # first of all: nothing more is begun
        _wait_for(futures)
        for future in set(futures) - handled:
            if future.done() and not future.cancelled() and not future.exception():
                with contextlib.suppress(Exception):  # the first fault is told
                    handle_late(futures[future], future.result())
        raise
    finally:  # must not wait for what is under way
        pool.shutdown(wait=False, cancel_futures=True)


def _wait_for(futures: Iterable[Future]) -> None:
    """Wait for what is under way, as it is paid for; a second interrupt leaves it. Requests have a time-out."""
    if running := [future for future in futures if future.running()]:
        print(f"stopping: the answers to {len(running)} requests under way are kept; interrupt again to leave them")
        with contextlib.suppress(KeyboardInterrupt):
            wait(running)


def counted(faults: list[Exception]) -> str:
    """Faults by kind, the most frequent first. Numbers in their words (seconds to wait, requests) make no kinds."""
    kinds, first = Counter(), {}
    for fault in faults:
        told = one_line(getattr(fault, "kind", None) or f"{type(fault).__name__}: {fault}".removesuffix(": "))[:240]
        kind = getattr(fault, "status", None), re.sub(r"\S*\d\S*", "#", told)
        kinds[kind] += 1
        first.setdefault(kind, told)
    told = [f"{count} x {first[kind]}" for kind, count in kinds.most_common(KINDS)]
    others = sum(kinds.values()) - sum(count for _, count in kinds.most_common(KINDS))
    return ", ".join([*told, f"{others} x others"] if others else told) or "no answer"
