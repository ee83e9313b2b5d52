"""One conversation at a time, its answer shown while it grows."""

import threading
import time
from functools import partial

from cpt_utils.models.conversation import ChatModel, answered
from cpt_utils.models.templates import opened

LONGEST = 8000
"""Characters that a prompt and its system prompt may have together."""


def fault(prompt: str, system: str) -> str:
    """Why a model is not asked this, in one sentence; "" if it can be."""
    if not prompt:
        return "The prompt is empty: write one."
    size = len(prompt) + len(system)
    if size > LONGEST:
        return f"Prompt and system prompt have {size} characters: shorten them to {LONGEST}."
    return ""


def stream_chat(chat_model: ChatModel, turns: list[dict], show, stop: threading.Event, every=0.0, **options) -> str:
    """conversation.chat for one conversation: `show` gets the text so far as it grows, `stop` ends it early."""
    return stream_answer(chat_model, turns, show, stop, every, **options)[0]


def stream_answer(chat_model, turns, show, stop, every=0.0, **options) -> tuple[str, bool]:
    """`stream_chat` that also says whether the text came to its end."""
    return _streamed(partial(answered, chat_model, [turns]), chat_model, show, stop, every, options)


def stream_dial(chat_model, first, second, position: float, show, stop, every=0.0, **options) -> tuple[str, bool]:
    """`stream_answer` for an answer between those to two conversations (guidance.guided)."""
    from cpt_utils.models.guidance import guided

    ask = partial(guided, chat_model, [first], [second], position)
    return _streamed(ask, chat_model, show, stop, every, options)


def _streamed(ask, chat_model: ChatModel, show, stop: threading.Event, every: float, options: dict):
    tokens: list[int] = []
    shown, begun = 0.0, opened(chat_model.tokenizer)

    def watch(new) -> bool:
        nonlocal shown
        tokens.extend(new.tolist())
        if time.monotonic() - shown >= every:
            shown = time.monotonic()
            show(begun + chat_model.tokenizer.decode(tokens, skip_special_tokens=True))
        return stop.is_set()

    ((text, ended),) = ask(watch=watch, **options)
    show(text)
    return text, ended
