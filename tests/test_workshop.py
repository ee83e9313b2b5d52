"""The workshop can happen: minutes add up, what runs meanwhile is done in time, and groups' files are collected."""

import itertools
import json
import re

import pytest

from benchmarks.measured import result
from cpt_utils import marks
from cpt_utils.commands import plan as keeping
from cpt_utils.commands.workload import recorded
from cpt_utils.prompts import load_responses
from cpt_utils.rubrics import Rubric, load_rubric
from cpt_utils.runtime.errors import SetupError
from cpt_utils.runtime.files import ROOT
from cpt_utils.ways import ways_of
from cpt_utils.widgets import drafts
from cpt_utils.widgets.studio import rubric_studio
from tools import collect, workshop

PLANS = workshop.plans()
MARGIN = 1.2  # of a room's machine over the slowest recorded one
OPENING = 4  # minutes until all have opened a notebook and begun to run it
WORKSHOP = (ROOT / "notebooks" / "WORKSHOP.md").read_text("utf-8")


def waits(plan: dict) -> dict[str, int]:
    """{notebook: minutes from the stop that starts it to the stop that needs it}."""
    clock, begun, found = 0, {}, {}
    for stop in plan["stops"]:
        if stop.get("needs") in begun:
            found[stop["needs"]] = clock - begun[stop["needs"]]
        clock += stop["minutes"]
        if "starts" in stop:
            begun[stop["starts"]] = clock - stop["minutes"] + OPENING
    return found


@pytest.mark.parametrize("name", PLANS)
def test_minutes_add_up(name):
    plan, known = PLANS[name], workshop.exercises()
    assert sum(stop["minutes"] for stop in plan["stops"]) == plan["minutes"]
    assert any(stop["what"] == "Break" for stop in plan["stops"])
    for stop in plan["stops"]:
        exercises = sum(known[check]["minutes"] for check in stop.get("exercises", []))
        runs = sum(workshop.seconds(number) for number in stop.get("runs", [])) / 60
        assert stop["talk"] + exercises + runs <= stop["minutes"] + 0.5, stop["what"]


@pytest.mark.parametrize("name", PLANS)
def test_what_runs_meanwhile_is_done_when_it_is_needed(name):
    found = waits(PLANS[name])
    started = {stop["starts"] for stop in PLANS[name]["stops"] if "starts" in stop}
    assert set(found) == started >= {"04", "05"}
    for number, minutes in found.items():
        assert workshop.seconds(number) * MARGIN <= minutes * 60, number


@pytest.mark.parametrize("name", PLANS)
def test_no_exercise_stands_where_its_kernel_trains(name):
    """While a notebook runs from its first cell to its last, no exercise of it is asked."""
    busy, known = set(), workshop.exercises()
    for stop in PLANS[name]["stops"]:
        busy -= {stop.get("needs")}
        for check in stop.get("exercises", []):
            assert known[check]["notebook"][:2] not in busy | {stop.get("starts")}, check
        busy |= {stop.get("starts")} - {None}


def too_slow(plan: dict, seconds: dict[str, float]) -> set[str]:
    """Notebooks of the plan's rule that take longer than it allows."""
    return {number for number, most in plan["at_most"].items() if seconds[number] > most * 60}


@pytest.mark.parametrize("name", PLANS)
def test_a_machine_called_slow_is_one_that_would_not_be_done(name):
    """By the recorded runs, that of the slower processor among them, for the windows of both notebooks."""
    plan = PLANS[name]
    windows = waits(plan)
    assert set(plan["at_most"]) == {"04", "05"}
    assert all(most <= windows[number] for number, most in plan["at_most"].items())
    for run in (*recorded()["runs"], result("slow")):
        late = any(run["seconds"][number] * MARGIN > windows[number] * 60 for number in plan["at_most"])
        assert bool(too_slow(plan, run["seconds"])) == late, run["hardware"]
    assert bool(too_slow(PLANS["ninety"], result("slow")["seconds"]))


def test_the_rule_for_slow_machines_is_that_of_the_plans():
    (rule,) = re.findall(r"notebook 04 more than (\d+) minutes, or 05 more than (\d+)\.", WORKSHOP)
    (half,) = re.findall(r"Half a day has more room: there the limits are (\d+) and (\d+) minutes", WORKSHOP)
    for plan, told in zip((PLANS["ninety"], PLANS["half_day"]), (rule, half), strict=True):
        assert [int(most) for most in told] == list(plan["at_most"].values())
    assert f"at most {rule[0]} minutes for 04" in WORKSHOP, "who starts 06"
    for page in (WORKSHOP, (ROOT / "notebooks" / "LEADER.md").read_text("utf-8")):
        assert "the line `workshop`" in page


def verdict_on(four: float, five: float) -> str:
    """What `check` says of a machine with these minutes for 04 and 05."""
    ((label, text),) = keeping.verdict({"01": 30.0, "04": four * 60, "05": five * 60})
    assert label == "workshop" and text.startswith("90 minutes: ")
    return text.removeprefix("90 minutes: ")


def test_check_says_whether_a_machine_keeps_the_ninety_minutes(monkeypatch, tmp_path):
    assert verdict_on(15, 10) == "yes, this machine keeps the plan"
    assert verdict_on(18.9, 9) == "no, pair up with a faster machine: notebook 04 would take 19 of at most 15 minutes"
    assert "05 would take 11 of at most 10 minutes" in verdict_on(5, 10.1) and "04" not in verdict_on(5, 10.1)
    assert verdict_on(20, 12).count("would take") == 2
    assert list(keeping.verdict({})) == []
    assert list(keeping.verdict({"01": 30.0, "04": 60.0})) == []
    monkeypatch.setattr(keeping, "PLANS", tmp_path / "workshop.yaml")
    assert list(keeping.verdict({"04": 60.0, "05": 60.0})) == [], "an installed package has no notebooks"


def test_commands_for_windows_are_the_readmes():
    readme = (ROOT / "README.md").read_text("utf-8")
    lines = re.findall(r"python -m pip install .*", readme.split("Without `make`")[1])[:2]
    assert [line.strip() for line in re.findall(r"python -m pip .*", WORKSHOP)] == lines


def test_words_of_make_have_the_makefiles_commands_without_it():
    makefile, readme = ((ROOT / name).read_text("utf-8") for name in ("Makefile", "README.md"))
    told = readme.split("The other words of <code>make</code>")[1].split("</details>")[0]
    reveal = re.search(r"reveal\.js@[\d.]+", makefile)[0]
    assert f"npm install --no-save --prefix .slides {reveal}" in told and "--no-save --prefix .slides" in makefile
    assert '-c constraints.txt -e ".[site]"' in told and "-c constraints.txt -e '.[site]'" in makefile
    for command in re.findall(r"python -m ((?:tools|cpt_utils)[. ]\w+)", told + WORKSHOP):
        assert f"$(PY) -m {command}" in makefile or command == "tools.collect", command


def test_jupyterlab_is_started_where_it_finds_the_pictures_of_the_notebooks():
    """They lie beside the folder of the notebooks, and JupyterLab serves nothing above the folder it is given."""
    for name in ("Makefile", "README.md", "notebooks/WORKSHOP.md"):
        (given,) = set(re.findall(r"-m jupyterlab\b(?: (?!-)(\S*))?", (ROOT / name).read_text("utf-8"))) or {""}
        assert not given, name


@pytest.mark.parametrize("name", PLANS)
def test_the_leaders_sheet_has_words_for_every_stop(name):
    sheet = (ROOT / "notebooks" / "LEADER.md").read_text("utf-8")
    words = sheet.split("## What to say at each stop")[1].split("\n## ")[0]
    found = dict(re.findall(r"^\*\*([^.(,*]+?)(?: \(\d\d\))?[.,].*?\*\* *(.+)$", words, re.M))
    for stop in PLANS[name]["stops"]:
        assert stop["what"] == "Break" or len(found[stop["what"]].split()) > 10, stop["what"]


def test_every_exercise_has_an_answer_in_the_leaders_sheet():
    sheet = (ROOT / "notebooks" / "LEADER.md").read_text("utf-8")
    known = workshop.exercises()
    assert len(known) >= 12
    for told in known.values():
        assert f"**{told['title']}**" in sheet and told["solution"] in sheet


def test_the_recorded_minutes_are_told():
    for run in recorded()["runs"]:
        assert run["hardware"] in WORKSHOP
    assert "| 06 | between 05 and 04 | between 05 and 04 |" in workshop.waiting()
    assert "No laptop and no Colab page has been timed" in WORKSHOP
    assert "no faster than in the slower column" in WORKSHOP
    assert re.search(r"06 on these two\. As committed it trained for \d+ min on a slower one \(CPU ", WORKSHOP)


def test_the_leaders_answers_to_the_tasks_are_right(tmp_path):
    sheet = (ROOT / "notebooks" / "LEADER.md").read_text("utf-8")
    told = sheet.split("## Answers to the tasks")[1].split("\n## ")[0]
    studio = rubric_studio("rococo", folder=tmp_path)
    named, winner = re.search(r"give \*([\w-]+)\* nearly all of the weight, and \*\*([\w ,]+)\*\* comes", told).groups()
    assert f"nearly all of the weight on *{named}*" in WORKSHOP
    rubric, texts = studio.valid, studio.live.texts()
    for place, criterion in enumerate(rubric.criteria):
        weights = drafts.rebalance(drafts.weights_of(rubric.model_dump()), place, 90)
        weighed = Rubric.checked(drafts.with_weights(rubric.model_dump(), weights))
        totals = {label: drafts.scored(weighed, studio.ways, text)["total"] for label, text in texts.items()}
        assert max(totals, key=totals.get) == (winner if criterion.name == named else "Rococo, high")

    films = re.search(r"on \*(.+?)\* and on \*(.+?)\*\.", told).groups()
    name, weight = re.search(r"with \*([\w ]+)\* at (\d+) of 100 the second", told).groups()
    mine = [row for row in load_responses() if (row["rubric"], row["target"]) == ("rococo", 50)]
    one, other = (next(row["response"] for row in mine if film in row["prompt"]) for film in films)
    first = drafts.weights_of(rubric.model_dump())
    moved = drafts.rebalance(first, [criterion.name for criterion in rubric.criteria].index(name), int(weight))
    leads = [total(rubric, one, weights) - total(rubric, other, weights) for weights in (first, moved)]
    assert leads[0] > 5 and leads[1] < -5, leads


def total(rubric: Rubric, text: str, weights: list[float]) -> float:
    weighed = Rubric.checked(drafts.with_weights(rubric.model_dump(), weights))
    return drafts.scored(weighed, ways_of(rubric), text)["total"]


def test_two_texts_change_places_when_one_weight_does():
    rubric = load_rubric("rococo")
    rows = [row["response"] for row in load_responses() if row["rubric"] == "rococo" and row["target"] == 50][:6]
    first = drafts.weights_of(rubric.model_dump())
    moved = [drafts.rebalance(first, place, 80) for place in range(len(first))]
    assert any(
        (total(rubric, one, first) - total(rubric, other, first))
        * (total(rubric, one, weights) - total(rubric, other, weights))
        < 0
        for (one, other), weights in itertools.product(itertools.combinations(rows, 2), moved)
    )


# ---- what the groups bring


def report(base: float, after: float, capstone: bool) -> dict:
    measured = {"base": {"overall": base}, "tuned" if capstone else "cpt": {"overall": after, "accuracy": 0.5}}
    if capstone:
        return {"capstone": {"rubric": "night_diary", "steerability": measured}, "steerability": {}}
    return {"steerability": measured}


def test_a_line_for_each_group_and_what_people_agree_on(tmp_path, capsys):
    for group, told in (("owls", report(0.5, 1.25, True)), ("larks", report(0.9, 1.5, False))):
        (tmp_path / group).mkdir()
        (tmp_path / group / "report.json").write_text(json.dumps(told))
        for who in ("ann", "bob"):
            for text, level in (("one", "low"), ("two", "high"), ("three", "low"), ("four", "high"), (group, "mid")):
                mark = {"who": f"{who} of {group}", "response": text, "level": level, "criterion": ""}
                marks.add_mark(tmp_path / group, mark | {"rubric": "night_diary"})
                if who == "ann":  # of another rubric, which is another question
                    marks.add_mark(tmp_path / group, mark | {"rubric": "rococo", "level": "mid"})
    own = tmp_path / "leader" / "embedded"  # WORKSHOP.md: the leader's run, which is no group's
    own.mkdir(parents=True)
    (own / "report.json").write_text(json.dumps(report(0.1, 0.2, False)))
    assert collect.main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "as `leader/embedded/`" in WORKSHOP and "embedded" not in printed and "leader" not in printed
    assert re.search(r"owls +night_diary +0\.50 -> 1\.25 +- -> 0\.50", printed)
    assert re.search(r"larks +the four rubrics +0\.90 -> 1\.50", printed)
    assert "night_diary: 4 people marked 6 texts; alpha 1.00 on 6 that two or more marked: reliable" in printed
    assert "rococo: 2 people marked 6 texts\n" in printed


def test_an_empty_folder_and_a_broken_report_are_told(tmp_path, capsys):
    with pytest.raises(SetupError, match="copy each group's runs/embedded/"):
        collect.groups(tmp_path)
    (tmp_path / "owls").mkdir()
    (tmp_path / "owls" / "report.json").write_text("{")
    assert collect.main([str(tmp_path)]) == 1 and "owls/report.json is no report" in capsys.readouterr().err
    assert collect.main([]) == 2
