"""One writer at a time, wherever a folder lies: also where the file system knows no locks."""

import errno
import os
import subprocess
import sys

import pytest

from cpt_utils.checkpoints import run_checkpoints
from cpt_utils.runtime import files, locks
from cpt_utils.runtime.errors import SettingsError, TrainingError
from cpt_utils.runtime.profiles import load_profile

fcntl = pytest.importorskip("fcntl")
HOLDER = """
import fcntl, sys
from pathlib import Path
from cpt_utils.runtime import files, locks
locks._can_lock = lambda folder, device: folder.endswith("temporary")
with files.writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=[errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL])
def drive(request, tmp_path, monkeypatch):
    """A folder whose files cannot be locked, and a place for temporary files whose can be."""
    real, here = fcntl.flock, (tmp_path / "drive")
    here.mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(locks.tempfile, "tempdir", str(tmp_path / "temporary"))

    def flock(file, how):
        if str(here) in os.readlink(f"/proc/self/fd/{file if isinstance(file, int) else file.fileno()}"):
            raise OSError(request.param, os.strerror(request.param))
        return real(file, how)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("a file's place cannot be told")
    monkeypatch.setattr(fcntl, "flock", flock)
    return here


def test_a_drive_without_locks_is_written_to_by_one_at_a_time(drive, tmp_path):
    path = drive / "r.json"
    (drive / ".r.json.lock").write_text("left by a copy")
    with files.writing(path):
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, path],
            env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout.readline() == "another process writes to r.json: waiting for it to finish\n"
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    with files.writing(path):  # at once
        pass


def test_a_training_on_a_drive_without_locks_is_alone(drive):
    profile = load_profile("smoke").replace(seed=1)
    place, last = run_checkpoints(drive, profile, [])
    assert last is None
    with locks.lock_at(place / ".lock"), pytest.raises(TrainingError, match="runs in another process"):
        run_checkpoints(drive, profile, [])


def test_a_machine_without_any_locks_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(locks, "_can_lock", lambda *_: False)
    (tmp_path / ".r.json.lock").write_text("left by a copy")
    for _ in range(2):
        with files.writing(tmp_path / "r.json"):
            assert len(list(tmp_path.glob("cpt_utils-*.soft"))) == 1


def test_a_file_in_the_place_of_checkpoints_is_told_in_a_sentence(tmp_path):
    (tmp_path / "checkpoints").write_text("mine")
    with pytest.raises(SettingsError, match="checkpoints/.* cannot be written .*set CPT_RUNS"):
        run_checkpoints(tmp_path, load_profile("smoke").replace(seed=1), [])
