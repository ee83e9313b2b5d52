"""Stage G: `trl dpo` (or `accelerate launch`, on several GPUs) trains two steps from the files of notebook 04."""

import json
import os
import shlex
import shutil

from benchmarks.gpu import processes, students, trials
from benchmarks.gpu.stage import Stage

ON_A_PROCESSOR = ["--use_cpu", "true", "--bf16", "false", "--optim", "adamw_torch"]


def run(stage: Stage) -> None:
    import torch

    from cpt_utils.export import write_launch
    from cpt_utils.models.conversation import fit_rows
    from cpt_utils.models.loading import load_student
    from cpt_utils.pairs import rows_for
    from cpt_utils.runtime import profiles

    profile = profiles.load_profile("t4").replace(
        student=students.random_student(stage.folder, "tiny-nf4"),
        engine="transformers",
        seed=1,
        max_steps=2,
        max_length=512,
    )
    rows = rows_for(profiles.load_profile("embedded"), "train")[:8]
    folder = stage.folder / "G"
    shutil.rmtree(folder, ignore_errors=True)
    processors = max(1, min(2, torch.cuda.device_count()))
    command = write_launch(profile, fit_rows(load_student(profile).tokenizer, rows), folder, processes=processors)
    stage.keep(command=command)
    words = shlex.split(command) + ["--save_strategy", "steps", "--save_steps", "2"]
    words += ON_A_PROCESSOR if stage.dry else []
    log = stage.folder / "G-command.log"
    code = processes.run_command(words, log, stage.left(), dict(os.environ), folder)
    if code is None:
        raise TimeoutError("the command was stopped at the stage's limit")
    if code:
        raise RuntimeError(f"the command ended with code {code}: {processes.last_line(log)}")
    state = json.loads((folder / "trained" / "checkpoint-2" / "trainer_state.json").read_text("utf-8"))
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    stage.keep(losses=losses, adapter=(folder / "trained" / "adapter_model.safetensors").exists())
    trials.check_first_loss("the command", "DPOTrainer", losses[0])
    if not stage.found["adapter"]:
        raise AssertionError("the command wrote no adapter")
