"""What a statement asks of its spine's types, which are known once it runs.

``typeof`` is a constant to DuckDB, so that what is not needed for a type costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.lowerings.lowered import ROW
from feature_specs.names import OWN_COLUMNS
from feature_specs.quote import quoted
from feature_specs.sql_types import KEY_KINDS

_NANOSECONDS = "('TIMESTAMP_NS', 'TIMESTAMPTZ_NS')"

#: Columns of ``fb_spine`` that begin like our own, but for its instants, ``fb_t`` and ``fb_ts``.
_OURS = f"{OWN_COLUMNS}([^t].*|t[^s].*|ts.+)?"

#: What a regular expression does not take literally.
_SPECIAL = re.compile(r"[.^$*+?()\[\]{}|\\]")

_TYPES = exp.DataType

#: Types that a key may have, and of which kind its spine column must then be.
_KINDS: tuple[tuple[frozenset[exp.DType], str], ...] = (
    (frozenset(_TYPES.NUMERIC_TYPES - {exp.DType.BIT}), "number"),
    (frozenset(_TYPES.TEXT_TYPES), "text"),
    (frozenset(_TYPES.TEMPORAL_TYPES - {exp.DType.TIME, exp.DType.TIMETZ}), "time"),
    (frozenset({exp.DType.BOOLEAN}), "boolean"),
    (frozenset({exp.DType.UUID}), "uuid"),
)


def instant_sql(column: str) -> str:
    """SQL of a spine column as a timestamp with time zone; what is finer than 1 us rounds down."""
    fine = f"epoch_ns(cast(cast({column} as varchar) as timestamp_ns))"
    floor = f"{fine} // 1000 - cast({fine} % 1000 < 0 as bigint)"
    return (
        f"case when typeof({column}) in {_NANOSECONDS} then make_timestamptz({floor}) "
        f"else cast({column} as timestamptz) end"
    )


def instant_test(column: str, instant: str) -> str:
    """SQL that holds for every instant and for none, and raises where it is infinite.

    Args:
        column: the spine's own name for it.
        instant: what ``instant_sql`` makes of it.
    """
    return (
        f"case when isinf({instant}) then cast(error('spine column {text(quoted(column))} is "
        "infinite in a row, and features have no value then. Hint: give the instant at which they "
        "are wanted, or leave the row out') as boolean) else true end"
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
    """SQL that holds for every key, and raises where its type has values that are not key's."""
    tests = []
    for entity, kind in zip(draft.view.entities, draft.key_types, strict=True):
        key = quoted(draft.spine_key(entity))
        fits = next((k for types, k in _KINDS if kind is not None and kind.this in types), None)
        wrong = f"typeof({key}) in ('FLOAT', 'DOUBLE')"
        if fits is not None:
            wrong = f"not ({KEY_KINDS[fits].test.format(key)} or typeof({key}) = '\"NULL\"')"
        said = text(f"spine column {draft.spine_key(entity)} of {draft.view.name} is a ")
        tests.append(
            f"case when {wrong} then cast(error('{said}' || typeof({key}) || "
            "', whose values are not the key''s own: cast it') as boolean) else true end"
        )
    return tests


def text(said: str) -> str:
    """A text as it stands between single quotes."""
    return said.replace("'", "''")
