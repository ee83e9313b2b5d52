"""Short trainings of a random student, as notebook 04 trains: for the stages and for the tests marked `gpu`."""

import dataclasses
import json
import math
import statistics
import sys
import time
from pathlib import Path

from cpt_utils import runtime
from cpt_utils.models.adapters import lora_config, prepare_for_lora
from cpt_utils.models.conversation import fit_rows
from cpt_utils.models.loading import load_student
from cpt_utils.runtime import machine
from cpt_utils.runtime.profiles import Profile


def build(profile: Profile, rows: list[dict], folder: Path, held: list[dict] | None = None, kind=None, **changes):
    """A trainer with its reference computed, its `reference_seconds`, and its steps timed (`clock`).

    `kind`: another trainer than the profile's. `changes` go to the DPOConfig; nothing is saved or evaluated
    on the way.
    """
    from datasets import Dataset
    from transformers import set_seed

    from cpt_utils.training import dpo_settings, prepare_trainer, trainer_for

    set_seed(profile.seed)
    chat_model = load_student(profile)
    settings = dataclasses.replace(
        dpo_settings(profile, folder), save_strategy="no", eval_strategy="no", logging_steps=1, **changes
    )
    train_set, held_set = (part and Dataset.from_list(fit_rows(chat_model.tokenizer, part)) for part in (rows, held))
    started = time.perf_counter()
    model, peft_config = prepare_for_lora(chat_model, lora_config(profile), profile)
    trainer = prepare_trainer(
        (kind or trainer_for(profile))(
            model=model,
            args=settings,
            train_dataset=train_set,
            eval_dataset=held_set,
            processing_class=chat_model.tokenizer,
            peft_config=peft_config,
        )
    )
    trainer.reference_seconds = time.perf_counter() - started
    trainer.clock = step_times(trainer)
    return trainer


def step_times(trainer) -> list[float]:
    """A list that fills with the seconds of each step."""
    from transformers import TrainerCallback

    from benchmarks.gpu.limits import synchronize

    times, device = [], trainer.model.device.type

    class Clock(TrainerCallback):
        def on_step_begin(self, *args, **kwargs):
            synchronize(device)
            self.started = time.perf_counter()

        def on_step_end(self, *args, **kwargs):
            synchronize(device)
            times.append(time.perf_counter() - self.started)

    trainer.add_callback(Clock())
    return times


def step_seconds(trainer) -> float:
    """Median seconds of a step; the first warms up."""
    return statistics.median(trainer.clock[1:] or trainer.clock)


def losses(trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def half_precision(trainer) -> str:
    """The number type under which the trainer multiplies."""
    kinds = {"bfloat16": trainer.args.bf16, "float16": trainer.args.fp16}
    return next((name for name, on in kinds.items() if on), "float32")


def check_first_loss(name: str, trainer: str, loss: float) -> None:
    """Raise unless the first DPO loss is ln 2, as that of a policy which is still its own reference.

    Away from a GPU, TRL's own trainer sums log-probabilities in the weights' bf16, in steps of 8 at full length.
    """
    room = 0.02 if trainer == "MirroredDPOTrainer" else 0.1
    if not abs(loss - math.log(2)) < room:
        raise AssertionError(f"{name}: the first loss of {trainer} is {loss:.4f}, not ln 2")


def long_rows(rows: list[dict], tokens: int) -> list[dict]:
    """The rows with responses repeated beyond that many tokens, so that max_length cuts each of them."""

    def longer(turns: list[dict]) -> list[dict]:
        return [{**turns[0], "content": " ".join([turns[0]["content"]] * (tokens // 20))}]

    return [{**row, "chosen": longer(row["chosen"]), "rejected": longer(row["rejected"])} for row in rows]


def main() -> None:
    """Losses of a training through unsloth, which must be imported before all else, as a line of JSON.

    Arguments: a folder with a student, and a file with rows as JSON.
    """
    student, data = sys.argv[1:]
    profile = runtime.start("t4", seed=1, student=student, max_steps=4, learning_rate=1e-4)
    rows = json.loads(Path(data).read_text("utf-8"))
    trainer = build(profile, rows, Path(data).parent / "unsloth")
    trainer.train()
    print(json.dumps({"engine": machine.engine(profile), "losses": losses(trainer)}))


if __name__ == "__main__":
    main()
