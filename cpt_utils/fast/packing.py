"""Rows packed so that every distinct sequence is computed once: the collator and its log-probabilities."""

import torch
from torch.nn.utils.rnn import pad_sequence

from cpt_utils.fast import switch
from cpt_utils.fast.attention import attention

ROWS = 128  # logits at a time: few enough to stay in a processor's cache
SCALED = ("final_logit_softcapping", "logits_scaling", "logit_scale")  # configs of Gemma, Granite, Cohere


class PackedCollator:
    """Packs rows so that each distinct prompt, and each distinct response to it, appears once.

    The six rows of one (prompt, rubric) hold 12 sequences but only 3 prompts (one per system prompt)
    and 9 (prompt, response) combinations. Each prompt becomes one line of tokens with all its responses
    behind it, and a mask hides the responses from each other.

    Returns `input_ids`, `position_ids` (lines, length), `attention_mask` (lines, 1, length, length) bool,
    `labels` and `segment` (lines, kept): for the columns that predict response tokens, the token (-100:
    none) and its response's number in the line (-2: none); `chosen`, `rejected` (rows,): flat indices
    of each row's two sequences in (lines, responses); `num_tokens`: what the rows hold unpacked.
    """

    def __init__(self, pad_token_id: int, max_length: int | None = None):
        self.pad_token_id, self.max_length = pad_token_id, max_length

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        lines: dict[tuple, list[tuple]] = {}
        places = {"chosen": [], "rejected": []}
        for row in rows:
            prompt = tuple(row["prompt_ids"])
            responses = lines.setdefault(prompt, [])
            for side, found in places.items():
                room = None if self.max_length is None else self.max_length - len(prompt)
                response = tuple(row[f"{side}_ids"][:room])
                if response not in responses:
                    responses.append(response)
                found.append((list(lines).index(prompt), responses.index(response)))
        width = max(len(responses) for responses in lines.values())
        batch = self._pack(lines)
        batch["num_tokens"] = torch.tensor(
            sum(2 * len(r["prompt_ids"]) + len(r["chosen_ids"]) + len(r["rejected_ids"]) for r in rows)
        )
        for side, found in places.items():
            batch[side] = torch.tensor([line * width + response for line, response in found])
            if f"ref_{side}_logps" in rows[0]:
                batch[f"ref_{side}_logps"] = torch.tensor([row[f"ref_{side}_logps"] for row in rows])
        return batch

    def _pack(self, lines: dict[tuple, list[tuple]]) -> dict[str, torch.Tensor]:
        longest = max(map(len, lines)) - 1
        ids, positions, segments, labels = [], [], [], []
        for prompt, responses in lines.items():
            # Every response starts from its own copy of the prompt's last token, so that each kept
            # column predicts one label; prompts end in the same column, so one slice keeps them all.
            gap, shared = longest - len(prompt) + 1, len(prompt) - 1
            ids.append([self.pad_token_id] * gap + list(prompt[:-1]))
            positions.append([0] * gap + list(range(shared)))
            segments.append([-2] * gap + [-1] * shared)
            labels.append([])
            for number, response in enumerate(responses):
                ids[-1] += [prompt[-1], *response[:-1]]
                positions[-1] += range(shared, shared + len(response))
                segments[-1] += [number] * len(response)
                labels[-1] += response

        def stack(lists, value):
            return pad_sequence([torch.tensor(numbers) for numbers in lists], batch_first=True, padding_value=value)

        segment = stack(segments, -2)
        queries, keys = segment[:, :, None], segment[:, None, :]
        visible = ((keys == -1) & (queries != -2)) | (queries == keys)
        return {
            "input_ids": stack(ids, self.pad_token_id),
            "position_ids": stack(positions, 0),
            "attention_mask": visible.tril()[:, None],
            "labels": stack(labels, -100),
            "segment": segment[:, longest:],
        }


class TokenLogps(torch.autograd.Function):
    """Log-probabilities of labels (n,) under logits = hidden (n, d) @ weight.T, without the logits at once.

    The gradient of one log-probability with respect to its hidden state is a vector of d numbers, so the
    forward pass leaves that in place of the vocabulary's logits (the idea of the fused loss in Liger kernels,
    Hsu et al. 2024, arXiv 2410.10989). For a head that is not trained.
    """

    @staticmethod
    def forward(ctx, hidden, weight, labels):
        logps, gradient = hidden.new_empty(len(labels), dtype=at_least_float(hidden)), None
        if ctx.needs_input_grad[0]:
            gradient = torch.empty_like(hidden)
        for start in range(0, len(labels), ROWS):
            rows = slice(start, start + ROWS)
            logits = torch.nn.functional.linear(hidden[rows], weight).to(logps.dtype)
            total, label = logits.logsumexp(-1, keepdim=True), labels[rows, None]
            logps[rows] = (logits.gather(1, label) - total).squeeze(1)
            if gradient is not None:
                expected = logits.sub_(total).exp_().to(weight.dtype) @ weight
                gradient[rows] = weight[labels[rows]] - expected
        ctx.gradient = gradient
        return logps

    @staticmethod
    def backward(ctx, upstream):
        return (upstream[:, None] * ctx.gradient).to(ctx.gradient.dtype), None, None


def at_least_float(x: torch.Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def token_logps(model, inputs: dict, labels: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the labels that are not -100, in one row: (n,).

    The output layer's forward is replaced meanwhile, so that wrappers and autocast stay what they are. One
    that is trained, or is not all that makes the logits, is left alone.
    """
    inner, kept = getattr(model, "module", model), labels != -100
    head = inner.get_output_embeddings()

    def forward(hidden):
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
        return TokenLogps.apply(hidden[kept].to(dtype), head.weight.to(dtype), labels[kept])

    scaled = any(getattr(inner.config, name, None) for name in SCALED)
    frozen = type(head) is torch.nn.Linear and not (head.weight.requires_grad and torch.is_grad_enabled())
    # Layers that are computed again in the backward pass must meet the same attention there.
    with attention(inner, "sdpa" if inner.is_gradient_checkpointing else "packed"):
        if not frozen or head.bias is not None or scaled or not head_works():
            return logits_logps(model(**inputs).logits[kept], labels[kept])
        head.forward = forward
        try:
            return model(**inputs).logits
        finally:
            del head.forward


def logits_logps(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (n,) of labels (n,) under logits (n, vocabulary)."""
    return -torch.nn.functional.cross_entropy(logits.to(at_least_float(logits)), labels, reduction="none")


def head_works() -> bool:
    """Whether TokenLogps gives the log-probabilities and gradients of whole logits here."""

    def example():
        generator = torch.Generator().manual_seed(0)
        hidden, weight = torch.randn(9, 16, generator=generator), torch.randn(50, 16, generator=generator)
        labels, found = torch.arange(9) * 5, []
        for fused in (True, False):
            own = hidden.clone().requires_grad_()
            logps = TokenLogps.apply(own, weight, labels) if fused else logits_logps(own @ weight.T, labels)
            logps.pow(2).sum().backward()
            found.append((logps.detach(), own.grad))
        return zip(*found, strict=True)

    return switch.works("log-probabilities without whole logits", example)


def packed_logps(model, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed log-probabilities and token counts of each packed response: two (lines * responses,)."""
    labels, segment = batch["labels"], batch["segment"]
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")}
    found = token_logps(model, inputs | {"logits_to_keep": labels.shape[1], "use_cache": False}, labels)
    logps = found.new_zeros(labels.shape).masked_scatter(labels != -100, found)
    member = segment[:, :, None] == torch.arange(int(segment.max()) + 1, device=segment.device)
    sums = torch.where(member, logps[:, :, None], 0.0).sum(1)
    return sums.flatten(), member.sum(1).flatten()
