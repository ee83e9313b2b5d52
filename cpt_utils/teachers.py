"""Models that answer conversations: in this process, or behind an OpenAI-compatible endpoint."""

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from cpt_utils.runtime.errors import EndpointError, SettingsError

NO_SCHEMA = {400, 404, 415, 422, 501}
"""What endpoints answer to a request for structured output if they have none; 500 may be anything."""
LIKE_A_KEY = re.compile(r"\b(?:sk|hf|gsk|xai|AIza)[-_][A-Za-z0-9_-]{8,}")
PAUSES = (0, 1, 2)
"""Seconds before each attempt at a reply that can be read; the openai client itself retries other faults."""


@dataclass(frozen=True)
class Teacher:
    """A model that answers conversations: `answer(list of conversations) -> list of texts`.

    takes_schema: `answer` has a second argument, a JSON schema that the answers are held to where the model can.
    """

    name: str
    answer: Callable[..., list[str]]
    batch_size: int = 1
    workers: int = 1
    takes_schema: bool = False

    def __post_init__(self):
        for name in ("batch_size", "workers"):
            if type(size := getattr(self, name)) is not int or size < 1:
                raise SettingsError(f"{name} is {size!r}: a teacher answers one or more at a time.")


def api_key(ask: bool = False, name: str = "OPENAI_API_KEY") -> str | None:
    """The key from the environment or Colab's secrets, or typed into a hidden field if `ask`; else None."""
    from cpt_utils.runtime import colab

    key = os.environ.get(name)
    if not key and colab.here():
        try:
            from google.colab import userdata

            key = userdata.get(name)
        except Exception:  # there is no such secret, or this notebook may not read it
            key = None
    if not key and ask:
        from getpass import getpass

        key = getpass(f"{name} (hidden, not saved): ")
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable():
        raise EndpointError(f"{name} holds characters that no key has: copy the key again.", fatal=True)
    return key or None


def scrub(text: str, key: str | None) -> str:
    """The text without the key, and without whatever else looks like one."""
    key = (key or "").strip()
    return LIKE_A_KEY.sub("[key]", text.replace(key, "[key]") if len(key) > 5 else text)


def local_teacher(chat_model, batch_size: int = 8, **chat_options) -> Teacher:
    """A teacher that runs a loaded chat model (loading.load_chat_model) in this process."""
    from cpt_utils.models.conversation import chat

    return Teacher(chat_model.name, lambda conversations: chat(chat_model, conversations, **chat_options), batch_size)


def endpoint_teacher(
    model: str,
    base_url: str,
    workers: int = 8,
    *,
    ask_key: bool = False,
    retries: int = 4,
    timeout: float = 120,
    **options,
) -> Teacher:
    """A teacher behind any OpenAI-compatible endpoint; its key comes from `api_key(ask_key)`.

    Refused connections, time-outs, 429 and 5xx are retried by the openai client, with back-off or as
    Retry-After says. `options` go to chat.completions.create.
    """
    from openai import DefaultHttpxClient, OpenAI

    if not base_url.startswith(("http://", "https://")):
        raise EndpointError(f"base_url is {base_url!r}: write it like http://localhost:8000/v1.", fatal=True)
    key = api_key(ask_key) or "none"
    hooks = {"response": [lambda response: _limit(response, timeout)]}
    client = OpenAI(
        base_url=base_url,
        api_key=key,
        max_retries=retries,
        timeout=timeout,
        http_client=DefaultHttpxClient(event_hooks=hooks),
    )

    refused = threading.Event()  # set once the endpoint has refused a schema

    def answer(asked: list[list[dict]], schema: dict | None = None) -> list[str]:
        return [_ask_with(schema, turns) for turns in asked]

    def _ask_with(schema: dict | None, turns: list[dict]) -> str:
        if schema is None or refused.is_set():
            return _ask(client, model, turns, options)
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
        try:
            return _ask(client, model, turns, options | {"response_format": form})
        except EndpointError as error:
            if error.status not in NO_SCHEMA:
                raise
        text = _ask(client, model, turns, options)
        refused.set()  # it was the schema: the same words went through without it
        return text

    return Teacher(model, answer, workers=workers, takes_schema=True)


def _limit(response, seconds: float) -> None:
    """End a body that is not whole after so many seconds: the client's own limit counts from byte to byte."""
    from openai import DefaultHttpxClient

    http = import_module(DefaultHttpxClient.__base__.__module__.split(".")[0])  # httpx, or what openai has moved to
    end, stream = time.monotonic() + seconds, response.stream

    class Limited(http.SyncByteStream):
        def __iter__(self):
            for part in stream:
                if time.monotonic() > end:
                    raise http.ReadTimeout("the reply drips on", request=response.request)
                yield part

        def close(self):
            stream.close()

    response.stream = Limited()


def _ask(client, model: str, turns: list[dict], options: dict) -> str:
    """One answer, or an EndpointError. It is raised outside the handlers: their errors hold the key."""
    from openai import APIError, APIResponseValidationError

    for pause in PAUSES:
        time.sleep(pause)
        try:
            reply = client.chat.completions.create(model=model, messages=turns, **options)
            return scrub(reply.choices[0].message.content or "", client.api_key)
        except (ValueError, TypeError, AttributeError, LookupError, APIResponseValidationError):
            failure = EndpointError("a reply that is no chat completion (does base_url end in /v1?)")
        except APIError as error:
            failure = _failure(error, client)
            break
    raise failure


def _failure(error, client) -> EndpointError:
    from openai import APIConnectionError, APITimeoutError

    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return EndpointError(f"HTTP {status} (the endpoint refuses the key: check OPENAI_API_KEY)", True, status)
    if status == 404:
        return EndpointError("HTTP 404 (no such model or address: check model and base_url)", True, status)
    if status == 429:
        return EndpointError("HTTP 429 (too many requests: wait, or use fewer workers)", status=status)
    if status and status >= 500:
        return EndpointError(f"HTTP {status} (a fault of the server)", status=status)
    if isinstance(error, APITimeoutError):
        return EndpointError(f"no answer within {client.timeout:g} s")
    if isinstance(error, APIConnectionError):
        return EndpointError("no connection, or one that broke off (is the server up, and base_url right?)")
    body = getattr(error, "body", None)  # openai 2 puts it into its message as Python writes a dict
    reason = body.get("message") if isinstance(body, dict) else None
    said = " ".join(scrub(str(reason or error.message), client.api_key).split())[:120]
    return EndpointError(f"HTTP {status} ({said})" if status else said, status=status)
