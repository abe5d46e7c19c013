"""DuckDB's types as the engines' own, and casts that round or print alike."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.map.nodes import (
    call,
    case,
    engine_type,
    number,
    paren,
    raw,
    refusal,
)
from feature_specs.compile.engines.rewrite.annotate_columns import kind_of
from feature_specs.compile.sql.type_names import INTEGERS_64, WIDEST_INTEGERS

_SAME = {"BOOLEAN", "SMALLINT", "INT", "BIGINT", "DOUBLE", "DATE", "TINYINT", "USERDEFINED"}
_OTHER = {
    "trino": {
        "UTINYINT": "SMALLINT", "USMALLINT": "INT", "UINT": "BIGINT", "UBIGINT": "DECIMAL(20, 0)",
        "INT128": "DECIMAL(38, 0)", "FLOAT": "REAL", "VARCHAR": "VARCHAR", "TEXT": "VARCHAR",
        "TIMESTAMP": "TIMESTAMP(6)", "TIMESTAMPNTZ": "TIMESTAMP(6)",
        "TIMESTAMPTZ": "TIMESTAMP(6) WITH TIME ZONE", "VARBINARY": "VARBINARY",
    },
    "spark": {
        "UTINYINT": "SMALLINT", "USMALLINT": "INT", "UINT": "BIGINT", "UBIGINT": "DECIMAL(20, 0)",
        "INT128": "DECIMAL(38, 0)", "FLOAT": "FLOAT", "VARCHAR": "STRING", "TEXT": "STRING",
        "TIMESTAMP": "TIMESTAMP_NTZ", "TIMESTAMPNTZ": "TIMESTAMP_NTZ", "TIMESTAMPTZ": "TIMESTAMP",
        "VARBINARY": "BINARY",
    },
}  # fmt: skip
_INTEGERS = (INTEGERS_64 | WIDEST_INTEGERS) - {"UINT128"}
#: Spark gives up digits behind the point beyond this scale, without a word.
_SPARK_SCALE = 6


def map_type(kind: exp.DataType, engine: str) -> exp.DataType:
    """The engine's type. Raises CompileError where it has none that holds the same values."""
    name = kind.this.name if isinstance(kind.this, exp.DType) else str(kind.this)
    if name in _SAME:
        return kind
    if name == "DECIMAL":
        parts = [int(p.name) for p in kind.expressions] or [18, 3]
        precision, scale = (*parts, 0)[:2]
        if engine == "spark" and precision == 38 and scale > _SPARK_SCALE:
            raise refusal(f"a decimal(38, {scale}), whose differences it rounds,", engine)
        return engine_type(f"DECIMAL({precision}, {scale})")
    other = _OTHER[engine].get(name)
    if other is None:
        raise refusal(f"the type {kind.sql('duckdb')}", engine)
    return engine_type(other)


def engine_type_name(kind: str, engine: str) -> str:
    """The engine's name of a DuckDB type."""
    return map_type(exp.DataType.build(kind, dialect="duckdb"), engine).sql(engine)


def map_cast(node: exp.Cast, engine: str) -> exp.Expr:
    """A cast that gives what DuckDB's gives."""
    target = node.to.this.name if isinstance(node.to.this, exp.DType) else ""
    if target in ("", "USERDEFINED"):
        return node  # mapped already
    source = kind_of(node.this)
    value = node.this
    if isinstance(value, exp.Placeholder):
        source = "text"
    if target in ("TIMESTAMP", "TIMESTAMPTZ") and isinstance(value, exp.Literal):
        node.set("this", _instant(value))
    elif target == "INT128" and isinstance(value, exp.Literal) and engine == "trino":
        node.set("this", raw(f"DECIMAL '{value.this}'"))  # longer than a bigint's literal
    elif target in _INTEGERS and source in ("float", "decimal"):
        node.set("this", _rounded(value, source, engine))
    elif target in _INTEGERS and source == "" and not _is_error(value):
        raise refusal(
            f"the cast {node.sql('duckdb')} of a value of unknown type, which may round,",
            engine,
            "hand the types of the leaves' columns to write_for_engine as its schema",
        )
    elif target in ("VARCHAR", "TEXT") and source not in (
        "text", "integer", "wide", "boolean", "date", "decimal", "null",
    ):  # fmt: skip
        raise refusal(f"the text of {value.sql('duckdb')}", engine)
    elif target == "DECIMAL" and source == "float":
        raise refusal(f"the cast {node.sql('duckdb')} of a float to a decimal", engine)
    elif target == "INTERVAL":
        raise refusal(f"the cast {node.sql('duckdb')}", engine)
    node.set("to", map_type(node.to, engine))
    return node


def _is_error(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name in ("fail", "raise_error")


def _instant(literal: exp.Literal) -> exp.Expr:
    """An instant as text that every engine reads: a space, and the offset after another one."""
    text = literal.this.strip().replace("T", " ", 1)
    day, _, rest = text.partition(" ")
    for sign in "+-":
        clock, found, offset = rest.partition(sign)
        if found:
            hours, _, minutes = offset.partition(":")
            zone = f"{sign}{int(hours):02d}:{int(minutes or 0):02d}"
            return exp.Literal.string(f"{day} {clock.strip()} {zone}")
    if rest.endswith("Z"):
        return exp.Literal.string(f"{day} {rest[:-1].strip()} +00:00")
    return exp.Literal.string(text)


def _rounded(value: exp.Expr, source: str, engine: str) -> exp.Expr:
    """DuckDB rounds halves of floats to even, and halves of decimals away from zero."""
    if source == "decimal":
        return value.copy() if engine == "trino" else call("round", value)
    if engine == "spark":
        return call("rint", value)
    low = call("floor", value)
    rest = exp.Sub(this=paren(value), expression=low.copy())
    half = raw("DOUBLE '0.5'")
    odd = exp.NEQ(this=exp.Mod(this=low.copy(), expression=number(2)), expression=number(0))
    up = exp.or_(
        exp.GT(this=rest.copy(), expression=half.copy()),
        exp.and_(exp.EQ(this=rest.copy(), expression=half.copy()), odd),
    )
    step = case((up, number(1)), default=number(0))
    return exp.Add(this=low.copy(), expression=step)
