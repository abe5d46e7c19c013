"""The snapshots that a project still needs: of its feature tables, training sets and online store."""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.table import Table

from forebay.dbt_project.project import Project
from forebay.training.changes import kept_records
from lakehouse.maintain.expire_snapshots import Pins
from lakehouse.maintain.pinned import pins_of_tables, snapshots_of
from serving.state import load_state
from serving.stores import reading_store


def pinned_snapshots(project: Project, tables: Iterable[Table]) -> Pins:
    """What must not expire, by all that the project knows.

    Raises:
        ForebayError: the online store cannot be read.
    """
    # Sets with an id have tags of their own, which `forebay maintain --forget` removes.
    untagged = (record for record in kept_records(project) if "id" not in record)
    records = {s for record in untagged for s in snapshots_of(record)}
    return pins_of_tables(tables) | Pins(read=frozenset(records)) | _of_store(project)


def _of_store(project: Project) -> Pins:
    """What the next `sync` and a stream resume from."""
    with reading_store(project.online) as store:
        states = [] if store is None else [load_state(raw) for raw in store.states().values()]
    known = [state for state in states if state is not None]
    onward = {s for state in known for s in (state.log, *(state.leaves or {}).values())}
    read = {state.snapshot for state in known}
    return Pins(
        frozenset(s for s in read if s is not None), frozenset(s for s in onward if s is not None)
    )
