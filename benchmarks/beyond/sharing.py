"""Do steps get as much faster as sharing.py counts? `make sharing`.

Blocks of rows with prompts and responses of exact lengths go through one step of DPO (policy, reference, gradients) by
three trainers, which take turns: TRL's, TRL's with shared prompts (shared_dpo.py, where all else is TRL's), and the
series' packed one, which also has an output layer and an attention of its own. Weights are random, in the embedded
model's shape and in float32, with a LoRA adapter. What counts is the ratio of two steps of one turn. Writes
results/sharing.json; some 6 minutes on 2 cores, and it goes on where it was stopped.
"""

import gc
import tempfile

from benchmarks.beyond.drawings import draw_sharing
from benchmarks.beyond.running import hardware_of, run
from benchmarks.beyond.steps import compared, text_rows, trainers
from benchmarks.measured import so_far
from cpt_utils.runtime.catalogue import config_sizes, find_model

NAME = "sharing"
LENGTHS = ((12, 84), (24, 72), (48, 48), (72, 24), (84, 12))  # tokens of a prompt, and of a response
SHORT = ((6, 4),)
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
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, set_seed

    from cpt_utils.models.embedded import embedded_model_path

    tokenizer = AutoTokenizer.from_pretrained(embedded_model_path())
    shape = find_model("embedded")["shape"] | (SMALL if tiny else {})
    rows = text_rows(tokenizer, block, prompt, response)
    gc.collect()  # the last unit's weights
    set_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**config_sizes(shape)), dtype=torch.float32)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as folder:
        sides = trainers(model, tokenizer, lora, rows, folder, use_cpu=True, bf16=False, gradient_checkpointing=False)
        told = compared(sides, shape)
    return {"block": block, "prompt": prompt, "response": response} | told


def assemble(planned: list[str]) -> dict:
    known = so_far(f"{NAME}_units")
    return {"hardware": hardware_of(NAME), "points": [known[unit]["found"] for unit in planned]}


if __name__ == "__main__":
    run(NAME, "benchmarks.beyond.sharing", assemble, draw_sharing, workers=0)  # nothing beside it
