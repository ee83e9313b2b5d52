"""The plans of WORKSHOP.md (from notebooks/workshop.yaml) and the answers of LEADER.md (from the notebooks)."""

import re

import nbformat
import yaml

from cpt_utils.commands.workload import recorded
from cpt_utils.runtime.files import ROOT
from tools.overview import UNTIMED
from tools.standing import machine_that_ran, printed

NOTEBOOKS = ROOT / "notebooks"
FOLDED = re.compile(r"<details><summary>(.*?)</summary>\s*(.*?)\s*</details>", re.S)
HEADING = re.compile(r"^### (.+?) · .*?(\d+) minutes", re.M)

NEAR = 3
"""Cells in which an exercise's heading stands before its check, and the solution after it."""


def plans() -> dict[str, dict]:
    """{plan: {"minutes", "stops"}}."""
    return yaml.safe_load((NOTEBOOKS / "workshop.yaml").read_text("utf-8"))


def exercises() -> dict[str, dict]:
    """{check: {"notebook", "title", "minutes", "solution"}}, as they stand in the notebooks."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("0*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        for place, cell in enumerate(cells):
            check = re.search(r"^_ = (check_\w+)\(", cell.source, re.M)
            if cell.cell_type != "code" or not check:
                continue
            before, after = cells[max(0, place - NEAR) : place], cells[place + 1 : place + 1 + NEAR]
            task = next(filter(None, (HEADING.search(near.source) for near in reversed(before))), None)
            answer = next(filter(None, (solution(near.source) for near in after)), "")
            assert task and answer, (
                f"{path.name}: {check[1]} has no heading with minutes before it, or no solution after"
            )
            told = {"notebook": path.stem, "title": task[1], "minutes": int(task[2]), "solution": answer}
            found[check[1]] = told
    return found


def solution(source: str) -> str:
    """What a cell has folded up, without its hint: the solution, and an answer to the open question."""
    return "\n\n".join(body for summary, body in FOLDED.findall(source) if summary != "Hint")


def seconds(number: str) -> float:
    """How long a notebook took in the slowest recorded run; 06 as long as 04, which takes more."""
    return max(run["seconds"]["04" if number == "06" else number] for run in recorded()["runs"])


def table(plan: dict) -> str:
    """A plan with the clock running; what is started, and which exercises are done, with their minutes."""
    known, lines, clock = exercises(), ["| minutes | what | how |", "|---|---|---|"], 0
    for stop in plan["stops"]:
        how = [stop["how"]] if stop["how"] else []
        how += [f"exercise *{known[name]['title']}* ({known[name]['minutes']})" for name in stop.get("exercises", [])]
        lines.append(f"| {clock}–{clock + stop['minutes']} | {stop['what']} | {'; '.join(how)} |")
        clock += stop["minutes"]
    return "\n".join(lines)


def ninety() -> str:
    return table(plans()["ninety"])


def half_day() -> str:
    return table(plans()["half_day"])


def waiting() -> str:
    """What the notebooks that run in the background take, on the recorded machines."""
    lines = ["| notebook | " + " | ".join(run["hardware"] for run in recorded()["runs"]) + " |", "|---|---|---|"]
    for number in ("04", "05"):
        spent = [f"{run['seconds'][number] / 60:.0f} min" for run in recorded()["runs"]]
        lines.append(f"| {number} | {' | '.join(spent)} |")
    lines.append(" | ".join(["| 06", *[UNTIMED["06"]] * len(recorded()["runs"]), ""]).rstrip())
    return "\n".join([*lines, "", capstone()])


def capstone() -> str:
    """What the outputs of notebook 06 say of its own training, which `make run` does not time."""
    said = printed("06_capstone.ipynb")
    spent = int(re.search(r"^\d+ of \d+ steps in (\d+) s$", said, re.M)[1])
    return (
        f"No run has timed the whole of 06 on these two. As committed it trained for {spent / 60:.0f} min on a slower "
        f"one ({machine_that_ran(said)}), and writes texts before and after."
    )


def answers() -> str:
    """Every exercise with its solution, as the notebook has it folded up."""
    parts = []
    for told in exercises().values():
        parts.append(f"**{told['title']}** (notebook {told['notebook'][:2]}, {told['minutes']} minutes)")
        parts.append(told["solution"])
    return "\n\n".join(parts)
