"""Do steps get as much faster as sharing.py counts? `make sharing`.

Blocks of rows with prompts and responses of exact lengths go through one step of DPO (policy, reference, gradients) by
three trainers, which take turns: TRL's, TRL's with shared prompts (shared_dpo.py, where all else is TRL's), and the
series' packed one, which also has an output layer and an attention of its own. Weights are random, in the embedded
model's shape and in float32, with a LoRA adapter. What counts is the ratio of two steps of one turn. Writes
results/sharing.json; some 6 minutes on 2 cores, and it goes on where it was stopped.
"""

import copy
import gc
import random
import re
import statistics
import tempfile
import time

from benchmarks.beyond.drawings import draw_sharing
from benchmarks.beyond.running import hardware_of, run
from benchmarks.measured import so_far
from benchmarks.sharing import BLOCKS, counts, gains
from cpt_utils.runtime.catalogue import config_sizes, find_model

NAME = "sharing"
LENGTHS = ((12, 84), (24, 72), (48, 48), (72, 24), (84, 12))  # tokens of a prompt, and of a response
SHORT = ((6, 4),)
TURNS = 3
SMALL = {"layers": 2, "hidden": 32, "intermediate": 64, "heads": 4, "kv_heads": 2, "head_dim": 8}


def units(tiny: bool) -> dict[str, tuple]:
    """Name -> (function, its arguments). A square has six rows' ratios, and takes longer."""
    planned = {}
    for block, lengths in (("six rows", LENGTHS), ("pair", LENGTHS[::2])):
        for prompt, response in SHORT if tiny else lengths:
            planned[f"{block}, {prompt} + {response}"] = (measure, block, prompt, response, tiny)
    return planned


def measure(block: str, prompt: int, response: int, tiny: bool) -> dict:
    """How many times as long TRL's step takes: `measured` by trainer, and as counted in `tokens` and `operations`."""
    from transformers import AutoTokenizer

    from cpt_utils.models.embedded import embedded_model_path

    tokenizer = AutoTokenizer.from_pretrained(embedded_model_path())
    shape = find_model("embedded")["shape"] | (SMALL if tiny else {})
    rows = text_rows(tokenizer, block, prompt, response)
    gc.collect()  # the last unit's weights
    with tempfile.TemporaryDirectory() as folder:
        sides = trainers(tokenizer, shape, rows, folder)
        tokens = list(sides["stock"].train_dataset)
        taken = [{name: seconds(trainer, tokens) for name, trainer in sides.items()} for _ in range(TURNS + 1)]
    ratios = {name: [turn["stock"] / turn[name] for turn in taken[1:]] for name in sides}  # the first one warms up
    found = counts(tokens)
    return {
        "block": block,
        "prompt": prompt,
        "response": response,
        "measured": {name: statistics.median(ratios[name]) for name in ("shared", "packed")},
        "spread": {name: [min(ratios[name]), max(ratios[name])] for name in ("shared", "packed")},
        "tokens": gains(found),
        "operations": gains(found, shape),
    }


def text_rows(tokenizer, block: str, prompt: int, response: int) -> list[dict]:
    """A block's rows as texts of so many tokens; the last one of a response is the end that TRL adds."""
    known = sorted(tokenizer.get_vocab().values())
    words = [text for text in map(tokenizer.decode, known) if re.fullmatch(r" [a-z]{3,}", text)]
    drawn = random.Random(0)
    prompts, texts = (
        ["".join(drawn.choices(words, k=size)) for _ in range(4)] for size in (prompt, max(response - 1, 0))
    )
    return [
        {"prompt": prompts[asked], "chosen": texts[chosen], "rejected": texts[rejected]}
        for asked, chosen, rejected in BLOCKS[block]
    ]


def trainers(tokenizer, shape: dict, rows: list[dict], folder: str) -> dict:
    """The three trainers, with equal weights, on all rows as one batch."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, LlamaConfig, set_seed
    from trl import DPOConfig, DPOTrainer

    from benchmarks.shared_dpo import SharedDPOTrainer
    from cpt_utils.training import MirroredDPOTrainer

    set_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**config_sizes(shape)), dtype=torch.float32)
    sides = {}
    for name, kind in (("stock", DPOTrainer), ("shared", SharedDPOTrainer), ("packed", MirroredDPOTrainer)):
        settings = DPOConfig(
            folder,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            per_device_train_batch_size=len(rows),
            num_train_epochs=1,
            max_length=None,
            report_to="none",
        )
        sides[name] = kind(
            model=copy.deepcopy(model),
            args=settings,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
    return sides


def seconds(trainer, rows: list[dict]) -> float:
    """For one step on the rows: their batch, the loss under policy and reference, and its gradients."""
    trainer.model.train()
    started = time.perf_counter()
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
    loss.backward()
    taken = time.perf_counter() - started
    trainer.model.zero_grad()
    return taken


def assemble(planned: list[str]) -> dict:
    known = so_far(f"{NAME}_units")
    return {"hardware": hardware_of(NAME), "points": [known[unit]["found"] for unit in planned]}


if __name__ == "__main__":
    run(NAME, "benchmarks.beyond.sharing", assemble, draw_sharing, workers=0)  # nothing beside it
