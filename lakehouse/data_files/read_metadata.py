"""Turn what pyiceberg raises over a damaged metadata file into an error that names it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.exceptions import ValidationError

from feature_specs.errors import DataError, first_line

#: What pyiceberg's parsers raise over bytes that are not JSON or Avro, or cut off. They say it in
#: no class of their own: a wrong byte may end in any of these.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    SystemError,
    TypeError,
    ValidationError,
    ValueError,
    zlib.error,
)


@contextmanager
def reading_metadata(where: str) -> Iterator[None]:
    """Read one of Iceberg's metadata files.

    Args:
        where: the file, or the table whose newest metadata file is read.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        named = re.search(r"'([^']+)'", str(error))
        raise DataError(
            "a metadata file is missing",
            where=named[1] if named else where,
            hint="restore it, or register an older metadata file of the table in the catalog",
        ) from error
    except _DAMAGE as error:
        said = first_line(error).removeprefix("pyiceberg: ")
        raise DataError(
            f"a metadata file is damaged: {type(error).__name__}" + (f": {said}" if said else ""),
            where=where,
            hint="restore it, or register an older metadata file of the table in the catalog",
        ) from error
