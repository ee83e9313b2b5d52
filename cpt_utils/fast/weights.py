"""Frozen linear weights on a CPU, made ready once instead of at every product."""

from contextlib import contextmanager

import torch

from cpt_utils.fast import switch

PACKABLE = (torch.float32, torch.bfloat16)


def cpu_linears(model) -> list[torch.nn.Linear]:
    """A model's plain linear layers on the CPU; those of other classes, such as 4-bit ones, multiply otherwise."""
    layers = [module for module in model.modules() if type(module) is torch.nn.Linear]
    return [layer for layer in layers if layer.weight.device.type == "cpu"]


@contextmanager
def packed_weights(model):
    """Inside, linear layers on a CPU multiply by weights that oneDNN has laid out for it once.

    The products are the same up to the order of their sums. Few rows against many weights gain most, in
    float32 on other processors than Intel's above all, where torch's own product is far from the machine's rate.
    Where this torch has no such operators, or they do not take this number type here, nothing changes.
    """
    layers = [layer for layer in cpu_linears(model) if layer.weight.dtype in PACKABLE]
    dtypes = {layer.weight.dtype for layer in layers}
    usable = {dtype for dtype in dtypes if layout_works(dtype)}
    layers = [layer for layer in layers if layer.weight.dtype in usable]
    for layer in layers:
        layer.forward = onednn_product(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own shows again


def onednn_product(layer: torch.nn.Linear):
    """The layer's forward with its weight (out, in) in oneDNN's own layout."""
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)
    dtype, bias = layer.weight.dtype, layer.bias

    def forward(x):
        if x.dtype != dtype:  # under autocast, as of a model that a trainer has wrapped
            if bias is not None or not autocasts_to(dtype):
                return torch.nn.functional.linear(x, layer.weight, bias)
            x = x.to(dtype)
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    return forward


def autocasts_to(dtype: torch.dtype) -> bool:
    """Whether autocast is on, on the CPU, and multiplies in this number type."""
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == dtype


def layout_works(dtype: torch.dtype) -> bool:
    """Whether oneDNN's layout can be had for this number type: macOS wheels lack it, old processors refuse bf16."""

    def example():
        generator = torch.Generator().manual_seed(0)
        for rows, bias in ((1, True), (7, False)):
            layer = torch.nn.Linear(96, 48, bias=bias)
            for weight in layer.parameters():
                weight.data = torch.randn(weight.shape, generator=generator).to(dtype)
            x = torch.randn(rows, 96, generator=generator).to(dtype)
            with torch.no_grad():
                fast, plain = onednn_product(layer)(x), layer(x)
            yield fast, plain

    return switch.works(f"oneDNN's layout of {str(dtype).removeprefix('torch.')} weights", example)


@contextmanager
def cast_weights(model, dtype: torch.dtype):
    """Inside, frozen float32 linear weights are of the dtype to which autocast casts them at every product.

    For use under that autocast: what is computed stays the same to the bit. The output layer, which may share
    its weights with the embedding, is left alone.
    """
    head = model.get_output_embeddings()
    linears = [layer for layer in cpu_linears(model) if layer is not head]
    frozen = [layer for layer in linears if not layer.weight.requires_grad]
    layers = [layer for layer in frozen if layer.weight.dtype == torch.float32]
    before = [layer.weight.data for layer in layers]
    for layer in layers:
        layer.weight.data = layer.weight.data.to(dtype)
    try:
        yield
    finally:
        for layer, weight in zip(layers, before, strict=True):
            layer.weight.data = weight
