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


class _WithoutTraces(StringIO):
    """Hands on all but tracebacks, each of which dbt writes at once: our own line says it below."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def write(self, text: str) -> int:
        if "Traceback (most recent call last):" not in text:
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
    """Let dbt print while the context is open: without tracebacks, or nothing where it is quiet."""
    if quiet:
        logging.getLogger("pyiceberg").setLevel(logging.ERROR)
        stream: TextIO = StringIO()
    else:
        stream = sys.stdout if os.environ.get(DEBUG_VARIABLE) else _WithoutTraces(sys.stdout)
    with redirect_stdout(stream):
        yield
