"""DPO in which each distinct prompt of a batch, and each distinct response to it, is computed once: a trainer for TRL.

    from shared_dpo import SharedDPOTrainer  # in place of trl.DPOTrainer; all arguments are its own

TRL computes a prompt twice for every row, once before the chosen and once before the rejected response, and a response
again in every row that names it. Here the sequences of a batch are sorted into lines. A line is one prompt and behind
it all the different responses that the batch has for it; a 4-D attention mask hides the responses from each other:

    sequences (chosen, then rejected)     one line, and the column that stands for each position
    p1 p2 p3 a1 a2                        p1 p2 p3 a1 p3 b1 b2        0 1 2 3
    p1 p2 p3 b1 b2 b3                                                 0 1 4 5 6

Each response starts from its own copy of the prompt's last token, so that a column predicts one token. Hidden states
depend on all that stands before them: only equal prompts share a line, and a text under two prompts is two responses.

TRL's code is left alone. Hooks replace what goes into the model by the lines, and what comes out by what the model
would have given for TRL's own batch. So every loss, weight, divergence and metric of TRL is what it was, and losses and
gradients are equal up to rounding (tests hold them in float64).

When it pays: with n rows, p distinct prompts of P tokens and q distinct responses of R tokens, the layers see p P + q R
tokens where TRL has 2 n (P + R). Prompts that are in one row only give 2 (P + R) / (P + 2 R): nothing where prompts are
short, twice where they are long. More comes from data that has several responses to a prompt, or mirrored rows, where
those rows are in one batch: m responses in all their pairs take up to m (m - 1) times as long in TRL. The price is
attention over the whole line, which grows with the square of its length. A batch of which the lines cost no less by a
rule of thumb goes TRL's way (`cheaper`).

What it does not do:
- What only begins in the same way (a common system prompt, a common first sentence) is not shared: that takes a tree.
- The mask is dense, so FlashAttention and FlexAttention are not used. Attention that takes no 4-D mask, layers that
  mix neighbours without one (Mamba, convolutions), positions that are read off the mask (ALiBi) and prompt tuning are
  found by one small example, on which the model must give what it gives without sharing; else TRL's way is taken.
- So are batches with images, with a router's auxiliary loss, with sequences longer than a sliding window, padded on
  the left, or cut from the left down to their responses.
- Which tokens are equal is read on the host: one synchronisation a step on a GPU.
- Not tried: FSDP, DeepSpeed ZeRO-3, context parallelism, torch.compile (each batch has another shape).

Versions: TRL 1.14.2 makes whole logits, (2 rows, length, vocabulary), and these are copied out of the lines' ones: the
layers and the output layer's product are saved, what follows it and its memory are not. TRL 1.16 asks the model for
log-probabilities of labels (`fused_lm_head=True`), and only these are copied; nothing has to be changed for it. Within
TRL, no hooks would be needed: `share(inputs)` before the model is called, and `restored(outputs, shared)` behind it.
"""

import logging
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.utils.rnn import pad_sequence
from trl import DPOTrainer

KNOWN = {"input_ids", "attention_mask", "use_cache", "labels", "fused_lm_head"}
"""What a call of the model may hold to be shared; anything else (images, router logits) belongs to TRL's own batch."""
NO_LABEL = -100
WINDOWS = ("sliding_window", "attention_chunk_size")

logger = logging.getLogger(__name__)


class SharedDPOTrainer(DPOTrainer):
    """TRL's DPOTrainer, in which the model meets each distinct prompt and response of a batch once."""

    _mask_types = None  # of policy and reference; asked at the first batch, which may come inside TRL's __init__

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        with self.sharing(inputs):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def compute_ref_log_probs(self, model, inputs):
        with self.sharing(inputs):
            return super().compute_ref_log_probs(model, inputs)

    @contextmanager
    def sharing(self, inputs: dict[str, torch.Tensor]):
        """Inside, policy and reference are computed from shared lines where they can be and where that is less."""
        if self._mask_types is None:  # in every process at the same time, whatever its batch
            models = [model for model in (self.model, self.ref_model) if model is not None]
            self._mask_types = {model: mask_type(model, self.args.bf16 or self.args.fp16) for model in models}
        config = self.model.config.get_text_config()
        with ExitStack() as stack:
            if any(self._mask_types.values()) and inputs["input_ids"].shape[1] <= window(config):
                shared = share(inputs)
                if shared and cheaper(shared["input_ids"], inputs["input_ids"], config.hidden_size):
                    for model, kind in self._mask_types.items():
                        if kind:
                            stack.enter_context(computed_shared(model, shared, kind))
            yield


def share(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """The lines of a batch of TRL's collator; None where its sequences are not prompt, response, padding.

    `input_ids`, `position_ids`, `labels` (lines, width): each label stands one column behind the column that predicts
    it, as for any causal model; `sees` (lines, width, width): which columns a column attends to; `line` (sequences,)
    and `column` (sequences, length): where each position of the batch stands; `predicted` (sequences, length - 1).
    """
    completion = inputs["completion_mask"].bool()
    lengths, sizes = inputs["attention_mask"].sum(1), completion.sum(1)
    position = torch.arange(completion.shape[1], device=completion.device)
    real, behind = position < lengths[:, None], position >= (lengths - sizes)[:, None]
    as_expected = torch.equal(inputs["attention_mask"].bool(), real) and torch.equal(completion, real & behind)
    lengths, sizes = lengths.tolist(), sizes.tolist()
    if not as_expected or not all(0 < size < length for length, size in zip(lengths, sizes, strict=True)):
        return None
    lines, places = {}, []
    for ids, length, size in zip(inputs["input_ids"].tolist(), lengths, sizes, strict=True):
        prompt, response = tuple(ids[: length - size]), tuple(ids[length - size : length])
        responses = lines.setdefault(prompt, {})
        start = len(prompt) - 1 + sum(map(len, responses))
        places.append((prompt, responses.setdefault(response, start), size))
    number = {prompt: line for line, prompt in enumerate(lines)}
    columns = torch.zeros(completion.shape, dtype=torch.long)
    for row, (prompt, start, size) in zip(columns, places, strict=True):
        row[: len(prompt) - 1] = torch.arange(len(prompt) - 1)
        row[len(prompt) - 1 : len(prompt) - 1 + size] = torch.arange(start, start + size)
    laid = {name: tensor.to(completion.device) for name, tensor in laid_out(lines).items()}
    return laid | {
        "line": torch.tensor([number[prompt] for prompt, _, _ in places], device=completion.device),
        "column": columns.to(completion.device),
        "predicted": completion[:, 1:],
    }


def laid_out(lines: dict[tuple, dict[tuple, int]]) -> dict[str, torch.Tensor]:
    """The tensors of lines {prompt: {response: its first column}}, with a column of padding at the end."""
    rows = {"input_ids": [], "position_ids": [], "labels": [], "owner": []}
    for prompt, responses in lines.items():
        *shared, last = prompt
        ids, positions, labels, owner = [*shared], [*range(len(shared))], [NO_LABEL] * len(prompt), [0] * len(shared)
        for mark, response in enumerate(responses, 1):
            ids += [last, *response[:-1]]
            positions += range(len(shared), len(shared) + len(response))
            labels += response
            owner += [mark] * len(response)
        for name, values in (("input_ids", ids), ("position_ids", positions), ("labels", labels), ("owner", owner)):
            rows[name].append(torch.tensor(values, dtype=torch.long))
    width = 1 + max(len(ids) for ids in rows["input_ids"])
    empty = {"input_ids": 0, "position_ids": 0, "labels": NO_LABEL, "owner": -1}
    laid = {}
    for name, value in empty.items():
        padded = pad_sequence(rows[name], batch_first=True, padding_value=value)
        laid[name] = torch.nn.functional.pad(padded, (0, width - padded.shape[1]), value=value)
    queries, keys = laid["owner"][:, :, None], laid.pop("owner")[:, None, :]
    # Padding sees padding: a softmax over nothing would be no number.
    laid["sees"] = ((queries == keys) | ((keys == 0) & (queries > 0))).tril()
    return laid


def cheaper(lines: torch.Tensor, batch: torch.Tensor, hidden_size: int) -> bool:
    """Whether the lines cost less than the batch: columns times (12 d^2 weights a layer, and attention to its width).

    A column of a layer takes some 24 d^2 operations in the products with weights and 4 d a column that it attends to.
    """
    costs = [count * width * (6 * hidden_size + width) for count, width in (lines.shape, batch.shape)]
    return costs[0] < costs[1]


def window(config) -> float:
    """The longest sequence that no layer cuts: a 4-D mask takes the place of a sliding window's."""
    if not getattr(config, "use_sliding_window", True):
        return float("inf")
    return min(getattr(config, name, None) or float("inf") for name in WINDOWS)


@contextmanager
def computed_shared(model: torch.nn.Module, shared: dict[str, torch.Tensor], kind: str):
    """Inside, a call of the model with the shared batch computes its lines, and gives what the batch would give."""

    def lines_in(module, args, kwargs):
        if args or not set(kwargs) <= KNOWN or kwargs["input_ids"].shape != shared["column"].shape:
            return None
        lines = {"attention_mask": mask_of(shared["sees"], kind)}
        lines |= {name: shared[name] for name in ("input_ids", "position_ids")}
        if "labels" in kwargs:
            lines["labels"] = shared["labels"]
        return args, kwargs | lines

    def batch_out(module, args, kwargs, outputs):
        return restored(outputs, shared) if kwargs.get("input_ids") is shared["input_ids"] else None

    hooks = [
        model.register_forward_pre_hook(lines_in, with_kwargs=True),
        model.register_forward_hook(batch_out, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def restored(outputs, shared: dict[str, torch.Tensor]):
    """A model's outputs for the lines, as they would be for the batch: logits, and what is told of each label."""
    lines, width = shared["input_ids"].shape
    for name, value in list(outputs.items()):
        if not isinstance(value, torch.Tensor) or value.dim() < 2 or len(value) != lines:
            continue
        if value.shape[1] == width:
            outputs[name] = taken(value, shared["line"], shared["column"])
        elif value.shape[1] == width - 1:  # of labels, shifted: zero where nothing is predicted
            found = taken(value, shared["line"], shared["column"][:, :-1])
            outputs[name] = found.masked_fill(~shared["predicted"], 0)
    return outputs


def taken(value: torch.Tensor, line: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """value[line, column] of (lines, columns, ...): (sequences, length, ...); index_add backwards, which is fast."""
    flat = (line[:, None] * value.shape[1] + column).flatten()
    return value.flatten(0, 1).index_select(0, flat).unflatten(0, column.shape)


def mask_of(sees: torch.Tensor, kind: str) -> torch.Tensor:
    """The 4-D mask (lines, 1, width, width): "bool" for SDPA, "additive" for attention that adds it to its scores."""
    if kind == "bool":
        return sees[:, None]
    lowest = torch.finfo(torch.float32).min
    return torch.zeros_like(sees, dtype=torch.float32).masked_fill(~sees, lowest)[:, None]


def mask_type(model: torch.nn.Module, half: bool) -> str:
    """The kind of 4-D mask with which a small example gives what it gives without sharing; "", and a warning: none."""
    ids = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 3, 7, 5, 0], [2, 3, 1, 4, 5, 6]])
    ids = ids.to(next(model.parameters()).device)
    told = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    shared = share(told | {"completion_mask": (ids > 3).long()})
    tolerance = 5e-2 if half or model.dtype in (torch.float16, torch.bfloat16) else 1e-3
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            plain = model(**told, use_cache=False).logits[:, :-1][shared["predicted"]]
            for kind in ("bool", "additive"):
                try:
                    with computed_shared(model, shared, kind):
                        found = model(**told, use_cache=False).logits[:, :-1][shared["predicted"]]
                except Exception as error:  # whatever a model says to a mask that it does not know
                    why = f"{type(error).__name__}: {error}"
                    continue
                if (found - plain).abs().max() <= tolerance * plain.abs().max():
                    return kind
                why = "its results differ"
    finally:
        model.train(was_training)
    logger.warning("Prompts are not shared: this model does not take a 4-D attention mask (%s).", why)
    return ""
