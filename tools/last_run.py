"""What `make seeds` brings to the README, its table and example texts; the shipped adapter, of the last `make run`."""

import html
import json
import shutil
from collections.abc import Callable

from benchmarks.measured import kept_texts, result
from cpt_utils.export import write_card
from cpt_utils.plotting import LABELS
from cpt_utils.prompts import system_prompt
from cpt_utils.rows import TARGETS
from cpt_utils.runtime import files, profiles
from cpt_utils.runtime.folders import MARK

RUN = files.ROOT / "runs" / "embedded"
MOST_WORDS = 55
"""An example is cut after so many."""
METRICS = (  # accuracy, τ and ρ stand beside the paper's (standing.paper)
    ("**overall** (0 to 2)", "overall"),
    ("follows the style that was asked for (0 to 2)", "follows"),
    ("keeps to its prompt: share of texts, guessing 0.04", "topic"),
    ("its words stand in an order: word-order gain, explained below", "order_gain"),
)
TOGETHER = "\N{NO-BREAK SPACE}"
MODELS = ("base", "cpt", "cpt_paraphrased", "teacher")


def last_report() -> dict:
    """report.json of the last run."""
    return json.loads((RUN / "report.json").read_text("utf-8"))


def results() -> str:
    """The table of what came out: mean and spread over the trainings of `make seeds`."""
    report, rows = result("seeds"), texts()
    cell = over_seeds(report)
    prompts = {row["prompt"] for row in rows}
    lines = [
        f"| on {len(prompts)} held-out prompts | base | tuned | tuned, paraphrased system prompts | recorded teacher |",
        "|---|---|---|---|---|",
    ]
    for label, metric in METRICS:
        cells = [cell(model, metric) for model in MODELS]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {report['versions'][name]}" for name in ("torch", "transformers", "trl"))
    told = (
        f"Mean ± standard deviation over {len(report['by_seed'])} trainings. Two texts for one held-out prompt make a "
        "pair; training moved the preference to the right text under both of their system prompts in "
        f"{report['mean']['both_directions']:.0%} of pairs. {report['hardware']}; {versions}."
    )
    return "\n".join([*lines, "", told])


def texts() -> list[dict]:
    """What the base and the first seed's training wrote on the held-out prompts, with scores."""
    return kept_texts("seeds", next(iter(result("seeds")["by_seed"])))


def over_seeds(report: dict) -> Callable[[str, str], str]:
    """What a cell (model, metric) of the table shows of several trainings."""
    mean, spread = report["mean"], report["standard_deviation"]

    def cell(model: str, metric: str) -> str:
        name = f"{model}_{metric}"
        untrained = model == "teacher"  # its texts are recorded
        return f"{mean[name]:.2f}" if untrained else f"{mean[name]:.2f}{TOGETHER}±{TOGETHER}{spread[name]:.2f}"

    return cell


def example() -> str:
    """The first texts of both models for the prompt and style in the middle, low against high, in their own words."""
    rows = texts()
    prompt, rubric = middle(rows)
    lines = [f"> {prompt}", "", "| system prompt | before | after |", "|---|---|---|"]
    for name in ("low", "high"):
        wanted = {"prompt": prompt, "rubric": rubric, "target": TARGETS[name], "sample": 0}
        before, after = (first_text(rows, wanted | {"model": model}) for model in ("base", "cpt"))
        lines.append(f"| **{LABELS[rubric]}, {name}:** {system_prompt(rubric, name)} | {before} | {after} |")
    return "\n".join(lines)


def middle(rows: list[dict]) -> tuple[str, str]:
    """The prompt and rubric whose tuned texts stand in the middle of all by their mean overall score."""
    scores: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["model"] == "cpt":
            scores.setdefault((row["prompt"], row["rubric"]), []).append(row["overall"] or 0.0)
    ranked = sorted(scores, key=lambda pair: (sum(scores[pair]) / len(scores[pair]), pair))
    return ranked[(len(ranked) - 1) // 2]


def first_text(rows: list[dict], wanted: dict) -> str:
    """The text of the first row that has what is wanted, cut after MOST_WORDS, as a cell of a table."""
    row = next(row for row in rows if wanted.items() <= row.items())
    words = row["response"].split(" ")
    text = " ".join(words[:MOST_WORDS])
    if len(words) > MOST_WORDS:
        text += " …"
    return html.escape(text).replace("\n", "<br>").replace("|", "&#124;")


def ship_adapter() -> None:
    """Put the last run's adapter, with its card, into the package."""
    target = files.ROOT / "cpt_utils" / "data" / "adapter"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(RUN / "adapter", target, ignore=shutil.ignore_patterns(MARK, "README.md"))
    report = last_report()
    write_card(target, profiles.load_profile("embedded").replace(seed=report["seed"]), report)
    (target / MARK).unlink()  # what is shipped needs none
