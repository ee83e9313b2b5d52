"""The measurements of `make ablation`, one function each: every one returns a JSON-able dict."""

from itertools import combinations

import numpy as np
import yaml

from benchmarks.answers import answers, base_model, by_prompt, options, scored, tuned_model, written
from benchmarks.gradients import gradients
from benchmarks.guidance import dial
from benchmarks.steering import steering
from benchmarks.trainings import FOLDER, PROMPTS, RUBRICS, settings, train
from cpt_utils.bestof import MISS
from cpt_utils.evaluation import best_of_n, evaluation_tasks, steerability
from cpt_utils.judging import embedded_judge, judge_rows
from cpt_utils.models.conversation import chat
from cpt_utils.overall import with_sense
from cpt_utils.prompts import load_prompts, load_responses, messages, system_prompt
from cpt_utils.rows import TARGETS, Response, Task
from cpt_utils.runtime import files

WORDS = yaml.safe_load((files.ROOT / "benchmarks" / "between.yaml").read_text("utf-8"))
COUNTS = (1, 2, 4, 8, 16)
"""Tries of which best-of-N keeps the nearest."""
PICKED = (4, 16)
"""Tries of the base model of which the best by the overall score is a way of its own."""
DRAWS = 1000


def method(way: str, seed: int) -> dict:
    """A trained way: its curve, what it writes on the held-out prompts, what that costs."""
    trainer, training = train(way, seed)
    return training | scored(written(trainer, f"{way}-{seed}", RUBRICS, seed), base_model())


def curve(way: str, rows_a_step: int, seed: int, rate: float | None = None) -> dict:
    """A trained way's curve alone, with so many rows a step."""
    return train(way, seed, rows_a_step, rate=rate)[1]


def untrained(seed: int) -> dict:
    """The base model with the system prompt, and with three recorded examples of the target in its context."""
    base, profile, tasks = base_model(), settings(seed), evaluation_tasks(PROMPTS, RUBRICS)
    chance, recorded = np.random.default_rng(seed), load_responses(heldout=False)
    conversations = [with_examples(task, recorded, chance) for task in tasks]
    rows = answers(base, tasks, profile)
    texts = chat(base, conversations, **options(profile) | {"batch_size": 24})
    taught = judge_rows(embedded_judge(), [{**task, "response": text} for task, text in zip(tasks, texts)])
    return {"base": scored(rows, base), "base, 3 examples": scored(taught, base)}


def with_examples(task: Task, recorded: list[Response], chance: np.random.Generator) -> list[dict]:
    """The task's conversation with three recorded answers of its rubric and target before the question."""
    alike = [row for row in recorded if (row["rubric"], row["target"]) == (task["rubric"], task["target"])]
    turns = messages(task["prompt"], task["system"])
    for number in chance.choice(len(alike), 3, replace=False):
        turns[1:1] = [
            {"role": "user", "content": alike[number]["prompt"]},
            {"role": "assistant", "content": alike[number]["response"]},
        ]
    return turns


def best_tuned(seed: int) -> dict:
    """Best-of-N (arXiv 2506.11702, section 4) of the tuned model: distance to the target of the best of N."""
    rows = answers(tuned_model(), evaluation_tasks(PROMPTS, RUBRICS), settings(seed), max(COUNTS))
    return {"curve": best_curves(rows), "written": rows}


def best_base(seed: int, most: int) -> dict:
    """The same of the base model; and "picked", for each N, the texts with the best overall score of N tries.

    That is the strictest rival: as if all that measures the texts afterwards had chosen them.
    """
    base, picked = base_model(), {}
    rows = with_sense(answers(base, evaluation_tasks(PROMPTS, RUBRICS), settings(seed), most), base, FOLDER)
    for n in (n for n in PICKED if n <= most):
        picked[n] = scored([max(group[:n], key=overall) for group in tries(rows)], base)
        del picked[n]["written"]  # they are among all that were written
    return {"curve": best_curves(rows), "picked": picked, "written": rows}


def overall(row: Response) -> float:
    """A row's overall score; what the judge could not read has none, and is worth nothing."""
    return row["overall"] or 0.0


def tries(rows: list[Response]) -> list[list[Response]]:
    """The rows of each task."""
    groups: dict[tuple, list[Response]] = {}
    for row in rows:
        groups.setdefault((row["prompt"], row["rubric"], row["target"]), []).append(row)
    return list(groups.values())


def best_curves(rows: list[Response]) -> dict[str, dict[int, list[float]]]:
    """best_curve of all tasks, and of each rubric's."""
    curves = {"all": best_curve(tries(rows))}
    for rubric in RUBRICS:
        curves[rubric] = best_curve(tries([row for row in rows if row["rubric"] == rubric]))
    return curves


def best_curve(groups: list[list[Response]]) -> dict[int, list[float]]:
    """For each N: mean distance of the best of N tries, and its 95% interval, from a bootstrap over prompts."""
    distances = np.array([list(map(miss, group)) for group in groups])
    owners = np.array([PROMPTS.index(group[0]["prompt"]) for group in groups])
    chance, points = np.random.default_rng(0), {}
    for n in (n for n in COUNTS if n <= len(groups[0])):
        each = np.array([best_of_n(row[None], np.zeros(1), n) for row in distances])
        draws = []
        for _ in range(DRAWS):
            drawn = chance.integers(len(PROMPTS), size=len(PROMPTS))
            draws.append(np.concatenate([each[owners == prompt] for prompt in drawn]).mean())
        points[n] = [each.mean(), *np.percentile(draws, [2.5, 97.5])]
    return points


def miss(row: Response) -> float:
    """How far a text is from its target, in points; what is degenerate, or the judge could not read, is far off."""
    return MISS if row["degenerate"] or row["score"] is None else abs(row["score"] - row["target"])


def left_out(rubric: str) -> dict:
    """Train mirrored + SFT on the other three rubrics, and write under this one."""
    trainer, _ = train("DPO mirrored + SFT", 42, rubrics=[other for other in RUBRICS if other != rubric])
    rows = written(trainer, f"without-{rubric}", [rubric], 42, 4)
    return {"left out": steerability(rows), "written": rows}


def generalisation() -> dict:
    """Training prompts, unseen prompts, paraphrases, targets in between, and two rubrics in one system prompt."""
    model = tuned_model()
    seen = [prompt["prompt"] for prompt in load_prompts(heldout=False)][::4][:6]
    tasks = {
        "training prompts": evaluation_tasks(seen, RUBRICS),
        "unseen prompts": evaluation_tasks(PROMPTS, RUBRICS),
        "paraphrased": evaluation_tasks(PROMPTS, RUBRICS, paraphrase),
    }
    measured = {name: steered(model, asked) for name, asked in tasks.items()}
    return measured | {"between": between(model)} | blended(model)


def steered(model, tasks: list[Task]) -> dict:
    """Steerability on tasks, two samples each."""
    rows = answers(model, tasks, settings(), 2)
    return steerability(rows) | {"written": rows}


def paraphrase(rubric: str, target: int) -> str:
    return system_prompt(rubric, target, paraphrase=True)


def between(model) -> dict[str, dict[int, list[float]]]:
    """Mean score and its standard error by rubric and target, for targets that were trained and others."""
    tasks = []
    for prompt in PROMPTS:
        for rubric in RUBRICS:
            for target, words in wordings(rubric):
                tasks.append(Task(prompt=prompt, rubric=rubric, target=target, system=words))
    cells: dict[str, dict[int, list[Response]]] = {}
    for row in answers(model, tasks, settings(), 2):
        cells.setdefault(row["rubric"], {}).setdefault(row["target"], []).append(row)
    scores = {}
    for rubric, by_target in cells.items():
        scores[rubric] = {target: mean_score(rows) for target, rows in by_target.items()}
    return scores


def mean_score(rows: list[Response]) -> list[float]:
    return by_prompt([row["score"] for row in rows], [row["prompt"] for row in rows])


def wordings(rubric: str) -> list[tuple[int, str]]:
    """(target, system prompt) of a rubric, by target: the three that are trained and those in between."""
    trained = [(target, system_prompt(rubric, target)) for target in TARGETS.values()]
    return sorted(trained + list(WORDS["between"][rubric].items()))


def blended(model) -> dict:
    """Scores under every rubric of texts that one rubric's system prompt asked for ("pure"), and two at once."""
    highest = {rubric: system_prompt(rubric, "high") for rubric in RUBRICS}
    blends, alone = [], []
    for prompt in PROMPTS:
        for one, other in combinations(RUBRICS, 2):
            words = WORDS["blend"].format(one=highest[one], two=highest[other])
            blends.append({"prompt": prompt, "rubric": one, "other": other, "system": words})
        alone += [{"prompt": prompt, "rubric": one, "other": "", "system": highest[one]} for one in RUBRICS]
    texts: dict[tuple[str, str], list[dict]] = {}
    for row in answers(model, blends + alone, settings(), 2):
        texts.setdefault((row["rubric"], row["other"]), []).append(row)
    pure, both = {}, {}
    for one in RUBRICS:
        pure[one] = {rubric: judged_as(rubric, texts[one, ""]) for rubric in RUBRICS}
    for one, other in combinations(RUBRICS, 2):
        both[f"{one} + {other}"] = {rubric: judged_as(rubric, texts[one, other]) for rubric in (one, other)}
    return {"pure": pure, "blends": both}


def judged_as(rubric: str, rows: list[dict]) -> list[float]:
    """Mean score of the texts under a rubric, whichever they were written for, and its standard error."""
    judge = embedded_judge()
    scores = [judge.score(rubric, row["prompt"], row["response"]).score for row in rows]
    return by_prompt(scores, [row["prompt"] for row in rows])


MEASURED = (method, curve, untrained, best_base, best_tuned, left_out, generalisation, dial, gradients, steering)
UNITS = {unit.__name__: unit for unit in MEASURED}
