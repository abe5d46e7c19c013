"""Switch a view back to the rows of an earlier definition, offline and online, without computing them."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass

from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError, ForebayError
from forebay.dbt_project.project import Project
from lakehouse.feature_tables.generations import kept_generations, switch_back
from lakehouse.lake import DEFINITION_PROPERTY, find_table, open_lake, read_state
from lakehouse.relations import connect
from lineage.compare_definitions import compare_definitions
from serving.state import load_state
from serving.stores import StoredView, reading_store
from serving.sync import SyncReport, sync


@dataclass(frozen=True)
class KeptRows:
    """The rows that a definition of a view gave.

    Attributes:
        semantic_hash: of the definition.
        current: whether they are the feature table's rows now.
        compiled: whether the project defines the view so now.
        at: the instant of the rows, in microseconds since the epoch, UTC.
        until: when `forebay maintain` may take them, likewise; None of the current ones.
        differs: what in the definition differs from that of the current rows.
    """

    semantic_hash: str
    current: bool
    compiled: bool
    at: int
    until: int | None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Switched:
    """What was switched to.

    Attributes:
        offline: whether the feature table was; else a killed run had done that.
        at: the instant of the rows, in microseconds since the epoch, UTC.
        online: what became of the online rows; None where there is no store.
    """

    view: str
    offline: bool
    at: int
    online: SyncReport | None


def list_rows(project: Project, catalog: Catalog, name: str) -> list[KeptRows]:
    """The rows of all definitions of a view that the lake has, the current ones first.

    Raises:
        UnknownNameError: there is no such view.
        ForebayError: it is not built.
    """
    view, lake = catalog.view(name), open_lake(project.lake)
    latest, history = find_table(lake, view.table), find_table(lake, view.history_table)
    state = read_state(latest)
    if latest is None or history is None or state is None:
        raise _not_built(view)
    now = history.properties.get(DEFINITION_PROPERTY, "")
    compiled = view.semantic_hash
    found = [
        KeptRows(state.semantic_hash, True, state.semantic_hash == compiled, state.at, None),
    ]
    for kept in reversed(kept_generations(latest)):
        told = kept.state.semantic_hash
        differs = _differences(now, kept.definition)
        found.append(KeptRows(told, False, told == compiled, kept.state.at, kept.until, differs))
    return found


def _differences(now: str, then: str) -> tuple[str, ...]:
    if not now or not then:
        return ()
    return tuple(map(str, compare_definitions(json.loads(now), json.loads(then))))


def check_kept(project: Project, catalog: Catalog, name: str) -> None:
    """Check that the definition which the project has now is one whose rows are kept.

    Raises:
        DataError: it is not, or it is that of the current rows, offline and online.
    """
    view = catalog.view(name)
    rows = list_rows(project, catalog, name)
    if any(r.compiled and not r.current for r in rows):
        return
    if not rows[0].compiled:
        raise DataError(
            f"no rows of this definition of feature view {name!r} are kept",
            where=view.file,
            hint=f"`forebay build --select {name}` computes them; `forebay switch {name}` lists "
            "what is kept",
        )
    if not _waits_online(project, view):
        raise DataError(
            f"the project still defines feature view {name!r} as its current rows were computed",
            where=view.file,
            hint=f"restore its text first, for example `git checkout REVISION -- {view.file}`, and "
            "run this again",
        )


def switch_view_back(project: Project, catalog: Catalog, name: str) -> Switched:
    """Make the kept rows of the view's definition the current ones, offline and then online.

    A run that was killed is finished by the next.

    Raises:
        DataError: as `check_kept`; or another process has built the view meanwhile.
        ForebayError: the online store cannot be written.
    """
    check_kept(project, catalog, name)
    view, lake = catalog.view(name), open_lake(project.lake)
    with closing(connect(catalog)) as connection:
        done = bool(switch_back(connection, lake, view))
    online = None
    if _has_store(project):
        (online,) = sync(catalog, [name])
        if online.error:
            raise ForebayError(
                f"the feature table was switched, and the online store was not: {online.error}",
                where=name,
                hint=f"run `forebay sync {name}` once that is mended",
            )
    return Switched(name, done, _instant(lake, view), online)


def _instant(lake: Lake, view: ViewEntry) -> int:
    state = read_state(find_table(lake, view.table))
    if state is None:
        raise _not_built(view)
    return state.at


def _has_store(project: Project) -> bool:
    with reading_store(project.online) as store:
        return store is not None


def _waits_online(project: Project, view: ViewEntry) -> bool:
    """Whether the store has other rows of the view as the present ones."""
    with reading_store(project.online) as store:
        if store is None:
            return False
        known = load_state(store.get_state(StoredView.of(view)))
    return known is None or known.retired is not None


def _not_built(view: ViewEntry) -> ForebayError:
    return ForebayError(
        f"feature view {view.name!r} is not built yet",
        where=view.table,
        hint=f"run `forebay build --select {view.name}`",
    )
