"""A training set of what was really online: the vectors that a service's callers were given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from feature_specs.catalog import Catalog, Column, ViewEntry
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
from lakehouse.training_record import SpineReading, make_record
from serving.key_sql import key_value_sql
from serving.served.commit_spool import SERVED
from serving.served.logged_values import fragment_sql, has_sql, names_of, request_sql, value_sql
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
    columns: dict[str, list[tuple[str, str]]] = {}
    for number, (name, features) in enumerate(views.items()):
        view = catalog.readable[name]
        part = f"v{number}"
        parts.append((part, _rows(view, features, logged)))
        for column in (*view.entities, *_sent(view, features)):
            columns.setdefault(fold_name(column.name), []).append((part, column.name))
    # Views whose entity is the same hold one value of it.
    spine = [
        f"coalesce({', '.join(f'{part}.{quoted(name)}' for part, name in held)}) "
        f"as {quoted(held[0][1])}"
        for held in columns.values()
    ]
    spine.append(f"v0.{TIMESTAMP}")
    values = [
        f"v{number}.{quoted(f'f_{feature}')} as {quoted(FeatureReference(name, feature).column)}"
        for number, (name, features) in enumerate(views.items())
        for feature in features
    ]
    joins = "".join(f" join {part} using (file, line)" for part, _ in parts[1:])
    ctes = ", ".join(f"{part} as ({sql})" for part, sql in parts)
    return f"with {ctes} select {', '.join([*spine, *values])} from v0{joins}"


def _sent(view: ViewEntry, features: list[str]) -> list[Column]:
    """The request values that some features are computed of; a view logs no others with them."""
    read = {fold_name(name) for each in features for name in view.feature(each).request_names}
    return [column for column in view.requests if fold_name(column.name) in read]


def _rows(view: ViewEntry, features: list[str], logged: str) -> str:
    """The log's rows of one view or role, its texts made values."""
    keys = [
        f"{key_value_sql(f'key[{n}]', column.type)} as {quoted(column.name)}"
        for n, column in enumerate(view.entities, 1)
    ]
    sent = [
        f"{request_sql('request', column)} as {quoted(column.name)}"
        for column in _sent(view, features)
    ]
    # A service may have asked for a feature by another of its names then.
    names = {name: names_of(view, name) for name in features}
    values = [
        f"{value_sql(fragment_sql(names[name]), view.feature(name).type)} as {quoted(f'f_{name}')}"
        for name in features
    ]
    asked = " and ".join(has_sql(names[name]) for name in features)
    return (
        f'select file, line, "at" as {TIMESTAMP}, {", ".join([*keys, *sent, *values])} from {logged} '
        f"where view = {literal(view.name)} and meaning = {literal(view.definition_hash)} "
        f"and key is not null and {asked}"
    )
