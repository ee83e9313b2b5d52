"""The models that the series knows: names, licences, shapes, and how much memory a training needs."""

import os
from typing import TYPE_CHECKING

from cpt_utils.runtime.errors import ModelError
from cpt_utils.runtime.files import load_data

if TYPE_CHECKING:
    from cpt_utils.runtime.profiles import Profile


T4_SECONDS = 4017 / 927 / 7.2e9
"""Seconds for each row and parameter of DPO in 4 bits on a T4: 927 rows in 4,017 s for 7.2 billion parameters, as the
stored output of unsloth's DPO notebook says."""
MEMORY_BAND = 0.3
"""How far training_memory may be from a measured peak, as a share of the peak: published ones lie within it."""


def known_models() -> dict[str, dict]:
    """The entries of data/models.yaml by key, each with its "parameters" counted from its shape."""
    return {
        key: {"key": key, **entry, "parameters": parameters(entry["shape"])}
        for key, entry in load_data("models.yaml").items()
    }


def find_model(name: str) -> dict:
    """The entry whose key, hub, four_bit, tuned or alias name is `name`; {"key": name, "hub": name} if unknown.

    "embedded" is smollm2-135m. A name that is neither here nor a folder and cannot be a Hub address raises.
    """
    models = known_models()
    for entry in models.values():
        if name in (entry["key"], entry["hub"], *map(entry.get, ("four_bit", "tuned", "alias"))):
            return entry
    if name == "embedded":
        return models["smollm2-135m"]
    if "/" not in name and not os.path.isdir(name):
        raise ModelError(f"There is no model {name!r}: use one of {', '.join(models)}, or owner/name of the Hub.")
    if not os.path.isdir(name) and not _may_be_on_the_hub(name):
        raise ModelError(f"There is no folder {name!r}: check its path, or write owner/name of the Hub.")
    return {"key": name, "hub": name}


def _may_be_on_the_hub(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def config_sizes(shape: dict) -> dict:
    """A shape by the names that the configs of transformers have for it; head_dim, which not all have, is left out."""
    return {
        "hidden_size": shape["hidden"],
        "intermediate_size": shape["intermediate"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"],
        "vocab_size": shape["vocab"],
        "tie_word_embeddings": shape["tied"],
    }


def linear_shapes(shape: dict) -> list[tuple[int, int]]:
    """(in, out) of the seven linear layers of one decoder block: q, k, v, o, gate, up, down."""
    hidden, inner = shape["hidden"], shape["intermediate"]
    q, kv = shape["heads"] * shape["head_dim"], shape["kv_heads"] * shape["head_dim"]
    return [(hidden, q), (hidden, kv), (hidden, kv), (q, hidden), (hidden, inner), (hidden, inner), (inner, hidden)]


def parameters(shape: dict) -> int:
    """Number of weights of a decoder of this shape (embeddings once if tied; norms included)."""
    norms = 2 * shape["hidden"] + (2 * shape["head_dim"] if shape.get("qk_norm") else 0)
    block = sum(i * o for i, o in linear_shapes(shape)) + norms
    embeddings = shape["vocab"] * shape["hidden"] * (1 if shape["tied"] else 2)
    return shape["layers"] * block + embeddings + shape["hidden"]


def weight_bytes(shape: dict, four_bit: bool) -> float:
    """Bytes of the weights: 0.53 each in nf4 with double quantisation, 2 in 16 bits as embeddings always have."""
    linear = shape["layers"] * sum(i * o for i, o in linear_shapes(shape))
    return linear * (0.53 if four_bit else 2) + (parameters(shape) - linear) * 2


def training_memory(shape: dict, profile: "Profile") -> dict[str, float]:
    """Estimated GPU memory of LoRA training, in GiB by part, and the total: a formula, not a measurement.

    Weights: weight_bytes. Adapters: float32 weights and gradients, 8-bit Adam moments. Activations with
    checkpointing: each block's input in 2 bytes plus one block recomputed (about 34 x hidden + 4 x intermediate bytes
    a token). Logits: 2 + 4 + 4 bytes for each kept token and vocabulary entry, which the packed trainer never holds.
    Tokens: both responses of every row of a batch, all at max_length, the worst case. Overhead: 1 GiB for CUDA,
    kernels and fragments.

    Published peaks of models of 3 to 14 billion weights in 4 bits lie within MEMORY_BAND (tests/test_memory.py names
    them). unsloth's dynamic checkpoints keep some layers in 16 bits, which is 0.8 GiB more for Qwen3-4B.
    """
    lora, gib = profile.lora, 2**30
    adapter = shape["layers"] * lora.r * sum(i + o for i, o in linear_shapes(shape))
    tokens = 2 * profile.rows_per_batch * profile.max_length
    block = tokens * (34 * shape["hidden"] + 4 * shape["intermediate"])
    kept = 1 if profile.gradient_checkpointing else shape["layers"]
    parts = {
        "weights": weight_bytes(shape, profile.four_bit),
        "adapters": adapter * (4 + 4 + 2),
        "activations": shape["layers"] * tokens * shape["hidden"] * 2 + kept * block,
        "logits": tokens * shape["vocab"] * 10,
        "overhead": gib,
    }
    return {name: size / gib for name, size in parts.items()} | {"total": sum(parts.values()) / gib}
