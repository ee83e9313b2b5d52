"""Steering vectors by difference of means (DiffMean): adding to the residual stream instead of training.

The direction is Marks and Tegmark's (2023, arXiv 2310.06824): mean hidden state of the texts that have something,
minus that of those that lack it. AxBench (Wu et al. 2025, arXiv 2501.17148) adds it while a model answers, beside
prompting and tuning. Here: one direction a rubric, from the recorded responses to the training prompts; layer and
strength are chosen on training prompts alone.
"""

from contextlib import contextmanager

import numpy as np
import torch

from benchmarks.answers import answers, base_model, scored
from benchmarks.recipe import recorded_aside
from benchmarks.seeds import SEEDS
from benchmarks.trainings import PROMPTS, RUBRICS, settings
from cpt_utils.evaluation import evaluation_tasks, rank_metrics
from cpt_utils.models.conversation import ChatModel, templated
from cpt_utils.overall import with_sense
from cpt_utils.prompts import load_responses, messages, system_prompt
from cpt_utils.rows import TARGETS, Response, Task

LAYERS = (6, 10, 14, 18, 22)
"""Of the embedded model's 30: a vector is added to what leaves the layer of that number, counted from 1."""
STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0)
"""At 1, a point of score asked for moves a state by what it moves the mean state of recorded texts."""
CHOOSING = recorded_aside()
"""The four training prompts on which layer and strength are chosen: `make recipe` chooses on them, too."""


def steering(prompted: bool) -> dict:
    """Steered answers to the held-out prompts, at the layer and strength chosen on training prompts, per seed.

    `prompted`: the system prompt is there too. "own" holds each rubric's mean score without a vector on the prompts
    of the choice, "runs" one for each seed.
    """
    base = base_model()
    vectors, own = diff_means(base, LAYERS), own_scores(base, prompted)
    grid = [grid_point(base, vectors, own, prompted, layer, a) for layer in LAYERS for a in STRENGTHS]
    best = max(grid, key=lambda point: point["overall"])
    chosen = {name: best[name] for name in ("layer", "strength")}
    runs = [heldout_run(base, vectors, own, prompted, seed, **chosen) for seed in SEEDS]
    return {"chosen": chosen, "own": own, "grid": grid, "runs": runs}


def diff_means(chat_model: ChatModel, layers: tuple[int, ...]) -> dict[str, dict[int, torch.Tensor]]:
    """For each rubric and layer the vector (width,) of one point of score: high texts' mean state minus low texts',
    divided by the points between the two targets."""
    states: dict[tuple[str, int], list[torch.Tensor]] = {}
    for row in load_responses(heldout=False):
        if row["target"] != TARGETS["mid"]:
            states.setdefault((row["rubric"], row["target"]), []).append(mean_states(chat_model, row, layers))
    points, vectors = TARGETS["high"] - TARGETS["low"], {}
    for rubric in RUBRICS:
        high, low = (torch.stack(states[rubric, TARGETS[name]]).mean(0) for name in ("high", "low"))
        vectors[rubric] = dict(zip(layers, (high - low) / points))
    return vectors


@torch.inference_mode()
def mean_states(chat_model: ChatModel, row: Response, layers: tuple[int, ...]) -> torch.Tensor:
    """Mean hidden state over a response's tokens after each layer, behind its plain prompt: (layers, width)."""
    model, tokenizer = chat_model.model, chat_model.tokenizer
    prompt = templated(tokenizer, messages(row["prompt"]), add_generation_prompt=True)
    answer = tokenizer(row["response"], add_special_tokens=False)["input_ids"]
    ids = torch.tensor([prompt + answer], device=model.device)
    # (1, tokens, width) each: of the embedding, then after layers 1, 2, ...
    states = model.get_decoder()(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    return torch.stack([states[layer][0, len(prompt) :].float().mean(0) for layer in layers])


@contextmanager
def steered(model, layer: int, vector: torch.Tensor):
    """Inside, `vector` (width,) is added to what leaves the layer (counted from 1) at the newest position of each row.

    That is a prompt's last token, which decides the first token of the answer, and then every token of the answer.
    """

    def add(module, inputs, hidden):  # hidden: (rows, tokens, width), left-padded
        return torch.cat([hidden[:, :-1], hidden[:, -1:] + vector.to(hidden)], 1)

    hook = model.get_decoder().layers[layer - 1].register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()


def tasks_of(prompts: list[str], prompted: bool) -> list[Task]:
    """Every rubric and target for these prompts, with the system prompts or without any."""
    return evaluation_tasks(prompts, RUBRICS, system_prompt if prompted else lambda rubric, target: None)


def cells_of(tasks: list[Task]) -> dict[tuple[str, int], list[Task]]:
    """The tasks of each (rubric, target)."""
    cells: dict[tuple[str, int], list[Task]] = {}
    for task in tasks:
        cells.setdefault((task["rubric"], task["target"]), []).append(task)
    return cells


def own_scores(base: ChatModel, prompted: bool) -> dict[str, float]:
    """Each rubric's mean score of what the model writes without a vector, on the prompts of the choice."""
    scores: dict[str, list[float]] = {rubric: [] for rubric in RUBRICS}
    for row in judged(answers(base, tasks_of(CHOOSING, prompted), settings())):
        scores[row["rubric"]].append(row["score"])
    return {rubric: float(np.mean(found)) for rubric, found in scores.items()}


def judged(rows: list[Response]) -> list[Response]:
    """Those that the judge could read: a vector that is too strong makes texts that are not English."""
    return [row for row in rows if row["score"] is not None]


def steered_answers(base, vectors, own, tasks: list[Task], layer: int, strength: float, seed: int) -> list[Response]:
    """Judged answers, the tasks of one rubric and target at a time: they share a vector.

    A target takes strength * (target - the model's own score) times the vector of one point, so that nothing is added
    where the model is already. Each cell has a seed of its own, or equal prompts would draw the same tokens.
    """
    rows = []
    for number, ((rubric, target), cell) in enumerate(cells_of(tasks).items()):
        vector = strength * (target - own[rubric]) * vectors[rubric][layer]
        with steered(base.model, layer, vector):
            rows += answers(base, cell, settings(100 * seed + number))
    return rows


def grid_point(base, vectors, own, prompted: bool, layer: int, strength: float) -> dict:
    """What a layer and strength come to on the prompts of the choice: overall with its parts, and ranks.

    A text that the judge could not read has an overall of 0 here: else a point with few readable texts could win.
    """
    tasks = tasks_of(CHOOSING, prompted)
    rows = with_sense(steered_answers(base, vectors, own, tasks, layer, strength, settings().seed), base)
    read = judged(rows)
    measured = {"overall": float(np.mean([row["overall"] or 0.0 for row in rows])), "unjudged": len(rows) - len(read)}
    return {"layer": layer, "strength": strength} | (rank_metrics(read) if read else {}) | measured


def heldout_run(base, vectors, own, prompted: bool, seed: int, layer: int, strength: float) -> dict:
    """Figures on the held-out prompts, as of every other way."""
    return scored(steered_answers(base, vectors, own, tasks_of(PROMPTS, prompted), layer, strength, seed), base)
