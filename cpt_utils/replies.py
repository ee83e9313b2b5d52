"""What an endpoint sends back: an answer that is whole, or the reason why there is none, in the server's own words."""

import json
import re
from collections.abc import Collection

from cpt_utils.runtime.errors import CutOffError, EndpointError, RefusedError
from cpt_utils.runtime.keys import holds_key, one_line
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
SPENT = (
    r"insufficient[ _]quota|available credits|spending (?:limit|cap)|(?:per|/|this) ?month\b|arrear|good standing|"
    r"free (?:allocated|tier) quota|recharge|余额|欠费|充值"
)
"""Words of a quota that no wait of minutes brings back, even where a reply says when to come again."""
QUOTA = (
    r"insufficient[ _](?:balance|credit|fund)|(?:balance|credits?|funds?) (?:is|are) (?:insufficient|not enough)|"
    r"exceeded[ _](?:your )?current[ _]quota|\bbilling|credit balance"
)
WAITS = r"per[ _-](?:minute|second|hour|day)|(?:try|retry)\b.{0,20}\b(?:in|after)\b|retrydelay"
KEY = r"\bapi[ _-]?key\b|unauthori[sz]ed|authentication"
NO_MODEL = (
    r"model[ _]?not[ _]?(?:found|available|exist)|(?:no such|not a valid) model\b|access(?: to)?(?: the)? model\b|"
    r"(?:invalid|unknown|unsupported)[ _]model\b(?! (?:output|response|input|repl|param|option|setting))|"
    r"\bmodel\b.{0,100}(?:not (?:found|exist|a valid|supported|available)|not valid|unknown)"
)
WRONG = r"\b(?:invalid|illegal|unsupported|unknown|unrecogni[sz]ed|unexpected)(?:[ _][a-z]+){0,3}:? ?"
TOO = (
    r"(?:[<>≤≥]=? ?\d|exceed|\b(?:max|min|must|should|not|cannot|invalid|too|at (?:most|least)|between|larger?|less|"
    r"greater|out of))"
)
"""Words of refusal before an option's name, and behind its value."""
TOO_LONG = r"context[ _](?:length|window|size)|(?<!array )too long|too many (?:input |prompt )?tokens|reduce the length"
PASSES = {200, 408, 409, 425, 429}
ECHOES = {"input", "flagged_input", "prompt", "params"}
"""Keys of errors under which servers quote the request: what is said there is not theirs."""
SAYS = ("error", "message", "detail", "msg", "errors")
"""Keys under which errors speak to people, the usual ones first; others have parts of these words in them."""
SPEAKS = re.compile("err|mess|detail|msg", re.IGNORECASE)
DEEPEST = 30
"""So many levels of a reply are read: no server speaks deeper, and a thousand would be an error of ours."""
RUN = 4
"""So many words in a row of the conversation are quoted where an error has them."""


def answer_of(text: str, sent: Collection[str] = (), asked: Collection[str] = ()) -> str:
    """The answer in the body of a chat completion ("" if it is empty), without thinking in fields of its own.

    sent, asked: as `refusal` takes them. Raises EndpointError where there is no whole answer.
    """
    body = parsed(text)
    try:
        error = isinstance(body, dict) and (body.get("error") or body["choices"][0].get("error"))
        error = body if error and not isinstance(error, (dict, list, str)) else error  # "error": true, beside its words
        choice = {} if error else body["choices"][0]
        message = {} if error else choice["message"]
        said, thought = said_in(message)
        reason = str(choice.get("finish_reason") or "").lower()
    except (LookupError, TypeError, AttributeError):
        if not words(body):
            raise _no_answer(body, text) from None
        error = body
    if error:
        raise refusal(_status(error), json.dumps(error), sent, asked=asked)
    return _whole(message, said, thought, reason)


def _no_answer(body, text: str) -> EndpointError:
    """What to say of a reply that holds neither an answer nor an error."""
    if isinstance(body, dict) and "choices" in body and not body["choices"]:
        why = _flat({key: value for key, value in body.items() if "feedback" in key.lower()})
        if re.search(FILTERED, why, re.IGNORECASE):
            return RefusedError(f"a filter refuses this conversation ({OTHER_WORDS}; it says: {_plain(why)})")
        return EndpointError("a reply without any answer in it (run the same call again)")
    plain = is_page(text) and text.lstrip()[:1] != "<" and _plain(text)
    why = f"it says: {plain}" if plain else "does base_url end in /v1?"
    return EndpointError(f"a reply that is no chat completion ({why})")


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


def said_in(message: dict) -> tuple[str, bool]:
    """The text of a message, which may come in parts, and whether there is thinking beside it."""
    content = message.get("content")
    if content is not None and not isinstance(content, (str, list)):
        raise TypeError("no text")
    parts = [{"type": "text", "text": content or ""}] if not isinstance(content, list) else content
    said = "".join(part["text"] for part in parts if part["type"] in ("text", "output_text"))
    beside = any(message.get(field) for field in ("reasoning_content", "reasoning", "reasoning_details", "thinking"))
    return said, beside or any(part["type"] not in ("text", "output_text") for part in parts)


def refusal(
    status: int, text: str, sent: Collection[str] = (), passes: bool = False, asked: Collection[str] = ()
) -> EndpointError:
    """What an error means, from the HTTP status and body of the reply; the codes of servers stand in their bodies.

    sent: the names of the request's options: what refuses one of them refuses every request. passes: the reply says
    when to come again. asked: the texts of the conversation, whose words are nobody's where the error quotes them.
    """
    body = parsed(text)
    said, all_said = _plain(words(body) or text), _unquoted((text if body is None else _flat(body))[:4000], asked)

    def speaks_of(pattern: str) -> bool:
        return bool(re.search(pattern, all_said, re.IGNORECASE))

    def told(meaning: str) -> str:
        return f"HTTP {status} ({meaning}; it says: {said})" if said else f"HTTP {status} ({meaning})"

    if status not in (401, 402, 404, 429) and speaks_of(MODERATED) and not speaks_of(ACCOUNT):
        return RefusedError(told(f"a filter refuses this conversation: {OTHER_WORDS}"), status=status)
    waits = passes or speaks_of(WAITS)
    if status == 402 or status < 500 and (speaks_of(SPENT) or speaks_of(QUOTA) and not waits):
        return EndpointError(told("the quota or credit is used up: waiting does not help, paying may"), True, status)
    no_model = EndpointError(told("no such model or address: check model and base_url"), True, status)
    if status in (404, 405, 410) or status == 403 and speaks_of(NO_MODEL):
        return no_model
    if status in (401, 403, 407) or status in (200, 400) and speaks_of(KEY):
        return EndpointError(told("the endpoint refuses the key: check OPENAI_API_KEY"), True, status)
    if status == 429:
        return EndpointError(told("too many requests: wait, or use fewer workers"), status=status)
    if status == 413 or status < 500 and speaks_of(TOO_LONG):
        return EndpointError(told("too long for the model: shorten the text, or lower max_tokens"), status=status)
    if status < 500 and (named := [name for name in sent if speaks_of(_naming(name))]):
        return EndpointError(told(f"the endpoint does not take {named[0]!r} so: mend or drop it"), True, status)
    if status in (200, 400, 422) and speaks_of(NO_MODEL):
        return no_model
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


def is_page(text: str) -> bool:
    """Whether a reply is HTML or plain words in place of JSON."""
    return text.strip()[:1] not in ("", "{", "[") and parsed(text) is None


def _naming(option: str) -> str:
    """A pattern for the name of an option: in quotes, or at large if it is no everyday word.

    With its value behind it, it is only told what was sent, unless words of refusal stand before or behind.
    """
    quoted, value = rf"""["'`]{re.escape(option)}["'`]""", r"""["'`]?\s?[:=]\s?-?\d"""
    named = rf"(?:{quoted}|\b{re.escape(option)}\b)" if "_" in option or len(option) > 8 else quoted
    refused = rf"""{named}{value}(?:(?!{value}|\. )[^;\n"]){{0,60}}?{TOO}"""
    return rf"{named}(?!{value})|{WRONG}{named}|{refused}"


def _status(error) -> int:
    """The HTTP status that an error in a body names; 200 if it names none."""
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    code = int(code) if isinstance(code, str) and code.isdecimal() else code
    return code if type(code) is int and 400 <= code < 600 else 200


def parsed(text: str):
    try:
        return _shallow(json.loads(text.removeprefix("\ufeff")), DEEPEST)
    except (ValueError, RecursionError):
        return None


def _shallow(body, levels: int):
    """The body without what lies deeper than so many levels."""
    if isinstance(body, dict):
        return {name: _shallow(value, levels - 1) for name, value in body.items()} if levels else {}
    if isinstance(body, list):
        return [_shallow(value, levels - 1) for value in body] if levels else []
    return body


def words(body) -> str:
    """What an error's JSON says to people: its message, wherever servers put it; "" if it says nothing."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return "; ".join(filter(None, map(words, body[:3])))
    if not isinstance(body, dict):
        return ""
    keys = [*SAYS, *(key for key, value in body.items() if SPEAKS.search(str(key)) or isinstance(value, dict))]
    said = next(filter(None, (words(body.get(key)) for key in keys)), "")
    place = body.get("loc")  # of a setting that pydantic refuses
    return f"{place[-1]}: {said}" if isinstance(place, list) and place else said


def _flat(body) -> str:
    """All names and values of an error's JSON in a row, without what it echoes of the request."""
    if isinstance(body, dict):
        return " ".join(f"{name}: {_flat(value)}" for name, value in body.items() if name not in ECHOES)
    if isinstance(body, list):
        return " ".join(map(_flat, body[:20]))
    return f'"{body}"' if isinstance(body, str) else str(body)


def _unquoted(told: str, asked: Collection[str]) -> str:
    """The text without any RUN of words that one of the others has."""
    runs = {run for text in asked for run, _ in _runs(text)}
    for run, (begin, end) in _runs(told):
        if run in runs:
            told = told[:begin] + " " * (end - begin) + told[end:]
    return told


def _runs(text: str) -> list[tuple[tuple[str, ...], tuple[int, int]]]:
    """Each RUN of words, in small letters, and where it stands."""
    found = list(re.finditer(r"\w+", text.lower()))
    groups = [found[start : start + RUN] for start in range(len(found) - RUN + 1)]
    return [(tuple(word[0] for word in group), (group[0].start(), group[-1].end())) for group in groups]


def _plain(text: str) -> str:
    """A server's words as they may stand in one line of a message."""
    return one_line(re.sub(r"<[^<>]{0,300}>", " ", text[:4000]))[:120]
