"""SQLGlot's names of DuckDB's types, grouped by kind."""

from __future__ import annotations

from sqlglot import exp

#: Integers of at most 32 bits with their sign, and those of at most 64.
INTEGERS_32 = frozenset({"TINYINT", "SMALLINT", "INT", "UTINYINT", "USMALLINT"})
INTEGERS_64 = INTEGERS_32 | {"UINT", "BIGINT"}
#: Integers of which some values need more.
WIDEST_INTEGERS = frozenset({"UBIGINT", "INT128", "UINT128"})
FLOATS = frozenset({"FLOAT", "DOUBLE"})

#: Times of microseconds, as a clock on the wall has them and as instants.
LOCAL_TIMES = frozenset({"TIMESTAMP", "TIMESTAMPNTZ"})
INSTANTS = frozenset({"TIMESTAMPTZ", "TIMESTAMPLTZ"})


def type_name(node: exp.Expr | None) -> str:
    """The name of a node's annotated type, or empty.

    >>> type_name(exp.cast(exp.column("x"), "integer")), type_name(exp.column("x"))
    ('INT', '')
    """
    kind = node.type if node is not None else None
    return kind.this.name if kind is not None and isinstance(kind.this, exp.DType) else ""
