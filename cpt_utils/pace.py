"""What is said while a training runs: how long it will take here, its last loss, and each evaluation."""

import math
import sys
import time

from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from cpt_utils.runtime import heap
from cpt_utils.runtime.durations import minutes
from cpt_utils.runtime.errors import TrainingError


class Pace(TrainerCallback):
    """One line after the second step, from the time that it took: the first one warms up. Evaluations are not in it."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.second = state.global_step + 2  # a training that goes on begins later
        self.began = self.last = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step > self.second:
            return
        step, self.last = time.perf_counter() - self.last, time.perf_counter()
        left = state.max_steps - state.global_step
        if state.global_step == self.second and left and state.is_world_process_zero:
            whole = minutes(self.last - self.began + step * left)
            told = f"{whole} for {left + 2} steps on this machine, by the first two; evaluations come on top"
            tqdm.write(told, file=sys.stderr)  # the stream of the bar


class ShortLog(TrainerCallback):
    """A progress bar with the last loss, and one line for each evaluation; `model.unfinished` until all is trained."""

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        model.unfinished = True
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training")

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingError(
                f"The loss is {logs['loss']} at step {state.global_step}: lower learning_rate, or train in bf16 "
                "instead of fp16; the last checkpoint is kept."
            )
        if logs and "loss/sigmoid" in logs:
            self.bar.set_postfix_str(f"DPO loss {logs['loss/sigmoid']:.3f}")

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        heap.release_memory()
        names = {"accuracies": "held-out rows right", "both_directions": "both directions"}
        found = {told: metrics.get(f"eval_rewards/{name}") for name, told in names.items()}
        if line := ", ".join(f"{told} {share:.2f}" for told, share in found.items() if share is not None):
            # the stream of the bar, so that neither cuts into the other
            tqdm.write(f"step {state.global_step}: {line}", file=sys.stderr)

    def on_train_end(self, args, state, control, model=None, **kwargs):
        del model.unfinished
        self.bar.close()


def log_shortly(trainer):
    """The trainer with a ShortLog in place of what transformers shows."""
    for shown in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown)
    trainer.add_callback(ShortLog())
    return trainer
