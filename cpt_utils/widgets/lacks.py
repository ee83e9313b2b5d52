"""Why texts have no score by a criterion, in sentences."""

from collections.abc import Container, Iterable

from cpt_utils.degenerate import degeneracy
from cpt_utils.reading import UNASKED, UNREAD, Bound, Reading
from cpt_utils.ways import NOT_ENGLISH, Counted, unsaid
from cpt_utils.widgets import drafts


def lack(way: Bound, text: str, idle: bool = False) -> str:
    """Why a text has no score by a way; `idle`: of a criterion that no chat model is asked for."""
    if isinstance(way, Reading):
        return UNASKED if idle and way.lack(text) == UNREAD else way.lack(text)
    if isinstance(way, Counted):
        return unsaid(way.measure, text)
    return drafts.flagged(text) if degeneracy(text) == "empty" else NOT_ENGLISH


def unasked(ways: dict[str, Bound], idle: Iterable[str], text: str) -> list[str]:
    """Of the criteria that no chat model is asked for, those that have no score of this text for that reason."""
    return [name for name in idle if lack(ways[name], text, idle=True) == UNASKED]


def sentences(ways: dict[str, Bound], parts: dict[str, dict[str, float | None]], idle: Container[str] = ()) -> str:
    """One for all criteria that lack the same texts for the same reason; "" where nothing is lacking.

    `ways`: those that count; `parts`: scores by text and criterion; `idle`: those that no chat model is asked for.
    """
    reasons: dict[tuple[str, str], list[str]] = {}  # texts by criterion and reason
    for name, way in ways.items():
        for text in (text for text, given in parts.items() if given.get(name) is None):
            reasons.setdefault((name, lack(way, text, name in idle)), []).append(text)
    alike: dict[tuple, list[str]] = {}  # criteria by reason, texts, and whether a judge reads them
    for (name, why), texts in reasons.items():
        alike.setdefault((why, tuple(texts), isinstance(ways[name], Reading)), []).append(name)
    return " ".join(
        _sentence(", ".join(names), counted(len(texts)), why, r) for (why, texts, r), names in alike.items()
    )


def _sentence(names: str, texts: str, why: str, read: bool) -> str:
    if why == UNREAD:
        return f"Still to be read: {names} ({texts})."
    return f"{names}: no score for {texts} ({why})." if read else f"{names} cannot read {texts}: {why}."


def counted(number: int) -> str:
    """How many texts, in words."""
    return f"{number} text{'s' * (number != 1)}"
