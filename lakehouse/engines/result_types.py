"""Types of an answer that an engine writes to an Iceberg table."""

from __future__ import annotations

from feature_specs.compile.engines import Engine
from feature_specs.compile.engines.map.map_types import engine_type_name
from lakehouse.stored_types import STORED_AS

_LIST = "[]"
#: Iceberg's types that the compiler never writes, and so does not map.
_ICEBERG_ONLY = {"trino": {"TIME": "TIME(6)", "UUID": "UUID"}, "spark": {"UUID": "STRING"}}


def engine_type(kind: str, engine: Engine) -> str:
    """The engine's name of a DuckDB type, lists too.

    >>> engine_type("HUGEINT[]", "trino"), engine_type("VARCHAR[]", "spark")
    ('ARRAY(DECIMAL(38, 0))', 'ARRAY<STRING>')
    """
    if kind.endswith(_LIST):
        inner = engine_type(kind.removesuffix(_LIST), engine)
        return f"ARRAY({inner})" if engine == "trino" else f"ARRAY<{inner}>"
    special = _ICEBERG_ONLY.get(engine, {}).get(kind)
    return special or engine_type_name(kind, engine)


def storable(value: str, kind: str, engine: Engine) -> str:
    """A value in a type that Iceberg has: it has no integer of less than 32 bits, say.

    Args:
        kind: the DuckDB type of what the engine computes.

    >>> storable("x", "SMALLINT", "trino"), storable("x", "BIGINT", "trino")
    ('cast(x as INTEGER)', 'x')
    """
    depth = kind.count(_LIST)
    element = kind.replace(_LIST, "")
    stored = STORED_AS.get(element)
    if stored is None:
        return value
    return f"cast({value} as {engine_type(stored + _LIST * depth, engine)})"
