"""Conversations: from turns to tokens, and from a model's tokens to answers."""

import functools
from dataclasses import dataclass


@dataclass
class ChatModel:
    """A model with its tokenizer and a name for data rows and reports."""

    model: object
    tokenizer: object
    name: str


@functools.lru_cache(maxsize=8)
def takes_system(tokenizer) -> bool:
    """Whether the chat template renders a system message (Gemma's raises, some drop it)."""
    from jinja2.exceptions import TemplateError

    probe = "a-system-message"
    turns = [{"role": "system", "content": probe}, {"role": "user", "content": "hello"}]
    try:
        return probe in tokenizer.apply_chat_template(turns, tokenize=False)
    except TemplateError:
        return False


def fit_turns(tokenizer, turns: list[dict]) -> list[dict]:
    """The conversation as the template can take it: a system message moves into the user's turn if it must."""
    if turns[0]["role"] != "system" or takes_system(tokenizer):
        return turns
    first = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
    return [first, *turns[2:]]


def templated(tokenizer, turns: list[dict], **options):
    """The conversation through the chat template: the one way from turns to tokens (or text: tokenize=False).

    A system message goes where the template can take it (fit_turns), and Qwen3's thinking is off.
    """
    return tokenizer.apply_chat_template(
        fit_turns(tokenizer, turns), **{"tokenize": True, "return_dict": False, "enable_thinking": False, **options}
    )


def fit_rows(tokenizer, rows: list[dict]) -> list[dict]:
    """Preference rows as the tokenizer's template needs them; Qwen3's thinking is off (see chat)."""
    return [
        {**row, "prompt": fit_turns(tokenizer, row["prompt"]), "chat_template_kwargs": {"enable_thinking": False}}
        for row in rows
    ]


def chat(
    chat_model: ChatModel,
    conversations: list[list[dict]],
    *,
    max_new_tokens: int = 130,
    temperature: float = 0.7,
    top_p: float = 0.9,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    batch_size: int = 48,
    progress: str | None = None,
    watch=None,
) -> list[str]:
    """One answer to each conversation; temperature 0 is greedy. `progress` labels a progress bar.

    `watch` sees the new tokens at every step and may end the generation (decoding.generate).
    """
    import torch
    from tqdm import tqdm

    from cpt_utils.fast.decoding import generate

    model, tokenizer = chat_model.model, chat_model.tokenizer
    texts = [templated(tokenizer, turns, tokenize=False, add_generation_prompt=True) for turns in conversations]
    ends = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
    torch.manual_seed(seed)
    answers = []
    for start in tqdm(range(0, len(texts), batch_size), desc=progress, disable=progress is None):
        batch = tokenizer(
            texts[start : start + batch_size], return_tensors="pt", padding=True, add_special_tokens=False
        ).to(model.device)
        new = generate(
            model,
            batch,
            max_new_tokens=max_new_tokens,
            ends=sorted(ends),
            pad_token_id=tokenizer.pad_token_id,
            temperature=temperature,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            watch=watch,
        )
        answers += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return answers
