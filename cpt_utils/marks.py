"""What people say of texts: marks of low, mid or high, in files that a room can pool."""

import hashlib
import unicodedata
from pathlib import Path
from typing import NotRequired, TypedDict

from cpt_utils.rows import TARGETS
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import StoreError
from cpt_utils.runtime.places import is_file_name

LEVELS = tuple(TARGETS)
"""What a mark says: the names of the series' targets."""
KEY = ("who", "response", "criterion", "level")
"""What each mark has."""
ALL = ""
"""The `criterion` of a mark that is about the whole text."""


class Mark(TypedDict):
    """`who` finds that `response` is low, mid or high, as a whole or by one criterion; "" takes a mark back."""

    who: str
    response: str
    level: str
    criterion: str
    why: NotRequired[str]


def text_key(response: str) -> str:
    """A short name of a text that is the same on every machine."""
    return hashlib.sha256(files.encodable(response).encode()).hexdigest()[:12]


def is_test(response: str) -> bool:
    """Whether marks of a text are kept for testing a judge; those of the other half may fit it.

    Decided by the text alone, so it is the same for everybody, always, and no file has to say it.
    """
    return int(text_key(response), 16) % 2 == 1


def person(who: str) -> str:
    """A person's name as marks have it: the same, however its letters and spaces were typed."""
    return unicodedata.normalize("NFC", " ".join(who.split()))


def marks_file(folder: Path, who: str) -> Path:
    """Where a person's marks are kept; a StoreError refuses what is no name."""
    name = person(who)
    if not is_file_name(name, 40):
        raise StoreError(f"{who[:50]!r} is no name for a file of marks: use letters, digits, spaces, '-' and '.'.")
    return Path(folder) / f"marks-{name}.jsonl"


def add_mark(folder: Path, mark: Mark) -> None:
    """Keep a mark at once, behind the person's earlier ones, of which it replaces the one of the same text."""
    if mark["level"] not in (*LEVELS, ""):
        raise StoreError(f"{mark['level']!r} is no mark: use {', '.join(LEVELS)}, or '' to take one back.")
    path = marks_file(folder, mark["who"])
    mark = mark | {"who": person(mark["who"])}
    row = {name: files.encodable(value) for name, value in mark.items() if value or name != "why"}
    with files.writing(path):
        files.append(path, [row])


def read_marks(folder: Path) -> list[Mark]:
    """The marks of all people whose files lie in a folder: of each text and criterion everybody's last word."""
    last: dict[tuple, Mark] = {}
    for path in sorted(Path(folder).glob("marks-*.jsonl")):
        for number, row in enumerate(files.read_jsonl(path), 1):
            mark = _checked(row, f"{path.name}, row {number}")
            last[mark["who"], mark["criterion"], mark["response"]] = mark
    return [mark for mark in last.values() if mark["level"]]


def _checked(row: dict, place: str) -> Mark:
    row = {"criterion": ALL} | row
    for name in KEY:
        if not isinstance(row.get(name), str):
            raise StoreError(f"{place}: no text in {name!r}; mend or delete the row.")
    if row["level"] not in (*LEVELS, ""):
        raise StoreError(f"{place}: {row['level']!r} is no mark, only {', '.join(LEVELS)}; mend or delete the row.")
    return row | {"who": person(row["who"])}


def about(marks: list[Mark], criterion: str = ALL) -> list[Mark]:
    """The marks about one criterion, or about whole texts."""
    return [mark for mark in marks if mark["criterion"] == criterion]


def by_text(marks: list[Mark]) -> dict[str, float]:
    """The mean target of each text's marks: what a judge is held against where several people marked."""
    points: dict[str, list[int]] = {}
    for mark in marks:
        points.setdefault(mark["response"], []).append(TARGETS[mark["level"]])
    return {response: sum(given) / len(given) for response, given in points.items()}


def marked_texts(marks: list[Mark], scores: dict[str, dict]) -> list[dict]:
    """The marked texts with all that was said of them, a row each: {response, half, marks, score, by_criterion}.

    `scores`: {score, by_criterion} of each text by the rubric.
    """
    rows: dict[str, dict] = {}
    for mark in marks:
        response = mark["response"]
        half = "test" if is_test(response) else "fit"
        row = rows.setdefault(response, {"response": response, "half": half, "marks": []} | scores[response])
        row["marks"].append({name: value for name, value in mark.items() if name != "response"})
    return list(rows.values())


def divided(marks: list[Mark]) -> list[tuple[str, list[Mark]]]:
    """(text, its marks) of the texts on which people part, those first on which they part most."""
    of_text: dict[str, list[Mark]] = {}
    for mark in marks:
        of_text.setdefault(mark["response"], []).append(mark)

    def spread(given: list[Mark]) -> int:
        points = [TARGETS[mark["level"]] for mark in given]
        return max(points) - min(points)

    parted = [(response, given) for response, given in of_text.items() if spread(given)]
    return sorted(parted, key=lambda pair: -spread(pair[1]))
