"""Steps of DPO on blocks of rows with prompts and texts of exact lengths, by three trainers that take turns.

For `make sharing` on a processor, and for a stage of `make gpu`, where nothing can be drawn.
"""

import copy
import random
import re
import statistics
import time
from contextlib import ExitStack, contextmanager, nullcontext

from benchmarks.gpu.limits import synchronize
from benchmarks.sharing import BLOCKS, counts, gains

TURNS = 3


def text_rows(tokenizer, block: str, prompt: int, response: int, blocks: int = 1) -> list[dict]:
    """Blocks' rows as texts of so many tokens; the last one of a response is the end that TRL adds."""
    known = sorted(tokenizer.get_vocab().values())
    words = [text for text in map(tokenizer.decode, known) if re.fullmatch(r" [a-z]{3,}", text)]
    drawn, rows = random.Random(0), []
    for _ in range(blocks):
        prompts, texts = (
            ["".join(drawn.choices(words, k=size)) for _ in range(4)] for size in (prompt, max(response - 1, 0))
        )
        rows += [
            {"prompt": prompts[asked], "chosen": texts[chosen], "rejected": texts[rejected]}
            for asked, chosen, rejected in BLOCKS[block]
        ]
    return rows


def trainers(model, tokenizer, lora, rows: list[dict], folder: str, **settings) -> dict:
    """The three trainers, with equal weights, on all rows as one batch; the settings are DPOConfig's."""
    from datasets import Dataset
    from transformers import set_seed
    from trl import DPOConfig, DPOTrainer

    from benchmarks.shared_dpo import SharedDPOTrainer
    from cpt_utils.training import MirroredDPOTrainer

    sides = {}
    for name, kind in (("stock", DPOTrainer), ("shared", SharedDPOTrainer), ("packed", MirroredDPOTrainer)):
        one_batch = DPOConfig(
            folder,
            per_device_train_batch_size=len(rows),
            num_train_epochs=1,
            max_length=None,
            report_to="none",
            **settings,
        )
        set_seed(0)  # of the adapter's weights
        sides[name] = kind(
            model=copy.deepcopy(model),
            args=one_batch,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=lora,
        )
    return sides


def compared(sides: dict, shape: dict) -> dict:
    """Steps of the trainers by turns, of which the first warms up: ratios `measured`, of `columns` that the policy was
    given, and counted; seconds of TRL's; and the cosine of each one's gradients with TRL's."""
    rows, taken = list(sides["stock"].train_dataset), []
    with ExitStack() as stack:
        models = {name: stack.enter_context(as_in_training(trainer)) for name, trainer in sides.items()}
        for _ in range(TURNS + 1):
            steps = {name: step(sides[name], models[name], rows) for name in sides}
            taken.append({name: seconds for name, (seconds, *_) in steps.items()})
    ratios = {name: [turn["stock"] / turn[name] for turn in taken[1:]] for name in ("shared", "packed")}
    _, gradients, columns = (dict(zip(steps, told)) for told in zip(*steps.values()))
    found = counts(rows)
    return {
        "measured": {name: statistics.median(values) for name, values in ratios.items()},
        "spread": {name: [min(values), max(values)] for name, values in ratios.items()},
        "columns": {name: columns["stock"] / columns[name] for name in ratios},
        "tokens": gains(found),
        "operations": gains(found, shape),
        "stock_seconds": statistics.median(turn["stock"] for turn in taken[1:]),
        "agreement": {name: cosine(gradients["stock"], gradients[name]) for name in ratios},
    }


@contextmanager
def as_in_training(trainer):
    """The model as `trainer.train()` makes it ready: under autocast, and the packed trainer's weights cast once."""
    from cpt_utils.training import MirroredDPOTrainer, cast_once

    trainer.current_gradient_accumulation_steps = 1
    with cast_once(trainer.model, trainer.args) if isinstance(trainer, MirroredDPOTrainer) else nullcontext():
        yield trainer.accelerator.prepare_model(trainer.model)


def step(trainer, model, rows: list[dict]):
    """A step on the rows: seconds of their batch, the loss under policy and reference and its gradients; these; and
    how many columns the model was given."""
    import torch

    seen = []
    hook = model.get_input_embeddings().register_forward_pre_hook(lambda module, args: seen.append(args[0].numel()))
    synchronize(model.device.type)
    started = time.perf_counter()
    trainer.training_step(model, trainer.data_collator(rows))
    synchronize(model.device.type)
    taken = time.perf_counter() - started
    gradient = torch.cat([weight.grad.flatten().float() for weight in model.parameters() if weight.grad is not None])
    model.zero_grad()
    hook.remove()
    return taken, gradient, seen[-1]


def cosine(one, other) -> float:
    """Of two gradients; a scale, as float16's, counts for nothing."""
    one, other = one.double(), other.double()
    return (one @ other / one.norm() / other.norm()).item()
