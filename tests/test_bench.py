"""Parts of `make bench` that other machines need: peak memory everywhere, and the cost of a busy neighbour."""

import os
import sys
import time
import types

import psutil
import pytest

from benchmarks import measured, neighbour


def test_peak_memory_is_at_least_what_is_held_now():
    held = psutil.Process().memory_info().rss / 2**30
    assert 0.9 * held < measured.peak_memory_gib() < psutil.virtual_memory().total / 2**30


@pytest.mark.parametrize("system, told", [("linux", 3 * 2**20), ("darwin", 3 * 2**30)])
def test_peak_memory_minds_the_unit(monkeypatch, system, told):
    module = types.SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: types.SimpleNamespace(ru_maxrss=told))
    monkeypatch.setitem(sys.modules, "resource", module)
    monkeypatch.setattr(measured.sys, "platform", system)
    assert measured.peak_memory_gib() == 3


def test_peak_memory_on_windows(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    info = types.SimpleNamespace(peak_wset=2 * 2**30)
    monkeypatch.setattr(psutil, "Process", lambda: types.SimpleNamespace(memory_info=lambda: info))
    assert measured.peak_memory_gib() == 2


def spinning() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if neighbour.SPIN in child.cmdline()]


def test_the_neighbour_is_there_for_the_second_half_only():
    there = []

    def work():
        there.append(len(spinning()))

    found = neighbour.beside_and_alone(work, 3)
    assert there == [0, 0, 0, 0, 1, 1, 1] and spinning() == []
    assert found["ratio"] == found["beside"] / found["alone"] > 0


def test_the_neighbour_is_busy_and_ends_with_a_fault_too():
    with pytest.raises(KeyError), neighbour.busy_neighbour() as process:
        deadline = time.monotonic() + 20
        while psutil.Process(process.pid).cpu_times().user < 0.2:
            assert time.monotonic() < deadline, "it does not compute"
            time.sleep(0.05)
        raise KeyError
    assert process.poll() is not None


def test_both_kinds_of_work_with_the_series_own_environment(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    found = neighbour.in_own_process(tokens=2, repeats=1)
    assert found["waiting"] == "passive" and found["threads"] <= 2
    assert all(found[kind]["ratio"] > 0 and found[kind]["alone"] > 0.01 for kind in ("generation", "training"))
    assert os.environ["OMP_WAIT_POLICY"] == "active"
