"""Weights in 4 bits: how they are asked for, and what keeps them fast and trainable."""

from cpt_utils.runtime import machine


def config():
    """nf4 with double quantisation (Dettmers et al. 2023), computing in the machine's number type."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=machine.torch_type(),
    )


def prepare(model, own=None) -> None:
    """Set what a checkpoint or bitsandbytes decides otherwise: the number type of 4-bit layers, and their packing.

    own: a caller's quantization_config (or its dict), whose number type stays. Weights that were quantised in advance
    name a type to compute in, often bf16, which a T4 only emulates. And
    bitsandbytes repacks weights for CPU inference at the first evaluation: gradients stop at repacked ones, and a
    policy is evaluated (its reference) before it is trained.
    """
    if isinstance(own, dict):
        from transformers import BitsAndBytesConfig

        own = BitsAndBytesConfig(**own)
    kind = getattr(own, "bnb_4bit_compute_dtype", machine.torch_type())
    for module in model.modules():
        if hasattr(module, "compute_type_is_set"):
            module.compute_dtype, module.compute_type_is_set = kind, True
        if getattr(module, "support_avx512bf16_for_cpu", False):
            module.support_avx512bf16_for_cpu = False
