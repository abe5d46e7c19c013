"""The rows of a view's earlier definition, kept for a day so that it can be switched back to at once.

A build that computes a view anew, since its definition has changed, replaces the rows in one commit.
Just before, it tags the snapshot of the rows that were there. A later build whose definition is that
of a tagged snapshot makes this the table's current one again, and steps on from there.

The tag's own maximum age makes `forebay maintain`, Spark and Trino let go of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import AssertRefSnapshotId
from pyiceberg.table.update.snapshot import ManageSnapshots

from feature_specs.catalog import ViewEntry
from feature_specs.instants import from_epoch_us
from feature_specs.quote import quoted
from lakehouse.count_rows import set_properties
from lakehouse.duckdb_types import column_types
from lakehouse.feature_tables.choose_step import stands_at
from lakehouse.feature_tables.fold_log import rows_before
from lakehouse.lake import (
    DEFINITION_PROPERTY,
    STATE_PROPERTY,
    FeatureState,
    find_table,
    load_table,
    read_state,
)
from lakehouse.pyiceberg_internals import SteadyTransaction
from lakehouse.remote.mount_files import mount
from lakehouse.scan import Pinned, under_schema
from lakehouse.write_rows import overtaken, write_query

#: For how long the rows of an earlier definition stay, in seconds, offline and online.
KEPT_S = 24 * 3600
#: Of the table of latest rows: the earlier generations, as JSON.
GENERATIONS_PROPERTY = "forebay.generations"
_TAG = "forebay-before-"


@dataclass(frozen=True)
class Generation:
    """The rows that one definition gave.

    Attributes:
        state: of the table while these were its rows.
        snapshot, schema: of the table then.
        since: when another definition took its place, in microseconds since the epoch, UTC.
        definition: what the view was made of, as the log's property had it; empty if it had none.
    """

    state: FeatureState
    snapshot: int
    schema: int
    since: int
    definition: str = ""

    @property
    def tag(self) -> str:
        """The tag that keeps its snapshot."""
        return generation_tag(self.state.semantic_hash)

    @property
    def until(self) -> int:
        """When it may be let go of, in microseconds since the epoch, UTC."""
        return self.since + KEPT_S * 1_000_000


def generation_tag(semantic_hash: str) -> str:
    """The name of the tag on the rows of a definition.

    >>> generation_tag("0123456789abcdef")
    'forebay-before-0123456789ab'
    """
    return f"{_TAG}{semantic_hash[:12]}"


def is_generation(ref: str) -> bool:
    """Whether a tag keeps the rows of an earlier definition."""
    return ref.startswith(_TAG)


def kept_generations(table: Table | None) -> list[Generation]:
    """The earlier generations whose snapshots the table of latest rows still has, oldest first."""
    if table is None:
        return []
    return [g for g in _read(table) if _is_there(table, g)]


def find_generation(table: Table | None, semantic_hash: str) -> Generation | None:
    """The generation that a definition gave; None where it is not kept."""
    found = (g for g in kept_generations(table) if g.state.semantic_hash == semantic_hash)
    return next(found, None)


def resume_point(
    table: Table | None, before: FeatureState | None, view: ViewEntry
) -> tuple[Table | None, FeatureState | None]:
    """The table of latest rows and the state that a build of the view steps on from.

    Those that it would switch back to, where they are kept, else the present ones.
    """
    kept = find_generation(table, view.semantic_hash)
    if table is None or before is None or kept is None:
        return table, before
    if before.semantic_hash == view.semantic_hash:
        return table, before
    changed = {
        "current_schema_id": kept.schema,
        "current_snapshot_id": kept.snapshot,
        "properties": {**table.properties, STATE_PROPERTY: kept.state.dumps()},
    }
    metadata = table.metadata.model_copy(update=changed)
    then = Table(table.name(), metadata, table.metadata_location, table.io, table.catalog)
    return then, kept.state


def keep_earlier(
    catalog: Catalog, table: Table | None, history: Table | None, view: ViewEntry
) -> Table | None:
    """Tag the rows of another definition of the view, before those of this one take their place.

    Args:
        table: of the latest rows.
        history: their log, as the last build left it.

    Returns the table, with the tag where there was something to keep.

    Raises:
        DataError: another writer has committed since the table was loaded.
    """
    before = read_state(history)
    if before is None or history is None or before.semantic_hash == view.semantic_hash:
        return table
    if table is None or not stands_at(table, before) or table.current_snapshot() is None:
        return table
    change = SteadyTransaction(table)
    _require_head(change, table)
    kept = _keep(change, table, before, history)
    change.set_properties({GENERATIONS_PROPERTY: _dumps(kept)})
    _commit(change, table)
    return load_table(catalog, ".".join(table.name()))


def forget_generations(table: Table) -> None:
    """Let go of all earlier generations: their snapshots go with the next expiry.

    Raises:
        DataError: another writer has committed since the table was loaded.
    """
    tags = [name for name in table.metadata.refs if is_generation(name)]
    if not tags and GENERATIONS_PROPERTY not in table.properties:
        return
    change = SteadyTransaction(table)
    _require_head(change, table)
    change.forget_refs(tags)
    change.set_properties({GENERATIONS_PROPERTY: "[]"})
    _commit(change, table)


def switch_back(
    connection: duckdb.DuckDBPyConnection, catalog: Catalog, view: ViewEntry
) -> tuple[str, ...]:
    """Make the rows that the view's definition gave before the current ones again, if they are kept.

    The log commits first, as in every build: it gains what differs, so that whoever follows it comes
    to the same rows. A run killed between the two commits is finished by the next.

    Returns what is to be told of it; nothing where nothing was done.

    Raises:
        DataError: another writer has committed meanwhile.
    """
    latest, history = find_table(catalog, view.table), find_table(catalog, view.history_table)
    before = read_state(history)
    kept = find_generation(latest, view.semantic_hash)
    if latest is None or history is None or before is None or kept is None:
        return ()
    if before.semantic_hash != view.semantic_hash:
        _log_difference(connection, catalog, view, latest, history, before, kept)
    elif before != kept.state or stands_at(latest, before):
        return ()  # it stands there already, or has gone on from there
    _restore(latest, history, before, kept)
    return (f"rows of this definition are current again, as of {from_epoch_us(kept.state.at)}",)


def _log_difference(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    view: ViewEntry,
    latest: Table,
    history: Table,
    before: FeatureState,
    kept: Generation,
) -> None:
    """Append to the log what makes the kept rows of the present ones."""
    types = column_types(history.schema())
    then = column_types(latest.schemas()[kept.schema])
    columns = [n for n in view.table_columns if n in types]
    listed = ", ".join(f"cast({quoted(n)} as {types[n]}) as {quoted(n)}" for n in columns)
    keys = ", ".join(map(quoted, view.keys))
    mount(connection)
    now = rows_before(latest, history, before, view.keys)
    connection.execute(f"create or replace temp table forebay_present as {now}")
    connection.execute(
        f"create or replace temp table forebay_kept as {Pinned(under_schema(latest, kept.schema), kept.snapshot).sql}"
    )
    there = {n for n, *_ in connection.execute("describe forebay_present").fetchall()}
    present = column_types(latest.schema()) if stands_at(latest, before) else types
    alike = all(n in there and present.get(n) == then.get(n) for n in columns)
    unchanged = f"except select {listed} from forebay_present" if alike else ""
    connection.execute(
        "create or replace temp table forebay_switched as select *, false as deleted "
        f"from (select {listed} from forebay_kept {unchanged}) as kept "
        f"union all by name select {keys}, true as deleted "
        f"from forebay_present anti join forebay_kept using ({keys})"
    )
    properties = {STATE_PROPERTY: kept.state.dumps(), DEFINITION_PROPERTY: kept.definition}
    if not kept.definition:
        del properties[DEFINITION_PROPERTY]
    ((changed,),) = connection.execute("select count(*) from forebay_switched").fetchall()
    if not changed:
        set_properties(history, properties)
        return
    lacking = [n for n in types if n not in (*columns, "deleted", "computed_at", "committed_at")]
    nulls = "".join(f", cast(null as {types[n]}) as {quoted(n)}" for n in lacking)
    write_query(
        connection,
        catalog,
        view.history_table,
        f"select * exclude (deleted){nulls}, deleted, $as_of as computed_at, "
        "cast(get_current_timestamp() as timestamptz) as committed_at from forebay_switched",
        types,
        at=from_epoch_us(kept.state.at),
        mode="append",
        columns="add",
        properties=properties,
        table=history,
    )()


def _restore(latest: Table, history: Table, before: FeatureState, kept: Generation) -> None:
    change = SteadyTransaction(latest)
    _require_head(change, latest)
    generations = [g for g in kept_generations(latest) if g != kept]
    if before.semantic_hash != kept.state.semantic_hash and stands_at(latest, before):
        generations = [g for g in _keep(change, latest, before, history) if g != kept]
    ManageSnapshots(change).set_current_snapshot(snapshot_id=kept.snapshot).remove_tag(
        kept.tag
    ).commit()
    change.use_schema(kept.schema)
    change.set_properties(
        {STATE_PROPERTY: kept.state.dumps(), GENERATIONS_PROPERTY: _dumps(generations)}
    )
    _commit(change, latest)


def _keep(
    change: SteadyTransaction, table: Table, state: FeatureState, history: Table
) -> list[Generation]:
    """Stage the tag of the table's current rows. Returns all generations that are kept then."""
    current = table.current_snapshot()
    if current is None:
        return kept_generations(table)  # no rows, no snapshot: computed anew as quickly
    now = time.time_ns() // 1000
    schema = table.metadata.current_schema_id
    definition = history.properties.get(DEFINITION_PROPERTY, "")
    made = Generation(state, current.snapshot_id, schema, now, definition)
    # Iceberg counts a tag's age from its snapshot's time, not from that of the tag.
    age = max(now // 1000 - current.timestamp_ms, 0) + KEPT_S * 1000
    ManageSnapshots(change).create_tag(current.snapshot_id, made.tag, max_ref_age_ms=age).commit()
    others = [g for g in kept_generations(table) if g.tag != made.tag]
    return [*others, made]


def _require_head(change: SteadyTransaction, table: Table) -> None:
    seen = {"ref": MAIN_BRANCH, "snapshot-id": table.metadata.current_snapshot_id}
    change.require(AssertRefSnapshotId.model_validate(seen))


def _commit(change: SteadyTransaction, table: Table) -> None:
    try:
        change.commit_transaction()
    except CommitFailedException:
        raise overtaken(".".join(table.name())) from None


def _is_there(table: Table, generation: Generation) -> bool:
    ref = table.metadata.refs.get(generation.tag)
    held = table.snapshot_by_id(generation.snapshot) is not None
    return ref is not None and ref.snapshot_id == generation.snapshot and held


def _read(table: Table) -> list[Generation]:
    found = json.loads(table.properties.get(GENERATIONS_PROPERTY, "[]"))
    return [Generation(**{**each, "state": FeatureState(**each["state"])}) for each in found]


def _dumps(generations: Sequence[Generation]) -> str:
    return json.dumps([asdict(g) for g in generations])
