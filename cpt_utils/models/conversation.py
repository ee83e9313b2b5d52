"""Conversations: from turns to tokens, and from a model's tokens to answers."""

from dataclasses import dataclass
from itertools import takewhile

from cpt_utils.models.templates import end_token, in_user_turn, opened, plain_text, rendered, takes_system

NEW_TOKENS = 130
"""Room for an answer, unless said otherwise."""


@dataclass
class ChatModel:
    """A model with its tokenizer and a name for data rows and reports."""

    model: object
    tokenizer: object
    name: str


def fit_turns(tokenizer, turns: list[dict]) -> list[dict]:
    """The conversation as the template can take it.

    A system message moves into the user's turn if it must, and what looks like a special token stays text.
    """
    turns = [{**turn, "content": plain_text(tokenizer, _said(turn))} for turn in turns]
    return in_user_turn(turns) if turns[0]["role"] == "system" and not takes_system(tokenizer) else turns


def _said(turn: dict) -> str:
    """A turn's text. An answer has no space around it: a line break might join the prompt's last token."""
    return turn["content"].strip() if turn["role"] == "assistant" else turn["content"]


def templated(tokenizer, turns: list[dict], **options):
    """The conversation through the chat template: the one way from turns to tokens (or text: tokenize=False).

    The template gets what it can take (fit_turns), and Qwen3's thinking is off.
    """
    return rendered(tokenizer, fit_turns(tokenizer, turns), **options)


def answer_tokens(tokenizer, turns: list[dict], answers: list[list[dict]]) -> tuple[list[int], list[list[int]]]:
    """The ids of a conversation up to its answer, and of each answer with what the template writes behind it.

    An answer starts where the conversation with it departs from the prompt alone, or where another of them does:
    the rule of TRL's DPOTrainer.
    """
    prompt = templated(tokenizer, turns, add_generation_prompt=True)
    whole = [templated(tokenizer, turns + answer) for answer in answers]
    start = min(_common(prompt, ids) for ids in whole)
    return prompt[:start], [ids[start:] for ids in whole]


def _common(first: list[int], second: list[int]) -> int:
    """Length of the longest common beginning."""
    length = 0
    for one, other in zip(first, second):
        if one != other:
            break
        length += 1
    return length


def fit_rows(tokenizer, rows: list[dict]) -> list[dict]:
    """Preference rows as the tokenizer's template needs them; Qwen3's thinking is off (see chat)."""
    fitted = []
    for row in rows:
        turns = {part: fit_turns(tokenizer, row[part]) for part in ("prompt", "chosen", "rejected")}
        fitted.append({**row, **turns, "chat_template_kwargs": {"enable_thinking": False}})
    return fitted


def chat(chat_model: ChatModel, conversations: list[list[dict]], **options) -> list[str]:
    """The texts of `answered`, which says what options there are."""
    return [text for text, _ in answered(chat_model, conversations, **options)]


def answered(
    chat_model: ChatModel,
    conversations: list[list[dict]],
    *,
    max_new_tokens: int = NEW_TOKENS,
    temperature: float = 0.7,
    top_p: float = 0.9,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    batch_size: int = 48,
    progress: str | None = None,
    watch=None,
) -> list[tuple[str, bool]]:
    """One answer to each conversation, and whether it came to its end within the limit of tokens.

    Temperature 0 is greedy. `progress` labels a progress bar.

    `watch` sees the new tokens at every step and may end the generation (decoding.generate).
    """
    import torch
    from tqdm import tqdm

    from cpt_utils.fast.decoding import generate

    ends, answers = end_tokens(chat_model), []
    torch.manual_seed(seed)
    for start in tqdm(range(0, len(conversations), batch_size), desc=progress, disable=progress is None):
        new = generate(
            chat_model.model,
            waiting(chat_model, conversations[start : start + batch_size]),
            max_new_tokens=max_new_tokens,
            ends=ends,
            pad_token_id=chat_model.tokenizer.pad_token_id,
            temperature=temperature,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            watch=watch,
        )
        answers += read(chat_model, new, ends)
    return answers


def end_tokens(chat_model: ChatModel) -> list[int]:
    """The tokens that end an answer."""
    tokenizer, ends = chat_model.tokenizer, chat_model.model.generation_config.eos_token_id
    named = {tokenizer.eos_token_id, end_token(tokenizer), *(ends if isinstance(ends, list) else [ends])}
    return sorted(end for end in named if isinstance(end, int))  # a generation_config.json may hold anything


def waiting(chat_model: ChatModel, conversations: list[list[dict]]):
    """Conversations up to their answers as a batch of tokens: ids and mask, (rows, longest)."""
    tokenizer = chat_model.tokenizer
    prompts = [templated(tokenizer, turns, tokenize=False, add_generation_prompt=True) for turns in conversations]
    return tokenizer(
        prompts,
        return_tensors="pt",
        padding=True,
        padding_side="left",  # whatever the tokenizer says: unsloth's trainers turn it to the right
        add_special_tokens=False,
    ).to(chat_model.model.device)


def read(chat_model: ChatModel, new, ends: list[int]) -> list[tuple[str, bool]]:
    """New tokens (rows, up to the limit) as texts, and whether each came to its end.

    A text has the tag of thinking that its template began it with, so that what it thinks is known as such.
    """
    rows = new.tolist()
    said = [list(takewhile(lambda token: token not in ends, row)) for row in rows]
    texts = chat_model.tokenizer.batch_decode(said, skip_special_tokens=True)
    begun = opened(chat_model.tokenizer)
    return [((begun + text).strip(), not set(ends).isdisjoint(row)) for text, row in zip(texts, rows)]
