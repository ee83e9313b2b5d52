"""`make bench`: both sides do the same work, peak memory on every machine, and the cost of a busy neighbour."""

import ast
import json
import os
import sys
import time
import types
from importlib import metadata

import psutil
import pytest

from benchmarks import bench, neighbour
from benchmarks.speed import ratios, trained, turns
from benchmarks.speed.plan import write_plan
from cpt_utils import runtime
from cpt_utils.models.loading import load_student
from cpt_utils.runtime import files
from cpt_utils.runtime.files import ROOT
from tools import rivals


@pytest.mark.slow
def test_all_sides_do_the_same_work(tmp_path, tiny_model, tokenizer, monkeypatch):
    """With a tiny student, and this environment in the place of the one with the newest libraries."""
    for part in (tiny_model, tokenizer):
        part.save_pretrained(tmp_path / "student")
    changes = {"student": str(tmp_path / "student"), "max_steps": 2, "logging_steps": 1}
    profile = runtime.start("embedded", **changes)
    write_plan(profile, load_student(profile), changes, tmp_path, texts=3, new_tokens=4)
    report = bench.compare(tmp_path, repeats=1, newest=sys.executable)
    newest = report.pop("newest")
    assert newest.pop("versions")["trl"] == metadata.version("trl")
    assert set(newest) | {"matmul_share"} == set(report)
    for measured in (report, newest):
        assert measured["max_loss_difference_float32"] < 1e-4 and len(measured["losses"]["stock"]) == 2
        assert measured["generation"]["float32"]["same_greedy_rows"] == 1
        assert min(measured["train_ratio"], measured["reference_ratio"], *measured["tokens_per_second"].values()) > 0
    assert newest["losses"] == report["losses"], "the same versions compute the same"
    speed = rivals.result("bench") | report | {"newest": newest | {"versions": files.versions()}}
    monkeypatch.setattr(rivals, "result", {"bench": json.loads(json.dumps(speed))}.get)
    text = rivals.speed()
    assert f"Against the newest libraries** (TRL {metadata.version('trl')}" in text and text.count("| greedy, ") == 4


def test_newest_libraries_that_do_not_get_through_are_a_result():
    """TRL 1.15.0 stopped on every processor. Whatever else fails is a fault."""

    class Fake:
        def __init__(self, name, stops=None):
            self.name, self.stops = name, stops

        def ask(self, what, **options):
            if what == self.stops:
                raise turns.SideError(f"{what}: it stopped")
            return {"asked": what}

    answers = ratios.play({"ours": Fake("ours"), "newest": Fake("newest", "train")}, 2, ["float32"])
    assert answers["newest"] == {"failure": "train: it stopped"} == bench.against_newest(answers)
    assert len(answers["ours"]["training"]) == 2 and len(answers["ours"]["greedy in float32"]) == 2
    with pytest.raises(turns.SideError):
        ratios.play({"stock": Fake("stock", "write")}, 1, ["float32"])
    lines = rivals.newest({"newest": answers["newest"]})
    assert "did not get through the same work: train: it stopped" in lines[1]


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_an_environment_that_lacks_the_libraries_says_so(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'trl'\" >&2\nexit 1\n")
    python.chmod(0o755)
    side = turns.Side("newest", tmp_path, str(python))
    with pytest.raises(turns.SideError, match="versions: ModuleNotFoundError: No module named 'trl'"):
        side.ask("versions")
    side.end()


def test_the_libraries_side_imports_nothing_of_the_series():
    """It runs where the series' requirements are not installed."""
    for name in ("__init__", "orders", "stock", "trained"):
        tree = ast.parse((ROOT / "benchmarks" / "speed" / f"{name}.py").read_text("utf-8"))
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        ours = {module for module in modules if module.split(".")[0] in ("cpt_utils", "benchmarks", "tools")}
        assert ours <= {"benchmarks.speed.orders", "benchmarks.speed.trained"}, name
    assert ast.unparse(ast.parse((ROOT / "benchmarks" / "__init__.py").read_text("utf-8"))).count("import") == 0


def test_peak_memory_is_at_least_what_is_held_now():
    held = psutil.Process().memory_info().rss / 2**30
    assert 0.9 * held < trained.peak_memory_gib() < psutil.virtual_memory().total / 2**30


@pytest.mark.parametrize("system, told", [("linux", 3 * 2**20), ("darwin", 3 * 2**30)])
def test_peak_memory_minds_the_unit(monkeypatch, system, told):
    module = types.SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: types.SimpleNamespace(ru_maxrss=told))
    monkeypatch.setitem(sys.modules, "resource", module)
    monkeypatch.setattr(trained.sys, "platform", system)
    assert trained.peak_memory_gib() == 3


def test_peak_memory_on_windows(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    info = types.SimpleNamespace(peak_wset=2 * 2**30)
    monkeypatch.setattr(psutil, "Process", lambda: types.SimpleNamespace(memory_info=lambda: info))
    assert trained.peak_memory_gib() == 2


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


@pytest.mark.slow
def test_both_kinds_of_work_with_the_series_own_environment(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    found = neighbour.in_own_process(tokens=2, repeats=1)
    assert found["waiting"] == "passive" and found["threads"] <= 2
    assert all(found[kind]["ratio"] > 0 and found[kind]["alone"] > 0.01 for kind in ("generation", "training"))
    assert os.environ["OMP_WAIT_POLICY"] == "active"
