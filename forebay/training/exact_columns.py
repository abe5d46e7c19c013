"""Columns of DuckDB as Arrow and Parquet can hold them, none of their values changed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from feature_specs.quote import quoted

#: Types of which DuckDB's own way to Arrow loses something, and what keeps all of it. A number that
#: does not fit is an error of the cast.
_TO_ARROW = {
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
    "BIGNUM": "VARCHAR",
    "BIT": "VARCHAR",
    "TIME WITH TIME ZONE": "VARCHAR",
}
#: DuckDB writes integers of 128 bits to Parquet as doubles, and intervals in whole milliseconds.
_TO_PARQUET = _TO_ARROW | {"INTERVAL": "VARCHAR"}

#: A name in quotation marks, an enum's value, or a type to cast; a field's name has its type after it.
_WORD = re.compile(
    r"""\"(?:[^"]|"")*\"|'(?:[^']|'')*'|\b(?:{})(?=[,)[]|$)""".format("|".join(_TO_PARQUET))
)


def arrow_select(types: Mapping[str, str]) -> str:
    """The items of a SELECT of columns, those cast that Arrow has no type for.

    Args:
        types: DuckDB types by column.

    >>> arrow_select({"k": "BIGINT", "n": "HUGEINT"})
    '"k", cast("n" as DECIMAL(38,0)) as "n"'
    """
    return ", ".join(_item(name, kind, _TO_ARROW) for name, kind in types.items())


def parquet_select(types: Mapping[str, str]) -> str:
    """The items of a SELECT of columns, those cast that Parquet has no type for.

    Args:
        types: DuckDB types by column.

    >>> parquet_select({"k": "BIGINT", "l": 'STRUCT(HUGEINT INTEGER, n HUGEINT[])'})
    '"k", cast("l" as STRUCT(HUGEINT INTEGER, n DECIMAL(38,0)[])) as "l"'
    """
    return ", ".join(_item(name, kind, _TO_PARQUET) for name, kind in types.items())


def _item(name: str, kind: str, casts: Mapping[str, str]) -> str:
    kept = _WORD.sub(lambda word: casts.get(word[0], word[0]), kind)
    return quoted(name) if kept == kind else f"cast({quoted(name)} as {kept}) as {quoted(name)}"
