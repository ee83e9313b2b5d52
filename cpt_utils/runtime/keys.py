"""Keys: where they come from, and what keeps them out of messages. Texts that models write are never touched."""

import os
import re
from urllib.parse import unquote, urlsplit

from cpt_utils.runtime.errors import EndpointError

PART = 8
"""So many characters in a row of a key are a secret, too: servers like to quote a half of it."""
LIKE_A_KEY = re.compile(
    r"\bsk[-_][A-Za-z0-9_-]{8,}|\b(?:hf_|gsk_|xai-)(?=[A-Za-z]*\d)[A-Za-z0-9]{12,}|\bAIza[\w-]{8,}"
    r"|(?:(?<=Bearer )|(?<=Basic ))(?=\S*\d)\S{8,}|(?<=://)[^\s/]+(?=@)"
)
WORDS = r"""["']?(?-i:[a-z]+\d*(?:[._\[\]]+[a-z0-9]+)+)\]*(?:[\s&"',;)]|$)"""
"""Small words that dots and strokes join: the name of a weight or a column, as in "Unexpected key: layers.0.q_proj"."""
BEHIND_ITS_NAME = re.compile(
    r"""((?:[?&][\w-]{0,40}NAME=|\b[\w-]{0,40}NAME(?:=|["']?\s?:\s?(?!NAMELIKE))["']?(?=\w[^\s&"',;)]{7})(?=[^\s&"',;)]*\d)))"""
    r"""[^\s&"',;)]{6,}""".replace("NAMELIKE", WORDS).replace("NAME", "(?:key|token|secret|password|signature|sig)"),
    re.IGNORECASE,
)
"""A key as addresses, calls and headers have it, behind the name that this keeps: api_key=..., x-api-key: ...."""
IS_A_KEY = re.compile(r"sk-[\w-]{16,}|(?:hf_|gsk_|xai-|AIza)[\w-]{30,}|[0-9A-Fa-f]{32,}")
"""A text that is a key and nothing else, by its looks: no name of a model is so long in one word."""
KEEPS_A_KEY = re.compile(r"(?:_KEY|APIKEY|TOKEN|SECRET|PASSWORD|PASSWD|_PAT)(?:_?\d+)?$")
"""Names of environment variables whose values are keys."""
NAMES_A_KEY = re.compile("key|token|secret|password|auth|credential", re.IGNORECASE)
"""Names of headers and options whose texts are keys."""
_GIVEN: set[str] = set()  # what `api_key` has found: Colab's secrets and typed keys are in no environment


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
    if key:
        _GIVEN.add(key)
    return key or None


def remember(given: dict) -> None:
    """Keep out of messages, too, the texts under such names as api-key or Authorization, at any depth."""
    for name, value in given.items():
        if isinstance(value, dict):
            remember(value)
        elif isinstance(value, str) and NAMES_A_KEY.search(str(name)):
            _GIVEN.update(value.split()[-1:])  # behind "Bearer"


def remember_address(url: str) -> None:
    """Keep out of messages, too, the password and the keys that stand in an address."""
    try:
        parts = urlsplit(url)
    except ValueError:  # it is none, as others say
        return
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    given = dict(pair.partition("=")[::2] for pair in parts.query.split("&")) | {"password": password or user}
    for values in (given, {name: unquote(value) for name, value in given.items()}):
        remember(values)


def scrub(text: str) -> str:
    """A message without the keys of this process, their longer parts, and whatever else looks like a key."""
    for key in sorted(_known(), key=len, reverse=True):
        text = _without(text, key)
    return BEHIND_ITS_NAME.sub(r"\1[key]", LIKE_A_KEY.sub("[key]", text))


def one_line(text: str) -> str:
    """A foreign message in one line, scrubbed, and without what cannot be shown or printed."""
    shown = "".join(letter for letter in text if letter.isprintable() or letter.isspace())
    return scrub(" ".join(shown.split()))  # in this order: what is left out may stand within a key


def first_line(error: BaseException) -> str:
    """The first line of an error's text, as `one_line` has it; its kind where it says nothing."""
    return one_line((str(error).strip() or type(error).__name__).splitlines()[0])


def is_key(text: str) -> bool:
    """Whether a text that should be a name or an address is a key: a known one, or one by its looks."""
    return holds_key(text) or bool(IS_A_KEY.fullmatch(text))


def holds_key(text: str) -> bool:
    """Whether a whole key stands in a text, one that is no word ("lm-studio") but a secret by its looks."""
    return any(key in text for key in _secrets())


def before_key(text: str) -> str:
    """A text that still grows, up to where such a key begins in it."""
    return text[: min((start for key in _secrets() if (start := text.find(key[:PART])) >= 0), default=None)]


def _secrets() -> list[str]:
    return [key for key in _known() if len(key) >= 2 * PART and re.search(r"\d", key)]


def _known() -> set[str]:
    return _GIVEN | {value.strip() for name, value in os.environ.items() if KEEPS_A_KEY.search(name.upper())}


def _without(text: str, key: str) -> str:
    if len(key) < PART:
        return text.replace(key, "[key]") if len(key) > 5 else text
    parts = {re.escape(key[start : start + PART]) for start in range(len(key) - PART + 1)}
    hidden = {found.start() + n for found in re.finditer(f"(?={'|'.join(parts)})", text) for n in range(PART)}
    shown = ("\0" if place in hidden else letter for place, letter in enumerate(text))
    return re.sub("\0+", "[key]", "".join(shown)) if hidden else text
