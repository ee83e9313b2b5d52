"""How fast this machine is, in floating-point operations a second: one product, training steps, new tokens."""

import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path

from cpt_utils.runtime import machine
from cpt_utils.runtime.catalogue import find_model, linear_shapes, parameters
from cpt_utils.runtime.profiles import Profile

STEPS = 3
TOKENS = 20
ROWS = 1200  # of one product: about the tokens of a training step
PATIENCE = 10.0  # seconds that one training step may take here; where it would take longer, a smaller one is tried


def product_rate(number_type: str, student: str = "embedded", seconds: float = 1.0) -> float:
    """FLOP/s of one product with the student's largest linear layer, on this machine's device: a median."""
    import torch

    shape, device = find_model(student)["shape"], machine.device()
    inner, outer = max(linear_shapes(shape), key=lambda pair: pair[0] * pair[1])
    x, weight = (torch.randn(rows, inner, device=device).to(getattr(torch, number_type)) for rows in (ROWS, outer))
    times, until = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        started = time.perf_counter()
        torch.nn.functional.linear(x, weight)
        synchronize(device)
        times.append(time.perf_counter() - started)
    return 2 * ROWS * inner * outer / statistics.median(times)


def synchronize(device: str) -> None:
    """Wait for what was handed to the device."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


@contextlib.contextmanager
def quietly():
    """Inside, bars and notes go to the text that is given instead of the screen."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        yield shown


def small_trainer(profile: Profile, student, rows: list[dict], folder: Path):
    """The series' trainer for a few steps over these rows, a step after another, that keeps nothing."""
    from datasets import Dataset

    from cpt_utils.models.adapters import lora_config
    from cpt_utils.models.conversation import fit_rows
    from cpt_utils.training import MirroredDPOTrainer, dpo_settings, prepare_trainer

    settings = dpo_settings(profile.replace(max_steps=STEPS, logging_steps=1), folder)
    settings.save_strategy = settings.eval_strategy = "no"
    # Any reference will do for the time that a step takes.
    rows = [row | {"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0} for row in rows]
    return prepare_trainer(
        MirroredDPOTrainer(
            model=student.model,
            args=settings,
            processing_class=student.tokenizer,
            peft_config=lora_config(profile),
            train_dataset=Dataset.from_list(fit_rows(student.tokenizer, rows)),
        )
    )


def training(profile: Profile, step_flops) -> dict[str, float]:
    """Three training steps of the embedded model: {"flops" (FLOP/s), "tokens" (a second, each row's own),
    "memory_gib" (of this process afterwards)}. `step_flops(profile, rows)`: the operations of one pass over rows.

    The first step, which warms up, is not counted.
    """
    import psutil
    from transformers import TrainerCallback

    from cpt_utils.models.loading import load_student
    from cpt_utils.pairs import rows_for

    times = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *args, **kwargs):
            times.append(time.perf_counter())

        def on_step_end(self, *args, **kwargs):
            synchronize(machine.device())
            times[-1] = time.perf_counter() - times[-1]

    rows = rows_for(profile, "train")[: STEPS * profile.rows_per_batch]
    speed = product_rate(machine.number_type(), seconds=0.2)
    if step_flops(profile, rows[: profile.rows_per_batch]) / speed > PATIENCE / 2:
        profile, rows = profile.replace(rows_per_batch=2), rows[: STEPS * 2]
    with tempfile.TemporaryDirectory() as folder, quietly():
        trainer = small_trainer(profile, load_student(profile), rows, Path(folder))
        trainer.add_callback(Clock())
        trainer.train()
    tokens_seen = [entry["num_tokens"] for entry in trainer.state.log_history if "num_tokens" in entry]
    seconds = sum(times[1:])
    share = (STEPS - 1) / STEPS  # of the work, as blocks of rows are much alike
    return {
        "flops": share * step_flops(profile, rows) / seconds,
        "tokens": (tokens_seen[-1] - tokens_seen[0]) / seconds,
        "memory_gib": psutil.Process().memory_info().rss / 2**30,
    }


def writing(profile: Profile) -> dict[str, float]:
    """Twenty tokens for each text of a batch, by the tuned embedded model: {"flops" (FLOP/s), "tokens" (a second)}.

    From the first new token on: reading the prompts is work of another kind.
    """
    from cpt_utils.models.adapters import SHIPPED_ADAPTER
    from cpt_utils.models.conversation import chat
    from cpt_utils.models.loading import load_chat_model
    from cpt_utils.prompts import load_prompts, messages, system_prompt

    times = []

    def watch(newest):
        synchronize(machine.device())
        times.append(time.perf_counter())

    prompts = [prompt["prompt"] for prompt in load_prompts(heldout=True)]
    size = profile.sampling.batch_size
    asked = [messages(prompts[i * len(prompts) // size], system_prompt("rococo", "high")) for i in range(size)]
    with quietly():
        tuned = load_chat_model(profile, SHIPPED_ADAPTER, dtype="auto")
        chat(tuned, asked, max_new_tokens=TOKENS, watch=watch, **dict(profile.sampling))
    tokens = size * (len(times) - 1) / (times[-1] - times[0])
    return {"flops": 2 * parameters(find_model("embedded")["shape"]) * tokens, "tokens": tokens}
