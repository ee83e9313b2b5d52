"""Texts of one's own to try a rubric on: from a table, pasted, or fresh from a teacher; kept in the run's folder."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import TypedDict

from cpt_utils.degenerate import is_seen
from cpt_utils.generation import read_responses
from cpt_utils.rows import target_name
from cpt_utils.runtime import files
from cpt_utils.runtime.errors import DataError, StoreError
from cpt_utils.runtime.profiles import TABLES
from cpt_utils.tables import read_table

KEPT = "bench.jsonl"
FRESH = "fresh_responses.jsonl"
"""The store of responses that teachers wrote in the studio."""
COLUMNS = ("response", "text", "completion", "output", "answer")
"""Where a table may have its texts; the first of them that a row fills."""
NAME = re.compile(r"\s*\w[\w-]*\s*")
"""What names the only column of a spreadsheet; all else may be a text above which no name was written."""
SHEETS = (".csv", ".tsv")
MOST = 500
"""Texts of one file: each is scored by every criterion."""
LONGEST = 50_000
"""Characters of a text: one of a million would be scored for many seconds."""


class OwnText(TypedDict):
    """A text under a short name, and what its writer was told ("" where nobody knows)."""

    label: str
    response: str
    prompt: str


def named_file(folder: Path, words: str) -> Path:
    """The file that was typed, as a path or by its name in the folder; a DataError where no file can be called so."""
    try:
        path = Path(words.strip().strip("\"'")).expanduser()  # Windows copies paths in quotes
        inside = folder / path
        return inside if not path.exists() and inside.exists() else path
    except (OSError, RuntimeError, ValueError):  # too long, or somebody's home folder who is not here
        raise DataError(f"{words[:60]!r} is no path of a file here: type one, or paste the text below.") from None


def read_texts(source: Path | str) -> list[OwnText]:
    """The texts of a .csv, .tsv, .jsonl, .json or .parquet file, each once; a DataError says what is wrong with it.

    Each row's text is in the first of COLUMNS that it fills, or in the only column there is. A column "label" names
    the texts, "prompt" says what their writers were told.
    """
    path = Path(os.path.expanduser(source))
    if path.suffix.lower() not in TABLES:
        ends = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise DataError(f"{path.name!r} {ends}: name a .csv, .tsv or .jsonl file of texts, or paste its text.")
    rows = [_plain(row) for row in read_table(path)]
    columns = list(rows[0]) if rows else []
    filled = [name for name in COLUMNS if name in columns] or (columns if len(columns) == 1 else [])
    headless = path.suffix.lower() in SHEETS and not all(map(NAME.fullmatch, columns))
    if not filled:
        has = ", ".join(name[:40] for name in columns[:8])
        above = " If that is its first row, write a line of names above it." if headless else ""
        raise DataError(f"{path.name} has no texts: name their column {COLUMNS[0]!r}; it has {has}.{above}")
    if headless and filled[0] not in COLUMNS:
        raise DataError(
            f"{path.name} begins with a text: write {COLUMNS[0]!r} in a line above it, or in its place if it is a name."
        )
    found: dict[str, OwnText] = {}
    for number, row in enumerate(rows, 1):
        column = next((name for name in filled if row[name] is not None), filled[0])
        text = row[column]
        if text is None or isinstance(text, str) and not is_seen(text):
            continue
        if not isinstance(text, str):
            kind = type(text).__name__
            raise DataError(f"{path.name}, row {number}: {column!r} holds no text but a {kind}; mend or drop the row.")
        if len(text) > LONGEST:
            raise DataError(f"{path.name}, row {number}: {too_long(text)}")
        one = own_text(str(row.get("label") or f"{path.stem} {number}"), text, row.get("prompt"))
        found.setdefault(one["response"], one)
    if len(found) > MOST:
        raise DataError(f"{path.name} has {len(found)} texts, and {MOST} are the most: each is scored; take a part.")
    return list(found.values())


def _plain(row: dict) -> dict:
    """A row under small letters; of columns that differ in their letters alone, what is filled."""
    found: dict = {}
    for name, value in row.items():
        name = name.strip().lower()
        found[name] = value if found.get(name) is None else found[name]
    return found


def own_text(label: str, response: str, prompt: object = "") -> OwnText:
    """One text as it is kept: without halves of characters, and with the same ends of lines whoever wrote it."""
    prompt = prompt if isinstance(prompt, str) else ""
    response, prompt = (_unix(files.encodable(text.strip())) for text in (response, prompt))
    return OwnText(label=files.encodable(" ".join(label.split()))[:80], response=response, prompt=prompt)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def too_long(text: str) -> str:
    return f"a text of {len(text):,} characters, and {LONGEST:,} are the most; take a part."


def keep_texts(folder: Path, texts: list[OwnText]) -> int:
    """Add texts to those that are kept in a folder; how many of them were not there yet."""
    if long := [text for text in texts if len(text["response"]) > LONGEST]:
        raise StoreError(f"{long[0]['label']!r} is {too_long(long[0]['response'])}")
    path = Path(folder) / KEPT
    with files.writing(path):
        known = {row["response"] for row in kept_texts(folder)}
        new = [text for text in texts if text["response"] not in known]
        if new:
            files.append(path, new)
    return len(new)


def kept_texts(folder: Path) -> list[OwnText]:
    """All own texts of a folder, as they came: brought in, pasted, then those that teachers wrote. Labels differ."""
    return parted_texts(folder)[0]


def parted_texts(folder: Path) -> tuple[list[OwnText], str]:
    """The same, and one sentence on what the files have beside, as it is too long: a teacher or the desk wrote it."""
    texts = _all_texts(folder)
    if not (long := [text for text in texts if len(text["response"]) > LONGEST]):
        return texts, ""
    first, others = long[0], f" with {len(long) - 1} more" if len(long) > 1 else ""
    told = f"{first['label']!r} is left out{others}: it is {too_long(first['response'])} The files keep all."
    return [text for text in texts if len(text["response"]) <= LONGEST], told


def _all_texts(folder: Path) -> list[OwnText]:
    path = Path(folder) / KEPT
    rows = [_checked(row, f"{path.name}, row {number}") for number, row in enumerate(files.read_jsonl(path), 1)]
    for row in read_responses(Path(folder) / FRESH):
        rows.append(own_text(f"{row['model']}, {target_name(row['target'])}", row["response"], row["prompt"]))
    found: dict[str, OwnText] = {}
    labels, doubles = set(), Counter()
    for row in rows:
        if row["response"] in found:
            continue
        label = row["label"]
        while label in labels:
            doubles[row["label"]] += 1
            label = f"{row['label']} ({doubles[row['label']] + 1})"
        labels.add(label)
        found[row["response"]] = row | {"label": label}
    return list(found.values())


def _checked(row: dict, place: str) -> OwnText:
    """A row as it is kept, or as others send it here: an answer {response, model}, perhaps with prompt and target."""
    label = row.get("label")
    if label is None:
        label = ", ".join(str(row[name]) for name in ("model", "target") if row.get(name) is not None)
    if not isinstance(row.get("response"), str) or not row["response"].strip():
        raise StoreError(f"{place}: no text in 'response'; mend or delete the row.")
    return own_text(str(label) or "a text", row["response"], row.get("prompt"))


def put_aside(folder: Path) -> list[str]:
    """Begin without own texts: their files get names with the time. Returns those names."""
    kept = []
    for name in (KEPT, FRESH):
        path = Path(folder) / name
        if path.exists():
            with files.writing(path):
                kept.append(files.set_aside(path, files.before_now(name)).name)
    return kept
