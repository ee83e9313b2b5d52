"""Stage I: how many times as long TRL's step of DPO takes as one that computes shared prompts and texts once.

`make sharing` measures it on a processor (beyond/sharing.py); here stands the same on a GPU: the embedded student's
shape in the GPU's number type, and one of 4 billion weights in 4 bits. Three trainers take turns in one process: TRL's,
TRL's with shared prompts (shared_dpo.py), and the series' packed one. Beside each ratio stands the one that is counted.
A point for which the time left is too short is named under "left_out", and a GPU that is too small says so.
"""

import time

from benchmarks.beyond.steps import compared, text_rows, trainers
from benchmarks.gpu import students
from benchmarks.gpu.memory import release, total_gib
from benchmarks.gpu.stage import Stage, check_parts
from benchmarks.gpu.stages import shape_of
from cpt_utils.runtime import machine, profiles
from cpt_utils.runtime.profiles import Profile

SHARES = {"embedded": 0.6, "large": 1.0}
"""Of the time left, by part."""
LEAST_SECONDS = 30
"""Below which the large part is not begun: it loads its weights first."""
LEAST_GIB = 40
"""Memory of a GPU for the large part: TRL holds whole logits, and three models lie beside each other."""
AGREE = 0.9
"""Least cosine of a trainer's gradients with TRL's: half precision takes some of it."""


def run(stage: Stage) -> None:
    for part, share in SHARES.items():
        if reason := too_little(stage, part):
            stage.keep(**{part: {"skipped": reason}})
        else:
            stage.run_part(part, share)
    check_parts(stage)


def too_little(stage: Stage, part: str) -> str:
    """Why the part cannot be measured here, or ""."""
    if part == "embedded" or stage.dry:
        return ""
    if (memory := total_gib()) < LEAST_GIB:
        return f"{memory:.0f} GiB of memory, and it takes {LEAST_GIB}"
    return f"{stage.left():.0f} s left" if stage.left() < LEAST_SECONDS else ""


def run_part(stage: Stage) -> None:
    import torch

    from cpt_utils.models.loading import load_student

    profile, shape = student_of(stage)
    student, longest = load_student(profile), 0.0
    for block, blocks, prompt, response in stage.sizes["shared_steps"][stage.part]:
        name, started = point_name(block, blocks, prompt, response), time.time()
        if stage.left() < 1.5 * longest:
            stage.keep(left_out=[*stage.found.get("left_out", []), name])
            continue
        rows = text_rows(student.tokenizer, block, prompt, response, blocks)
        try:
            stage.keep(**{name: point(stage, student, profile, rows, shape)})
        except torch.OutOfMemoryError:
            stage.keep(**{name: {"failure": "out of memory"}})
        release()
        longest = max(longest, time.time() - started)
    check(stage.found)


def student_of(stage: Stage) -> tuple[Profile, dict]:
    """The part's profile and the shape of its student: in a rehearsal a tiny one, in 4 bits where the real one is."""
    if stage.part == "large":
        name = stage.sizes["student"]
        changes = {"student": students.random_student(stage.folder, f"{name}-nf4"), "engine": "transformers"}
        return profiles.load_profile("t4").replace(**changes), shape_of(name)
    profile = profiles.load_profile("embedded")
    if stage.dry:
        return profile.replace(student=students.random_student(stage.folder, "tiny")), shape_of("tiny")
    return profile, shape_of("embedded")


def point_name(block: str, blocks: int, prompt: int, response: int) -> str:
    return f"{blocks} x {block}, {prompt} + {response}"


def point(stage: Stage, student, profile: Profile, rows: list[dict], shape: dict) -> dict:
    """What one length of prompts and responses comes to (compared)."""
    from cpt_utils.models.adapters import lora_config
    from cpt_utils.training import prepare_trainer

    settings = machine.training_arguments() | {"gradient_checkpointing": profile.gradient_checkpointing}
    folder = str(stage.folder / f"I-{stage.part}")
    sides = trainers(student.model, student.tokenizer, lora_config(profile), rows, folder, **settings)
    for trainer in sides.values():
        prepare_trainer(trainer)  # its adapter is float32
    return compared(sides, shape)


def check(found: dict) -> None:
    """Raise where a trainer does not compute what TRL's does, or is given as much."""
    for name, told in found.items():
        for way, agreement in told.get("agreement", {}).items() if isinstance(told, dict) else ():
            if not agreement >= AGREE:
                raise AssertionError(f"{name}: the gradients {way} agree to {agreement:.3f} with TRL's, not {AGREE}")
            if not told["columns"][way] > 1:
                raise AssertionError(f"{name}: nothing was shared, the model was given as much {way} as by TRL")
