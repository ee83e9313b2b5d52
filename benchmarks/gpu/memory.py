"""Stage D: peak memory and speed of the training of a 4-billion model, inside what a T4 has.

Every row is cut at max_length, the worst case that catalogue.training_memory estimates. A T4 is emulated by a
ceiling for PyTorch's allocator, and by float16. Beside the series' own trainer: TRL's with its best public settings
for memory (gradient checkpointing, 8-bit Adam, precomputed reference, Liger's chunked loss).
"""

import gc
import os

from benchmarks.gpu import students, trials
from benchmarks.gpu.stage import Stage, check_parts, has
from benchmarks.gpu.stages import shape_of
from benchmarks.gpu.unsloth_path import optimizer
from cpt_utils import runtime
from cpt_utils.runtime import profiles
from cpt_utils.runtime.catalogue import MEMORY_BAND, training_memory
from cpt_utils.runtime.keys import one_line
from cpt_utils.runtime.profiles import Profile

T4 = 14.6  # GiB that PyTorch sees on one
T4_PEAK = 14.0  # GiB that the tensors of a training may take there, beside CUDA's own and fragments
PAPER = 24.0  # GiB, the least that the profile `paper` asks for


def run(stage: Stage) -> None:
    stage.run_part("transformers")
    if has("unsloth"):
        stage.run_part("unsloth")
    check_parts(stage)


def run_part(stage: Stage) -> None:
    lengths, paper = stage.sizes["lengths"], stage.sizes["paper_length"]
    engine = {"student": students.random_student(stage.folder, f"{stage.sizes['student']}-nf4"), "engine": stage.part}
    t4 = runtime.start("t4", **engine)  # imports unsloth before transformers, where it is asked for
    stage.keep(context_gib=used_gib())
    for length in lengths if stage.part == "transformers" else lengths[:1]:
        measure(stage, f"ours_{length}", t4.replace(max_length=length), T4)
        if stage.part == "transformers":
            measure(stage, f"stock_{length}", t4.replace(max_length=length), T4, **stock())
    if stage.dry or total_gib() >= PAPER:
        profile = profiles.load_profile("paper").replace(seed=42, max_length=paper, **engine)
        measure(stage, f"paper_{paper}", profile, PAPER)
    else:
        stage.keep(too_small_for_paper=total_gib())
    check(stage)


def stock() -> dict:
    """TRL's trainer and the settings that save most memory."""
    from trl import DPOTrainer

    return {"kind": DPOTrainer, "use_liger_kernel": has("liger_kernel") and has("triton")}


def measure(stage: Stage, name: str, profile: Profile, ceiling: float, **changes) -> None:
    """Train a few steps within `ceiling` GiB and keep peaks (GiB), seconds a row and the estimate."""
    import torch

    number_type = "bfloat16" if ceiling == PAPER else "float16"
    os.environ["CPT_PRECISION"] = "float32" if stage.dry else number_type  # a processor cannot train in float16
    profile = profile.replace(max_steps=stage.sizes["memory_steps"])
    start_peak(ceiling - stage.found["context_gib"])
    estimate = training_memory(shape_of(stage.sizes["student"]), profile)
    found = {
        "estimate_gib": estimate["total"],
        "least_gib": estimate["total"] - estimate["logits"],
        "ceiling_gib": ceiling,
        "liger": changes.get("use_liger_kernel", False),
    }
    try:
        found |= train(stage, profile, changes)
    except torch.OutOfMemoryError:
        found["failure"] = "out of memory"
    except Exception as error:  # the next one may work
        found["failure"] = one_line(f"{type(error).__name__}: {error}")[:200]
    stage.keep(**{name: found | peaks()})
    release()


def release() -> None:
    """Free what nothing names any more: the next model needs the room."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def train(stage: Stage, profile: Profile, changes: dict) -> dict:
    per_step = profile.rows_per_batch * profile.batches_per_step
    trainer = trials.build(
        profile, rows(profile, per_step * profile.max_steps), stage.folder / "D", **changes, **optimizer(stage)
    )
    trainer.train()
    return {
        "trainer": type(trainer).__name__,
        "number_type": trials.half_precision(trainer),
        "reference_seconds": trainer.reference_seconds,
        "first_loss": trials.losses(trainer)[0],
        "seconds_per_row": trials.step_seconds(trainer) / per_step,
        "tokens_per_row": 2 * profile.max_length,
    }


def rows(profile: Profile, count: int) -> list[dict]:
    """Mirrored rows of the recorded responses, each longer than max_length."""
    from cpt_utils.pairs import rows_for

    short = rows_for(profiles.load_profile("embedded"), "train")[:count]
    return trials.long_rows(short, profile.max_length)


def used_gib() -> float:
    """What the driver says is in use, on a GPU; nothing is counted on a processor."""
    import torch

    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**30


def total_gib() -> float:
    """Memory of the GPU."""
    import torch

    return torch.cuda.get_device_properties(0).total_memory / 2**30


def start_peak(ceiling_gib: float) -> None:
    """Let PyTorch have that much of the GPU, and count its peak from now on."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(min(1.0, ceiling_gib / total_gib()))
        torch.cuda.reset_peak_memory_stats()


def peaks() -> dict[str, float]:
    """GiB: the most that tensors took, that PyTorch held, and what the driver has given out by now."""
    import psutil
    import torch

    if not torch.cuda.is_available():
        return {"process_gib": psutil.Process().memory_info().rss / 2**30}
    tensors, held = torch.cuda.max_memory_allocated() / 2**30, torch.cuda.max_memory_reserved() / 2**30
    return {"tensors_gib": tensors, "torch_gib": held, "driver_gib": used_gib()}


def check(stage: Stage) -> None:
    """The series' own trainings must run, as small as they should be; of stock TRL it is told what happens."""
    ours = {
        name: found for name, found in stage.found.items() if isinstance(found, dict) and not name.startswith("stock")
    }
    if not any("driver_gib" in found for found in ours.values()):
        stage.keep(compared="nothing: what a process takes on a processor is no peak of a GPU")
    if faults := [fault for name, found in ours.items() for fault in faults_of(name, found, stage.part)]:
        raise AssertionError("; ".join(faults))
    for name, found in ours.items():
        trials.check_first_loss(name, found["trainer"], found["first_loss"])


def faults_of(name: str, found: dict, engine: str) -> list[str]:
    """What is wrong with one training's outcome and peaks.

    The estimate counts the logits of the whole vocabulary, which the packed trainer never holds: at the lower end it
    goes without them. unsloth, which also moves activations to the processor, may take less.
    """
    if "failure" in found:
        return [f"{name}: {found['failure']}"]
    if "driver_gib" not in found:
        return []
    peak, ceiling = found["driver_gib"], found["ceiling_gib"]
    lowest, highest = found["least_gib"] / (1 + MEMORY_BAND), found["estimate_gib"] / (1 - MEMORY_BAND)
    wrong = []
    if peak > ceiling:
        wrong.append(f"{name} took {peak:.1f} GiB of {ceiling}")
    if ceiling == T4 and found["tensors_gib"] >= T4_PEAK:
        wrong.append(f"{name}: its tensors took {found['tensors_gib']:.1f} GiB, and a T4 has room for {T4_PEAK}")
    if peak > highest or engine == "transformers" and peak < lowest:
        wrong.append(f"{name} took {peak:.1f} GiB, and by the estimate it takes {lowest:.1f} to {highest:.1f}")
    return wrong
