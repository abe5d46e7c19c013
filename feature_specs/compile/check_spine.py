"""What a statement asks of its spine's types, which are known once it runs.

``typeof`` is a constant to DuckDB, so that what is not needed for a type costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.lowerings.lowered import ROW, quoted
from feature_specs.names import OWN_COLUMNS

_NANOSECONDS = "('TIMESTAMP_NS', 'TIMESTAMPTZ_NS')"

#: Columns of ``fb_spine`` that begin like our own, but for its instants, ``fb_t`` and ``fb_ts``.
_OURS = f"{OWN_COLUMNS}([^t].*|t[^s].*|ts.+)?"

#: What a regular expression does not take literally.
_SPECIAL = re.compile(r"[.^$*+?()\[\]{}|\\]")

_TYPES = exp.DataType

#: Kinds of key types, and SQL of whether a spine column is of the kind. Within one, a value of one type
#: is one and only one value of another; between two, '03' and 3 would be one key.
_KINDS: tuple[tuple[frozenset[exp.DType], str], ...] = (
    (
        frozenset(_TYPES.NUMERIC_TYPES - {exp.DType.BIT}),
        "typeof({0}) like '%INT' or typeof({0}) in ('INTEGER', 'UINTEGER') "
        "or typeof({0}) like 'DECIMAL%'",
    ),
    (frozenset(_TYPES.TEXT_TYPES), "typeof({0}) = 'VARCHAR' or typeof({0}) like 'ENUM%'"),
    (
        frozenset(_TYPES.TEMPORAL_TYPES - {exp.DType.TIME, exp.DType.TIMETZ}),
        "typeof({0}) = 'DATE' or typeof({0}) like 'TIMESTAMP%'",
    ),
    (frozenset({exp.DType.BOOLEAN}), "typeof({0}) = 'BOOLEAN'"),
    (frozenset({exp.DType.UUID}), "typeof({0}) = 'UUID'"),
)


def instant_sql(column: str) -> str:
    """SQL of a spine column as a timestamp with time zone; what is finer than 1 us rounds down."""
    fine = f"epoch_ns(cast(cast({column} as varchar) as timestamp_ns))"
    floor = f"{fine} // 1000 - cast({fine} % 1000 < 0 as bigint)"
    return (
        f"case when typeof({column}) in {_NANOSECONDS} then make_timestamptz({floor}) "
        f"else cast({column} as timestamptz) end"
    )


def name_test(features: Iterable[str]) -> str:
    """SQL that is true, or raises where ``fb_spine`` has a column that a feature is named like.

    A column of the spine that is named like one of our own is found too: ``fb_row`` comes out as
    ``fb_row_1`` there.
    """
    listed = "|".join(_SPECIAL.sub(r"\\\g<0>", name) for name in features)
    # Names as DuckDB compares them are found and, beyond ASCII, those that differ in case alone.
    found = f"struct_pack(*columns('(?i)^({_OURS}|{text(listed)})$'))"
    return (
        f"case when typeof({found}) <> typeof(struct_pack({ROW} := {ROW})) then cast(error("
        f"'spine column \"' || array_to_string(list_filter(struct_keys({found}), lambda n: "
        f"n <> '{ROW}'), '\", \"') || '\" is named like a feature, or begins with {OWN_COLUMNS} as "
        "forebay''s own columns do. Hint: rename it in the spine') as boolean) else true end"
    )


def key_tests(draft: Draft) -> list[str]:
    """SQL that holds for every key, and raises where its type has values that are no key's."""
    tests = []
    for entity, kind in zip(draft.view.entities, draft.key_types, strict=True):
        key = quoted(entity)
        fits = next((sql for types, sql in _KINDS if kind is not None and kind.this in types), None)
        wrong = f"typeof({key}) in ('FLOAT', 'DOUBLE')"
        if fits is not None:
            wrong = f"not ({fits.format(key)} or typeof({key}) = '\"NULL\"')"
        said = text(f"spine column {entity} of {draft.view.name} is a ")
        tests.append(
            f"case when {wrong} then cast(error('{said}' || typeof({key}) || "
            "', whose values are not the key''s own: cast it') as boolean) else true end"
        )
    return tests


def text(said: str) -> str:
    """A text as it stands between single quotes."""
    return said.replace("'", "''")
