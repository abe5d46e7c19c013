"""Errors of the machine and of other libraries, as a ForebayError: one sentence and a hint.

The libraries are looked up among those already imported, so that nothing is imported to ask: what was
never imported raised nothing.
"""

from __future__ import annotations

import errno
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from feature_specs.errors import ForebayError, first_line
from feature_specs.server_errors import explain_server

#: Modules to the classes that hold all errors of a library; None for every error class in it.
_LIBRARIES: dict[str, tuple[str, ...] | None] = {
    "lmdb": ("Error",),
    "duckdb": ("Error",),
    "pyarrow": ("ArrowException",),
    "sqlite3": ("Error",),
    "sqlalchemy.exc": ("SQLAlchemyError",),
    "pyiceberg.exceptions": None,
    "pydantic_core": ("ValidationError",),
    "requests.exceptions": ("RequestException",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "dbt_common.exceptions": ("DbtBaseException",),
    "dbt.cli.exceptions": ("DbtUsageException", "DbtInternalException"),
}
_MACHINE, _CATALOG = "this machine", "the Iceberg catalog"
_WAIT = "wait until it is done, then run the command again"
_ROOM = "make room there, then run the command again: what was there before is as it was"


#: A disk with so many bytes to spare is not the one that was full.
_PLENTY = 100 * 10**6


class MachineError(ForebayError):
    """What stops everything and not one view alone: no room on the disk, no memory."""


class _Said(NamedTuple):
    what: str
    hint: str
    where: str = ""
    machine: bool = False

    def error(self, file: str, module: str) -> ForebayError:
        kind = MachineError if self.machine else ForebayError
        return kind(self.what, where=self.where or file or module, hint=self.hint)


def known_errors() -> tuple[type[BaseException], ...]:
    """ForebayError and every error that `explain` turns into one, for an ``except`` clause."""
    found: list[type[BaseException]] = [ForebayError, OSError, MemoryError, UnicodeDecodeError]
    for module, names in _LIBRARIES.items():
        loaded = sys.modules.get(module)
        if loaded is None:
            continue
        for value in [getattr(loaded, n, None) for n in names] if names else vars(loaded).values():
            if isinstance(value, type) and issubclass(value, Exception):
                found.append(value)
    return tuple(found)


def explain(error: BaseException, places: Sequence[Path] = ()) -> ForebayError:
    """The error as one that a user can fix; a ForebayError is given back as it is.

    Args:
        error: of one of the classes of `known_errors`.
        places: where the program writes, of which the fullest is named when a disk is full.
    """
    if isinstance(error, ForebayError):
        return error
    chain = list(_chain(error))
    inner = next((e for e in chain if isinstance(e, ForebayError)), None)
    if inner is not None:
        return inner
    text = " ".join(str(e) for e in chain)
    file = _file_of(chain, text)
    said = _of_a_server(chain) or _of_the_machine(chain, text, file, places)
    said = said or _of_a_library(error)
    return said.error(file, _module_of(error))


def explain_one(error: BaseException) -> ForebayError:
    """The error of one thing among several, so that the others can go on.

    Raises:
        MachineError: it would stop the others too.
    """
    told = explain(error)
    if isinstance(told, MachineError):
        raise told from error
    return told


def explain_text(text: str, places: Sequence[Path] = ()) -> ForebayError | None:
    """What the text of an error says of the machine, where another library kept only its text."""
    file = _file_of([], text)
    said = _of_a_server([], text) or _of_the_machine([], text, file, places)
    return None if said is None else said.error(file, _MACHINE)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _of_the_machine(
    chain: Sequence[BaseException], text: str, file: str, places: Sequence[Path]
) -> _Said | None:
    numbers = {e.errno for e in chain if isinstance(e, OSError)}
    if any(isinstance(e, MemoryError) for e in chain):
        return _no_memory(text, file, places)
    for known, pattern, say in _CONDITIONS:
        if numbers & known or re.search(pattern, text, re.IGNORECASE):
            return say(text, file, places)
    return None


def _of_a_server(chain: Sequence[BaseException], text: str = "") -> _Said | None:
    told = explain_server(" ".join([text, *(f"{type(e).__name__}: {e}" for e in chain)]))
    return None if told is None else _Said(told.what, told.hint, told.where, told.whole)


def _disk_full(text: str, file: str, places: Sequence[Path]) -> _Said:
    tried = [Path(file)] if file else [*places, Path.cwd(), Path(tempfile.gettempdir())]
    used = min(((*shutil.disk_usage(p), p) for p in map(_existing, tried)), key=lambda u: u[2])
    total, _, free, place = used
    if not file and free > _PLENTY:
        return _Said("the disk is full", _ROOM, _MACHINE, True)
    what = f"the disk is full: of its {total / 1e6:.0f} MB, {free / 1e6:.1f} are free now"
    return _Said(what, _ROOM, file or str(place), True)


def _existing(path: Path) -> Path:
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.is_dir())


def _no_quota(text: str, file: str, places: Sequence[Path]) -> _Said:
    return _Said("the disk quota of this user is used up", _ROOM, file or _MACHINE, True)


def _too_large(text: str, file: str, places: Sequence[Path]) -> _Said:
    what = "a file would become larger than this process may write"
    hint = "raise the limit (`ulimit -f`), then run the command again"
    return _Said(what, hint, file or _MACHINE, True)


def _no_memory(text: str, file: str, places: Sequence[Path]) -> _Said:
    used = re.search(r"\(([\d.]+ \w+/[\d.]+ \w+ used)\)", text)
    what = "out of memory" + (f": {used[1]}" if used else "")
    hint = "end other programs, or do less at once: fewer views, fewer rows"
    return _Said(what, hint, _MACHINE, True)


def _too_many_files(text: str, file: str, places: Sequence[Path]) -> _Said:
    hint = "raise the limit (`ulimit -n`), then run the command again"
    return _Said("too many open files", hint, _MACHINE, True)


def _not_permitted(text: str, file: str, places: Sequence[Path]) -> _Said:
    return _Said("permission denied", "change the permissions there, or run as its owner")


def _read_only(text: str, file: str, places: Sequence[Path]) -> _Said:
    return _Said("it can only be read", "name a place that can be written")


def _duckdb_locked(text: str, file: str, places: Sequence[Path]) -> _Said:
    holder = re.search(r"Conflicting lock is held in (.+? \(PID \d+\))", text)
    return _Said(f"it is in use by {holder[1] if holder else 'another process'}", _WAIT)


def _catalog_locked(text: str, file: str, places: Sequence[Path]) -> _Said:
    return _Said("its database is locked by another process", _WAIT, _CATALOG)


def _catalog_corrupt(text: str, file: str, places: Sequence[Path]) -> _Said:
    return _Said(
        "its file is damaged or no SQLite database",
        "check uri in the forebay plugin's config, or restore the file from a backup",
        _CATALOG,
        True,
    )


_Say = Callable[[str, str, Sequence[Path]], _Said]

#: Error numbers, or words in the text, to what they mean; the first that fits counts.
_CONDITIONS: tuple[tuple[set[int | None], str, _Say], ...] = (
    ({errno.ENOSPC}, r"no space left|disk is full|disk full", _disk_full),
    ({errno.EDQUOT}, r"disk quota", _no_quota),
    ({errno.EFBIG}, r"file too large", _too_large),
    ({errno.ENOMEM}, r"out of memory|cannot allocate memory|failed to allocate", _no_memory),
    ({errno.EMFILE, errno.ENFILE}, r"too many open files", _too_many_files),
    (set(), r"conflicting lock is held", _duckdb_locked),
    (set(), r"database( table)? is locked", _catalog_locked),
    (set(), r"file is not a database|disk image is malformed", _catalog_corrupt),
    ({errno.EROFS}, r"read-only file system|readonly database", _read_only),
    ({errno.EACCES, errno.EPERM}, r"permission denied|operation not permitted", _not_permitted),
)


def _of_a_library(error: BaseException) -> _Said:
    """What an error of a library says for itself, with the hint that fits the library."""
    text = first_line(error) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return _Said("there is no such file", "restore it, or check the path that names it")
    if isinstance(error, IsADirectoryError):
        return _Said("this is a folder, not a file", "name a file")
    if isinstance(error, NotADirectoryError | FileExistsError):
        return _Said("a file is where a folder is to be", "name another folder, or move the file")
    if isinstance(error, UnicodeDecodeError):
        return _Said(f"not UTF-8: {text}", "save the file as UTF-8")
    if isinstance(error, ConnectionError):
        return _Said(f"no connection: {text}", "check the address, and that the server runs")
    for module, hint in _HINTS.items():
        if type(error).__module__.removeprefix("_").startswith(module):
            return _Said(f"{module}: {text}", hint)
    return _Said(
        text if isinstance(error, OSError) else f"{type(error).__name__}: {text}",
        "run it again with FOREBAY_DEBUG=1 to see where it comes from",
    )


_HINTS = {
    "lmdb": "if the online store is damaged, delete its folder and run `forebay sync`",
    "pyarrow": "if a file is damaged, write or load it again; FOREBAY_DEBUG=1 shows which",
    "pyiceberg": "check uri, warehouse and credentials in the forebay plugin's config",
    "sqlite3": "check uri in the forebay plugin's config",
    "sqlalchemy": "check uri in the forebay plugin's config",
    "botocore": "check the credentials and the address of the object store",
}


def _file_of(chain: Sequence[BaseException], text: str) -> str:
    """The file at fault, where an error names one."""
    for error in chain:
        if isinstance(error, OSError) and isinstance(error.filename, str):
            return error.filename
    named = re.search(r"""(?:file|path|at)\b[ :]*\\?["'](/[^"'\\]+)""", text)
    named = named or re.match(r"(/[^\s:]+)", text)
    return named[1].rstrip(".") if named else ""


def _module_of(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0].removeprefix("_").replace("builtins", _MACHINE)
