"""Tables: rows of the Hub's data sets, and of local files of rows."""

import csv
import io
import json
import os
import re
import warnings
from pathlib import Path

from cpt_utils.runtime.errors import DataError
from cpt_utils.runtime.keys import first_line
from cpt_utils.runtime.places import cache_fault
from cpt_utils.runtime.profiles import TABLES

TEXTS = ("prompt", "chosen", "rejected", "response", "rubric", "qualifier", "system", "system_prompt")
TEXTS += ("label", "text", "completion", "output", "answer")
"""Columns of a CSV file that are read as they stand there: "null", "NA" and "5" are words."""
LONGEST_HEAD = 10_000
"""Characters; the rest of a longer head is not looked at."""


def read_table(source: "str | Path", split: str = "train") -> list[dict]:
    """Rows of a Hub data set, or of a local .jsonl, .json, .csv, .tsv or .parquet file."""
    from datasets import load_dataset

    path = Path(os.path.expanduser(source))
    if path.suffix.lower() not in TABLES:
        return _from_hub(str(source), split)
    if not path.is_file():
        raise DataError(f"There is no data file {path.name}: check the path.")
    if odd := sorted(set("[]*?") & set(str(path))):  # the library would look for a pattern
        raise DataError(f"{path.name} cannot be read, as its path holds {odd[0]!r}: rename the file or its folder.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read ({error.strerror}): check who may read it.") from None
    from datasets.exceptions import DatasetGenerationError
    from pandas.errors import ParserWarning

    kind = {".jsonl": "json", ".tsv": "csv"}.get(path.suffix.lower(), path.suffix.lower().lstrip("."))
    # Where rows have more cells than the head, pandas would move all by one column, or leave the last ones out.
    options = (
        {"index_col": False, "keep_default_na": False, "na_values": [""]} | _columns(path) if kind == "csv" else {}
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)
            return load_dataset(kind, data_files=str(path), split="train", **options).to_list()
    except KeyError as error:  # datasets before 4.8: rows whose columns differ
        raise DataError(
            f"{path.name} cannot be read as {kind}: a row lacks {error}; fill it or drop the row."
        ) from None
    except (DatasetGenerationError, ValueError, OSError, TypeError, AttributeError, StopIteration) as error:
        if told := cache_fault(error, path):
            raise DataError(f"{path.name} cannot be read, as {told}.") from None
        if kind != "parquet" and not _is_utf8(path):
            raise DataError(f"{path.name} is no text in UTF-8: save it as UTF-8 and load it again.") from None
        where = _torn_line(path) if path.suffix.lower() == ".jsonl" else ""
        raise DataError(
            f"{path.name} cannot be read as {kind}{where}: check that it is not empty and every row is whole."
        ) from None


def _torn_line(path: Path) -> str:
    """Which line of a .jsonl file is the first that is no JSON, in words; nothing where all are."""
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        try:
            json.loads(line or "{}")
        except ValueError:
            return f", as line {number} is no JSON"
    return ""


def _columns(path: Path) -> dict:
    """What parts the columns of a CSV file, and which are texts, by its head.

    Spreadsheets write semicolons or tabs in many countries, and people write names with capitals. A line such as
    "sep=;" above the head is Excel's.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        begin = file.read(LONGEST_HEAD)
    said = re.match(r"sep=([,;|\t])(\r\n?|\n|$)", begin, re.IGNORECASE)
    begin = begin[said.end() :] if said else begin
    known = "\t" if path.suffix.lower() == ".tsv" else said and said[1]
    heads = {separator: _head(begin, separator) for separator in (known or ",;\t|")}
    separator, names = max(heads.items(), key=lambda pair: (_is_whole(pair[1]), len(pair[1])))  # of equals the first
    texts = [name for name in names if name.strip().lower() in TEXTS]
    return {"sep": separator, "skiprows": int(bool(said)), "converters": dict.fromkeys(texts, str)}


def _head(begin: str, separator: str) -> list[str]:
    """The names of the columns; one in quotes may have line breaks and separators in it."""
    return next(filter(None, csv.reader(io.StringIO(begin, newline=""), delimiter=separator)), [])


def _is_whole(names: list[str]) -> bool:
    """Whether a head was parted, and no name in quotes was: each half of it would hold one quotation mark."""
    return len(names) > 1 and not any(name.count('"') % 2 for name in names)


def _is_utf8(path: Path) -> bool:
    try:
        return "\0" not in path.read_text("utf-8")
    except UnicodeDecodeError:
        return False


def _from_hub(name: str, split: str) -> list[dict]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        return load_dataset(name, split=split).to_list()
    except (OSError, ValueError, DatasetGenerationError) as error:
        if told := cache_fault(error, name):
            raise DataError(f"The data set {name!r} cannot be loaded, as {told}.") from None
        said = first_line(error).rstrip(".")[:140]
    raise DataError(f"The data set {name!r} cannot be loaded ({said}): check its name and split, and the connection.")
