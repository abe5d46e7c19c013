"""What a statement asks of its spine's types, which are known once it runs.

``typeof`` is a constant to DuckDB, so that what is not needed for a type costs nothing.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.lowerings.lowered import quoted

_NANOSECONDS = "('TIMESTAMP_NS', 'TIMESTAMPTZ_NS')"

#: Kinds of types, and SQL of whether a spine column is of the kind. Within one, a value of one type is
#: one and only one value of another; between two, '03' and 3 would be one key.
_KINDS = {
    "number": "typeof({0}) like '%INT' or typeof({0}) in ('INTEGER', 'UINTEGER') "
    "or typeof({0}) like 'DECIMAL%'",
    "text": "typeof({0}) = 'VARCHAR' or typeof({0}) like 'ENUM%'",
    "time": "typeof({0}) = 'DATE' or typeof({0}) like 'TIMESTAMP%'",
    "truth": "typeof({0}) = 'BOOLEAN'",
    "uuid": "typeof({0}) = 'UUID'",
}


def instant_sql(column: str) -> str:
    """SQL of a spine column as a timestamp with time zone; what is finer than 1 us rounds down."""
    fine = f"epoch_ns(cast(cast({column} as varchar) as timestamp_ns))"
    floor = f"{fine} // 1000 - cast({fine} % 1000 < 0 as bigint)"
    return (
        f"case when typeof({column}) in {_NANOSECONDS} then make_timestamptz({floor}) "
        f"else cast({column} as timestamptz) end"
    )


def key_tests(draft: Draft) -> list[str]:
    """SQL that holds for every key, and raises where its type has values that are no key's."""
    tests = []
    for entity, kind in zip(draft.view.entities, draft.key_types, strict=True):
        key, name = quoted(entity), _kind_of(kind)
        wrong = f"typeof({key}) in ('FLOAT', 'DOUBLE')"
        if name is not None:
            wrong = f"not ({_KINDS[name].format(key)} or typeof({key}) = '\"NULL\"')"
        text = f"spine column {entity} of {draft.view.name} is a ".replace("'", "''")
        tests.append(
            f"case when {wrong} then cast(error('{text}' || typeof({key}) || "
            "', whose values are not the key''s own: cast it') as boolean) else true end"
        )
    return tests


def _kind_of(kind: exp.DataType | None) -> str | None:
    """None where the type is not known, or of no kind."""
    if kind is None:
        return None
    kinds = {
        "number": exp.DataType.NUMERIC_TYPES - {exp.DType.BIT},
        "text": exp.DataType.TEXT_TYPES,
        "time": exp.DataType.TEMPORAL_TYPES - {exp.DType.TIME, exp.DType.TIMETZ},
        "truth": (exp.DType.BOOLEAN,),
        "uuid": (exp.DType.UUID,),
    }
    return next((name for name, types in kinds.items() if kind.this in types), None)
