"""How the cost of the series grows with rows and lengths, what a judged text and a moved slider cost."""

import os
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

from benchmarks.measured import RESULTS
from benchmarks.speed.series import build
from benchmarks.speed.trained import measured
from cpt_utils.judging import embedded_judge
from cpt_utils.models.conversation import ChatModel
from cpt_utils.pairs import rows_for
from cpt_utils.plotting import BASE, TUNED, figure
from cpt_utils.prompts import load_responses
from cpt_utils.runtime import files, heap
from cpt_utils.runtime.profiles import Profile
from cpt_utils.widgets.studio import rubric_studio

TIMES = (1, 2, 4)
FOLDER = files.ROOT / "runs" / "bench"
JUDGED = 10_000


def growth(profile: Profile, student: ChatModel) -> dict:
    """Seconds a step for 1, 2 and 4 times the rows and the lengths, and judging 10,000 texts."""
    rows, steps = rows_for(profile, "train")[:24], {"rows": {}, "length": {}}
    profile = profile.replace(max_steps=3)
    for times in TIMES:
        wide = profile.replace(rows_per_batch=6 * times)
        steps["rows"][times] = step_seconds(build(wide, student, rows, FOLDER))
        long = profile.replace(max_length=2048)
        steps["length"][times] = step_seconds(build(long, student, [repeated(row, times) for row in rows], FOLDER))
        heap.release_memory()
    return steps | {f"judge_{JUDGED}_texts_seconds": judge_seconds()}


def step_seconds(trainer) -> float:
    """Median seconds of a step; the first warms up."""
    return statistics.median(measured(trainer)["step_seconds"][1:])


def repeated(row: dict, times: int) -> dict:
    """A row whose responses are so many times as long."""
    longer = {}
    for side in ("chosen", "rejected"):
        (turn,) = row[side]
        longer[side] = [turn | {"content": " ".join([turn["content"]] * times)}]
    return row | longer


def judge_seconds() -> float:
    judge, texts = embedded_judge(), load_responses()
    started = time.perf_counter()
    for number in range(JUDGED):
        row = texts[number % len(texts)]
        judge.score(row["rubric"], row["prompt"], f"{row['response']} {number}")  # no text twice
    return time.perf_counter() - started


def slider_ms() -> float:
    """The slowest of ten moves of a weight slider in the rubric studio, until its ranking is redrawn."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, CPT_RUNS=folder):  # drafts go there, too
        studio, times = rubric_studio("rococo", Path(folder)), []
        slider = studio.weights.children[1].children[1]
        for value in range(30, 80, 5):
            started = time.perf_counter()
            slider.value = value
            times.append(1000 * (time.perf_counter() - started))
    return max(times)


def draw(steps: dict) -> None:
    """results/growth.png, titled with its finding."""
    fig, axes = figure(1, 2, width=8, height=3)
    four = {}
    for axis, name in zip(axes, ("rows", "length")):
        seconds = list(steps[name].values())
        four[name] = seconds[-1] / seconds[0]
        axis.plot(TIMES, seconds, "o-", color=TUNED, label="measured")
        axis.plot(TIMES, [seconds[0] * times for times in TIMES], "--", color=BASE, label="proportional")
        axis.set(xlabel=f"{name}, times the notebook's", ylabel="seconds a step", ylim=(0, None), xticks=TIMES)
    axes[0].legend()
    fig.suptitle(
        f"Four times the rows cost {four['rows']:.1f} times as much, four times the length {four['length']:.1f}",
        x=0.01,
        ha="left",
        fontweight="bold",
    )
    fig.savefig(RESULTS / "growth.png", metadata={"Software": ""})
