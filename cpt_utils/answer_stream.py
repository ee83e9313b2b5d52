"""An endpoint's answer while it grows: server-sent events, put together into the body of a whole reply."""

import contextlib
import json
import math
import queue
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from itertools import chain

from cpt_utils import connection, replies
from cpt_utils.runtime.errors import EndpointError, RefusedError, StoppedError
from cpt_utils.runtime.keys import before_key
from cpt_utils.thoughts import aloud_so_far, begun_before

EVERY = 0.2
"""Seconds between two looks at a growing text."""
LOOK = 0.05
"""Seconds after which a silent stream is left, once it is stopped or too late."""
FIELDS = (b"data", b"event", b"id", b"retry", b"")
"""What a line of an event stream begins with; a comment with nothing."""
NO_STREAM = {400, 404, 405, 415, 422, 500, 501}
"""What endpoints answer to a request for a stream if they have none."""
NO_END = ("", "null", "none")
"""Reasons to finish that are none."""


def body_of(
    client,
    model: str,
    turns: list[dict],
    options: dict,
    sent: Collection[str],
    asked: Collection[str],
    show: Callable[[str], None],
    stop: threading.Event,
    thinks: threading.Event,
) -> tuple[str, EndpointError | None]:
    """The body of the reply as connection.body_of gives it, so that replies.answer_of reads both alike.

    `show` gets the text so far, without thinking and keys. Once `stop` is set, the failure is a StoppedError with that
    text. What breaks off has "interrupted" as its reason to finish. A reply that is no stream comes as it is.
    `thinks` is set while answers end thinking that they have not begun: of the next one that is not shown at all.
    """
    show("")
    if stop.is_set():
        return "", StoppedError("")
    body, beside, other, done, shown, failure = {}, {}, [], False, 0.0, None
    options = options | {"stream": True}
    pieces = _pieces(lambda: connection.reply_to(client, model, turns, options, sent, asked), client.timeout, stop)
    with contextlib.closing(pieces):
        try:
            for name, data in _events(_lines(pieces), other):
                if done := data.strip() == "[DONE]":
                    break
                _add(body, beside, name, data)
                if time.monotonic() - shown >= EVERY:
                    shown = time.monotonic()
                    show(_shown(body, thinks))
        except EndpointError as error:
            failure = error
    if failure and not _has_end(body):
        return "", StoppedError(_shown(body, thinks)) if isinstance(failure, StoppedError) else failure
    rest = b"\n".join(other).decode("utf-8", "replace")
    if not body and rest.strip():
        return rest, None
    if _has_end(body):
        (thinks.set if begun_before(_text(body)) else thinks.clear)()
    return json.dumps(_closed(body, beside | {"done": done}, rest)), None


def may_lack(error: EndpointError) -> bool:
    """Whether it may be the stream that an endpoint refuses: the same words without one show it."""
    speaks = error.status in NO_STREAM or re.search(r"\bstream", str(error), re.IGNORECASE)
    return bool(speaks) and not isinstance(error, RefusedError)


def _pieces(begin: Callable, seconds: float, stop: threading.Event) -> Iterator[bytes]:
    """The bytes of a reply as they come, to its end or to where it breaks off.

    It is read in a thread that nobody waits for: a silent one can be left, and closes itself when it speaks again.
    """
    arrived, left, whole_by = queue.SimpleQueue(), threading.Event(), math.inf

    def read() -> None:
        reply, failure = begin()
        arrived.put(failure or reply.extensions[connection.WHOLE_BY])
        if failure:
            return
        with contextlib.closing(reply), contextlib.suppress(Exception):  # what breaks off lacks its end
            for piece in reply.iter_bytes():
                arrived.put(piece)
                if left.is_set():
                    return
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            if stop.is_set():
                raise StoppedError("")
            if time.monotonic() > whole_by:
                raise connection.too_late(seconds)
            try:
                piece = arrived.get(timeout=LOOK)
            except queue.Empty:
                continue
            if piece is None:
                return
            if isinstance(piece, EndpointError):
                raise piece
            if isinstance(piece, float):
                whole_by = piece
            else:
                yield piece
    finally:
        left.set()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Lines by the ends that such streams know: letters of a text that other readers take for ends are none."""
    rest = b""
    for piece in pieces:
        *whole, rest = re.split(rb"\r\n|\n|\r(?!\Z)", rest + piece)  # behind a last \r a \n may come
        yield from whole
    yield rest


def _events(lines: Iterator[bytes], other: list[bytes]) -> Iterator[tuple[str, str]]:
    """Name and data of each event; lines that belong to none are added to `other`."""
    name, data = "", []
    for line in chain(lines, [b""]):
        field, colon, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        value = value.removeprefix(b" ").decode("utf-8", "replace")
        if not line.strip():
            whole = "\n".join(data)
            yield from ((name, each) for each in ([whole] if replies.parsed(whole) is not None else data))
            name, data = "", []
        elif not colon or field not in FIELDS:
            other.append(line)
        elif field == b"data" and value.strip():
            data.append(value)
        elif field == b"event":
            name = value.strip()


def _add(body: dict, beside: dict, name: str, data: str) -> None:
    """What an event says, added to the body.

    beside: whether an event was "torn", and what was "said" outside of answers, which counts where these have no end.
    """
    event = replies.parsed(data)
    if not isinstance(event, dict):
        beside |= {"said": data} if replies.is_page(data) else {"torn": True}
        return
    choices = event.pop("choices", None)
    choices = [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
    if name == "error":
        body["error"] = event.get("error") or event
    elif not choices and replies.words(event):
        beside["said"] = event
    body |= {key: value for key, value in event.items() if value}
    for choice in choices:
        if not choice.get("index"):  # of several answers the first, as in whole replies
            _grow(body.setdefault("choices", [{"message": {"content": []}}])[0], choice)


def _grow(answer: dict, choice: dict) -> None:
    """The answer with what one event adds to it; a message that comes whole stands for what came before."""
    answer |= {key: choice[key] for key in ("finish_reason", "error") if choice.get(key)}
    added, whole = choice.get("delta"), choice.get("message")
    if not added and isinstance(whole, dict):
        added, answer["message"] = whole, {"content": []}
    message = answer["message"]
    for field, value in added.items() if isinstance(added, dict) else ():
        if field == "content" and value:
            parts = value if isinstance(value, list) else [value]
            message["content"] += [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
        elif isinstance(value, str) and isinstance(message.get(field), str):
            message[field] += value
        elif value:
            message[field] = value


def _shown(body: dict, thinks: threading.Event) -> str:
    """The text so far, as it may be seen."""
    return before_key(aloud_so_far(_text(body), thinks.is_set()))


def _text(body: dict) -> str:
    try:
        return replies.said_in(body["choices"][0]["message"])[0]
    except (LookupError, TypeError):
        return ""


def _has_end(body: dict) -> bool:
    """Whether the server has said that the answer is at its end."""
    reason = body["choices"][0].get("finish_reason") if body.get("choices") else None
    return bool(body.get("error")) or str(reason or "").lower() not in NO_END


def _closed(body: dict, beside: dict, rest: str) -> dict:
    """The body of a stream that has ended. beside: as `_add` has it, and whether the server was "done".

    rest: lines that belonged to no event, such as an error that a proxy wrote behind half an answer.
    """
    choices = body.setdefault("choices", [])
    if beside.get("torn") and choices:
        choices[0]["finish_reason"] = "interrupted"
    elif not _has_end(body) and not (beside["done"] and choices):
        if rest.strip():
            _add(body, beside, "error", rest)
        if beside.get("said"):
            body["error"] = beside["said"]
        elif choices:
            choices[0]["finish_reason"] = "interrupted"
    return body
