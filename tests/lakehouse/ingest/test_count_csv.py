"""Counting plain CSV agrees with reading it, or leaves it to be read."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest import count_csv
from lakehouse.ingest.count_csv import count_plain

pieces = st.sampled_from(
    ['"', '""', ",", "\n", "\r\n", "\r", " ", "a", "ä", '"a"', ',"b, \n"', "\n\n"]
)


@given(st.lists(pieces, max_size=14).map("".join), st.sampled_from([1 << 20, 3]))
@settings(max_examples=400, deadline=None)
def test_what_is_counted_is_what_python_reads(text: str, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch, io.BytesIO(text.encode()) as file:
        patch.setattr(count_csv, "_BLOCK", block)
        patch.setattr(Path, "open", lambda *_: file)
        counted = count_plain(Path("a.csv"), ",", '"')
    if counted is None:
        return
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert all(rows), "no blank lines"
    assert counted.records == len(rows)
    assert counted.delimiters == sum(len(row) - 1 for row in rows)
    fields = [field for row in rows for field in row]
    assert counted.several_lines == any("\n" in f or "\r" in f for f in fields)


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", 'a,b\r\n"1","2"\r\n', '"a","b"\n"x ""y"" z",""\n', '\ufeff"a",b\n1,"2\n3"'],
)
def test_plain_files_are_counted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    counted = count_plain(path, ",", '"')
    assert counted is not None
    assert (counted.records, counted.delimiters) == (2, 2)
    assert counted.several_lines == ("2\n3" in text)


@pytest.mark.parametrize("text", ['a"b\n', 'a, "b"\n', "a\n\nb\n", "a\rb\n", '"a\n', '"a" ,b\n'])
def test_other_files_are_left_to_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    assert count_plain(path, ",", '"') is None
