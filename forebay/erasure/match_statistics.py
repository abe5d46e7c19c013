"""The statistics of features that name an entity: its key among a feature's frequent values."""

from __future__ import annotations

from collections.abc import Container, Mapping

from feature_specs.quote import literal
from lakehouse.statistics.keep_statistics import BASELINES, STATISTICS


def match_statistics(tables: Container[str], values: Mapping[str, str]) -> dict[str, str]:
    """Of each table of statistics what holds, in DuckDB's SQL, for the entries that name the entity.

    Those are entries of text features, and of features called as the key, with the key's value among
    their top values or the values that have a bin. A part of a key of several columns names nobody.

    Args:
        values: by key column, as `forebay erase` is given them.
    """
    if len(values) != 1:
        return {}
    ((key, value),) = values.items()
    told = literal(value)
    predicate = (
        f"coalesce((kind = 'category' or lower(feature) = {literal(key.lower())}) "
        f"and (list_contains(top_values, {told}) or list_contains(categories, {told})), false)"
    )
    return {name: predicate for name in (STATISTICS, BASELINES) if name in tables}
