"""`make gpu`: the runner, the wheels in parts, the README's rows, and a rehearsal of the stages on a processor."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import time
import types
import zipfile

import psutil
import pytest
import torch

from benchmarks import measured, sharing
from benchmarks.beyond import steps
from benchmarks.gpu import memory, parts, processes, runner, series, shared_steps, stage, stages, table, wheels
from cpt_utils.models import loading
from cpt_utils.runtime.files import ROOT
from tools import readme

# ---- the runner


def test_letters_asked_for():
    assert stages.asked("") == list("ABCDEFGI") and stages.asked("b, d") == ["B", "D"]
    with pytest.raises(SystemExit, match="no stage 'X'"):
        stages.asked("A X")


def test_a_stage_past_its_limit_is_stopped_with_all_it_started(tmp_path):
    """The process starts another in a session of its own, as a notebook's kernel is, and both hang."""
    child = "import time; time.sleep(60)"
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', '{child}'], start_new_session=True)\n"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    started = time.time()
    assert processes.run_command([sys.executable, "-c", code], tmp_path / "log", 2, dict(os.environ)) is None
    assert time.time() - started < 20
    (pid,) = (tmp_path / "log").read_text().split()
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


def test_a_real_stage_that_is_too_slow_or_does_not_exist_is_told(tmp_path):
    told = processes.run("A", "", True, tmp_path, 0.2)
    assert told["error"] == "stopped after its limit of 0 s"
    told = processes.run("absent", "", True, tmp_path, 60)
    assert told["error"].startswith("ended with code 1: ModuleNotFoundError")


@pytest.mark.parametrize(
    "fault, code, said",
    [
        (ValueError("no\nluck"), 1, {"error": "ValueError: no luck"}),
        (stage.Skipped("nothing to do"), 0, {"skipped": "nothing to do"}),
        (None, 0, {}),
    ],
)
def test_what_was_found_before_a_fault_is_kept(tmp_path, monkeypatch, fault, code, said):
    def run(told):
        told.keep(first=1.23456)
        if fault:
            raise fault

    monkeypatch.setitem(sys.modules, "benchmarks.gpu.trial", types.SimpleNamespace(run=run))
    assert stage.run("trial", "", True, tmp_path, 5) == code
    assert json.loads((tmp_path / "trial.json").read_text()) == {"first": 1.2346} | said


def test_a_failed_part_fails_the_stage_and_keeps_its_figures(tmp_path, monkeypatch):
    told = {"fast": {"seconds": 1}, "slow": {"seconds": 2, "x": 3, "error": "it broke"}}
    monkeypatch.setattr(processes, "run", lambda letter, name, *rest: told[name])
    here = stage.Stage("A", "", True, tmp_path, time.time() + 10)
    here.run_part("fast")
    stage.check_parts(here)
    here.run_part("slow")
    with pytest.raises(RuntimeError, match="slow: it broke"):
        stage.check_parts(here)
    assert json.loads((tmp_path / "A.json").read_text())["slow"]["x"] == 3


@pytest.fixture
def fake_machine(tmp_path, monkeypatch):
    """The runner with stages that only tell: B fails, C is skipped; another GPU's figures are in the file already."""
    told = {
        "A": {"rate": 1.0},
        "B": {"error": "it broke", "half": 2},
        "C": {"skipped": "no unsloth"},
        "D": {"peak": 9.5},
        "prepare": {"hardware": "Test GPU", "cuda": True, "versions": {"torch": "9"}, "embedded_model": "package"},
    }
    calls = []

    def run(letter, part, dry, folder, limit, changes=None):
        calls.append((letter, limit))
        return {"seconds": 0.1} | told[letter]

    results = tmp_path / "results" / "gpu.json"
    monkeypatch.setattr(processes, "run", run)
    monkeypatch.setattr(runner, "RESULTS", results)
    monkeypatch.setattr(runner, "work_folder", lambda dry: tmp_path / ("dry" if dry else "wet"))
    for name in ("DRY", "STAGES", "PATIENCE"):
        monkeypatch.delenv(name, raising=False)
    runner.merge(results, "Another GPU", "A", {"rate": 7.0})
    return types.SimpleNamespace(told=told, calls=calls, results=results, folder=tmp_path)


def test_a_failed_stage_does_not_stop_the_others_and_results_are_merged(fake_machine, monkeypatch, capsys):
    monkeypatch.setenv("STAGES", "A B C D")
    assert runner.main() == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [(line["stage"], line["outcome"]) for line in lines[1:]] == [
        ("A", "passed"),
        ("B", "failed"),
        ("C", "skipped"),
        ("D", "passed"),
    ]
    kept = json.loads(fake_machine.results.read_text())
    assert kept["Another GPU"] == {"A": {"rate": 7.0}}
    assert kept["Test GPU"]["B"]["half"] == 2 and kept["Test GPU"]["D"]["versions"] == {"torch": "9"}
    fake_machine.told["B"] = {"half": 4}
    monkeypatch.setenv("STAGES", "B")
    assert runner.main() == 0
    again = json.loads(fake_machine.results.read_text())
    assert again["Test GPU"]["B"]["half"] == 4 and "error" not in again["Test GPU"]["B"]
    assert again["Test GPU"]["A"] == kept["Test GPU"]["A"]


def test_limits_are_those_of_the_plan_times_patience(fake_machine, monkeypatch):
    assert sum(stages.LIMITS[letter] for letter in "ABCDEFG") == 7 * 60
    assert 60 <= stages.LIMITS["I"] * shared_steps.SHARES["embedded"] <= 90
    monkeypatch.setenv("STAGES", "A D")
    monkeypatch.setenv("PATIENCE", "2.5")
    runner.main()
    assert fake_machine.calls == [("prepare", 300.0), ("A", 50.0), ("D", 275.0)]


def test_a_rehearsal_leaves_the_results_alone(fake_machine, monkeypatch):
    before = fake_machine.results.read_text()
    monkeypatch.setenv("STAGES", "A")
    monkeypatch.setenv("DRY", "1")
    assert runner.main() == 0
    assert fake_machine.results.read_text() == before
    told = json.loads((fake_machine.folder / "dry" / "gpu.json").read_text())["Test GPU"]["A"]
    assert told["rate"] == 1.0 and told["rehearsal"]


def test_no_gpu_and_no_rehearsal_is_one_sentence(fake_machine):
    fake_machine.told["prepare"]["cuda"] = False
    with pytest.raises(SystemExit, match="no CUDA GPU here: DRY=1 make gpu"):
        runner.main()
    fake_machine.told["prepare"]["error"] = "ended with code 1: no torch"
    with pytest.raises(SystemExit, match="cannot be made ready .*no torch.*prepare.log"):
        runner.main()


def test_the_line_that_tells_the_fault_is_shown(tmp_path):
    log = tmp_path / "log"
    log.write_text("start\nAttributeError: no auto\nsubprocess.CalledProcessError: Command failed\nbye\n")
    assert processes.last_line(log) == "AttributeError: no auto"
    log.write_text("start\nKilled\n")
    assert processes.last_line(log) == "Killed"


# ---- the memory that is held against the estimate and a T4


FITS = {
    "trainer": "MirroredDPOTrainer",
    "first_loss": 0.6931,
    "estimate_gib": 10.0,
    "least_gib": 6.5,
    "ceiling_gib": memory.T4,
    "tensors_gib": 9.0,
    "driver_gib": 11.0,
}


@pytest.mark.parametrize(
    "engine, changes, said",
    [
        ("transformers", {}, ""),
        ("transformers", {"driver_gib": 14.2}, ""),
        ("transformers", {"driver_gib": 5.1}, ""),
        ("transformers", {"driver_gib": 14.3}, "14.3 GiB, and by the estimate it takes 5.0 to 14.3"),
        ("transformers", {"driver_gib": 4.9}, "4.9 GiB, and by the estimate it takes 5.0 to 14.3"),
        ("unsloth", {"driver_gib": 4.9}, ""),
        ("unsloth", {"driver_gib": 14.3}, "by the estimate"),
        ("transformers", {"tensors_gib": 14.0, "estimate_gib": 14.0, "driver_gib": 14.5}, "took 14.0 GiB, and a T4"),
        ("transformers", {"tensors_gib": 14.0, "estimate_gib": 14.0, "ceiling_gib": memory.PAPER}, ""),
        ("transformers", {"estimate_gib": 14.0, "driver_gib": 14.7}, "took 14.7 GiB of 14.6"),
        ("transformers", {"failure": "out of memory"}, "ours_1024: out of memory"),
        ("transformers", {"first_loss": 0.9}, "the first loss of MirroredDPOTrainer is 0.9"),
    ],
)
def test_measured_peaks_are_held_against_estimate_and_ceiling(tmp_path, engine, changes, said):
    here = stage.Stage(
        "D",
        engine,
        False,
        tmp_path,
        time.time() + 10,
        {"context_gib": 0.5, "ours_1024": FITS | changes, "stock_1024": {"failure": "out of memory"}},
    )
    if not said:
        return memory.check(here)
    with pytest.raises(AssertionError, match=re.escape(said)):
        memory.check(here)


@pytest.mark.parametrize("gpu, trained", [(14.6, ["ours_1024", "stock_1024"]), (80.0, ["paper_2048"])])
def test_the_paper_is_not_tried_on_a_gpu_that_is_too_small_for_it(tmp_path, monkeypatch, gpu, trained):
    trainings = []
    monkeypatch.setattr(memory.students, "random_student", lambda folder, name: "qwen3-4b")
    monkeypatch.setattr(memory, "runtime", types.SimpleNamespace(start=lambda name, **engine: profile))
    profile = memory.profiles.load_profile("t4")
    monkeypatch.setattr(memory, "total_gib", lambda: gpu)
    monkeypatch.setattr(memory, "stock", dict)
    monkeypatch.setattr(memory, "measure", lambda stage, name, *rest, **options: trainings.append(name))
    monkeypatch.setattr(memory, "check", lambda stage: None)
    here = stage.Stage("D", "transformers", False, tmp_path, time.time() + 10)
    memory.run_part(here)
    assert set(trained) <= set(trainings) and ("paper_2048" in trainings) == (gpu >= memory.PAPER)
    assert ("too_small_for_paper" in here.found) == (gpu < memory.PAPER)


def test_a_rehearsal_compares_no_memory_and_says_so(tmp_path):
    measured = {name: figure for name, figure in FITS.items() if name not in ("tensors_gib", "driver_gib")}
    found = {"ours_256": measured | {"process_gib": 99.0}}
    here = stage.Stage("D", "transformers", True, tmp_path, time.time() + 10, found)
    memory.check(here)
    assert json.loads((tmp_path / "D-transformers.json").read_text())["compared"].startswith("nothing")


# ---- the embedded series on another machine


def run_like(figures, width, both):
    tuned = dict(figures, ci95={name: [value - width, value + width] for name, value in figures.items()})
    return {"steerability": {"cpt": tuned}, "preference": {"cpt": {"both_directions": both}}}


def test_a_run_is_held_against_the_three_seeds():
    mean = measured.result("seeds")["mean"]
    figures = {name: mean[f"cpt_{name}"] for name in ("overall", "accuracy", "kendall_tau", "spearman_rho")}
    assert series.too_low(run_like(figures, 0.02, mean["both_directions"])) == []
    lower = {name: value - 0.1 for name, value in figures.items()}
    assert series.too_low(run_like(lower, 0.2, mean["both_directions"])) == [], "few prompts, wide intervals"
    told = series.too_low(run_like(lower, 0.02, mean["both_directions"] - 0.1))
    assert [line.split()[0] for line in told] == [*figures, "both_directions"]
    assert told[0] == f"overall reaches {lower['overall'] + 0.02:.2f}, not {mean['cpt_overall']:.2f}"


# ---- steps with shared prompts


def steps_stage(tmp_path, part="", dry=False, seconds=100.0):
    return stage.Stage("I", part, dry, tmp_path, time.time() + seconds)


@pytest.mark.parametrize(
    "gib, seconds, said", [(15, 100, "15 GiB of memory, and it takes 40"), (80, 10, " s left"), (80, 100, "")]
)
def test_the_large_student_is_only_tried_where_there_is_room_and_time(tmp_path, monkeypatch, gib, seconds, said):
    ran = []
    monkeypatch.setattr(shared_steps, "total_gib", lambda: gib)
    monkeypatch.setattr(processes, "run", lambda letter, part, *rest: ran.append((part, rest[2])) or {"seconds": 1})
    here = steps_stage(tmp_path, seconds=seconds)
    shared_steps.run(here)
    limits = dict(ran)
    assert limits["embedded"] <= 0.6 * seconds and ("large" in limits) == (not said)
    assert said in here.found["large"].get("skipped", "") and ("skipped" in here.found["large"]) == bool(said)
    assert shared_steps.too_little(steps_stage(tmp_path, dry=True, seconds=1), "large") == "", "a rehearsal has no GPU"


def test_points_without_time_are_named_and_one_without_memory_stops_no_other(tmp_path, monkeypatch):
    planned = [("six rows", 1, 6, 4), ("six rows", 2, 6, 4), ("pair", 1, 6, 4), ("pair", 2, 6, 4)]
    names = [shared_steps.point_name(*one) for one in planned]
    asked, now = [], [1000.0]

    def point(here, student, profile, rows, shape):
        asked.append(rows)
        now[0] += 20
        if len(asked) == 1:
            raise torch.OutOfMemoryError
        now[0] += 30
        return {"measured": {"shared": 1.5}}

    monkeypatch.setattr(shared_steps, "point", point)
    monkeypatch.setattr(shared_steps, "text_rows", lambda tokenizer, *one: one)
    monkeypatch.setattr(shared_steps, "student_of", lambda here: (None, None))
    monkeypatch.setattr(loading, "load_student", lambda profile: types.SimpleNamespace(tokenizer=None))
    monkeypatch.setitem(stages.SIZES, "shared_steps", {"embedded": planned})
    monkeypatch.setattr(time, "time", lambda: now[0])
    here = steps_stage(tmp_path, "embedded", seconds=100)
    shared_steps.run_part(here)
    assert here.found[names[0]] == {"failure": "out of memory"} and here.found[names[1]]["measured"]["shared"] == 1.5
    assert here.found["left_out"] == names[2:] and len(asked) == 2
    assert json.loads((tmp_path / "I-embedded.json").read_text())["left_out"] == names[2:]


SAME = {"agreement": {"shared": 0.999, "packed": 0.98}, "columns": {"shared": 1.9, "packed": 2.0}}


@pytest.mark.parametrize(
    "changes, said",
    [
        ({}, ""),
        ({"agreement": {"shared": 0.999, "packed": 0.3}}, "gradients packed agree to 0.300 with TRL's"),
        ({"agreement": {"shared": float("nan"), "packed": 1}}, "gradients shared agree to nan"),
        ({"columns": {"shared": 1.0, "packed": 2.0}}, "nothing was shared"),
    ],
)
def test_a_trainer_that_computes_something_else_or_shares_nothing_fails_the_stage(changes, said):
    found = {"seconds": 3, "left_out": ["x"], "one": {"failure": "out of memory"}, "two": SAME | changes}
    if not said:
        return shared_steps.check(found)
    with pytest.raises(AssertionError, match=f"two: .*{said}"):
        shared_steps.check(found)


def test_steps_of_a_student_in_four_bits(tmp_path):
    """The large part as a rehearsal takes it: adapters in float32, activations computed twice."""
    here = steps_stage(tmp_path, "large", dry=True)
    shared_steps.run_part(here)
    (planned,) = stages.REHEARSAL["shared_steps"]["large"]
    found = here.found[shared_steps.point_name(*planned)]
    block, _, prompt, response = planned
    counted = sharing.formulas(*sharing.size(block), prompt, response)
    assert found["tokens"] == pytest.approx(sharing.gains(counted))
    assert found["operations"] == pytest.approx(sharing.gains(counted, stages.TINY))
    assert found["columns"]["packed"] == pytest.approx(found["tokens"]["packed"]) and found["stock_seconds"] > 0
    for way in ("shared", "packed"):
        low, high = found["spread"][way]
        assert 0 < low <= found["measured"][way] <= high and found["agreement"][way] > 0.98


def test_the_stage_needs_nothing_that_only_notebooks_need():
    """The first part of the wheels is enough for it, and that holds no matplotlib."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(['matplotlib', 'IPython', 'ipywidgets']); "
        "import benchmarks.gpu.shared_steps, benchmarks.shared_dpo, cpt_utils.training"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr[-500:]


# ---- wheels in parts


def write(folder, sizes):
    folder.mkdir(exist_ok=True)
    for number, size in enumerate(sizes):
        (folder / f"file{number}.whl").write_bytes(os.urandom(size))
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    "sizes", [[10], [100], [101], [250, 1], [30, 30, 30, 30], [0, 99, 2, 300], [100, 100], [1] * 250]
)
def test_files_in_parts_are_joined_as_they_were(tmp_path, sizes):
    files = write(tmp_path / "files", sizes)
    made = parts.split(files, tmp_path / "carried", "3.12", limit=100)
    assert len(made) == max(1, -(-sum(sizes) // 100))
    for part in made:
        assert sum(file.stat().st_size for file in part.iterdir() if file.name != "manifest.json") <= 100
    whole, missing = parts.join(tmp_path / "carried")
    assert missing == [] and [path.name for path in whole] == sorted(path.name for path in files)
    for path in files:
        assert (tmp_path / "carried" / "wheels" / path.name).read_bytes() == path.read_bytes()


def test_parts_may_come_one_by_one_in_any_order(tmp_path):
    files = write(tmp_path / "files", [40, 150, 60])
    made = parts.split(files, tmp_path / "made", "3.12", limit=100)
    there = tmp_path / "there"
    shutil.copytree(made[2], there / "part3")
    assert parts.join(there) == ([], ["file2.whl"])
    shutil.copytree(made[0], there / "part1")
    assert parts.join(there) == ([there / "wheels" / "file0.whl"], ["file1.whl", "file2.whl"])
    shutil.copytree(made[1], there / "part2")
    assert len(parts.join(there)[0]) == 3
    # A new gathering of fewer parts leaves none of the old ones, and no old wheel.
    parts.split(write(tmp_path / "new", [10])[:1], there, "3.12", limit=100)
    assert [path.name for path in parts.join(there)[0]] == ["file0.whl"] and not (there / "part2").exists()
    assert [path.name for path in (there / "wheels").iterdir()] == ["file0.whl"]


def test_damaged_and_mixed_parts_are_refused(tmp_path):
    made = parts.split(write(tmp_path / "files", [150, 30]), tmp_path / "here", "3.12", limit=100)
    piece = next(made[1].glob("file0*"))
    piece.write_bytes(os.urandom(piece.stat().st_size))
    with pytest.raises(parts.PartsError, match="file0.whl is damaged: copy part1, part2 again"):
        parts.join(tmp_path / "here")
    other = parts.split(write(tmp_path / "others", [20]), tmp_path / "other", "3.11", limit=100)
    shutil.rmtree(made[1])
    shutil.copytree(other[0], made[1])
    with pytest.raises(parts.PartsError, match="different gatherings"):
        parts.join(tmp_path / "here")


def make_wheel(folder, name, version, files, command=None):
    """A wheel of pure Python with these files (contents by name), and a command that calls its function main."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    if command:
        files = files | {f"{info}/entry_points.txt": f"[console_scripts]\n{command} = {name}:main\n"}
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(file, content)
    return path


def test_a_slim_wheel_lacks_the_files_and_its_list_of_them(tmp_path):
    wheel = make_wheel(
        tmp_path, "demo", "1.0", {"demo/__init__.py": "x = 1", "demo/big_ru.txt": "z" * 9, "demo/big_en.txt": "e"}
    )
    wheels.slim(wheel, r"demo/big_(?!en)")
    with zipfile.ZipFile(wheel) as archive:
        assert "demo/big_ru.txt" not in archive.namelist() and archive.read("demo/big_en.txt") == b"e"
        assert b"big_ru" not in archive.read("demo-1.0.dist-info/RECORD")
    kept = wheels.NOT_NEEDED["bitsandbytes"].replace("{cuda}", "13")
    dropped = [
        re.match(kept, f"bitsandbytes/libbitsandbytes_{name}.so") for name in ("cuda128", "cuda130", "cpu", "rocm71")
    ]
    assert [bool(each) for each in dropped] == [True, False, False, True]


def test_only_what_is_lacking_is_installed_without_a_network(tmp_path, monkeypatch):
    """pytest is here, torch is held, a package out of the series' range is replaced, and an absent one comes."""
    from packaging.specifiers import SpecifierSet

    made = tmp_path / "made"
    made.mkdir()
    found = [
        make_wheel(made, name, "99.0", {f"{name}/__init__.py": f"there = '{name}'"})
        for name in ("absent_thing", "pytest", "torch", "hypothesis")
    ]
    monkeypatch.setattr(
        parts,
        "ranges",
        lambda: {"hypothesis": SpecifierSet(">=99"), "torch": SpecifierSet(">=99"), "pytest": SpecifierSet(">=8")},
    )
    folder = tmp_path / ".gpu"
    parts.split(found, folder, HERE, limit=400)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    names = parts.install(folder)
    assert sorted(name.split("-")[0] for name in names) == ["absent_thing", "hypothesis"]
    code = "import absent_thing, hypothesis; print(absent_thing.there, hypothesis.there)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(folder / "site")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.split() == ["absent_thing", "hypothesis"]
    assert parts.install(folder) == [], "nothing is installed twice"


HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_later_part_leaves_the_commands_of_an_earlier_one(tmp_path, monkeypatch):
    """`trl` may lie in the first part, and the second has commands of its own: both go to the same folder bin."""
    made = tmp_path / "made"
    made.mkdir()
    code = "def main():\n    print(__name__)\n"
    wheels_of = [make_wheel(made, name, "1.0", {f"{name}/__init__.py": code}, name[:5]) for name in ("first", "other")]
    whole = parts.split(wheels_of, tmp_path / "all", HERE, limit=wheels_of[0].stat().st_size)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / ".gpu"
    for part in whole:
        shutil.copytree(part, folder / part.name)
        parts.install(folder)
    site = folder / "site"
    for name in ("first", "other"):
        command = [sys.executable, str(site / "bin" / name)]
        told = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, text=True)
        assert told.stdout.strip() == name, told.stderr


def test_wheels_of_a_new_gathering_take_the_place_of_the_old_ones(tmp_path, monkeypatch):
    made, folder = tmp_path / "made", tmp_path / ".gpu"
    made.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    same = make_wheel(made, "same", "1.0", {"same/__init__.py": ""})
    for version in ("1.0", "2.0"):
        moved = make_wheel(made, "moved", version, {f"moved/of_{version[0]}.py": ""})
        parts.split([same, moved], folder, HERE)
        assert len(parts.install(folder)) == 2
    assert [path.name for path in (folder / "site" / "moved").iterdir()] == ["of_2.py"]
    assert (folder / "site" / "same").is_dir()


def test_what_stays_on_the_machine_outside_its_range_is_told(tmp_path, monkeypatch, capsys):
    from packaging.specifiers import SpecifierSet

    monkeypatch.setattr(parts, "ranges", lambda: {"torch": SpecifierSet(">=99"), "pytest": SpecifierSet(">=1")})
    parts.split([make_wheel(tmp_path, "pytest", "1.0", {})], tmp_path / ".gpu", HERE)
    parts.install(tmp_path / ".gpu")
    (note,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("note"))
    assert "torch" in note and ">=99" in note


def test_wheels_for_another_python_and_no_wheels_are_one_sentence(tmp_path):
    with pytest.raises(parts.PartsError, match="no part in .*make gpu-wheels"):
        parts.install(tmp_path)
    parts.split(write(tmp_path / "files", [5]), tmp_path, "3.7", limit=100)
    with pytest.raises(parts.PartsError, match="for Python 3.7.*make gpu-wheels PYTHON_VERSION="):
        parts.install(tmp_path)


@pytest.mark.parametrize(
    "line, cuda", [("cuda: Optional[str] = '12.8'", "12"), ("cuda = None", ""), ("debug = False", "")]
)
def test_wheels_for_another_cuda_are_one_sentence(tmp_path, monkeypatch, line, cuda):
    """bitsandbytes has a library for each major version; torch itself is asked, without an import of it."""
    torch = tmp_path / "torch"
    torch.mkdir()
    (torch / "__init__.py").write_text("raise ImportError('it takes seconds')")
    (torch / "version.py").write_text(f"__all__ = ['cuda']\n{line}\nhip: str = '6.4'\n")
    spec = types.SimpleNamespace(origin=str(torch / "__init__.py"))
    monkeypatch.setattr(parts.importlib.util, "find_spec", lambda name: spec)
    assert parts.cuda_of_torch() == cuda
    parts.check_machine({"python": HERE, "cuda": "12"})
    if cuda:
        with pytest.raises(parts.PartsError, match="for CUDA 13, and the torch here .* CUDA 12: run make gpu-wheels"):
            parts.check_machine({"python": HERE, "cuda": "13"})


# ---- the README's rows


def test_rows_say_what_was_not_run_and_what_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path / "gpu.json")
    machine = {
        "A": {"outcome": "passed", "product_tflops": 788.4, "copy_gb_per_second": 4000},
        "C": {"outcome": "skipped", "skipped": "unsloth is not installed"},
        "D": {
            "outcome": "passed",
            "transformers": {
                "ours_1024": {"driver_gib": 9.94, "estimate_gib": 11.2},
                "stock_1024": {"failure": "out of memory", "driver_gib": 14.6},
            },
        },
        "E": {"outcome": "failed", "weights": "random", "seconds_04": 21.3, "spearman_rho": 0.0, "error": "x"},
        "F": {"outcome": "passed", "bytes_per_step": 2e9, "transformers": {"ours_1": 100}},
        "G": {"outcome": "failed"},
        "I": {
            "outcome": "passed",
            "embedded": {"4 x six rows, 256 + 256": {"measured": {"shared": 1.512}, "tokens": {"packed": 1.9973}}},
            "large": {"skipped": "15 GiB of memory, and it takes 40"},
        },
    }
    (tmp_path / "gpu.json").write_text(json.dumps({"GPU one": machine, "GPU two": {}}))
    rows = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in table.gpu().splitlines()}
    assert rows["bf16 product, TFLOP/s"] == ["788", "not run yet"]
    assert rows["peak by the driver, this series"] == ["9.9", "not run yet"]
    assert rows["peak by the driver, stock TRL"][0] == "out of memory"
    assert rows["the same in float16, as on a T4"][0] == "skipped"
    assert rows["notebook 04 of the embedded profile, seconds"][0] == "21"
    assert rows["Spearman's ρ after it"][0] == "random weights"
    assert rows["`trl dpo` with the files of notebook 04"][0] == "failed"
    assert "written at 5% of the rate" in table.gpu()
    shared = {label.split(", ", 1)[1]: cells[0] for label, cells in rows.items() if label.startswith("24 rows")}
    assert shared == {
        "TRL's with shared prompts": "1.51",
        "this series' trainer": "not run yet",
        "counted in tokens": "2.00",
    }
    assert [cells[0] for label, cells in rows.items() if label.startswith("4 billion")] == ["skipped"] * 3


def test_a_rehearsal_is_never_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path / "gpu.json")
    runner.merge(table.RESULTS, "GPU one", "A", {"outcome": "passed", "product_tflops": 788.4})
    runner.merge(table.RESULTS, "CPU", "A", {"outcome": "passed", "product_tflops": 0.1, "rehearsal": True})
    with pytest.raises(SystemExit, match="gpu.json holds the figures of a rehearsal .CPU., .* delete 'CPU'"):
        table.gpu()


@pytest.mark.parametrize("there", [False, True], ids=["nothing measured", "measured"])
def test_the_readme_shows_measured_figures_or_says_that_there_are_none(tmp_path, monkeypatch, there):
    results = tmp_path / "gpu.json"
    monkeypatch.setattr(table, "RESULTS", results)
    if there:
        runner.merge(results, "GPU one", "A", {"outcome": "passed", "product_tflops": 788.4})
    text = (ROOT / "README.md").read_text("utf-8")
    new = readme.filled(text, table.gpu)
    assert ("No GPU has been used" in new) == (not there)
    assert ("| bf16 product, TFLOP/s | 788 |" in new) == there
    part = re.compile("(?s)<!-- gpu -->.*<!-- /gpu -->")
    assert part.sub("", new) == part.sub("", text), "the rest stays as it is"
    if not table.RESULTS.exists() and not there:
        assert new == text
    if there:
        results.unlink()
        assert readme.filled(new, table.gpu) == readme.filled(text, table.gpu), "and back again"


def test_every_figure_that_the_table_shows_is_one_that_a_stage_keeps():
    sources = {
        letter: (ROOT / "benchmarks" / "gpu" / f"{name}.py").read_text() for letter, name in stages.MODULES.items()
    }
    sizes = [
        str(value) for value in (*stages.SIZES["lengths"], stages.SIZES["paper_length"], *stages.SIZES["rows_at_once"])
    ]
    for label, letter, way, _ in table.ROWS:
        for name in way:
            stem, _, size = name.rpartition("_")
            if size.isdecimal() and letter in "DF":
                assert size in sizes, label
                name = stem
            if letter == "I":
                part, point, *figure = way
                assert point in [shared_steps.point_name(*one) for one in stages.SIZES["shared_steps"][part]], label
                assert all(f'"{one}"' in inspect.getsource(steps) for one in figure), label
            elif name != "outcome" and not name.startswith("seconds_0"):
                assert name in sources[letter] + sources["D"], (label, name)


# ---- a rehearsal


def rehearse(letters):
    """Outcomes by stage of `DRY=1 make gpu`, and their figures."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"DRY": "1", "STAGES": letters},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"stage"')]
    assert len(lines) == len(letters.split()), done.stdout + done.stderr
    return {line["stage"]: line for line in lines}


def test_rehearsal_of_limits():
    limits = rehearse("A")["A"]
    assert limits["outcome"] == "passed"
    assert limits["product_tflops"] > 0 and limits["copy_gb_per_second"] > 0


@pytest.mark.slow
def test_rehearsal_of_all_stages():
    told = rehearse("A B C D E F G H I")
    assert {letter: line["outcome"] for letter, line in told.items()} == dict.fromkeys("ABCDEFGHI", "passed"), told
    assert set(told["I"]) >= {"embedded", "large"} and "left_out" not in told["I"]["embedded"] | told["I"]["large"]
    found = told["F"]["transformers"]
    assert found["same_tokens_1"] > 0.9 and all(found[f"{way}_{n}"] > 0 for way in ("ours", "generate") for n in (1, 4))
    assert len(told["G"]["losses"]) == 2
    assert told["B"]["passed"] >= 7 and told["C"]["as_it_is"]["engine"] == "transformers"
