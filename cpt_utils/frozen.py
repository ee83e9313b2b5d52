"""Frozen linear weights on a CPU, made ready once instead of at every product."""

from contextlib import contextmanager

import torch


@contextmanager
def packed_weights(model):
    """Inside, linear layers on a CPU multiply by weights that oneDNN has laid out for it once.

    The products are the same up to the order of their sums. Few rows against many weights gain most, in
    float32 on other processors than Intel's above all, where torch's own product is far from the machine's rate.
    """
    layers = [m for m in model.modules() if type(m) is torch.nn.Linear and m.weight.device.type == "cpu"
              and m.weight.dtype in (torch.float32, torch.bfloat16)]
    if not torch.backends.mkldnn.is_available():
        layers = []
    reorder, product = torch.ops.mkldnn._reorder_linear_weight, torch.ops.mkldnn._linear_pointwise
    for layer in layers:
        weight = reorder(layer.weight.detach(), None)
        layer.forward = lambda x, weight=weight, bias=layer.bias: product(x, weight, bias, "none", [], "")
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


@contextmanager
def cast_weights(model, dtype: torch.dtype):
    """Inside, frozen float32 linear weights are of the dtype to which autocast casts them at every product.

    For use under that autocast: what is computed stays the same to the bit. The output layer, which may share
    its weights with the embedding, is left alone.
    """
    head = model.get_output_embeddings()
    layers = [m for m in model.modules() if type(m) is torch.nn.Linear and m is not head
              and m.weight.device.type == "cpu" and m.weight.dtype == torch.float32 and not m.weight.requires_grad]
    before = [layer.weight.data for layer in layers]
    for layer in layers:
        layer.weight.data = layer.weight.data.to(dtype)
    try:
        yield
    finally:
        for layer, weight in zip(layers, before, strict=True):
            layer.weight.data = weight
