"""Checkpoints: found, checked, kept for a while; and a training that goes on where it was stopped."""

import contextlib
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors import safe_open
from transformers import TrainerCallback, set_seed
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState
from trl import DPOTrainer

from cpt_utils.models.whole import damage
from cpt_utils.runtime import files, locks
from cpt_utils.runtime.errors import TrainingError
from cpt_utils.runtime.places import writable
from cpt_utils.runtime.profiles import Profile

OTHERS = 3
"""Trainings under other settings or rows whose checkpoints are kept beside those of the present one."""
NEEDED = (TRAINER_STATE_NAME, SAFETENSORS_WEIGHTS_NAME, OPTIMIZER_NAME, SCHEDULER_NAME, "rng_state.pth")
"""What a checkpoint of an adapter cannot do without: the Trainer would go on without some of it, from nothing."""
STATE = dict(log_history=list, stateful_callbacks=dict, global_step=int, train_batch_size=int)
STATE |= dict.fromkeys(("logging_steps", "eval_steps", "save_steps"), (int, float))
"""What the Trainer reckons with, of its own state, when it goes on."""
PARTS = {OPTIMIZER_NAME: b"param_groups", SCHEDULER_NAME: b"last_epoch", "rng_state.pth": b"python"}
"""A key of what the Trainer keeps in each of these files."""


def run_checkpoints(folder: Path, profile: Profile, rows: list[dict]) -> tuple[Path, str | None]:
    """The checkpoint folder of exactly this training, and its last whole checkpoint (None: start afresh).

    The folder's name is a hash of rows and settings, so a checkpoint of another training is never resumed. Those of
    the OTHERS newest trainings stay, and whatever a process is working on.
    """
    mine = Path(folder) / "checkpoints" / files.json_hash([profile.model_dump(), rows], 12)
    writable(mine, "CPT_RUNS")
    _remove_oldest(mine)
    with _alone(mine):
        return mine, last_checkpoint(mine)


def last_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that can be loaded, or None. Damaged ones that come after it are set aside, and said."""
    steps = {place: re.fullmatch(r"checkpoint-(\d+)", place.name) for place in Path(folder).iterdir()}
    for place in sorted(filter(steps.get, steps), key=lambda place: -int(steps[place][1])):
        if not (why := damage(place, NEEDED) or _unlike_a_state(place)):
            return str(place)
        kept = files.set_aside(place, f"damaged-{place.name}")
        print(f"note: {place.name} is damaged ({why}): it is set aside as {kept.name}, and the one before it is used")
    return None


def _unlike_a_state(place: Path) -> str:
    """What is wrong with what the Trainer keeps, which has no form but its own, or with how it fits together."""
    try:
        state = TrainerState.load_from_json(str(place / TRAINER_STATE_NAME))
    except (TypeError, ValueError) as error:
        return f"{TRAINER_STATE_NAME} cannot be loaded: {type(error).__name__}"
    for name, kind in STATE.items():
        value = getattr(state, name)
        if not isinstance(value, kind) or value == {}:
            return f"{TRAINER_STATE_NAME} cannot be loaded: its {name} is {str(value)[:50]!r}"
    if place.name != f"checkpoint-{state.global_step}":
        return f"{TRAINER_STATE_NAME} is of step {state.global_step}"
    for name, key in PARTS.items():
        with zipfile.ZipFile(place / name) as archive:  # looked into, never loaded: that could run code
            inner = [archive.read(part) for part in archive.namelist() if part.endswith("/data.pkl")]
        if not any(key in part for part in inner):
            return f"{name} cannot be loaded: it has another form"
    with safe_open(place / SAFETENSORS_WEIGHTS_NAME, "pt") as weights:
        names = set(weights.keys())
    other = {"A": "B", "B": "A"}
    halves = {re.sub(r"(?<=\.lora_)[AB](?=\.)", lambda half: other[half[0]], name) for name in names}
    return f"{SAFETENSORS_WEIGHTS_NAME} lacks {min(halves - names)}" if halves - names else ""


def train(trainer: DPOTrainer, *callbacks: TrainerCallback) -> dict:
    """Train to the end and return what the report says of it: {steps, seconds, tokens_per_second}.

    It goes on from the last whole checkpoint, else from the untrained adapter. So the cell that calls this may be
    stopped and run again; after a finished training it says so and changes nothing. Seconds and tokens are those of
    the last call that trained, and missing where another process had done all.
    """
    check_settings(trainer)
    if hasattr(trainer, "told"):
        print(
            f"all {trainer.state.global_step} steps are done, and nothing was trained now: to train anew, run the "
            "notebook again from the cell that loads the model (load_student)"
        )
        return trainer.told
    for callback in callbacks:  # once, however often the cell is run
        trainer.remove_callback(type(callback))
        trainer.add_callback(callback)
    with _alone(Path(trainer.args.output_dir)) as folder:
        last = last_checkpoint(folder)
        _back_to_the_beginning(trainer)
        seen = _tokens(trainer)
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=last)
        seconds = time.monotonic() - started
    before = int(last.rpartition("-")[2]) if last else 0
    done = trainer.state.global_step
    where = f", from the checkpoint of step {before} on" if last else ""
    print(f"{done - before} of {done} steps in {seconds:.0f} s{where}")
    trainer.told = {"steps": done}
    if done > before:
        speed = (_tokens(trainer) - seen) / seconds
        trainer.told |= {"seconds": round(seconds, 1), "tokens_per_second": round(speed, 1)}
    return trainer.told


def check_settings(trainer: DPOTrainer) -> None:
    """Raise a TrainingError if settings were made after the trainer: they reset what all trainers share."""
    if not hasattr(trainer.accelerator.state, "distributed_type"):
        raise TrainingError(
            "The settings were made anew after this trainer: run the notebook again from the cell that loads the model "
            "(load_student), the trainer's cell too."
        )


def _tokens(trainer: DPOTrainer) -> float:
    """Tokens that this trainer has read, by its last line in the log; a checkpoint's log is of another process."""
    if trainer.state.global_step == 0:
        return 0
    return next((line["num_tokens"] for line in reversed(trainer.state.log_history) if "num_tokens" in line), 0)


def _back_to_the_beginning(trainer: DPOTrainer) -> None:
    """Give an adapter that a stopped training changed its first values, and forget the optimizer's memory of it."""
    weights = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    if not hasattr(trainer, "untrained"):
        trainer.untrained = {name: weight.detach().clone() for name, weight in weights.items()}
    for name, weight in weights.items():
        weight.data.copy_(trainer.untrained[name])
    trainer.optimizer = None
    for metrics in trainer._metrics.values():  # of steps that came after the last line of the log
        metrics.clear()
    set_seed(trainer.args.seed)  # TRL's own trainer draws the order of the rows from it


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Hold a training's checkpoints; a TrainingError if another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = locks.lock_at(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(
            "The same training runs in another process: wait for its end or stop it, or change a setting."
        ) from None
    try:
        yield folder
    finally:
        lock.release()


def _remove_oldest(mine: Path) -> None:
    """Keep the checkpoints of the OTHERS newest other trainings, and of those that run."""
    found = [place for place in mine.parent.iterdir() if re.fullmatch("[0-9a-f]{12}", place.name) and place != mine]
    for place in sorted(found, key=lambda place: -place.stat().st_mtime)[OTHERS:]:
        with contextlib.suppress(TrainingError), _alone(place):
            shutil.rmtree(place, ignore_errors=True)
            print(f"note: the checkpoints of an older training ({place.name}) are removed; {OTHERS} others are kept")
