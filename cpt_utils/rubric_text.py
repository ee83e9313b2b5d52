"""Texts of rubrics, read into plain data: YAML, and the layout of the original release. rubrics.Rubric checks it."""

import hashlib
import re
import unicodedata
from collections import Counter
from pathlib import Path

import yaml

from cpt_utils.runtime.errors import RubricError

MOST_BYTES = 100_000
"""A longer file is no rubric, and would fill a teacher's context many times."""


def from_yaml(source: str | Path, where: str) -> dict:
    """The keys of a YAML file (a Path) or of a YAML text (a str); a RubricError says where it cannot be read."""
    text = _read(source, where) if isinstance(source, Path) else _short(source, where)
    data = _parse(text, where)
    if not isinstance(data, dict):
        raise RubricError(f"{where}: expected keys such as name, title and criteria at the top level.")
    return data


def from_layout(text: str, name: str | None = None) -> dict:
    """The keys of a rubric in the text layout of the original release.

    A title line, "Objective:" or "Goal:", principles as "Name: text" lines, a tab-separated table
    headed "Criterion ... Weight" with five named levels, best first, and scoring notes to the end.
    """
    text = _short(text, "The rubric text").removeprefix("\ufeff").replace("\v", " ")  # Word's break within a cell
    lines = [line.strip() for line in re.split(r"\r\n?|\n", text.strip())]
    start = next((place for place, line in enumerate(lines) if re.match(r"Criterion *\t", line)), None)
    if start is None:
        raise RubricError(
            'The rubric text has no tab-separated table headed "Criterion ... Weight": copy it with tabs.'
        )
    table = _table(lines, start)
    objective, principles = _opening(lines[1:start])
    if not objective:
        raise RubricError('The rubric text has no objective: write a line such as "Objective: To be brief.".')
    notes = lines[start + len(table) :]
    if notes and notes[0].endswith(":"):  # their heading
        notes = notes[1:]
    return {
        "name": name or plain_name(lines[0]),
        "title": lines[0],
        "objective": objective,
        "guiding_principles": principles,
        "levels": table[0][1:6],
        "criteria": [_criterion(row) for row in table[1:]],
        "scoring_notes": "\n".join(filter(None, notes)),
    }


def _table(lines: list[str], start: int) -> list[list[str]]:
    """The rows of the table that starts there, its head first; it ends at a line without tabs."""
    table = []
    for number, line in enumerate(lines[start:], start + 1):
        row = [cell.strip() for cell in line.split("\t")]
        if len(row) == 1:
            break
        if len(row) != 7:
            raise RubricError(
                f"The rubric text, line {number}: {len(row)} columns instead of 7 "
                "(criterion, five levels, weight): check the tabs."
            )
        table.append(row)
    return table


def _opening(lines: list[str]) -> tuple[str, list[str]]:
    """The objective and the guiding principles, which stand between the title and the table.

    A line that ends with its colon is a heading; the objective may stand in the line below its own.
    """
    objective, principles, waits = "", [], False
    for line in filter(None, lines):
        label, *rest = re.split("[:：]", line, maxsplit=1)
        if label.strip() in ("Objective", "Goal") and rest:
            objective = rest[0].strip()
            waits = not objective
        elif not line.endswith((":", "：")):
            objective, principles = (line, principles) if waits else (objective, [*principles, line])
            waits = False
    return objective, principles


def plain_name(words: str) -> str:
    """A rubric's name out of its title or its file's name: small letters, digits and "_".

    What is written in other letters gets a hash behind it, so that two such titles have two names.
    """
    folded = unicodedata.normalize("NFKD", words.lower())
    plain = re.sub(r"[^a-z0-9]+", "_", "".join(c for c in folded if not unicodedata.combining(c))).strip("_")
    lost = any(c.isalpha() and not c.isascii() for c in folded)
    name = "_".join(filter(None, [plain, hashlib.sha256(folded.encode("utf-8", "replace")).hexdigest()[:6] * lost]))
    return name if name[:1].isalpha() and plain else f"rubric_{name}".rstrip("_")


def _criterion(row: list[str]) -> dict:
    try:
        weight = float(row[6].rstrip("%％").replace(",", "."))
    except ValueError:
        place = f"The rubric text, {row[0]!r}"
        raise RubricError(f"{place}: {row[6]!r} is not a weight; write one such as 25%.") from None
    return {"name": row[0], "levels": row[1:6], "weight": weight}


def _short(text: str, where: str) -> str:
    if not isinstance(text, str):
        raise RubricError(f"{where} is of type {type(text).__name__}: pass text, or the Path of a file.")
    if len(text) > MOST_BYTES:
        raise RubricError(f"{where} is too long: a rubric has at most {MOST_BYTES} characters; shorten it.")
    return text


def _read(path: Path, where: str) -> str:
    if "\0" in str(path):
        raise RubricError(f"There is no rubric file {str(path)!r}: check the path.")
    try:
        with open(path, "rb") as file:
            data = file.read(4 * MOST_BYTES + 1)  # no more, whatever the file is
        cut = len(data) > 4 * MOST_BYTES  # perhaps within a character
        return _short(data.decode("utf-8-sig", "replace" if cut else "strict"), where)
    except FileNotFoundError:
        raise RubricError(f"There is no rubric file {path}: check the path.") from None
    except OSError as error:
        raise RubricError(f"{where} cannot be read ({error.strerror}): check the file.") from None
    except UnicodeDecodeError:
        raise RubricError(f"{where}: not valid YAML in UTF-8; save it with that encoding.") from None


class _KeyFault(RubricError):
    """What is wrong with a key at or below this line, and the mend."""

    def __init__(self, fault: str, line: int):
        super().__init__(fault)
        self.line = line


class _RubricLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which alone would take the last of two equal keys.

    Keys are words: one that is a list would be written out, as long as it is, and "<<" copies whole groups of keys.
    Either makes a short file take minutes.
    """

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise _KeyFault("a key is no word; write one, such as title", key.start_mark.line + 1)
        names = Counter(key.value for key, _ in node.value)
        for name, count in names.items():
            if count > 1:
                fault = f"two keys below it are called {name[:50]!r}; delete one"
                raise _KeyFault(fault, node.start_mark.line + 1)
        return node


# YAML's own errors, and what PyYAML lets through: a date that is none, a number without digits, endless nesting ...
FAULTS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


def _parse(text: str, where: str):
    """The data of a YAML text; a RubricError names the line of what cannot be read."""
    try:
        return _RubricLoader(text).get_single_data()
    except _KeyFault as error:
        raise RubricError(f"{where}, line {error.line}: {error}.") from None
    except FAULTS as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise RubricError(f"{where}{line}: not valid YAML in UTF-8; check indents and quotes.") from None
