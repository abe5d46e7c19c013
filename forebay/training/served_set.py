"""A training set of what was really online: the vectors that a service's callers were given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError
from feature_specs.names import fold_name
from feature_specs.quote import literal, quoted
from feature_specs.view import FeatureReference
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from forebay.training.check_out import check_out
from forebay.training.duckdb_engine import DuckDBEngine
from forebay.training.training_set import TrainingSet
from forebay.training.write_set import WrittenSet
from lakehouse.lake import find_table, open_lake
from lakehouse.scan import pin
from lakehouse.statistics.feature_statistics import kind_of
from lakehouse.training_record import SpineReading, make_record
from serving.key_sql import key_value_sql
from serving.served.commit_spool import SERVED
from serving.served.read_log import log_sql

#: The column of the answers' instants.
TIMESTAMP = "served_at"


def write_served_set(
    project: Project,
    service: str,
    until: datetime,
    last: timedelta,
    out: Path,
    *,
    dry_run: bool = False,
) -> tuple[WrittenSet, int]:
    """Write what callers of a service were given, a row a logged vector, and how many were left out.

    A row has the key and request values that were sent, ``served_at``, and each feature as it was
    answered, nulls included. Left out are vectors under another definition of a view, of hashed or
    null keys, and of a service that had other features then.

    Args:
        until, last: the answers' instants, up to this one and so long before it.
        out: a Parquet file, which appears whole or not at all.

    Raises:
        ForbiddenError: a view is private to another group.
        DataError: the log has no such vector.
    """
    check_out(out, None, "--out")
    catalog = project.catalog()
    entry = catalog.service(service)
    check_readable(project, catalog, (view for view, _ in entry.features))
    lake = open_lake(catalog.lake)
    since = until - last
    logged = log_sql(lake, since, until)
    mine = "" if logged is None else f"({logged} and service = {literal(service)})"
    sql = (
        None
        if logged is None
        else f"select * from ({_vectors(catalog, service, mine)}) order by all"
    )
    engine = DuckDBEngine(catalog)
    rows, known = (0, 0) if sql is None else _counts(engine, sql, mine)
    if sql is None or not rows:
        engine.close()
        raise _nothing(service, since, known)
    types = engine.column_types(sql)
    reading = SpineReading(service, {"relation": SERVED, "rows": rows}, TIMESTAMP)
    table = find_table(lake, SERVED)
    assert table is not None
    made = make_record(catalog, lake, [reading], {}, types, project.root, computed=False)
    made["served"] = {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "snapshot": pin(table).snapshot,
    }
    with TrainingSet(project, engine, sql, types, made, rows) as found:
        if not dry_run:
            found.write(out)
        return WrittenSet(service, str(out), rows, len(types), 0), known - rows


def _nothing(service: str, since: datetime, known: int) -> DataError:
    left = f"; {known} of it cannot be taken: other definitions, or hashed keys" if known else ""
    return DataError(
        f"the log has no vector of {service!r} since {since.isoformat()}{left}",
        where=SERVED,
        hint="`forebay serve --log-served 0.01` logs what it answers, `forebay served` carries "
        "that into the lake, and --last says how far to go back",
    )


def _counts(engine: DuckDBEngine, sql: str, logged: str) -> tuple[int, int]:
    rows = next(_numbers(engine, f"select count(*) as n from ({sql})"))
    known = next(
        _numbers(engine, f"select count(*) as n from (select distinct file, line from {logged})")
    )
    return rows, known


def _numbers(engine: DuckDBEngine, sql: str) -> Iterator[int]:
    for batch in engine.batches(sql, 1, None):
        yield from batch.column(0).to_pylist()


def _vectors(catalog: Catalog, service: str, logged: str) -> str:
    """A SELECT of vectors: the rows that one line of the log has of each of the service's views."""
    views: dict[str, list[str]] = {}
    for named, feature in catalog.service(service).features:
        views.setdefault(named, []).append(feature)
    parts: list[tuple[str, str]] = []
    columns: dict[str, str] = {}
    for number, (name, features) in enumerate(views.items()):
        view = catalog.readable[name]
        part = f"v{number}"
        parts.append((part, _rows(view, features, logged)))
        for column in (*view.entities, *view.requests):
            columns.setdefault(fold_name(column.name), f"{part}.{quoted(column.name)}")
    spine = [*columns.values(), f"v0.{TIMESTAMP}"]
    values = [
        f"v{number}.{quoted(f'f_{feature}')} as {quoted(FeatureReference(name, feature).column)}"
        for number, (name, features) in enumerate(views.items())
        for feature in features
    ]
    joins = "".join(f" join {part} using (file, line)" for part, _ in parts[1:])
    ctes = ", ".join(f"{part} as ({sql})" for part, sql in parts)
    return f"with {ctes} select {', '.join([*spine, *values])} from v0{joins}"


def _rows(view: ViewEntry, features: list[str], logged: str) -> str:
    """The log's rows of one view or role, its texts made values."""
    keys = [
        f"{key_value_sql(f'key[{n}]', column.type)} as {quoted(column.name)}"
        for n, column in enumerate(view.entities, 1)
    ]
    sent = []
    for column in view.requests:
        text = f"json_extract_string(request, {literal('$.' + quoted(column.name))})"
        sent.append(f"cast({text} as {column.type}) as {quoted(column.name)}")
    types = {feature.name: feature.type for feature in view.features}
    values = [f"{_value(name, types[name])} as {quoted(f'f_{name}')}" for name in features]
    asked = " and ".join(f"list_contains(features, {literal(name)})" for name in features)
    return (
        f'select file, line, "at" as {TIMESTAMP}, {", ".join([*keys, *sent, *values])} from {logged} '
        f"where view = {literal(view.name)} and meaning = {literal(view.definition_hash)} "
        f"and key is not null and {asked}"
    )


def _value(name: str, declared: str) -> str:
    text = f'"values"[list_position(features, {literal(name)})]'
    if kind_of(declared) == "other":
        return f"cast(cast({text} as json) as {declared})"
    return f"cast(json_extract_string({text}, '$') as {declared})"
