"""Compare two versions of a view as built: how many values differ, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import from_epoch_us
from feature_specs.quote import quoted
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from forebay.planning.built_logs import definition_of
from lakehouse.lake import load_table, open_lake, read_state
from lakehouse.relations import connect, feature_relation_sql
from lakehouse.remote.mount_files import mount
from lakehouse.same_values import differ
from lineage.compare_definitions import compare_definitions


@dataclass(frozen=True)
class Comparison:
    """What differs between two views of the same entities.

    Attributes:
        entities: that both have.
        only_old, only_new: how many entities only one has.
        different: of each feature that both have, how many entities have another value of it.
        removed, added: features that only one has.
        why: what differs in what the two were built from.
        at: the instants that they were built at, ISO 8601.
    """

    old: str
    new: str
    entities: int
    only_old: int
    only_new: int
    different: Mapping[str, int]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    why: tuple[str, ...] = ()
    at: Mapping[str, str] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether every entity has the same values of the features that both have."""
        return not (self.only_old or self.only_new or any(self.different.values()))


def compare_views(project: Project, catalog: Catalog, old: str, new: str) -> Comparison:
    """Compare the latest rows of two views as they were built last.

    Raises:
        ForbiddenError: one is private to another group.
        DataError: they have other keys, or were built at other instants, whose values differ anyway.
        ForebayError: one is not built.
    """
    views = (catalog.view(old), catalog.view(new))
    check_readable(project, catalog, (old, new))
    if views[0].keys != views[1].keys:
        raise DataError(
            f"{old!r} has keys {', '.join(views[0].keys)}, and {new!r} {', '.join(views[1].keys)}",
            where="forebay compare",
            hint="compare views of the same entity",
        )
    lake = open_lake(project.lake)
    built = {view.name: _built_at(lake, view) for view in views}
    if len(set(built.values())) > 1:
        raise DataError(
            f"{old!r} and {new!r} were built at other instants",
            where="forebay compare",
            hint=f"run `forebay build --select {old} {new}` with one --now",
        )
    sql = [_relation(lake, project, view) for view in views]
    both = [n for n in _names(views[0]) if n in _names(views[1])]
    connection = connect(catalog)
    mount(connection)
    types = {n: (views[0].feature(n).type, views[1].feature(n).type) for n in both}
    counts = _counts(views[0].keys, sql[0], sql[1], types)
    found = connection.execute(counts).fetchall()[0]
    made = [_definition(lake, view) for view in views]
    why = compare_definitions(*made) if made[0] and made[1] else ()
    at = {name: from_epoch_us(us).isoformat() for name, us in built.items()}
    return Comparison(
        old=old,
        new=new,
        entities=found[0],
        only_old=found[1],
        only_new=found[2],
        different=dict(zip(both, found[3:], strict=True)),
        removed=tuple(n for n in _names(views[0]) if n not in both),
        added=tuple(n for n in _names(views[1]) if n not in both),
        why=tuple(map(str, why)),
        at=at,
    )


def _names(view: ViewEntry) -> list[str]:
    return [feature.name for feature in view.features]


def _built_at(lake: Lake, view: ViewEntry) -> int:
    state = read_state(load_table(lake, view.table))
    if state is None or state.semantic_hash != view.semantic_hash:
        raise _not_built(view)
    return state.at


def _relation(lake: Lake, project: Project, view: ViewEntry) -> str:
    sql = feature_relation_sql(lake, project.folder, view)
    if sql is None:
        raise _not_built(view)
    return sql


def _not_built(view: ViewEntry) -> ForebayError:
    return ForebayError(
        f"feature view {view.name!r} is not built as it is compiled",
        where=view.table,
        hint=f"run `forebay build --select {view.name}`",
    )


def _counts(keys: tuple[str, ...], old: str, new: str, types: Mapping[str, tuple[str, str]]) -> str:
    """One row: entities of both, of the old alone, of the new alone, then a feature a column."""
    same = " and ".join(f"o.{quoted(k)} = n.{quoted(k)}" for k in keys)
    first = quoted(keys[0])
    both = f"o.{first} is not null and n.{first} is not null"
    differing = [
        f"count(*) filter (where {both} and {differ(f'o.{quoted(name)}', f'n.{quoted(name)}', *kinds)})"
        for name, kinds in types.items()
    ]
    counts = [
        f"count(*) filter (where {both})",
        f"count(*) filter (where n.{first} is null)",
        f"count(*) filter (where o.{first} is null)",
        *differing,
    ]
    return f"select {', '.join(counts)} from ({old}) as o full join ({new}) as n on {same}"


def _definition(lake: Lake, view: ViewEntry) -> dict[str, Any]:
    return definition_of(load_table(lake, view.history_table)) or {}
