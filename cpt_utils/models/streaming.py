"""One conversation at a time, its answer shown while it grows."""

import threading
import time

from cpt_utils.models.conversation import ChatModel, chat

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


def stream_chat(chat_model: ChatModel, turns: list[dict], show, stop: threading.Event, every=0.0, **options):
    """conversation.chat for one conversation: `show` gets the text so far as it grows, `stop` ends it early."""
    tokens: list[int] = []
    shown = 0.0

    def watch(new) -> bool:
        nonlocal shown
        tokens.extend(new.tolist())
        if time.monotonic() - shown >= every:
            shown = time.monotonic()
            show(chat_model.tokenizer.decode(tokens, skip_special_tokens=True))
        return stop.is_set()

    (text,) = chat(chat_model, [turns], watch=watch, **options)
    show(text)
    return text
