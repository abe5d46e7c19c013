"""What dbt prints while it runs in this process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import TextIO

from forebay.terminal import DEBUG_VARIABLE

#: How dbt begins a traceback, and the error that ends a command: our own line says both below.
_TOLD_BELOW = ("Traceback (most recent call last):", "Encountered an error:")


class _WithoutTraces(StringIO):
    """Hands on all but tracebacks and what ends a command, each of which dbt writes at once."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def write(self, text: str) -> int:
        if not any(said in text for said in _TOLD_BELOW):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()


@contextmanager
def dbt_output(quiet: bool) -> Iterator[None]:
    """Let dbt print while the context is open: without what our own errors say, or nothing where it is quiet."""
    if quiet:
        logging.getLogger("pyiceberg").setLevel(logging.ERROR)
        stream: TextIO = StringIO()
    else:
        stream = sys.stdout if os.environ.get(DEBUG_VARIABLE) else _WithoutTraces(sys.stdout)
    with redirect_stdout(stream):
        yield
