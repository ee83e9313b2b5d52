"""What a training is measured by, the same for both sides: whichever trainer it is."""

import sys
import time

from transformers import TrainerCallback


class StepTimes(TrainerCallback):
    """Seconds of each step, in `times`."""

    def __init__(self):
        self.times = []

    def on_step_begin(self, *args, **kwargs):
        self.started = time.perf_counter()

    def on_step_end(self, *args, **kwargs):
        self.times.append(time.perf_counter() - self.started)


def measured(trainer) -> dict:
    """Train, and return seconds of the reference and of each step, losses, tokens, and this process's peak so far."""
    clock = StepTimes()
    trainer.add_callback(clock)
    reference = reference_seconds(trainer)
    trainer.train()
    return {
        "reference_seconds": reference,
        "step_seconds": clock.times,
        "losses": logged(trainer, "loss"),
        "tokens": logged(trainer, "num_tokens")[-1],
        "peak_memory_gib": peak_memory_gib(),
    }


def logged(trainer, name: str) -> list[float]:
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def reference_seconds(trainer) -> float:
    """Seconds for the reference log-probabilities of all rows (the trainer's own path, batch by batch)."""
    rows = []
    for row in trainer.train_dataset:
        rows.append({name: value for name, value in row.items() if not name.startswith("ref_")})
    size = trainer.args.per_device_train_batch_size
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    started = time.perf_counter()
    for batch in batches:
        inputs = {name: tensor.to(trainer.model.device) for name, tensor in trainer.data_collator(batch).items()}
        with trainer.compute_loss_context_manager():
            trainer.compute_ref_log_probs(trainer.model, inputs)
    return time.perf_counter() - started


def peak_memory_gib() -> float:
    """The most memory that this process has had so far."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**30
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
