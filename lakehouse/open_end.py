"""Evaluate a snapshot's ``dbt_valid_to_current``: the valid_to of an open version."""

from __future__ import annotations

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_specs.errors import SpecError
from feature_specs.time_zones import SESSION_AT_UTC

#: What may differ from run to run, or is not known here.
_VARIABLE = (
    exp.Anonymous, exp.Column, exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime,
    exp.CurrentTimestamp, exp.Localtimestamp, exp.Rand, exp.Subquery, exp.Select,
)  # fmt: skip


def open_end(expression: str, where: str) -> str | None:
    """The instant that a constant SQL expression evaluates to, as text; None for null.

    >>> open_end("cast('9999-12-31' as timestamp)", "snapshots.yml")
    '9999-12-31 00:00:00+00'

    Raises:
        SpecError: it is not a constant, or not a point in time.
    """
    connection = duckdb.connect()
    connection.execute(SESSION_AT_UTC)
    try:
        if any(sqlglot.parse_one(expression, dialect="duckdb").find_all(*_VARIABLE)):
            raise _refused(expression, "it is not a constant", where)
        ((value,),) = connection.execute(
            f"select cast(cast(({expression}) as timestamptz) as varchar)"
        ).fetchall()
    except (duckdb.Error, SqlglotError) as error:
        raise _refused(expression, str(error).splitlines()[0], where) from None
    return None if value is None else str(value)


def _refused(expression: str, why: str, where: str) -> SpecError:
    return SpecError(
        f"dbt_valid_to_current is {expression!r}: {why}",
        where=where,
        hint="write a point in time that stays the same, such as timestamp '9999-12-31'",
    )
