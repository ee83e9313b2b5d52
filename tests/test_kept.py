"""The report of a run and kept measurements: no kernel loses another's part, and what is damaged is kept."""

import json
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from cpt_utils import runtime
from cpt_utils.commands import series
from cpt_utils.runtime import files, kept, profiles
from cpt_utils.runtime.errors import StoreError

SMOKE = profiles.load_profile("smoke").replace(seed=1)
WRITER = """
import sys
from pathlib import Path
from cpt_utils import runtime
from cpt_utils.runtime import kept, profiles
profile = profiles.load_profile("smoke").replace(seed=1)
for number in range(10):
    runtime.update_report(profile, "shared", {f"{sys.argv[1]} {number}": number})
    runtime.update_report(profile, f"own of {sys.argv[1]}", {"last": number})
    kept.keep_numbers(Path(sys.argv[2]), "model", {f"{sys.argv[1]} {number}": number})
"""


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    return files.run_dir(SMOKE) / "report.json"


def test_kernels_that_write_at_once_keep_each_others_sections(report, tmp_path):
    numbers = tmp_path / "numbers.json"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name, numbers]) for name in "abc"]
    assert [writer.wait(200) for writer in writers] == [0, 0, 0]
    told = json.loads(report.read_text())
    assert len(told["shared"]) == 30 and all(told[f"own of {name}"] == {"last": 9} for name in "abc")
    assert len(kept.read_numbers(numbers)["model"]) == 30
    assert not list(report.parent.glob("*.partial")) + list(report.parent.glob(".*.partial"))


DAMAGED = [b"", b"{", b'{"data": {"rows": 1}', b"[]", b"null", b"\xff\xfe", b"\0" * 30, b"[" * 99999, b'{"data": 3}']


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_report_is_kept_and_begun_anew(report, capsys, content):
    report.write_bytes(content)
    assert runtime.update_report(SMOKE, "data", {"rows": 2})["data"] == {"rows": 2}
    assert json.loads(report.read_text())["data"] == {"rows": 2}
    assert report.with_name("report.json.broken").read_bytes() == content
    said = "note: report.json is damaged and begun anew; the damaged file is kept as report.json.broken\n"
    assert capsys.readouterr().out == said
    report.write_bytes(b"again")
    runtime.update_report(SMOKE, "data", {"rows": 3})
    assert report.with_name("report.json.broken").read_bytes() == content
    assert report.with_name("report.json-2.broken").read_bytes() == b"again"


def test_damaged_measurements_are_kept_too(tmp_path):
    path = tmp_path / "logps.json"
    path.write_text('{"model": {"cut": 1')
    kept.keep_numbers(path, "model", {"new": 2.0})
    assert kept.read_numbers(path) == {"model": {"new": 2.0}}
    assert path.with_name("logps.json.broken").read_text() == '{"model": {"cut": 1'


def test_a_whole_run_begins_a_report_and_puts_the_former_one_aside(report, monkeypatch):
    monkeypatch.setenv("CPT_PROFILE", "smoke")
    monkeypatch.setattr(series, "estimate", lambda wanted: "")
    runtime.update_report(SMOKE, "capstone", {"rows": 2})
    series.run([], in_place=False, whole=False)
    assert json.loads(report.read_text())["capstone"] == {"rows": 2}
    latest = report.read_bytes()
    series.run([], in_place=False, whole=True)
    (aside,) = report.parent.glob("report-*.json")
    assert re.fullmatch(r"report-before-\d{8}-\d{6}\.json", aside.name)
    assert aside.read_bytes() == latest and "capstone" not in json.loads(report.read_text())
    series.run([], in_place=False, whole=True)  # within the same second or not
    assert aside.read_bytes() == latest and len(list(report.parent.glob("report-before-*"))) == 2


def test_a_report_that_another_kernel_writes_is_put_aside_whole(report):
    with files.writing(report):
        beginning = threading.Thread(target=kept.begin_report, args=(report.parent,))
        beginning.start()
        time.sleep(0.3)
        report.write_text("theirs")
    beginning.join(20)
    assert [path.read_text() for path in report.parent.glob("report-before-*.json")] == ["theirs"]
    assert not report.exists()


def test_a_report_that_cannot_be_written_is_named(report):
    report.mkdir()
    with pytest.raises(StoreError, match="report.json cannot be written"):
        runtime.update_report(SMOKE, "data", {"rows": 2})


def test_an_error_while_writing_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "f.txt"
    files.write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_whole(path, "\ud83d")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


NUMBERS = {
    "numpy's": (np.float32(0.5), 0.5),
    "numpy's whole": (np.int64(3), 3),
    "numpy's truth": (np.bool_(True), True),
    "many": (np.ones(2), [1.0, 1.0]),
    "in a tuple": ((1, float("nan")), [1, None]),
    "infinite": (float("inf"), None),
    "numpy's nan": ({"a": np.float64("nan")}, {"a": None}),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_of_any_kind_are_reported(report, case):
    value, written = NUMBERS[case]
    assert runtime.update_report(SMOKE, "data", {"x": value})["data"] == {"x": written}
    assert json.loads(report.read_text(), parse_constant=pytest.fail)["data"] == {"x": written}


def test_what_has_no_form_in_json_is_named_and_changes_nothing(report):
    runtime.update_report(SMOKE, "data", {"x": 1})
    before = report.read_bytes()
    for value in ({1}, report, b"x"):
        with pytest.raises(StoreError, match=f"A value of type {type(value).__name__} .* has no form in JSON: pass"):
            runtime.update_report(SMOKE, "data", {"x": [value]})
    assert report.read_bytes() == before


def test_a_report_with_a_mark_of_bytes_or_behind_a_link_is_one(report):
    runtime.update_report(SMOKE, "data", {"x": 1})
    elsewhere = report.with_name("elsewhere.json")
    elsewhere.write_bytes(b"\xef\xbb\xbf" + report.read_bytes())
    report.unlink()
    report.symlink_to(elsewhere)
    assert runtime.update_report(SMOKE, "data", {"y": 2})["data"] == {"x": 1, "y": 2}
    assert report.is_symlink() and json.loads(elsewhere.read_text())["data"] == {"x": 1, "y": 2}
