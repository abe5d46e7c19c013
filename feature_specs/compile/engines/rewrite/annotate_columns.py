"""Find the types of expressions, from the types of the tables' columns."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.optimizer.annotate_types import TypeAnnotator, annotate_types
from sqlglot.schema import MappingSchema
from sqlglot.typing import ExprMetadataType

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.compile.sql.type_names import (
    FLOATS,
    INSTANTS,
    INTEGERS_64,
    LOCAL_TIMES,
    WIDEST_INTEGERS,
    type_name,
)


def annotate_columns(statement: EngineStatement) -> None:
    """Give every node its type, in place, as far as it follows; others have none."""
    tree, trace, schema = statement.tree, statement.trace, statement.schema
    tables = [trace.table_of(c) if isinstance(c, exp.Column) else None for c in tree.walk()]
    typed = tree.copy()
    for node, table in zip(list(typed.walk()), tables, strict=True):
        if isinstance(node, exp.Column) and table is not None and not node.table:
            node.set("table", exp.to_identifier(table, quoted=True))
        elif isinstance(node, exp.Literal) and _is_decimal(node):
            node.replace(exp.Cast(this=node.copy(), to=exp.DataType.build(_decimal_of(node))))
    known = MappingSchema(dialect="duckdb")
    for name, columns in schema.items():
        table_node = exp.to_table(name, dialect="duckdb")
        for part in table_node.parts:
            part.set("quoted", True)
        known.add_table(
            table_node, {f'"{c}"': kind for c, kind in columns.items()}, match_depth=False
        )
    annotate_types(typed, schema=known, dialect="duckdb", expression_metadata=_METADATA)
    _copy_types(tree, typed)


def _annotate_anonymous(annotator: TypeAnnotator, node: exp.Anonymous) -> exp.Anonymous:
    """The type of a function that SQLGlot does not know."""
    annotator._set_type(node, _ANONYMOUS.get(node.name.lower(), exp.DType.UNKNOWN))
    return node


_ANONYMOUS = {
    **dict.fromkeys(("epoch_us", "epoch_ms", "epoch_ns"), exp.DType.BIGINT),
    "current_setting": exp.DType.VARCHAR,
}
_METADATA: ExprMetadataType = {
    **DUCKDB.EXPRESSION_METADATA,
    exp.Anonymous: {"annotator": _annotate_anonymous},
}


def _is_decimal(node: exp.Literal) -> bool:
    """DuckDB reads 0.1 as a decimal, 1e-1 as a double; SQLGlot takes both for doubles."""
    return not node.is_string and "." in node.this and "e" not in node.this.lower()


def _decimal_of(node: exp.Literal) -> str:
    whole, _, rest = node.this.partition(".")
    digits = len(whole.lstrip("0")) + len(rest)
    return f"DECIMAL({max(digits, 1)}, {len(rest)})"


def _copy_types(tree: exp.Expr, typed: exp.Expr) -> None:
    """Walk both side by side; the copy has table names that the original lacks."""
    stack = [(tree, typed)]
    while stack:
        node, other = stack.pop()
        if not isinstance(node, exp.DataType):
            node.type = other.type
        for key, value in node.args.items():
            theirs = other.args.get(key)
            if isinstance(value, exp.Expr) and isinstance(theirs, exp.Expr):
                stack.append((value, theirs))
            elif isinstance(value, list) and isinstance(theirs, list):
                stack += [
                    (a, b)
                    for a, b in zip(value, theirs, strict=True)
                    if isinstance(a, exp.Expr) and isinstance(b, exp.Expr)
                ]


_KINDS = (
    ("wide", WIDEST_INTEGERS | {"BIGINT"}),
    ("integer", INTEGERS_64),
    ("float", FLOATS),
    ("naive", LOCAL_TIMES | {"TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATETIME"}),
    ("aware", INSTANTS),
)


def kind_of(node: exp.Expr | None) -> str:
    """One of integer, wide (an integer of 64 bits or more), decimal, float, text, boolean, date,
    naive, aware, interval, null; or an empty string where the type is not known."""
    if isinstance(node, exp.Null):
        return "null"
    name = type_name(node)
    for found, names in _KINDS:
        if name in names:
            return found
    simple = {"DECIMAL": "decimal", "VARCHAR": "text", "TEXT": "text", "CHAR": "text",
              "BOOLEAN": "boolean", "DATE": "date", "INTERVAL": "interval", "NULL": "null"}  # fmt: skip
    return simple.get(name, "")
