"""Only a strict beginning of a row that the series writes is torn: all else in a store is someone's, and stays."""

import json
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpt_utils.runtime import files
from cpt_utils.runtime.errors import StoreError
from cpt_utils.runtime.torn import is_torn, lines_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.dictionaries(TEXTS, VALUES, max_size=4)
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine


@UNHURRIED
@given(ROWS)
def test_every_strict_beginning_of_a_row_is_torn_and_the_row_is_not(row):
    data = json.dumps(row, ensure_ascii=False).encode()
    assert not is_torn(data)
    assert [data[:n] for n in range(1, len(data)) if not is_torn(data[:n])] == []


@UNHURRIED
@given(ROWS, ROWS)
def test_what_goes_on_behind_a_row_is_not_torn(row, other):
    one, two = (json.dumps(part, ensure_ascii=False) for part in (row, other))
    for text in (f"{one}{two}", f"{one}, {two}", f"[{one}, {two}]", f"[{one}, {two}", f"{one}\r{two}", f"{one}x"):
        assert not is_torn(text.encode())


LATIN = '{"prompt": "Café am Möwenweg", "target": 10}'.encode("latin-1")
SOMEONES = {
    "a JSON array in one line": b'[{"prompt": "one"}, {"prompt": "two"}]',
    "an array that ends too soon": b'[{"prompt": "one"}, {"prom',
    "a comma is missing": b'{"prompt": "one" "target": 10}',
    "a quote is missing": b'{"prompt": "one, "target": 10}',
    "a comma too many": b'{"prompt": "one",}',
    "a bracket of another kind": b'{"prompt": ["one"}',
    "Latin-1": LATIN,
    "UTF-16": '{"prompt": "one"}'.encode("utf-16"),
    "single quotes": b"{'prompt': 'one",
    "other spacing": b'{"prompt":"one","tar',
    "indented": b'  "prompt": "one",',
    "a tab in a text": b'{"prompt": "a\tb',
    "words": b"not json",
    "rows with the line ends of old Macs": b'{"prompt": "one"}\r{"prompt": "two"}',
}


@pytest.mark.parametrize("case", SOMEONES)
@pytest.mark.parametrize("before", [b"", b'\xef\xbb\xbf{"prompt": "zero"}\n', b'{"prompt": "zero"}\n\n'])
def test_a_last_line_that_is_someones_is_named_and_stays(tmp_path, case, before):
    path, line = tmp_path / "r.jsonl", before.count(b"\n") + 1
    path.write_bytes(before + SOMEONES[case])
    for use in (files.read_jsonl, lambda path: files.append(path, [{"a": 1}])):
        with pytest.raises(StoreError, match=rf"^r.jsonl, line {line}: not JSON of one row in UTF-8; mend or delete"):
            use(path)
    assert path.read_bytes() == before + SOMEONES[case]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("whole", [b'\xef\xbb\xbf{"a": 1}', b'{"a": 1}', b'{"a":1}\r', b' {"a" : 1} '])
def test_a_whole_last_line_is_closed_whatever_its_spelling(tmp_path, whole):
    path = tmp_path / "r.jsonl"
    path.write_bytes(whole)
    files.append(path, [{"b": "é"}])
    assert files.read_jsonl(path) == [{"a": 1}, {"b": "é"}] and path.read_bytes().startswith(whole)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_whole_row_before_the_zeros_of_a_lost_power_is_kept(tmp_path, end):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"a": 1}' + end.encode() + b"\x00" * 64)
    assert files.read_jsonl(path) == [{"a": 1}]
    files.append(path, [{"b": 2}])
    assert files.read_jsonl(path) == [{"a": 1}, {"b": 2}]


def test_a_torn_line_is_put_aside_with_a_word(tmp_path, capsys):
    path = tmp_path / "r.jsonl"
    torn = '{"a": 1}\n{"a": "möw'.encode()[:-1]
    path.write_bytes(torn)
    assert files.read_jsonl(path) == [{"a": 1}] and not capsys.readouterr().out
    files.append(path, [{"b": 2}])
    assert files.read_jsonl(path) == [{"a": 1}, {"b": 2}]
    assert "cut off in writing; what there is of it is kept in r.jsonl.torn" in capsys.readouterr().out
    assert (tmp_path / "r.jsonl.torn").read_bytes() == torn.split(b"\n")[1] + b"\n"


@pytest.mark.parametrize("line", [b'{"a": "' + b'\\"' * 30000 + b"\1", b'{"a": ' + b"[" * 30000 + b"]" * 30000])
def test_no_line_is_worth_a_second(line):
    started = time.process_time()
    assert not is_torn(line)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_nothing_is_added_to_rows_in_another_encoding(tmp_path, encoding):
    path = tmp_path / "r.jsonl"
    path.write_bytes(before := '{"a": 1}\n{"b": 2}\n'.encode(encoding))
    for use in (files.read_jsonl, lambda path: files.append(path, [{"a": 1}])):
        with pytest.raises(StoreError, match="^r.jsonl, line 1: not JSON of one row in UTF-8; mend or delete"):
            use(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_rows_become_lines_in_one_place():
    by_hand = re.compile(r'json\.dumps\([^\n]*\) \+ "\\n" for ')
    modules = [path for room in ("cpt_utils", "benchmarks", "tools") for path in (files.ROOT / room).rglob("*.py")]
    assert [path.name for path in modules if by_hand.search(path.read_text("utf-8"))] == ["torn.py"]
    assert lines_of([{"a": "ö\n"}, {}]) == '{"a": "ö\\n"}\n{}\n' and lines_of([]) == ""
