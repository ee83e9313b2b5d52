"""What an endpoint sends back: an answer that is whole, or the reason why there is none, in the server's own words."""

import json
import re
from collections.abc import Collection

from cpt_utils.runtime.errors import CutOffError, EndpointError, RefusedError
from cpt_utils.runtime.keys import holds_key, scrub
from cpt_utils.thoughts import UNANSWERED, cut_off

OTHER_WORDS = "ask in other words, or leave it out"
FILTERED = r"filter|safety|recitation|prohibited|block|sensitive|refus|toxic|spii|guardrail|moderat|polic"
CUT = r"length|(?<!time_)(?<!time)limit|max_?(?:output_?)?tokens|exceeded|truncat|incomplete"
BROKEN = r"error|abort|cancel|interrupt|overload|time_?(?:out|limit)|insufficient"
"""What reasons to finish (`finish_reason`) speak of that leave no whole answer; each server has words of its own."""

MODERATED = (
    r"moderat|flagged|content[ _-]?(?:filter|polic|management|violation|inspection)|data[ _-]?inspection|"
    r"(?:safety|usage) (?:system|polic|guideline)|responsible ?ai|inappropriate|harmful"
)
ACCOUNT = r"\b(?:account|organi[sz]ation|workspace)\b"
QUOTA = r"insufficient[ _](?:quota|balance|credit|fund)|exceeded[ _](?:your )?current[ _]quota|\bbilling|credit balance"
WAITS = r"per[ _-](?:minute|second|hour|day)|(?:try|retry)\b.{0,20}\b(?:in|after)\b|retrydelay"
KEY = r"\bapi[ _-]?key\b|unauthori[sz]ed|authentication"
NO_MODEL = r"model[ _]?not[ _]?found|no such model|\bmodel\b.{0,100}(?:not (?:found|exist|a valid)|not valid)"
TOO_LONG = r"context[ _](?:length|window|size)|too long|too many (?:input |prompt )?tokens|reduce the length"
PASSES = {200, 408, 409, 425, 429}


def answer_of(text: str, sent: Collection[str] = ()) -> str:
    """The answer in the body of a chat completion ("" if it is empty), without thinking in fields of its own.

    sent: the names of the request's options. Raises EndpointError where there is no whole answer.
    """
    body = _parsed(text)
    try:
        error = isinstance(body, dict) and (body.get("error") or body["choices"][0].get("error"))
        choice = {} if error else body["choices"][0]
        message = {} if error else choice["message"]
        said, thought = _said(message)
        reason = str(choice.get("finish_reason") or "").lower()
    except (LookupError, TypeError, AttributeError):
        if not words(body):
            raise EndpointError("a reply that is no chat completion (does base_url end in /v1?)") from None
        error = body
    if error:
        raise refusal(_status(error), json.dumps(error), sent)
    return _whole(message, said, thought, reason)


def _whole(message: dict, said: str, thought: bool, reason: str) -> str:
    """What is said, if the reason to finish is none to doubt it."""
    if refused := message.get("refusal"):
        raise RefusedError(f"the model refuses ({OTHER_WORDS}; it says: {_plain(str(refused))})")
    if re.search(FILTERED, reason):
        raise RefusedError(f"the endpoint's filter held the answer back ({OTHER_WORDS}; finish_reason: {reason})")
    if re.search(CUT, reason):
        raise cut_off(said)
    if re.search(BROKEN, reason):
        raise EndpointError(f"the server broke off ({_plain(reason)}: run the same call again)", status=200)
    if thought and not said.strip():
        raise CutOffError(UNANSWERED)
    if not said.strip() and reason not in ("", "stop"):
        raise EndpointError(f"an answer without text (finish_reason: {_plain(reason)})")
    if holds_key(said):  # responses are kept and published as they are
        raise RefusedError("an answer with your key in it (is this server to be trusted?)")
    return said


def _said(message: dict) -> tuple[str, bool]:
    """The text of a message, which may come in parts, and whether there is thinking beside it."""
    content = message.get("content")
    if content is not None and not isinstance(content, (str, list)):
        raise TypeError("no text")
    parts = [{"type": "text", "text": content or ""}] if not isinstance(content, list) else content
    said = "".join(part["text"] for part in parts if part["type"] == "text")
    beside = any(message.get(field) for field in ("reasoning_content", "reasoning", "thinking"))
    return said, beside or any(part["type"] != "text" for part in parts)


def refusal(status: int, text: str, sent: Collection[str] = (), passes: bool = False) -> EndpointError:
    """What an error means, from the HTTP status and body of the reply; the codes of servers stand in their bodies.

    sent: the names of the request's options, and the model's: what refuses one of them refuses every request.
    passes: the reply says when to come again.
    """
    said, all_said = _plain(words(_parsed(text)) or text), text[:4000]

    def speaks_of(pattern: str) -> bool:
        return bool(re.search(pattern, all_said, re.IGNORECASE))

    def told(meaning: str) -> str:
        return f"HTTP {status} ({meaning}; it says: {said})" if said else f"HTTP {status} ({meaning})"

    if status not in (401, 402, 429) and speaks_of(MODERATED) and not speaks_of(ACCOUNT):
        return RefusedError(told(f"a filter refuses this conversation: {OTHER_WORDS}"), status=status)
    waits = passes or speaks_of(WAITS)
    if status == 402 or status < 500 and speaks_of(QUOTA) and (not waits or speaks_of("insufficient[ _]quota")):
        return EndpointError(told("the quota or credit is used up: waiting does not help, paying may"), True, status)
    if status in (401, 403, 407) or status in (200, 400) and speaks_of(KEY):
        return EndpointError(told("the endpoint refuses the key: check OPENAI_API_KEY"), True, status)
    if status in (404, 405, 410) or status in (200, 400, 422) and speaks_of(NO_MODEL):
        return EndpointError(told("no such model or address: check model and base_url"), True, status)
    if status == 429:
        return EndpointError(told("too many requests: wait, or use fewer workers"), status=status)
    if status == 413 or status < 500 and speaks_of(TOO_LONG):
        return EndpointError(told("too long for the model: shorten the text, or lower max_tokens"), status=status)
    if 400 <= status < 500 and (named := [name for name in sent if speaks_of(_naming(name))]):
        return EndpointError(told(f"the endpoint does not take {named[0]!r} so: mend or drop it"), True, status)
    if status >= 500:
        return EndpointError(told("a fault of the server"), status=status)
    meaning = "an error in place of an answer" if status == 200 else ""
    return EndpointError(
        told(meaning) if meaning else f"HTTP {status} ({said or 'the request is refused'})", False, status
    )


def may_pass(error: EndpointError) -> bool:
    """Whether the same request may be answered a moment later."""
    lasts = error.fatal or isinstance(error, (CutOffError, RefusedError))
    return not lasts and (error.status is None or error.status in PASSES or error.status >= 500)


def _naming(option: str) -> str:
    """A pattern for the name of an option: in quotes, or at large if it is no everyday word."""
    quoted = rf"""["'`]{re.escape(option)}["'`]"""
    return rf"{quoted}|\b{re.escape(option)}\b" if "_" in option or len(option) > 8 else quoted


def _status(error) -> int:
    """The HTTP status that an error in a body names; 200 if it names none."""
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    code = int(code) if isinstance(code, str) and code.isdecimal() else code
    return code if type(code) is int and 400 <= code < 600 else 200


def _parsed(text: str):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def words(body) -> str:
    """What an error's JSON says to people: its message, wherever servers put it; "" if it says nothing."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return "; ".join(filter(None, map(words, body[:3])))
    if not isinstance(body, dict):
        return ""
    said = next(filter(None, (words(body.get(key)) for key in ("error", "message", "detail", "msg"))), "")
    place = body.get("loc")  # of a setting that pydantic refuses
    return f"{place[-1]}: {said}" if isinstance(place, list) and place else said


def _plain(text: str) -> str:
    """A server's words as they may stand in one line of a message."""
    text = re.sub(r"<[^<>]{0,300}>", " ", text[:4000])
    return "".join(letter for letter in " ".join(scrub(text).split()) if letter.isprintable())[:120]
