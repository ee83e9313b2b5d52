"""Where in a rubric something is wrong, in a reader's words: counted from one, criteria with their names."""

from cpt_utils.runtime.errors import brief

LISTS = ("guiding_principles", "levels", "criteria")
ORDINALS = ("first", "second", "third", "fourth", "fifth")
NO_FIELDS = ("extra_forbidden", "invalid_key")
"""Faults, as pydantic calls them, of a key that is none of a rubric's."""


def place(fault: dict, data: object) -> str:
    """The place of a fault of a pydantic ValidationError in the data of a rubric; "" for the rubric as a whole."""
    where, known = fault["loc"], fault["type"] not in NO_FIELDS
    if where[:1] == ("criteria",) and len(where) > 1:
        one, *inside = where[1:]
        parts = [_criterion(one, data["criteria"][one]), _part(inside, "its", known)]
    else:
        parts = [_part(where, "the rubric's", known)]
    return ": ".join(filter(None, parts))


def _criterion(index: int, given: object) -> str:
    name = given.get("name") if isinstance(given, dict) else None
    named = f" ({' '.join(name.split())[:50]!r})" if isinstance(name, str) and name.strip() else ""
    return f"criterion {index + 1}{named}"


def _part(where: tuple | list, whose: str, known: bool) -> str:
    if not where:
        return ""
    field, *at = where
    if not known:
        return f"{whose} key {brief(field)}"
    words = f"{whose} {field.replace('_', ' ')}"
    if at:
        return f"{f'the {ORDINALS[at[0]]}' if at[0] < len(ORDINALS) else f'number {at[0] + 1}'} of {words}"
    return f"the list of {words}" if field in LISTS else words
