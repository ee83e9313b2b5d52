"""A long measurement that is stopped goes on where it was, and a tiny run is never taken for one."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from benchmarks import measured
from benchmarks.beyond import running
from cpt_utils.runtime.errors import DataError
from cpt_utils.runtime.files import ROOT


def told(unit):
    return {"figure": len(unit), "written": [{"response": f"text of {unit}"}]}


def resume(run=told):
    measured.resume("kind", ["a", "b", "c"], run, lambda: {"units": len(measured.so_far("kind_units"))}, workers=0)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    return tmp_path


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process to kill")
def test_a_run_that_is_killed_goes_on_and_measures_no_unit_twice(folder):
    def until_b(unit):
        if unit == "b":
            (folder / "begun").touch()
            time.sleep(600)
        return told(unit)

    if not (child := os.fork()):
        resume(until_b)
        os._exit(0)
    deadline = time.time() + 60
    while not (folder / "begun").exists() and time.time() < deadline:
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert list(measured.so_far("kind_units")) == ["a"] and not measured.so_far("kind")
    ran = []
    resume(lambda unit: ran.append(unit) or told(unit))
    assert ran == ["b", "c"] and measured.so_far("kind")["units"] == 3


def test_texts_without_their_figures_are_written_again_and_kept_once(folder, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(measured, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            resume()
    assert len(measured.kept_texts("kind", "a")) == 1 and not measured.so_far("kind_units")
    resume()
    for unit in "abc":
        assert [row["response"] for row in measured.kept_texts("kind", unit)] == [f"text of {unit}"]


def test_texts_are_as_they_were_when_the_writing_is_stopped(folder, monkeypatch):
    measured.keep_texts("kind", "a", [{"response": "one", "system": "not kept"}])
    write = Path.write_bytes

    def half(path, data):
        write(path, data[: len(data) // 2])
        raise KeyboardInterrupt

    for keep in (
        lambda: measured.keep_texts("kind", "b", [{"response": "two"}]),
        lambda: measured.keep_all_texts("kind", {"b": [{"response": "two"}]}),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_bytes", half)
            with pytest.raises(KeyboardInterrupt):
                keep()
        assert measured.all_texts("kind") == [{"of": "a", "response": "one"}]
        keep()
        assert measured.kept_texts("kind", "b") == [{"of": "b", "response": "two"}]
        measured.keep_all_texts("kind", {"a": [{"response": "one"}]})
    measured.forget_texts("kind", ["a"])
    assert not (folder / "kind.jsonl.xz").exists(), "an empty file could not be read"


def test_a_tiny_run_among_the_results_is_refused(folder, monkeypatch):
    """Its figures, and the units from which a whole run would go on."""
    measured.keep("two_styles", {"how": "tried"})
    measured.add("two_styles_units", "a", {"figure": 1})
    assert measured.result("two_styles")["tiny"] and measured.so_far("two_styles_units")["a"]["tiny"]
    monkeypatch.setattr(measured, "COMMITTED", folder)
    for name in ("two_styles", "two_styles_units"):
        with pytest.raises(DataError, match=f"{name}.json is of a run with TINY=1.*run make two-styles\\.$"):
            measured.so_far(name)
    for path in folder.iterdir():
        path.unlink()
    measured.keep("two_styles", {"how": "measured"})
    measured.add("two_styles_units", "a", {"figure": 1})
    assert "tiny" not in measured.result("two_styles") and "tiny" not in measured.so_far("two_styles_units")["a"]


def test_no_committed_result_is_of_a_tiny_run():
    names = [path.stem for path in measured.COMMITTED.glob("*.json")]
    assert {"ablation", "sharing", "seeds"} <= set(names) and all(map(measured.result, names))


def test_tiny_runs_lie_where_git_does_not_look():
    assert running.TINY.relative_to(ROOT).parts[0] == "runs"
    assert "runs/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert measured.RESULTS == measured.COMMITTED == ROOT / "benchmarks" / "results"


def test_a_tiny_run_goes_on_until_it_is_whole_and_then_begins_anew(monkeypatch, tmp_path, folder):
    """Else a second one would try nothing. Whole results beside it stay, and other tiny runs."""
    monkeypatch.setattr(running, "TINY", tmp_path / "tiny")
    place = running.tiny_folder("kind")
    (place / "kind_units.json").write_text("{}")
    other = running.tiny_folder("other")
    (other / "other.png").touch()
    assert running.tiny_folder("kind") == place and list(place.iterdir())
    (place / "online").mkdir()
    (place / "kind.png").touch()
    assert list(running.tiny_folder("kind").iterdir()) == [] and (other / "other.png").exists()
    shutil.rmtree(place)
