"""What people say of texts: marks of low, mid or high, in files that a room can pool."""

import hashlib
import time
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

from cpt_utils.rows import TARGETS
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import StoreError, brief
from cpt_utils.runtime.places import at_home, name_mend, version

LEVELS = tuple(TARGETS)
"""What a mark says: the names of the series' targets."""
KEY = ("who", "rubric", "criterion", "response", "level")
"""What each mark has."""
ALL = ""
"""The `criterion` of a mark that is about the whole text."""
UNNAMED = ""
"""The `rubric` of a mark that an earlier version of the studio wrote, which did not say it."""
LONGEST, SIGNS = 40, "spaces, '-' and '.'"
"""Characters of a person's name, and what may stand between them beside letters and digits."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)
SETTLED = 2.0
"""Seconds after which a file's time tells of each change: clocks of files have ticks, the longest a USB stick's."""
MOST_FILES = 1000
"""Files whose marks are kept at hand; then it begins anew."""
_at_hand: dict[Path, tuple[tuple, dict]] = {}


class Mark(TypedDict):
    """By the rubric of this name `who` finds `response` low, mid or high, as a whole or by one criterion.

    A level of "" takes a mark back. `when` it was written, in UTC, is added as it is kept.
    """

    who: str
    rubric: str
    response: str
    level: str
    criterion: str
    why: NotRequired[str]
    when: NotRequired[str]


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


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: capitals do not count."""
    return _folded(one) == _folded(other)


def _folded(who: str) -> str:
    return unicodedata.normalize("NFC", person(who).casefold())


def marks_file(folder: Path, who: str) -> Path:
    """Where a person's marks are kept; a StoreError refuses what is no name."""
    name = person(who)
    if mend := name_mend(name, LONGEST, SIGNS):
        raise StoreError(f"{who[:50]!r} is no name for a file of marks: {mend}.")
    return at_home(folder) / f"marks-{name}.jsonl"


def add_mark(folder: Path, mark: Mark) -> None:
    """Keep a mark at once, behind the person's earlier ones, of which it replaces the one of the same text."""
    if mark["level"] not in (*LEVELS, ""):
        raise StoreError(f"{mark['level']!r} is no mark: use {', '.join(LEVELS)}, or '' to take one back.")
    if not mark.get("rubric"):
        raise StoreError("A mark says by which rubric: give it the rubric's name, such as 'rococo'.")
    _append(marks_file(folder, mark["who"]), [mark | {"when": _now()}])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _append(path: Path, given: list[Mark]) -> None:
    """Keep marks of one person, all or none."""
    kept = [{name: files.encodable(value) for name, value in mark.items() if value or name in KEY} for mark in given]
    rows = [row | {"who": person(row["who"])} for row in kept]
    with files.writing(path):
        files.append(path, rows)
    _at_hand.pop(path.absolute(), None)


def read_marks(folder: Path) -> list[Mark]:
    """The marks of all people whose files lie in a folder, by whatever rubric (see `pooled` and `by_rubric`)."""
    return pooled(sorted(at_home(folder).glob("marks-*.jsonl")))


def pooled(paths: Iterable[Path]) -> list[Mark]:
    """The marks in some files: by each rubric, of each text and criterion, everybody's last word.

    Within a file that is the last row. Between files (a person's on two machines, an older copy beside a newer) it is
    the row written last; of rows without a time, as earlier versions wrote them, the one further down its file.
    """
    last: dict[tuple, tuple] = {}
    spelt: dict[str, str] = {}
    for path in paths:
        for place, found in _last_words(path).items():
            spelt.setdefault(place[0], found[1]["who"])
            if place not in last or found[0] >= last[place][0]:
                last[place] = found
    return [mark | {"who": spelt[place[0]]} for place, (_, mark) in last.items() if mark["level"]]


def _last_words(path: Path) -> dict[tuple, tuple]:
    """((time, row), mark) of a file by what there is one mark of; a file that has not changed is not read again."""
    place, before = path.absolute(), version(path)
    known, found = _at_hand.get(place, (None, {}))
    if before is not None and known == before:
        return found
    found = _read(path)
    if len(_at_hand) >= MOST_FILES:
        _at_hand.clear()
    if before is not None and before == version(path) and time.time() - max(before[:2]) / 1e9 > SETTLED:
        _at_hand[place] = before, found
    return found


def _read(path: Path) -> dict[tuple, tuple]:
    found, spelt = {}, {}
    for number, row in enumerate(files.read_jsonl(path), 1):
        mark = _checked(row, f"{path.name}, row {number}")
        mark["who"] = spelt.setdefault(_folded(mark["who"]), mark["who"])
        found[_place(mark)] = (_moment(mark), number), mark
    return found


def _place(mark: Mark) -> tuple:
    """What there is one mark of."""
    return _folded(mark["who"]), mark["rubric"], mark["criterion"], mark["response"]


def _moment(mark: Mark) -> datetime:
    return datetime.fromisoformat(mark["when"]) if "when" in mark else LONG_AGO


def _checked(row: dict, place: str) -> Mark:
    row = {"criterion": ALL, "rubric": UNNAMED} | row
    for name in KEY:
        if not isinstance(row.get(name), str):
            raise StoreError(f"{place}: no text in {name!r}; mend or delete the row.")
    if row["level"] not in (*LEVELS, ""):
        raise StoreError(f"{place}: {row['level']!r} is no mark, only {', '.join(LEVELS)}; mend or delete the row.")
    try:
        known = "when" not in row or _moment(row).tzinfo is not None
    except (TypeError, ValueError):
        known = False
    if not known:
        raise StoreError(
            f"{place}: {brief(row['when'])} is no time such as 2026-11-28T09:30:00+00:00; mend it, or delete it."
        )
    mark = {name: files.encodable(value) for name, value in row.items() if isinstance(value, str)}
    return mark | {"who": person(mark["who"])}


def by_rubric(marks: list[Mark], rubric: str) -> list[Mark]:
    """The marks by the rubric of this name: people's judgements by two rubrics are never put together."""
    return [mark for mark in marks if mark["rubric"] == rubric]


def uncounted(marks: list[Mark], given: list[Mark], rubric: str, criterion: str | None = None) -> list[Mark]:
    """Those of the `given` marks that `take_over` would add to all the `marks` of a folder."""
    there = {_place(mark) for mark in marks}
    return [mark for mark in given if _place(_moved(mark, rubric, criterion)) not in there]


def take_over(folder: Path, given: list[Mark], rubric: str, criterion: str | None = None) -> None:
    """Count marks for the rubric of this name, too, and for this criterion (None: each for its own).

    Written behind their people's own, with their own time, so that a later word elsewhere counts. Marks that named no
    rubric name this one from now on, and no other.
    """
    there = read_marks(folder)
    for who in dict.fromkeys(mark["who"] for mark in given):
        mine = [mark for mark in given if mark["who"] == who]
        rows = [_moved(mark, rubric, criterion) for mark in uncounted(there, mine, rubric, criterion)]
        rows += [mark | {"level": "", "when": _now()} for mark in mine if mark["rubric"] == UNNAMED]
        if rows:
            _append(_file_for(folder, who), rows)


def _file_for(folder: Path, who: str) -> Path:
    """`marks_file`, also of somebody whose name can be no file's, but stands in a row that others wrote."""
    if name_mend(person(who), LONGEST, SIGNS):
        return at_home(folder) / f"marks-{text_key(_folded(who))}.jsonl"
    return marks_file(folder, who)


def _moved(mark: Mark, rubric: str, criterion: str | None) -> Mark:
    return mark | {"rubric": rubric, "criterion": mark["criterion"] if criterion is None else criterion}


def by_person(marks: list[Mark], who: str) -> list[Mark]:
    """The marks of one person."""
    spelt = {name for name in {mark["who"] for mark in marks} if same_person(name, who)}
    return [mark for mark in marks if mark["who"] in spelt]


def about(marks: list[Mark], criterion: str = ALL) -> list[Mark]:
    """The marks about one criterion, or about whole texts."""
    return [mark for mark in marks if mark["criterion"] == criterion]
