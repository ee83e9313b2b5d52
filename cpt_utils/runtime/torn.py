"""Rows as lines of JSON, and what a crash leaves of one: a strict beginning of what `lines_of` writes for it."""

import codecs
import json
import os
import re
from pathlib import Path

from cpt_utils.runtime.errors import StoreError

STRING = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u[0-9a-f]{4})*'
    r'(?:(?P<whole>")|(?P<cut>(?:\\(?:u[0-9a-f]{0,3})?)?\Z)|[\s\S]*)'  # its end, that of all there is, or no string
)
WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
BEGUN_WORDS = "|".join(word[:size] for word in WORDS for size in range(1, len(word)))
VALUE = rf'(?:""|-?\d+(?:\.\d+)?(?:e[-+]\d+)?|{"|".join(WORDS)})'
BEGUN = rf'(?:"|-?\d+\.|-?\d+(?:\.\d+)?e[-+]?|{BEGUN_WORDS})'
MEMBERS, ENTRIES = rf'\{{(?:"": {VALUE}, )*', rf"\[(?:{VALUE}, )*"
CLOSED = re.compile(rf'\{{\}}|\[\]|{MEMBERS}"": {VALUE}\}}|{ENTRIES}{VALUE}\]')
OPEN = re.compile(
    rf'(?=\{{)(?:{MEMBERS}"": |{ENTRIES})*'  # an object, what is open in it, and at the end:
    rf'(?:{MEMBERS}(?:"|"":?)?|{VALUE},?|{BEGUN})?'  # a name, a value, or a part of one
)

DEEPEST = 20
"""Levels of lists and objects in a row; with more it is none of ours."""


def lines_of(rows: list[dict]) -> str:
    """Rows as lines of JSON, the one form in which the series writes them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def is_torn(line: bytes) -> bool:
    """Whether the line is a row as `lines_of` writes it that ends too soon."""
    written = line.rstrip(b"\x00")  # a machine that lost its power leaves zeros behind what it wrote
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(written)  # its last character may be cut in two
    except UnicodeDecodeError:
        return False
    text = STRING.sub(lambda found: {"whole": '""', "cut": '"'}.get(found.lastgroup, "?"), text)
    for _ in range(DEEPEST):  # what is closed stands for any value
        text = CLOSED.sub("null", text)
    return bool(OPEN.fullmatch(text)) or written != line and text in ("", "null")


def row_of(line: bytes, number: int, path: Path) -> dict | None:
    """The row of a line; None for a blank one, and for what a crash left of the last one."""
    line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
    if not line.strip():
        return None
    try:
        row = json.loads(line.rstrip(b"\x00\r\n").decode("utf-8"))  # a lost power leaves zeros behind a row
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict):
        return row
    if is_torn(line):  # no line break, so it is the last
        return None
    raise StoreError(f"{path.name}, line {number}: not JSON of one row in UTF-8; mend or delete the line.")


def mend_end(file, path: Path) -> int:
    """Close a whole last line, put aside what a crash left of one, and return where to append."""
    end = file.seek(0, os.SEEK_END)
    if end == 0 or (file.seek(end - 1), file.read(1))[1] == b"\n":
        return end
    file.seek(0)
    data = file.read()
    start = data.rfind(b"\n") + 1
    line = data[start:]
    if row_of(line, data.count(b"\n") + 1, path) is None and line.strip(b" \t\r\xef\xbb\xbf"):
        rest = path.with_name(f"{path.name}.torn")
        with open(rest, "ab") as kept:
            kept.write(line + b"\n")
        print(f"note: the last line of {path.name} was cut off in writing; what there is of it is kept in {rest.name}")
        file.truncate(start)
    else:
        file.truncate(start + len(line.rstrip(b"\x00")))
        file.write(b"\n")
    return file.seek(0, os.SEEK_END)
