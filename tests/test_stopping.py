"""A series that is stopped: at once, with one sentence and the shell's status, and what was finished is kept."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from cpt_utils.commands import series
from cpt_utils.runtime.files import ROOT

PROGRAM = """
import logging, pathlib, sys
from nbclient import NotebookClient
from cpt_utils.commands import series
from cpt_utils.runtime import files
files.ROOT, series.estimate = pathlib.Path.cwd(), lambda wanted: ""
tidy_up = NotebookClient._async_cleanup_kernel
async def loud(self):
    await tidy_up(self)
    for library in sys.argv[1:] if self.stopped_by else ():
        logging.getLogger(library).error("Task was destroyed but it is pending")
NotebookClient._async_cleanup_kernel = loud
sys.exit(series.main(["--in-place", "--only", "01,02"]))
"""
LIBRARIES = ("asyncio", "tornado.general", "tornado.application", "traitlets")
"""What may log a line of what is broken off, on a machine under load."""
ENDLESS = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"


def there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("number, loud", [(signal.SIGTERM, ()), (signal.SIGINT, ()), (signal.SIGTERM, LIBRARIES)])
def test_a_signal_stops_the_series_with_one_sentence(number, loud, tmp_path):
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for name, source in (("01_done", "print(6 * 7)"), ("02_endless", ENDLESS)):
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), notebooks / f"{name}.ipynb")
    before = (notebooks / "02_endless.ipynb").read_bytes()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CPT_RUNS": str(tmp_path / "runs"), "CPT_PROFILE": "smoke"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *loud], cwd=tmp_path, env=environment, **pipes) as running:
        try:
            until(lambda: (notebooks / "pid").exists() and (notebooks / "pid").read_text())
            running.send_signal(number)
            _, said = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 128 + number
    assert said.strip().splitlines() == ["stopped by a signal: what was finished before is kept"]
    assert "42" in json.dumps(json.loads((notebooks / "01_done.ipynb").read_text()))
    assert (notebooks / "02_endless.ipynb").read_bytes() == before and not list(notebooks.glob("*.partial"))
    until(lambda: not there(int((notebooks / "pid").read_text())))


def test_what_someone_writes_into_a_notebook_is_kept(tmp_path, monkeypatch, capsys):
    """Into the copy that a run left, between two runs; and into the source while it runs in place."""
    source, copy = tmp_path / "01_x.ipynb", tmp_path / "run" / "01_x.ipynb"
    cells = [nbformat.v4.new_code_cell("1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    monkeypatch.setattr(series.Client, "execute", lambda self, **options: None)
    for _ in range(2):
        series.execute(source, copy)
    assert len(list(copy.parent.glob("*.ipynb"))) == 1 and "note" not in capsys.readouterr().out
    copy.write_text("my solution")
    series.execute(source, copy)
    (kept,) = copy.parent.glob("01_x-before-*.ipynb")
    assert kept.read_text() == "my solution" and f"it is kept as {kept.name}" in capsys.readouterr().out
    assert nbformat.read(copy, 4).cells[0].source == "1"

    monkeypatch.setattr(series.Client, "execute", lambda self, **options: source.write_text("my answer"))
    series.execute(source, source)
    assert source.read_text() == "my answer" and nbformat.read(tmp_path / "executed-01_x.ipynb", 4).cells
    assert "note: 01_x.ipynb was changed while it ran, and stays as it is" in capsys.readouterr().out
