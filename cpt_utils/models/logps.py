"""Log-probabilities of the responses in preference rows: each is computed once and kept.

Notebook 03's measure of the untrained model and the reference of notebook 04 are such numbers. They lie in
`logps.json` of the run's folder, under a hash of the weights, the number type, and a hash of the tokens; those of
the shipped rows under the embedded model are shipped too (`make logps`).
"""

import hashlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cpt_utils.models.templates import end_token, plain_text
from cpt_utils.runtime import files, kept, machine
from cpt_utils.runtime.errors import ModelError, PairError
from cpt_utils.runtime.profiles import Profile

SIDES = ("chosen", "rejected")
FILE = "logps.json"
EVERY = 20  # seconds: the whole file is written each time, and a kill loses no more
ROWS = 8  # rows a batch: those of a block (blocks.training_blocks) share most of their tokens


def response_logps(chat_model, rows: list[dict], folder: Path | None = None, max_length: int | None = None):
    """Summed log-probability of each row's chosen and rejected response under the model: (rows, 2), in nats.

    What `folder` or the package knows is taken from there; what had to be computed is kept in `folder`.
    Sequences are cut at max_length tokens, as in training.
    """
    model_key = f"{weights_hash(chat_model.model)} {machine.number_type()}"
    known = kept.known_numbers(FILE, folder, model_key)
    tokens = [row_tokens(chat_model.tokenizer, row, max_length) for row in rows]
    check_room(rows, tokens, max_length)
    keys = [token_keys(row) for row in tokens]
    missing = [number for number, pair in enumerate(keys) if not known.keys() >= set(pair)]
    new, told = {}, time.monotonic()
    try:
        for batch in _batches(missing):
            for number, logps in zip(batch, _computed(chat_model, [tokens[number] for number in batch])):
                new |= {key: round(value, 4) for key, value in zip(keys[number], logps)}
            if folder and time.monotonic() - told > EVERY:
                kept.keep_numbers(folder / FILE, model_key, new)
                told = time.monotonic()
    finally:  # an interrupted run keeps what it has
        if folder and new:
            kept.keep_numbers(folder / FILE, model_key, new)
    known |= new
    return np.array([(known[chosen], known[rejected]) for chosen, rejected in keys]).reshape(-1, 2)


def with_reference(chat_model, rows: list[dict], profile: Profile) -> list[dict]:
    """Rows with `ref_chosen_logps` and `ref_rejected_logps`, which MirroredDPOTrainer takes as they are.

    For models whose weights are as loaded; engines and trainers that change them first (4-bit ones, unsloth)
    compute their reference themselves, and get the rows unchanged.
    """
    if not profile.mirrored or profile.four_bit or machine.engine(profile) == "unsloth":
        return rows
    logps = response_logps(chat_model, rows, files.run_dir(profile), profile.max_length)
    return [
        {**row, "ref_chosen_logps": float(chosen), "ref_rejected_logps": float(rejected)}
        for row, (chosen, rejected) in zip(rows, logps)
    ]


def row_tokens(tokenizer, row: dict, max_length: int | None = None) -> dict[str, list[int]]:
    """`prompt_ids`, `chosen_ids`, `rejected_ids` of a row: the tokens that TRL's DPOTrainer trains on."""
    from cpt_utils.models.conversation import answer_tokens

    prompt, responses = answer_tokens(tokenizer, row["prompt"], [row[side] for side in SIDES])
    room = None if max_length is None else max(max_length - len(prompt), 0)
    return {"prompt_ids": prompt} | {f"{side}_ids": ids[:room] for side, ids in zip(SIDES, responses)}


def check_room(rows: list[dict], tokens: list[dict], max_length: int | None) -> None:
    """Raise a PairError if prompts alone fill `max_length`: nothing of their responses would be trained on.

    tokens: of each row (row_tokens).
    """
    sizes = [len(row["prompt_ids"]) for row in tokens]
    if full := [number for number, size in enumerate(sizes) if max_length is not None and size >= max_length]:
        raise PairError(
            f"{len(full)} of {len(rows)} rows have prompts that fill max_length={max_length}, the first row "
            f"{full[0] + 1} with {sizes[full[0]]} tokens ({rows[full[0]]['prompt'][-1]['content'][:40]!r}): raise "
            "max_length or drop these rows with their mirrors."
        )


def weights_hash(model) -> str:
    """A short hash of a model's weights, their names and types."""
    import torch

    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def token_keys(row: dict[str, list[int]]) -> list[str]:
    """The short hashes under which the two log-probabilities of a row's tokens (row_tokens) are kept."""
    return [files.json_hash([row["prompt_ids"], row[f"{side}_ids"]], 16) for side in SIDES]


def _batches(numbers: list[int]) -> Iterator[list[int]]:
    """The rows' numbers, ROWS at a time, with a progress bar where there is more than one batch."""
    from tqdm import tqdm

    starts = range(0, len(numbers), ROWS)
    for start in tqdm(starts, desc="log-probabilities", disable=len(starts) < 2):
        yield numbers[start : start + ROWS]


def _computed(chat_model, rows: list[dict]) -> list[list[float]]:
    """The two log-probabilities of each row's tokens (row_tokens), in nats."""
    import torch

    from cpt_utils.fast.packing import PackedCollator, packed_logps

    if hasattr(chat_model.model, "for_inference"):  # unsloth's, whose attention need not see the masks of packed rows
        parts = [(row["prompt_ids"], [row[f"{side}_ids"] for side in SIDES]) for row in rows]
        return [[_log_probs(chat_model.model, prompt, ids).sum().item() for ids in both] for prompt, both in parts]
    batch = PackedCollator(chat_model.tokenizer.pad_token_id)(rows)
    batch = {name: tensor.to(chat_model.model.device) for name, tensor in batch.items()}
    with torch.inference_mode(), machine.autocast(chat_model.model):
        logps, _ = packed_logps(chat_model.model, batch)
    return torch.stack([logps[batch[side]] for side in SIDES], 1).tolist()


def token_log_ratios(tuned, base, turns: list[dict], response: str) -> list[tuple[str, float]]:
    """log p_tuned - log p_base of each token of a response to a conversation, in nats, with its text.

    The last token is the end-of-turn mark. Summed, the ratios are DPO's implicit reward divided by beta.
    A character that takes several tokens comes as one entry with their sum. Both models (conversation.ChatModel)
    must share their tokenizer.
    """
    from cpt_utils.models.conversation import answer_tokens

    if tuned.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        raise ModelError("The two models have different vocabularies: compare a model with its own base.")
    prompt, (answer,) = answer_tokens(tuned.tokenizer, turns, [[{"role": "assistant", "content": response}]])
    if (end := end_token(tuned.tokenizer)) in answer:  # what templates add after the mark is never generated
        answer = answer[: answer.index(end) + 1]
    ratios = _log_probs(tuned.model, prompt, answer) - _log_probs(base.model, prompt, answer)
    pieces, shown, waiting = [], "", 0.0
    for end, ratio in enumerate(ratios.tolist(), 1):
        waiting += ratio
        text = tuned.tokenizer.decode(answer[:end])  # from the start: a token's text may depend on those before it
        if text.endswith("\ufffd") and end < len(answer):  # part of a character: its other bytes follow
            continue
        pieces.append((text[len(shown) :], waiting))
        shown, waiting = text, 0.0
    return pieces


def _log_probs(model, prompt: list[int], answer: list[int]):
    """Log-probability of each token of the answer, (len(answer),), in float32 on the CPU."""
    import torch

    ids = torch.tensor([prompt + answer], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
        return logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])[:, 0].cpu()


def perplexity(chat_model, texts: list[str], batch_size: int = 16) -> float:
    """Perplexity per token of the texts alone under a model (a fluency check; lower is plainer)."""
    sums, counts = text_logps(chat_model, [text for text in texts if text], batch_size)
    return math.exp(-sums.sum() / max(counts.sum(), 1))


def text_logps(chat_model, texts: list[str], batch_size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Summed log-probability of each text alone under a model, in nats, and its number of tokens: (texts,) each."""
    import torch

    from cpt_utils.fast.output_layer import NO_LABEL, token_logps

    model, tokenizer = chat_model.model, chat_model.tokenizer
    sums, counts = np.zeros(len(texts)), np.zeros(len(texts), int)
    for start in range(0, len(texts), batch_size):
        batch = tokenizer(
            [tokenizer.eos_token + plain_text(tokenizer, text) for text in texts[start : start + batch_size]],
            return_tensors="pt",
            padding=True,
            padding_side="right",
        ).to(model.device)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, NO_LABEL)
        labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=NO_LABEL)  # every column predicts the next
        predicted = labels != NO_LABEL
        with torch.inference_mode():
            logps = token_logps(model, {**batch, "use_cache": False}, labels).double().cpu()
        rows = slice(start, start + batch_size)
        sums[rows] = torch.zeros(len(labels), dtype=torch.float64).index_add(0, predicted.nonzero()[:, 0].cpu(), logps)
        counts[rows] = predicted.sum(1).cpu()
    return sums, counts
