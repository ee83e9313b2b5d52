"""Stage C: the profile t4 through unsloth, call by call as notebooks 04 and 05 do it, in both half precisions.

Where unsloth is absent it is skipped; a rehearsal takes the same steps through transformers and says so.
"""

import os
import time

from benchmarks.gpu import students, trials
from benchmarks.gpu.stage import Skipped, Stage, check_parts, has
from cpt_utils import runtime
from cpt_utils.runtime import machine


def run(stage: Stage) -> None:
    if not (stage.dry or has("unsloth")):
        raise Skipped("unsloth is not installed")
    # A processor cannot train in float16, so a rehearsal takes another number type than its own in its place.
    stage.run_part("as_it_is", 0.55)
    stage.run_part("as_on_a_t4", CPT_PRECISION="float32" if stage.dry else "float16")
    check_parts(stage)


def run_part(stage: Stage) -> None:
    started, sizes = time.time(), stage.sizes
    student = students.random_student(stage.folder, sizes["fast_student"])
    profile = runtime.start("t4", student=student, data="recorded", max_steps=sizes["steps"], learning_rate=2e-4)
    stage.keep(engine=machine.engine(profile), imported_after=time.time() - started)

    from cpt_utils.models.adapters import save_adapter
    from cpt_utils.models.conversation import chat
    from cpt_utils.models.loading import hub_name, load_chat_model
    from cpt_utils.pairs import load_rows

    count = sizes["steps"] * profile.rows_per_batch * profile.batches_per_step
    train_rows, held_rows = (
        load_rows(profile, "train")[0][:count],
        load_rows(profile, "heldout")[0][: sizes["held_rows"]],
    )
    trainer = trials.build(profile, train_rows, stage.folder / f"C-{stage.part}", held_rows, **optimizer(stage))
    stage.keep(
        reference_seconds=trainer.reference_seconds,
        trainer=type(trainer).__name__,
        number_type=trials.half_precision(trainer),
    )
    trainer.train()
    told = trials.losses(trainer)
    stage.keep(
        seconds_per_step=trials.step_seconds(trainer),
        steps=trainer.state.global_step,
        first_loss=told[0],
        last_loss=told[-1],
    )
    measured = trainer.evaluate()
    stage.keep(
        held_accuracy=measured["eval_rewards/accuracies"],
        held_both_directions=measured.get("eval_rewards/both_directions"),
    )
    adapter = stage.folder / f"C-{stage.part}" / "adapter"
    stage.keep(adapter_bytes=save_adapter(trainer.model, adapter, hub_name(profile)))
    tuned = load_chat_model(profile, adapter)
    stage.keep(adapter_effect=adapter_effect(tuned.model, trainer.train_dataset[0]["prompt_ids"]))
    (answer,) = chat(tuned, [train_rows[0]["prompt"]], max_new_tokens=sizes["new_tokens"])
    stage.keep(answer_characters=len(answer))
    check(stage, os.environ.get("CPT_PRECISION"))


def optimizer(stage: Stage) -> dict:
    """In a rehearsal the plain Adam: the 8-bit one is for GPUs."""
    return {"optim": "adamw_torch"} if stage.dry else {}


def adapter_effect(model, prompt: list[int]) -> float:
    """The largest change of a logit of the next token that the adapter makes."""
    import torch

    ids = torch.tensor([prompt], device=model.device)
    with torch.no_grad():
        tuned = model(ids).logits[:, -1]
        with model.disable_adapter():
            base = model(ids).logits[:, -1]
    return (tuned - base).abs().max().item()


def check(stage: Stage, precision: str | None) -> None:
    found = stage.found
    if not stage.dry and found["engine"] != "unsloth":
        raise AssertionError(f"the engine is {found['engine']}")
    if precision and found["number_type"] != precision:
        raise AssertionError(f"CPT_PRECISION is {precision}, and the training multiplied in {found['number_type']}")
    trials.check_first_loss(stage.part, found["trainer"], found["first_loss"])
    if not found["adapter_effect"] > 0:
        raise AssertionError("the adapter that was loaded again changes nothing")
