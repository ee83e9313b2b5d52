"""From the answers of two sides to what `make bench` reports: medians, ratios, and how far results differ."""

import statistics
from itertools import chain

from benchmarks.speed.plan import WAYS
from benchmarks.speed.turns import Side, SideError

Answers = dict[str, list[dict]]
"""A side's answers to the same order, in the order of repeats, by the order's name."""


def play(sides: dict[str, Side], repeats: int, number_types: list[str]) -> dict[str, Answers]:
    """Ask all sides in turn, `repeats` times each; by side.

    Where the newest libraries fail, that is their result: {"failure": what they said}.
    """
    answers = {name: {} for name in sides}
    ask_all(sides, answers, "versions", "versions")
    for _ in range(repeats):
        ask_all(sides, answers, "training", "train")
    ask_all(sides, answers, "training in float32", "train", bf16=False, fp16=False)
    for number_type in number_types:
        for way, options in WAYS.items():
            for _ in range(repeats):
                ask_all(sides, answers, f"{way} in {number_type}", "write", number_type=number_type, **options)
    return answers


def ask_all(sides: dict[str, Side], answers: dict[str, Answers], name: str, what: str, **options) -> None:
    """Give an order to each side, one after the other, and add the answers under `name`."""
    for side in [side for side in sides.values() if "failure" not in answers[side.name]]:
        try:
            answers[side.name].setdefault(name, []).append(side.ask(what, **options))
        except SideError as problem:
            if side.name != "newest":
                raise
            answers[side.name] = {"failure": str(problem)}


def compared(stock: Answers, ours: Answers, number_types: list[str]) -> dict:
    """One side of the libraries against the series: what results/bench.json holds of the two."""
    both = {"stock": stock["training"], "ours": ours["training"]}
    steps = {name: median_step(answers) for name, answers in both.items()}
    tokens_per_step = ours["training"][-1]["tokens"] / len(ours["training"][-1]["losses"])
    reference = {name: least(answers, "reference_seconds") for name, answers in both.items()}
    losses = {name: answers[-1]["losses"] for name, answers in both.items()}
    exact = {"stock": stock["training in float32"][-1]["losses"], "ours": ours["training in float32"][-1]["losses"]}
    return {
        "peak_memory_gib": {name: answers[0]["peak_memory_gib"] for name, answers in both.items()},
        "train_ratio": steps["stock"] / steps["ours"],
        "reference_ratio": reference["stock"] / reference["ours"],
        "tokens_per_second": {name: tokens_per_step / seconds for name, seconds in steps.items()},
        "seconds_per_step": steps,
        "max_loss_difference": difference(losses),
        "losses": losses,
        "max_loss_difference_float32": difference(exact),
        "generation": {name: compared_writing(stock, ours, name) for name in number_types},
    }


def compared_writing(stock: Answers, ours: Answers, number_type: str) -> dict:
    """Median seconds of both by way, their ratio, and the share of greedy texts that are the same."""
    seconds = {}
    for way in WAYS:
        name = f"{way} in {number_type}"
        seconds[way] = {
            "plain": statistics.median(answer["seconds"] for answer in stock[name]),
            "ours": statistics.median(answer["seconds"] for answer in ours[name]),
        }
    theirs, own = (answers[f"greedy in {number_type}"][-1]["tokens"] for answers in (stock, ours))
    same = [text == text_of_ours[: len(text)] for text, text_of_ours in zip(theirs, own, strict=True)]
    return {
        "seconds": seconds,
        "same_greedy_rows": statistics.mean(same),
        "ratio": {way: each["plain"] / each["ours"] for way, each in seconds.items()},
    }


def median_step(trainings: list[dict]) -> float:
    """Median seconds of a step; the first one of each training warms up."""
    return statistics.median(chain.from_iterable(answer["step_seconds"][1:] for answer in trainings))


def least(answers: list[dict], name: str) -> float:
    return min(answer[name] for answer in answers)


def difference(losses: dict[str, list[float]]) -> float:
    """The largest relative difference of two sides' losses at any step."""
    pairs = zip(losses["stock"], losses["ours"], strict=True)
    return max(abs(stock - ours) / abs(stock) for stock, ours in pairs)
