"""Entry point: runs a command and turns every mistake into one line and exit code 2."""

from __future__ import annotations

import logging
import os
import select
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import click

from feature_specs.errors import ForebayError, errors_of, first_line, split_hint
from feature_specs.library_errors import explain, known_errors
from forebay.cli import NoPipeError, forebay
from forebay.load_less import load_less
from forebay.terminal import DEBUG_VARIABLE

#: Of a fault of forebay's own: EX_SOFTWARE of sysexits.h.
INTERNAL_ERROR = 70
#: Of a reader that went away, as `| head` does: what a shell shows of a process that SIGPIPE ended.
NO_READER = 141


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Exits 0 when done, 1 when a check found something, 2 on an error that the user can fix, 70 on a
    fault of forebay's own, 130 when interrupted, 141 when nobody reads its output any more.
    """
    if arguments is None:
        load_less(sys.argv[1:])
    try:
        code = _run(arguments)
        sys.stdout.flush()  # dbt's logger does not say that it could not write
    except (BrokenPipeError, NoPipeError) as error:
        if not _reader_is_gone():  # an object store's connection, or some such
            _stop(error, str(explain(error.__cause__ or error, _places())))
        _write_no_more()
        code = NO_READER
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    # SQLGlot warns of dialect differences that the compiler has decided about already.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    # A log without room must not print tracebacks: what it is about is told below.
    logging.raiseExceptions = False
    sys.excepthook = report_fault
    try:
        code = forebay.main(args=arguments, prog_name="forebay", standalone_mode=False)
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        where = context.command_path if context else "forebay"
        what, hint = split_hint(error.format_message().rstrip("."))
        end = "" if what.endswith("?") else "."
        _stop(error, f"{what}{end} Hint: {hint or f'run `{where} --help`'}")
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except known_errors() as error:
        each = errors_of(explain(error, _places()))
        _stop(error, "\nerror: ".join(map(str, each)))
    return code if isinstance(code, int) else 0


def _reader_is_gone() -> bool:
    """Whether standard output or error is a pipe that nobody reads any more."""
    if not hasattr(select, "poll"):
        return True  # Windows does not tell
    poll = select.poll()
    for stream in _standard():
        poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _write_no_more() -> None:
    """Else Python complains when it flushes what is left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in _standard():
        os.dup2(nowhere, stream)


def _standard() -> list[int]:
    """Standard output and error, but for one that is closed or that a test has replaced."""
    out = []
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            out.append(stream.fileno())
    return out


def report_fault(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> NoReturn:
    """What Python calls for an error that nothing above has told: a fault of forebay's own."""
    at = traceback.extract_tb(trace)[-1:]
    place = f" at {Path(at[0].filename).name}:{at[0].lineno}" if at else ""
    what = f"internal error: {kind.__name__}: {first_line(error)}{place}".rstrip(".")
    hint = f"this is a bug: report it with what {DEBUG_VARIABLE}=1 shows"
    _stop(error, f"{what}. Hint: {hint}", INTERNAL_ERROR)


def _stop(error: BaseException, line: str, code: int = 2) -> NoReturn:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    click.echo(f"error: {line}", err=True)
    sys.exit(code)


def _places() -> list[Path]:
    """Where commands write, as far as the project nearby says, to name the disk that is full."""
    from feature_specs.catalog import load_catalog
    from forebay.dbt_project.project import find_project

    try:
        project = find_project()
        places = [project.root, project.root / "target"]
        catalog = load_catalog(project.catalog_path)
    except ForebayError:
        return []
    for uri in (catalog.lake.get("warehouse", ""), catalog.lake.get("uri", ""), catalog.online):
        scheme, _, path = uri.rpartition("://")
        if scheme in ("", "file", "sqlite", "lmdb") and path:
            places.append(Path("/" + path.lstrip("/")))
    return places


if __name__ == "__main__":
    main()
