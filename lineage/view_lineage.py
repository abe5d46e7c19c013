"""The lineage of one feature view: which leaf columns reach each feature, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lineage.effects import NOTHING, Effects, read_effect, together

#: An output column to what reaches it.
Columns: TypeAlias = Mapping[str, Effects]


@dataclass(frozen=True)
class ViewLineage:
    """What reaches each column of a view. Sources are ``(leaf, column)``, a leaf named as in the catalog.

    Attributes:
        features: of each feature, as the author spells it, the effects on its values alone.
        keys: the same of the entities and of event_time.
        rows: what decides which rows the view has, and so reaches every feature.
        models: of each dbt model that the view inlines, by its relation's name in lower case without
            quotes, what reaches each of its columns.
        through: of each feature and key, the columns ``(model, column)`` of those models that reach it.
        rows_through: the same of the view's rows.
    """

    features: Columns
    keys: Columns = field(default_factory=dict)
    rows: Effects = field(default_factory=dict)
    models: Mapping[str, Columns] = field(default_factory=dict)
    through: Columns = field(default_factory=dict)
    rows_through: Effects = field(default_factory=dict)

    def of_feature(self, name: str) -> Effects:
        """All that reaches a feature, whole-row effects included."""
        return together([self.features.get(name, NOTHING), self.rows])

    def dump(self) -> dict[str, Any]:
        """As plain JSON values: of each column a list ``[leaf, column, effect, ...]`` for each source."""
        return {
            "features": _dump_columns(self.features),
            "keys": _dump_columns(self.keys),
            "rows": dump_effects(self.rows),
            "models": {n: _dump_columns(columns) for n, columns in self.models.items()},
            "through": _dump_columns(self.through),
            "rows_through": dump_effects(self.rows_through),
        }


def load_lineage(raw: Mapping[str, Any]) -> ViewLineage:
    """The lineage of `ViewLineage.dump`."""
    return ViewLineage(
        _load_columns(raw["features"]),
        _load_columns(raw["keys"]),
        load_effects(raw["rows"]),
        {n: _load_columns(columns) for n, columns in raw["models"].items()},
        _load_columns(raw["through"]),
        load_effects(raw["rows_through"]),
    )


def dump_effects(effects: Effects) -> list[list[str]]:
    """Effects as lists ``[table, column, effect, ...]``, sorted."""
    return [[*column, *sorted(e.code for e in found)] for column, found in sorted(effects.items())]


def load_effects(listed: list[list[str]]) -> Effects:
    """The effects of `dump_effects`."""
    return {(leaf, c): frozenset(map(read_effect, codes)) for leaf, c, *codes in listed}


def _dump_columns(columns: Columns) -> dict[str, list[list[str]]]:
    return {name: dump_effects(effects) for name, effects in columns.items()}


def _load_columns(raw: Mapping[str, list[list[str]]]) -> Columns:
    return {name: load_effects(listed) for name, listed in raw.items()}
