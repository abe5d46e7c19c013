"""Key values in DuckDB's SQL, from the texts that the online store's keys hold."""

from __future__ import annotations

from feature_specs.sql_types import parse_type


def key_value_sql(text: str, declared: str) -> str:
    """SQL of a key value from SQL of its text; times are microseconds since the epoch there.

    >>> key_value_sql("$key", "BIGINT"), key_value_sql("$key", "TIMESTAMP")
    ('cast($key as BIGINT)', 'make_timestamp(cast($key as bigint))')
    """
    kind = parse_type(declared).name
    if kind == "TIMESTAMP":
        return f"make_timestamp(cast({text} as bigint))"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"make_timestamptz(cast({text} as bigint))"
    return f"cast({text} as {declared})"
