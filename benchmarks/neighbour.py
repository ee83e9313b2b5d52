"""What one busy neighbour costs on two cores: the same work beside a process that keeps one of them busy, and alone.

bench.py starts this module in a process of its own, where cpt_utils is imported before PyTorch, as in a notebook.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from cpt_utils import runtime
from cpt_utils.runtime import files
from cpt_utils.runtime.profiles import Profile

CORES = 2
SPIN = "while True: pass"


@contextlib.contextmanager
def busy_neighbour():
    """A second process that keeps one core busy in pure Python meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def beside_and_alone(work: Callable[[], None], repeats: int) -> dict[str, float]:
    """Median seconds of the work, alone and beside a busy neighbour, and their ratio; the first call warms up."""
    work()
    alone = median_seconds(work, repeats)
    with busy_neighbour():
        beside = median_seconds(work, repeats)
    return {"alone": alone, "beside": beside, "ratio": beside / alone}


def median_seconds(work: Callable[[], None], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def generation(tokens: int) -> Callable[[], None]:
    """Generates so many tokens of one answer with the embedded model, greedily."""
    from cpt_utils.fast.decoding import generate
    from cpt_utils.models.conversation import templated
    from cpt_utils.models.loading import load_chat_model
    from cpt_utils.prompts import load_prompts, messages, system_prompt

    chat_model = load_chat_model("embedded", dtype="auto")
    turns = messages(load_prompts()[0]["prompt"], system_prompt("rococo", "high"))
    text = templated(chat_model.tokenizer, turns, tokenize=False, add_generation_prompt=True)
    batch = chat_model.tokenizer([text], return_tensors="pt", add_special_tokens=False)

    def work():
        generate(chat_model.model, batch, max_new_tokens=tokens, ends=[-1], pad_token_id=0)

    return work


def training_step(profile: Profile) -> Callable[[], None]:
    """Takes one step of the embedded recipe, its reference computed before."""
    from benchmarks.gpu.trials import build
    from cpt_utils.pairs import rows_for

    rows = rows_for(profile, "train")[: profile.rows_per_batch]
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(profile.replace(max_steps=1), rows, Path(folder))

    def work():
        trainer.train()

    return work


def measure(tokens: int = 20, repeats: int = 3) -> dict:
    """Both kinds of work, on two cores at most."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # not on macOS
        process.cpu_affinity(process.cpu_affinity()[:CORES])
    profile = runtime.start("embedded")
    import torch

    torch.set_num_threads(min(CORES, torch.get_num_threads()))
    return {
        "threads": torch.get_num_threads(),
        "waiting": os.environ["OMP_WAIT_POLICY"],
        "generation": beside_and_alone(generation(tokens), repeats),
        "training": beside_and_alone(training_step(profile), repeats),
    }


def in_own_process(**sizes: int) -> dict:
    """`measure` with these sizes, in a process of its own and with the series' own environment."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.neighbour", json.dumps(sizes)],
        cwd=files.ROOT,
        env=ours,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(told.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
