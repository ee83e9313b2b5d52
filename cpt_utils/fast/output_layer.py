"""Log-probabilities of labels from the output layer, without the logits of the whole vocabulary at once."""

from contextlib import contextmanager

import torch

from cpt_utils.fast import switch
from cpt_utils.fast.attention import attention

NO_LABEL = -100  # as in transformers: nothing is to be predicted here
ROWS = 128  # logits at a time: few enough to stay in a processor's cache
SCALED = ("final_logit_softcapping", "logits_scaling", "logit_scale")  # configs of Gemma, Granite, Cohere


class TokenLogps(torch.autograd.Function):
    """Log-probabilities of labels (n,) under logits = hidden (n, d) @ weight.T, without the logits at once.

    The gradient of one log-probability with respect to its hidden state is a vector of d numbers, so the
    forward pass leaves that in place of the vocabulary's logits (the idea of the fused loss in Liger kernels,
    Hsu et al. 2024, arXiv 2410.10989). For a head that is not trained.

    TRL's DPO trainer has a fused output layer of its own since 1.15 (1.15.0 crashes on a CPU, 1.16 does not):
    this goes once the trl pin can move there.
    """

    @staticmethod
    def forward(ctx, hidden, weight, labels):
        logps = hidden.new_empty(len(labels), dtype=at_least_float(hidden))
        gradient = None
        if ctx.needs_input_grad[0]:
            gradient = torch.empty_like(hidden)
        for start in range(0, len(labels), ROWS):
            rows = slice(start, start + ROWS)
            logits = torch.nn.functional.linear(hidden[rows], weight).to(logps.dtype)  # (ROWS, vocabulary)
            total = logits.logsumexp(-1, keepdim=True)
            logps[rows] = (logits.gather(1, labels[rows, None]) - total).squeeze(1)
            if gradient is not None:
                probabilities = logits.sub_(total).exp_()  # in place: these logits have had their use
                expected = probabilities.to(weight.dtype) @ weight
                gradient[rows] = weight[labels[rows]] - expected
        ctx.gradient = gradient
        return logps

    @staticmethod
    def backward(ctx, upstream):
        return (upstream[:, None] * ctx.gradient).to(ctx.gradient.dtype), None, None


def at_least_float(x: torch.Tensor) -> torch.dtype:
    """float32, or the tensor's own type where that is wider."""
    return torch.promote_types(x.dtype, torch.float32)


def logits_logps(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (n,) of labels (n,) under logits (n, vocabulary): PyTorch's way."""
    return -torch.nn.functional.cross_entropy(logits.to(at_least_float(logits)), labels, reduction="none")


def token_logps(model, inputs: dict, labels: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the n labels that are not NO_LABEL, in one row: (n,).

    `labels` are those of the columns whose logits the model gives for `inputs`, (lines, columns).
    """
    inner = getattr(model, "module", model)  # a wrapper is called, and asked through
    kept = labels != NO_LABEL
    # Layers that are computed again in the backward pass must meet the same attention there.
    with attention(inner, "sdpa" if inner.is_gradient_checkpointing else "packed"):
        if has_plain_head(inner) and head_works():
            with head_giving_logps(inner.get_output_embeddings(), labels, kept):
                return model(**inputs).logits
        return logits_logps(model(**inputs).logits[kept], labels[kept])


def has_plain_head(model) -> bool:
    """Whether the output layer is not trained, and all that makes the logits."""
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.bias is not None:
        return False
    trained = head.weight.requires_grad and torch.is_grad_enabled()
    scaled = any(getattr(model.config, name, None) for name in SCALED)
    return not trained and not scaled


@contextmanager
def head_giving_logps(head: torch.nn.Linear, labels: torch.Tensor, kept: torch.Tensor):
    """Inside, the output layer gives the kept labels' log-probabilities (n,) where it would give logits.

    Only its forward is replaced, so that wrappers and autocast stay what they are.
    """

    def forward(hidden):
        device = hidden.device.type
        dtype = head.weight.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        return TokenLogps.apply(hidden[kept].to(dtype), head.weight.to(dtype), labels[kept])

    head.forward = forward
    try:
        yield
    finally:
        del head.forward


def head_works() -> bool:
    """Whether TokenLogps gives the log-probabilities and gradients of whole logits here."""

    def plain(hidden, weight, labels):
        return logits_logps(hidden @ weight.T, labels)

    def example():
        generator = torch.Generator().manual_seed(0)
        hidden = torch.randn(9, 16, generator=generator)
        weight = torch.randn(50, 16, generator=generator)
        labels = torch.arange(9) * 5
        results = []
        for way in (TokenLogps.apply, plain):
            leaf = hidden.clone().requires_grad_()
            logps = way(leaf, weight, labels)
            logps.pow(2).sum().backward()
            results.append((logps.detach(), leaf.grad))
        return zip(*results, strict=True)

    return switch.works("log-probabilities without whole logits", example)
