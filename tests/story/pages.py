"""Read a page of docs/ as what its reader does: files to write and commands to type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(
    r"(?:^|(?<= ))(?:(?P<verb>Write|Append to) `(?P<file>[^`]+)`:\n\n)?"
    r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class File:
    """A file that the page has its reader write, or append to."""

    path: str
    text: str
    append: bool


@dataclass
class Command:
    """A command that the page has its reader type, and lines that it shows of the output."""

    text: str
    shown: list[str] = field(default_factory=list)


def read_page(name: str) -> Iterator[File | Command]:
    """A page's steps in order. Blocks that neither name a file nor are of a console are shown only."""
    for block in _BLOCK.finditer((DOCS / name).read_text()):
        if block["file"]:
            yield File(block["file"], block["body"], block["verb"] == "Append to")
        elif block["kind"] == "console":
            yield from _commands(block["body"])


def _commands(body: str) -> Iterator[Command]:
    command: Command | None = None
    for line in body.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command
            command = Command(line[2:])
        elif line.strip() and command is not None:
            command.shown.append(line)
    if command is not None:
        yield command
