"""What the last `make run` brings: the README's steerability table and example texts, and the shipped adapter."""

import html
import json
import shutil
from collections.abc import Callable

from benchmarks.measured import RESULTS, kept_texts, result
from cpt_utils.export import write_card
from cpt_utils.plotting import LABELS
from cpt_utils.prompts import system_prompt
from cpt_utils.rows import TARGETS
from cpt_utils.runtime import files, profiles
from cpt_utils.runtime.files import read_jsonl
from cpt_utils.runtime.folders import MARK

RUN = files.ROOT / "runs" / "embedded"
MOST_WORDS = 55
"""An example is cut after so many."""
METRICS = (
    ("**overall** (0 to 2)", "overall"),
    ("style: follows (0 to 2)", "follows"),
    ("own prompt is the nearest of 26 (guessing: 0.04)", "topic"),
    ("order gain, nats a word", "order_gain"),
    ("accuracy (guessing: 0.33)", "accuracy"),
    ("Kendall's τ", "kendall_tau"),
    ("Spearman's ρ", "spearman_rho"),
    ("degenerate texts", "degenerate_rate"),
)
MODELS = ("base", "cpt", "cpt_paraphrased", "teacher")


def last_report() -> dict:
    """report.json of the last run."""
    return json.loads((RUN / "report.json").read_text("utf-8"))


def results() -> str:
    """The steerability table: mean and spread of `make seeds` where it was run, else the last run's intervals."""
    seeds = result("seeds") if (RESULTS / "seeds.json").exists() else {"mean": {}}
    if "teacher_overall" in seeds["mean"]:  # those of an older judge stay in their file
        report, rows = seeds, kept_texts("seeds", next(iter(seeds["by_seed"])))
        cell, both = over_seeds(report), report["mean"]["both_directions"]
        how = f"Mean ± standard deviation over {len(report['by_seed'])} training seeds"
    else:
        report, rows = last_report(), read_jsonl(RUN / "generations.jsonl")
        cell, both = of_one_training(report), report["preference"]["cpt"]["both_directions"]
        how = f"One training (seed {report['seed']}); in brackets 95% intervals from a bootstrap over the prompts"
    prompts = {row["prompt"] for row in rows}
    lines = [
        f"| on {len(prompts)} held-out prompts | base | tuned | tuned, paraphrased system prompts | recorded teacher |",
        "|---|---|---|---|---|",
    ]
    for label, metric in METRICS:
        cells = [cell(model, metric) for model in MODELS]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {report['versions'][name]}" for name in ("torch", "transformers", "trl"))
    lines += [
        "",
        f"{how}. Preferences right in both directions: {both:.3f}. Hardware: {report['hardware']}; {versions}.",
    ]
    return "\n".join(lines)


def over_seeds(report: dict) -> Callable[[str, str], str]:
    """What a cell (model, metric) of the table shows of several trainings."""
    mean, spread = report["mean"], report["standard_deviation"]

    def cell(model: str, metric: str) -> str:
        name = f"{model}_{metric}"
        untrained = model == "teacher"  # its texts are recorded
        return f"{mean[name]:.2f}" if untrained else f"{mean[name]:.2f} ± {spread[name]:.2f}"

    return cell


def of_one_training(report: dict) -> Callable[[str, str], str]:
    """What a cell (model, metric) of the table shows of one training."""

    def cell(model: str, metric: str) -> str:
        measured = report["steerability"][model]
        shown = f"{measured[metric]:.2f}"
        if metric in measured["ci95"]:
            low, high = measured["ci95"][metric]
            shown += f" [{low:.2f}, {high:.2f}]"
        return shown

    return cell


def example() -> str:
    """The first texts of both models for the prompt and style in the middle, low against high, in their own words."""
    rows = read_jsonl(RUN / "generations.jsonl")
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
