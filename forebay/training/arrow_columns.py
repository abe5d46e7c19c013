"""Columns of DuckDB as Arrow can hold them, none of their values changed."""

from __future__ import annotations

from collections.abc import Mapping

from feature_specs.quote import quoted

#: Types of which DuckDB's own way to Arrow loses something, and what keeps all of it. A number that
#: does not fit is an error of the cast.
_CASTS = {
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
    "BIGNUM": "VARCHAR",
    "BIT": "VARCHAR",
    "TIME WITH TIME ZONE": "VARCHAR",
}


def arrow_select(types: Mapping[str, str]) -> str:
    """The items of a SELECT of columns, those cast that Arrow has no type for.

    Args:
        types: DuckDB types by column.

    >>> arrow_select({"k": "BIGINT", "n": "HUGEINT"})
    '"k", cast("n" as DECIMAL(38,0)) as "n"'
    """
    return ", ".join(
        f"cast({quoted(n)} as {_CASTS[kind]}) as {quoted(n)}" if kind in _CASTS else quoted(n)
        for n, kind in types.items()
    )
