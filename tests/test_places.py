"""Folders that the environment names: empty as unset, "~" as the home, relative ones below the repository."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpt_utils import runtime
from cpt_utils.models.embedded import cache_dir
from cpt_utils.runtime import files
from cpt_utils.runtime.places import ROOT, named_folder, writable
from cpt_utils.runtime.profiles import SettingsError, load_profile


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_an_empty_variable_is_as_good_as_none(value, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("CPT_RUNS", "CPT_CACHE", "CPT_PROFILE"):
        monkeypatch.setenv(variable, value)
    assert named_folder("CPT_RUNS", "runs") == ROOT / "runs"
    assert cache_dir() == tmp_path / ".cache" / "cpt_utils"
    assert load_profile().name == "embedded"


def test_a_wave_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable, home in {"CPT_RUNS": "$HOME", "CPT_CACHE": "~"}.items():
        monkeypatch.setenv(variable, f"{home}/mine")
    assert cache_dir() == tmp_path / "mine"
    assert files.run_dir(load_profile("smoke")) == tmp_path / "mine" / "smoke" and (tmp_path / "mine").is_dir()
    (tmp_path / "student").mkdir()
    assert load_profile("smoke").replace(student="~/student").student == str(tmp_path / "student")


def test_no_home_folder_is_needed_where_others_are_named(monkeypatch, tmp_path):
    def nobody(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", nobody)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert files.without_paths(f"{ROOT}/x and {tmp_path}") == f"./x and {tmp_path}"


def test_a_relative_folder_is_the_same_one_wherever_a_process_starts(monkeypatch, tmp_path):
    monkeypatch.setenv("CPT_RUNS", "results/mine")
    monkeypatch.chdir(tmp_path)
    assert named_folder("CPT_RUNS", "runs") == ROOT / "results" / "mine"


def test_a_folder_that_cannot_be_written_is_told_before_anything_is(monkeypatch, tmp_path):
    monkeypatch.setattr("os.access", lambda *_: False)  # as for a user without rights: root has all
    with pytest.raises(SettingsError, match="read-only.*set CPT_RUNS"):
        writable(tmp_path, "CPT_RUNS")


def test_after_a_start_auto_means_what_was_started(monkeypatch, tmp_path):
    """A notebook's first cell decides for its widgets, too, whatever is usual on this machine."""
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    monkeypatch.setenv("CPT_PROFILE", "t4")
    assert load_profile().name == "t4"
    started = runtime.start("smoke", seed=5, rubrics=["rococo"])
    assert load_profile() == started.replace(rubrics=None) and files.run_dir(load_profile()) == tmp_path / "smoke"
    assert load_profile("embedded").name == "embedded" and load_profile(started) is started
    monkeypatch.setenv("CPT_PROFILE", "embedded")
    assert runtime.start().name == load_profile().name == "embedded", "a new start begins from what is usual"


@settings(deadline=None)
@given(name=st.text(max_size=120))
def test_a_profile_never_leaves_the_folder_of_runs(name):
    try:
        folder = ROOT / "runs" / load_profile("smoke").replace(name=name).name
    except SettingsError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert folder.resolve().parent == (ROOT / "runs").resolve()
