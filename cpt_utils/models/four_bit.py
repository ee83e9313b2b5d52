"""Weights in 4 bits: how they are asked for, and what keeps them trainable."""

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


def keep_trainable(model) -> None:
    """Stop bitsandbytes from repacking 4-bit weights for CPU inference at the first evaluation.

    Gradients stop at repacked weights, and a policy is evaluated (its reference) before it is trained.
    """
    for module in model.modules():
        if getattr(module, "support_avx512bf16_for_cpu", False):
            module.support_avx512bf16_for_cpu = False
