"""Which of the series' own speed-ups work here: each is tried once, on a small example, against the plain path.

CPT_FAST_PATHS=off turns them all off; PyTorch's and transformers' own ways are used instead.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import contextmanager

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 5e-2, "float16": 1e-2}  # other types: none

_states: dict[str, str] = {}  # path: "" where it works, else why it is off
asked: set[str] = set()
"""The names asked since somebody emptied it: those that a piece of work uses, or would use."""


def works(name: str, example: Callable) -> bool:
    """Whether the fast path `name` works on this machine; asked once, and said in one line if it does not.

    `example()` returns pairs (fast, plain) of tensors that should agree up to rounding. An error of any kind
    means that the path is not for this machine or these versions: it is never the run's error.
    """
    asked.add(name)
    if all_off():
        return False
    if name not in _states:
        _states[name] = "is being tried"  # an example that meets its own path takes the plain one
        _states[name] = _fault(example)
        if _states[name]:
            print(f"note: {name} is off here ({_states[name]}); the library's own way is used, which is slower")
    return not _states[name]


def all_off() -> bool:
    """Whether CPT_FAST_PATHS turns every fast path off."""
    return os.environ.get("CPT_FAST_PATHS", "").lower() == "off"


def states() -> dict[str, str]:
    """The fast paths asked so far: "" where one is on, else why it is off."""
    if all_off():
        return {name: "CPT_FAST_PATHS is off" for name in sorted({*asked, *_states})}
    return dict(_states)


@contextmanager
def without(name: str):
    """Inside, this one fast path is off, so that what it saves can be measured."""
    before = _states.get(name)
    _states[name] = "is off to be measured"
    try:
        yield
    finally:
        del _states[name]
        if before is not None:
            _states[name] = before


def forget() -> None:
    """Ask again: after a change of the machine's abilities."""
    _states.clear()


def _fault(example: Callable) -> str:
    """Why the path is off, or "". The answer does not depend on the caller's gradient mode or autocast."""
    import torch

    state = torch.get_rng_state()
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
            return _difference(example())
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:100]  # the start, in one line
    finally:
        torch.set_rng_state(state)


def _difference(pairs: Iterable) -> str:
    """How the first pair of tensors that disagrees does so, or ""."""
    for fast, plain in pairs:
        if fast.shape != plain.shape:
            return "its result has another shape"
        tolerance = TOLERANCE.get(str(plain.dtype).removeprefix("torch."), 0.0)
        scale = plain.abs().max().item() or 1.0
        difference = (fast.to(plain.dtype) - plain).abs().max().item()
        if not difference <= tolerance * scale:  # so turned, it also refuses what is no number
            return "its result differs"
    return ""


def small_model(seed: int = 0):
    """A random two-layer Llama with grouped queries, in float32, to try a path on."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.mul_(8)  # larger weights make its choices vary
    return model.eval()
