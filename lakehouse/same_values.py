"""SQL that tells whether two values of a feature are the same."""

from __future__ import annotations

from lakehouse.statistics.feature_statistics import kind_of

#: Floats are the same within this share of the greater one: sums in another order differ so.
TOLERANCE = 1e-9
_FLOATS = ("DOUBLE", "FLOAT")


def differ(one: str, other: str, kind: str, other_kind: str | None = None) -> str:
    """SQL that holds where two values differ, and is never null. Nulls are the same, and NaNs.

    Numbers of two types are compared as numbers, other values of two types as text.

    Args:
        one, other: SQL of the values.
        kind, other_kind: their DuckDB types; of the other by default the same.

    >>> differ("a.n", "b.n", "BIGINT")
    '(a.n is distinct from b.n)'
    """
    kinds = kind.upper(), (other_kind or kind).upper()
    if kinds[0] != kinds[1] and not all(kind_of(each) == "number" for each in kinds):
        return f"({one}::varchar is distinct from {other}::varchar)"
    test = f"{one} is distinct from {other}"
    if not set(kinds) & set(_FLOATS):
        return f"({test})"
    # Of an infinite value or NaN the difference is infinite or NaN, and so is what it may be.
    finite = f"isfinite({one}::double) and isfinite({other}::double)"
    near = f"abs({one} - {other}) <= {TOLERANCE} * greatest(abs({one}), abs({other}))"
    return f"({test} and not coalesce({finite} and {near}, false))"
