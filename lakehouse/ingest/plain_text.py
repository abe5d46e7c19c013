"""A text file as plain UTF-8: unpacked and decoded to a temporary file where it is not that yet."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from feature_specs.errors import DataError, ForebayError, Location
from lakehouse.ingest.source import FileOptions

_BLOCK = 1 << 20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def plain_text(path: Path, options: FileOptions, folder: Path) -> Path:
    """The file itself where it is UTF-8 and not packed, else a copy in a folder that is both.

    Raises:
        ForebayError: there is no such encoding.
        DataError: a line is not in the encoding, or holds a NUL byte; or a packed file ends early.
    """
    encoding = _codec(options.encoding)
    packed = path.suffix.lower() == ".gz"
    if not packed and encoding == "utf-8":
        _check(path, path)
        return path
    copy = folder / "text"
    read, lines = 0, 1
    try:
        with _open(path) as source, copy.open("wb") as target:
            decoded = _decoded(source, options.encoding) if encoding != "utf-8" else _blocks(source)
            for block in decoded:
                target.write(block)
                lines += block.count(b"\n")
                read += len(block)
    except UnicodeError as error:
        raise DataError(
            f"it is not in {options.encoding}: {error.args[-1] or error}",
            where=Location(str(path), lines),
            hint="name the encoding that it is in with --encoding",
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"the gzip stream is broken or ends early ({error})",
            where=Location(str(path), lines),
            hint="get the whole file again; nothing was written",
        ) from None
    _check(copy, path)
    return copy


def _codec(encoding: str) -> str:
    import codecs

    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ForebayError(
            f"there is no encoding {encoding!r}",
            where="--encoding",
            hint="write for example utf-8, latin-1, cp1252 or utf-16",
        ) from None
    return "utf-8" if name in ("utf-8", "utf-8-sig", "ascii") else name


def _open(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    while block := source.read(_BLOCK):
        yield block


def _decoded(source: IO[bytes], encoding: str) -> Iterator[bytes]:
    import codecs

    decoder = codecs.getincrementaldecoder(encoding)()
    while block := source.read(_BLOCK):
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


def _check(text: Path, path: Path) -> None:
    """Refuse bytes that no text file in UTF-8 holds, by their line."""
    with text.open("rb") as file:
        line = 1
        start = file.read(2)
        file.seek(0)
        if start in _UTF16:
            raise DataError(
                "it is in UTF-16, not in UTF-8", where=str(path), hint="say --encoding utf-16"
            )
        for block in _whole_lines(file):
            if b"\0" in block:
                at = line + block[: block.index(b"\0")].count(b"\n")
                raise DataError(
                    "the line holds a NUL byte, which is not text",
                    where=Location(str(path), at),
                    hint="name the file's encoding with --encoding, or take the byte out",
                )
            try:
                block.decode()
            except UnicodeDecodeError as error:
                at = line + block[: error.start].count(b"\n")
                raise DataError(
                    f"the line is not UTF-8: byte 0x{block[error.start]:02x}",
                    where=Location(str(path), at),
                    hint="name the encoding that it is in, for example --encoding latin-1",
                ) from None
            line += block.count(b"\n")


def _whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block + file.readline()


@contextmanager
def text_lines(text: Path) -> Iterator[IO[str]]:
    """The lines of a plain text file with their own line ends, without a byte order mark."""
    with text.open(encoding="utf-8-sig", newline="") as file:
        yield file
