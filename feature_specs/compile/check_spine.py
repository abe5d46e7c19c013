"""What a statement asks of its spine's types, which are known once it runs.

``typeof`` is a constant to DuckDB, so that what is not needed for a type costs nothing.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.duckdb_sql import DUCKDB
from feature_specs.compile.lowerings.lowered import quoted

_NANOSECONDS = "('TIMESTAMP_NS', 'TIMESTAMPTZ_NS')"
_NUMBERS = (
    "(typeof({0}) like '%INT' or typeof({0}) in ('INTEGER', 'UINTEGER') "
    "or typeof({0}) like 'DECIMAL%')"
)


def instant_sql(column: str) -> str:
    """SQL of a spine column as a timestamp with time zone; what is finer than 1 us rounds down."""
    fine = f"epoch_ns(cast(cast({column} as varchar) as timestamp_ns))"
    floor = f"{fine} // 1000 - cast({fine} % 1000 < 0 as bigint)"
    return (
        f"case when typeof({column}) in {_NANOSECONDS} then make_timestamptz({floor}) "
        f"else cast({column} as timestamptz) end"
    )


def key_tests(draft: Draft) -> list[str]:
    """SQL that holds for every key, and raises where its type has values that are no key's.

    Floats are no keys, and between numbers and other types values would be taken for one another:
    '03' and 3.
    """
    tests = []
    for entity in draft.view.entities:
        key, wrong = quoted(entity), [f"typeof({quoted(entity)}) in ('FLOAT', 'DOUBLE')"]
        number = _is_number(draft, entity)
        if number is not None:
            is_number = _NUMBERS.format(key)
            wrong.append(
                f"not {is_number} and typeof({key}) <> '\"NULL\"'" if number else is_number
            )
        text = f"spine column {entity} of {draft.view.name} is a ".replace("'", "''")
        tests.append(
            f"case when {' or '.join(wrong)} then cast(error('{text}' || typeof({key}) || "
            "', whose values are not the key''s own: cast it') as boolean) else true end"
        )
    return tests


def _is_number(draft: Draft, entity: str) -> bool | None:
    """Whether the leaves have the key as a number; None where that is not known."""
    keys = dict(zip(draft.view.entities, draft.form.keys, strict=True)) if draft.form else {}
    key = keys.get(entity)
    if not isinstance(key, exp.Column):
        return None
    written = {x.columns[key.name] for x in draft.leaves.values() if key.name in x.columns}
    kinds = [exp.DataType.build(w, dialect=DUCKDB, udt=True) for w in written]
    numbers = {kind.this in exp.DataType.NUMERIC_TYPES for kind in kinds}
    return numbers.pop() if len(numbers) == 1 else None
