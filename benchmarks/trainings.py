"""The trained ways of `make ablation`: which rows they see, in which order, and under which loss."""

import random
from itertools import chain

from datasets import Dataset
from transformers import set_seed

from cpt_utils.models.adapters import lora_config
from cpt_utils.models.conversation import fit_rows
from cpt_utils.models.loading import load_student
from cpt_utils.pairs import rows_for
from cpt_utils.prompts import load_prompts
from cpt_utils.rows import PreferenceRow
from cpt_utils.rubrics import shipped_rubrics
from cpt_utils.runtime import files, profiles
from cpt_utils.runtime.profiles import Profile
from cpt_utils.training import MirroredDPOTrainer, dpo_settings, prepare_trainer

FOLDER = files.ROOT / "runs" / "ablation"
STEPS, ROWS, RATE = 24, 6, 1e-3  # every trained way sees 144 rows, none twice
WAYS = {  # loss, and whether mirrored rows share a step
    "SFT on the chosen": ({"sigmoid": 0.0, "sft": 1.0}, True),
    "DPO, rows shuffled": ({"sigmoid": 1.0, "sft": 0.0}, False),
    "DPO, mirrored batches": ({"sigmoid": 1.0, "sft": 0.0}, True),
    "DPO mirrored + SFT": ({"sigmoid": 1.0, "sft": 0.3}, True),
}
RUBRICS = sorted(shipped_rubrics())


class ShuffledDPOTrainer(MirroredDPOTrainer):
    """The same packed loss with rows shuffled one by one, as in the original release."""

    @staticmethod
    def rows_together(args) -> int:
        return 1


def settings(seed: int = 42) -> Profile:
    return profiles.load_profile("embedded").replace(seed=seed)


PROMPTS = [prompt["prompt"] for prompt in load_prompts(heldout=True)][: settings().heldout_prompts]
"""The held-out prompts that every way answers: those of notebook 05."""


def trainer_of(
    profile: Profile,
    rows: list[PreferenceRow],
    watched: list[PreferenceRow],
    kind: type[MirroredDPOTrainer] = MirroredDPOTrainer,
    layers: list[int] | None = None,
):
    """The trainer of a profile on some rows, without checkpoints."""
    set_seed(profile.seed)
    student = load_student(profile)
    arguments = dpo_settings(profile, FOLDER / "scratch")
    arguments.save_strategy = "no"
    arguments.per_device_eval_batch_size = ROWS
    arguments.precompute_ref_batch_size = max(ROWS, profile.rows_per_batch)  # so that no block is torn
    return prepare_trainer(
        kind(
            model=student.model,
            args=arguments,
            processing_class=student.tokenizer,
            train_dataset=Dataset.from_list(fit_rows(student.tokenizer, rows)),
            eval_dataset=Dataset.from_list(fit_rows(student.tokenizer, watched)),
            peft_config=lora_config(profile, layers),
        )
    )


def some_rows(profile: Profile, count: int, rubrics: list[str] | None = None) -> list[PreferenceRow]:
    """So many training rows: those of a prompt and rubric together, drawn by the profile's seed."""
    mirrored = rows_for(profile.replace(asks_subject=False), "train")
    rows = [row for row in mirrored if rubrics is None or row["rubric"] in rubrics]
    blocks = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    return list(chain.from_iterable(random.Random(profile.seed).sample(blocks, count // ROWS)))


def build(
    way: str,
    seed: int,
    rows_a_step: int = ROWS,
    rubrics: list[str] | None = None,
    steps: int | None = None,
    rate: float | None = None,
):
    """The trainer of one way on 144 rows (24 prompts and rubrics), watching held-out pairs of two prompts."""
    loss, mirrored = WAYS[way]
    steps = steps or STEPS * ROWS // rows_a_step
    profile = settings(seed).replace(
        loss=loss,
        rows_per_batch=rows_a_step,
        warmup=0.1,
        logging_steps=10,
        learning_rate=rate or RATE,
        max_steps=steps,
        eval_steps=steps // 3 if way.startswith("DPO,") else steps,
    )
    rows = some_rows(profile, steps * rows_a_step, rubrics)
    watched = [row for row in rows_for(profile, "heldout") if row["prompt"][-1]["content"] in PROMPTS[:2]]
    return trainer_of(profile, rows, watched, MirroredDPOTrainer if mirrored else ShuffledDPOTrainer)


def train(*arguments, **changes):
    """The trained trainer and {rows_a_step, curve}; the arguments are those of `build`."""
    trainer = build(*arguments, **changes)
    trainer.train()
    curve, rows_a_step = [], trainer.args.per_device_train_batch_size
    for entry in trainer.state.log_history:
        if "eval_rewards/both_directions" not in entry:
            continue
        curve.append(
            {
                "rows": entry["step"] * rows_a_step,
                "accuracy": entry["eval_rewards/accuracies"],
                "both_directions": entry["eval_rewards/both_directions"],
            }
        )
    return trainer, {"rows_a_step": rows_a_step, "curve": curve}
