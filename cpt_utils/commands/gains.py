"""What each fast path saves on this machine: a small example of the embedded model's sizes, with and without it."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import torch

from cpt_utils.commands.rates import synchronize
from cpt_utils.fast import switch
from cpt_utils.fast.decoding import generate
from cpt_utils.fast.packing import PackedCollator, packed_logps
from cpt_utils.fast.weights import cast_weights
from cpt_utils.runtime import machine
from cpt_utils.runtime.catalogue import config_sizes, find_model

PROMPT, RESPONSE = 48, 96  # tokens, about those of the recorded data
PROMPTS, SAMPLES, NEW = 8, 2, 8  # distinct prompts, texts for each, new tokens
ENOUGH = 1.0  # seconds: what takes less is timed twice


def random_model(number_type: str):
    """A model of the embedded model's sizes; its speed does not depend on what its weights say."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    sizes = config_sizes(find_model("embedded")["shape"])
    config = LlamaConfig(**sizes, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model.to(machine.device(), getattr(torch, number_type)).eval().requires_grad_(False)


def tokens(count: int, which: int) -> list[int]:
    """Some tokens, others for every `which`."""
    return [3 + (7919 * which + 31 * place) % 40_000 for place in range(count)]


def training_example() -> Callable[[], float]:
    """A function that takes a mirrored pair forwards and backwards, as training does: seconds."""
    model = random_model("float32")
    model.enable_input_require_grads()  # with frozen weights, as under an adapter, gradients go to the inputs
    rows = [
        {
            "prompt_ids": tokens(PROMPT, row),
            "chosen_ids": tokens(RESPONSE, 2 + row),
            "rejected_ids": tokens(RESPONSE, 3 - row),
        }
        for row in range(2)
    ]
    batch = {name: value.to(model.device) for name, value in PackedCollator(0)(rows).items()}

    def once() -> float:
        started = time.perf_counter()
        half = machine.number_type() == "bfloat16"
        with cast_weights(model, torch.bfloat16) if half else contextlib.nullcontext(), machine.autocast(model):
            packed_logps(model, batch)[0].sum().backward()
        synchronize(model.device.type)
        return time.perf_counter() - started

    return once


def writing_example() -> Callable[[], float]:
    """A function that writes a few tokens for a batch of prompts: seconds from the first token to the last."""
    model = random_model(machine.number_type())
    ids = torch.tensor([tokens(PROMPT, row // SAMPLES) for row in range(PROMPTS * SAMPLES)], device=model.device)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def once() -> float:
        times = []

        def watch(newest):
            synchronize(model.device.type)
            times.append(time.perf_counter())

        generate(model, batch, max_new_tokens=NEW, ends=[2], pad_token_id=0, watch=watch)
        return times[-1] - times[0]

    return once


def seconds(once: Callable[[], float]) -> float:
    first = once()
    return first if first > ENOUGH else min(first, once())


def measure(until: float = math.inf) -> Iterator[tuple[str, str, float | None]]:
    """(name, "" or why it is off, how many times as fast the example is with it) of each path that is used here.

    After `until` (on time.monotonic's clock) nothing more is measured: the last is None, as for a path that is off.
    """
    for example in (training_example, writing_example):
        once = example()
        once()  # warms up; the paths are tried here
        switch.asked.clear()
        with_all = seconds(once)
        for name in sorted(switch.asked):
            reason, gain = switch.states()[name], None
            if not reason and time.monotonic() < until:
                with switch.without(name):
                    gain = seconds(once) / with_all
            yield name, reason, gain
