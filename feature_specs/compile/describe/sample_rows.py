"""A row for a table of any columns, to see what fails in every row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import duckdb

from feature_specs.leaf import Leaf


@dataclass(frozen=True)
class Sample:
    """What a row holds, by the kind of its columns' types; each as SQL.

    Attributes:
        text: null where a text is what a column may not be read as.
    """

    text: str
    number: str
    day: str
    instant: str
    boolean: str


#: When the rows of all samples are visible, dates too, and all are but minutes old.
SEEN = datetime(2000, 1, 1, 6, 30, tzinfo=UTC)

#: Whatever fails in all of them with one message is not a fault of the data's: of texts one is a number,
#: one a day and one null, and no two values of another column are the same.
SAMPLES = (
    Sample("'1'", "1", "'1999-12-31'", "'2000-01-01 06:10'", "true"),
    Sample("'1999-12-30'", "2", "'1999-12-30'", "'2000-01-01 06:20'", "false"),
    Sample("null", "3", "'1999-12-29'", "'2000-01-01 06:05'", "true"),
)

_NUMBERS = frozenset({
    "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger",
    "ubigint", "uhugeint", "float", "double", "decimal", "bignum",
})  # fmt: skip
_INSTANTS = frozenset({
    "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone",
})  # fmt: skip
_CONSTANTS = {
    "interval": "interval '1' hour", "blob": "'a'::blob", "bit": "'01'::bit",
    "uuid": "'00000000-0000-4000-8000-000000000000'::uuid", "time": "time '01:02:03'",
    "time with time zone": "'01:02:03+00'::timetz",
}  # fmt: skip


def sample_row(leaf: Leaf, sample: Sample) -> str:
    """SQL of a row of the leaf that is visible at ``SEEN``. Raises duckdb.Error: no such type."""
    ends = {leaf.valid_to, leaf.changelog.deleted if leaf.changelog else None}
    return ", ".join(
        # One that its column cannot hold, such as a 1 where all digits are decimals, is null.
        f"try_cast({_value(duckdb.sqltype(kind), sample)} as {kind})"
        if name not in ends
        else "null"
        for name, kind in leaf.columns.items()
    )


def _value(kind: Any, sample: Sample) -> str:
    name = str(kind.id)
    if name == "varchar":
        return "'{}'" if str(kind) == "JSON" else sample.text
    if name in _NUMBERS:
        return sample.number
    if name in _INSTANTS:
        return sample.instant
    if name == "date":
        return sample.day
    if name == "boolean":
        return sample.boolean
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name == "enum":
        (_, values), *_ = kind.children
        return f"'{values[0].replace(chr(39), chr(39) * 2)}'"
    if name in ("list", "array"):
        (_, child), *rest = kind.children
        return f"[{', '.join([_value(child, sample)] * (rest[0][1] if rest else 1))}]"
    if name == "struct":
        return f"row({', '.join(_value(child, sample) for _, child in kind.children)})"
    if name == "map":
        (_, key), (_, value) = kind.children
        keyed = replace(sample, text="'a'")  # which is never null
        return f"map([{_value(key, keyed)}], [{_value(value, sample)}])"
    return "null"
