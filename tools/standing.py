"""The README's tables of what was run where (benchmarks/results/where.yaml), and of the paper's figures beside ours."""

import re

import nbformat
import yaml

from benchmarks.gpu import table
from benchmarks.measured import RESULTS, result
from cpt_utils.commands.workload import recorded
from cpt_utils.runtime import files
from cpt_utils.runtime.catalogue import known_models

SHORT = {"accuracy": "accuracy", "kendall_tau": "Kendall's τ", "spearman_rho": "Spearman's ρ"}
WITHOUT_ENTRY = {"mistral-small-24b": "Mistral-Small-24B"}
"""Models of the paper that the series does not know."""


def facts() -> dict:
    return yaml.safe_load((RESULTS / "where.yaml").read_text("utf-8"))


def where() -> str:
    """Machine, system, what, when; then what no machine of that kind has run, and what stands in for it."""
    lines = ["| machine | system | what | when |", "|---|---|---|---|"]
    for fact in facts()["ran"]:
        lines.append(f"| {machine_of(fact)} | {fact['system']} | {fact['what']} | {fact['when']} |")
    committed = facts()["committed"]
    for machine, numbers in machines_of_notebooks().items():
        what = f"notebook{'s' * (len(numbers) > 1)} {', '.join(numbers)}, as committed"
        lines.append(f"| {machine} | {committed['system']} | {what} | {committed['when']} |")
    for name in table.measured():
        lines.append(f"| {name} | Linux | `make gpu` | see below |")
    lines += ["", "| not yet on | in its place |", "|---|---|"]
    return "\n".join(lines + [f"| {fact['where']} | {fact['instead']} |" for fact in facts()["not_yet"]])


def machine_of(fact: dict) -> str:
    """The hardware that the named result was made on (several machines stand behind ";"), in short."""
    told = recorded()["runs"][fact["timings"]] if "timings" in fact else result(fact["file"])
    parts = [told] if "hardware" in told else told.values()
    return "; ".join(dict.fromkeys(short(part["hardware"]) for part in parts))


def short(hardware: str) -> str:
    return hardware.removeprefix("CPU ").replace("; CPU ", "; ").replace(": ", ", ")


def machines_of_notebooks() -> dict[str, list[str]]:
    """{machine: numbers of the notebooks that were executed on it}, by what their first cells printed."""
    found: dict[str, list[str]] = {}
    for path in sorted((files.ROOT / "notebooks").glob("0*.ipynb")):
        found.setdefault(short(machine_that_ran(printed(path.name))), []).append(path.name[:2])
    return found


def printed(name: str) -> str:
    """All that the cells of a committed notebook printed."""
    cells = nbformat.read(files.ROOT / "notebooks" / name, as_version=4).cells
    return "\n".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))


def machine_that_ran(said: str) -> str:
    return re.search(r"^profile embedded \| (.+)$", said, re.M)[1]


def paper() -> str:
    """Before and after training, in the paper and here."""
    lines = [f"| | {' | '.join(SHORT.values())} |", "|---" * (len(SHORT) + 1) + "|"]
    for key, figures in files.load_data("paper.yaml")["models"].items():
        lines.append(row(f"paper, {model_name(key)}", figures))
    mean = result("seeds")["mean"]
    ours = {metric: (mean[f"base_{metric}"], mean[f"cpt_{metric}"]) for metric in SHORT}
    return "\n".join([*lines, row("**here, SmolLM2-135M**", ours)])


def row(label: str, figures: dict) -> str:
    cells = [f"{figures[metric][0]:.2f} → {figures[metric][1]:.2f}" for metric in SHORT]
    return f"| {label} | {' | '.join(cells)} |"


def model_name(key: str) -> str:
    """A model's name on the Hub, without its owner."""
    if key in WITHOUT_ENTRY:
        return WITHOUT_ENTRY[key]
    return known_models()[key]["hub"].split("/")[-1]
