"""Count the records of a CSV file that is plainly one, many times faster than by reading them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 20


@dataclass(frozen=True)
class PlainCsv:
    """What a CSV file holds that has no blank lines and only well-formed quoted fields.

    Attributes:
        records: lines outside of quotes, the header among them.
        delimiters: outside of quotes.
        several_lines: whether a quoted field goes over more than one line.
    """

    records: int
    delimiters: int
    several_lines: bool


def count_plain(text: Path, delimiter: str, quote: str) -> PlainCsv | None:
    """Count records and delimiters; None for a file that has to be read by its fields.

    Quoted fields are taken out; where no quote is left, what is left splits at its delimiters and
    line ends alone, by any reader. A blank line, a line end other than LF and CRLF, and a quote
    elsewhere than around a field leave the file to others.
    """
    quoted = _quoted_field(delimiter, quote)
    if quote and quoted is None:
        return None
    records, delimiters, several = 0, 0, False
    with text.open("rb") as file:
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)
        while block := file.read(_BLOCK):
            block += file.readline()
            whole = _ends(block)
            if quoted is not None and quote.encode() in block:
                block = quoted.sub(b"x", block)
                if quote.encode() in block:
                    return None
                several = several or _ends(block) < whole
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n")
            if b"\r" in block or block.startswith(b"\n") or b"\n\n" in block:
                return None
            ends = block.count(b"\n")
            records += ends + (not block.endswith(b"\n"))
            delimiters += block.count(delimiter.encode())
    return PlainCsv(records, delimiters, several)


def _ends(block: bytes) -> int:
    return block.count(b"\n") + block.count(b"\r")


def _quoted_field(delimiter: str, quote: str) -> re.Pattern[bytes] | None:
    """A quoted field between delimiters or line ends, a quote inside of it doubled."""
    if len(delimiter.encode()) != 1 or len(quote.encode()) != 1:
        return None
    between, around = re.escape(delimiter.encode()), re.escape(quote.encode())
    # The quote stands first, so that the search goes from quote to quote.
    start = rb"%b(?<![^%b\n]%b)" % (around, between, around)
    inside = rb"[^%b]*+(?:%b%b[^%b]*+)*+" % (around, around, around, around)
    return re.compile(rb"%b%b%b(?=%b|\r?\n|\Z)" % (start, inside, around, between))
