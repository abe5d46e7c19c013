"""Training sets as Parquet files: a service's features for every row of a spine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

from feature_specs.catalog import Catalog, Column
from feature_specs.durations import parse_duration
from feature_specs.errors import (
    DataError,
    ForebayError,
    did_you_mean,
    first_line,
)
from feature_specs.library_errors import explain_text
from feature_specs.names import OWN_COLUMNS, fold_name
from feature_specs.time_zones import check_zone
from feature_specs.view import FeatureReference
from forebay.generate_macros import LAG, SPINE, TIMESTAMP
from forebay.project import Project
from forebay.training_changes import TrainingChanges, compare, keep_record, last_record
from lakehouse.ingest.spine import read_spine
from lakehouse.lake import find_table, open_lake
from lakehouse.quote import literal, quoted
from lakehouse.relations import connect, define_relations, leaf_relations, pin_relations
from lakehouse.scan import pin
from lakehouse.training_record import (
    FOOTER_KEY,
    Reading,
    Record,
    exported,
    file_hash,
    make_record,
    read_property,
)

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")


@dataclass(frozen=True)
class TrainingSet:
    """What was written: rows, columns, and spine rows that could match no entity.

    Attributes:
        changes: what differs from the service's last training set; None where it is the first.
    """

    service: str
    out: str
    rows: int
    columns: int
    without_entity: int
    changes: TrainingChanges | None = None


def write_training_set(
    project: Project,
    service: str,
    spine: Path,
    out: Path,
    *,
    timestamp: str | None = None,
    lag: str | None = None,
    timezone: str | None = None,
    dry_run: bool = False,
) -> TrainingSet:
    """Join a service's features to a spine file, each row as of its own instant.

    Args:
        spine: Parquet, CSV or JSON; all of its rows and columns are kept.
        out: a Parquet file, which appears whole or not at all.
        lag: a duration by which stored features stand behind the instants.
        timezone: the zone of the spine's instants where they have none.
        dry_run: check everything, count the spine, compare with the last set, write nothing.

    Raises:
        ForebayError: the spine lacks a column, or one has the wrong type.
    """
    if timezone is not None:
        check_zone(timezone, where="--timezone")
    catalog = project.catalog()
    entry = catalog.service(service)
    if entry.no_past:
        what, _, mend = entry.no_past.rpartition(". Hint: ")
        raise DataError(f"no training set can be made of it: {what}", where=entry.file, mend=mend)
    connection = connect(catalog)
    views = [v for v, _ in entry.features]
    asked = read_spine(
        connection,
        spine,
        timestamp=timestamp,
        timezone=timezone,
        types=_agreed_types(catalog, views),
    )
    columns, chosen = asked.columns, asked.timestamp
    _check_names(columns, [FeatureReference(*named).column for named in entry.features], spine)
    keys = _check_columns(catalog, views, columns, spine)
    behind = "0" if lag is None else str(_microseconds(lag))
    sql = point_in_time_sql(project, service, f"({asked.sql})", chosen, behind)
    nulls = " or ".join(f'"{k}" is null' for k in sorted({chosen, *keys}))
    counted = connection.execute(
        f"select count(*), count(*) filter (where {nulls}) from ({asked.sql})"
    ).fetchone()
    assert counted is not None
    leaves = {n for v, _ in entry.features for n in catalog.view(v).leaves}
    relations = leaf_relations(catalog.leaves[n] for n in sorted(leaves))
    lake = open_lake(catalog.lake)
    pinned = pin_relations(lake, relations)
    define_relations(connection, pinned)
    types = _types(connection, sql)
    rows, lost = (int(n) for n in counted)
    facts = {"path": str(spine), "sha256": file_hash(spine), "rows": rows}
    reading = Reading(service, facts, chosen, int(behind), timezone)
    record = make_record(catalog, lake, [reading], pinned, types, project.root)
    changes = _write(project, connection, sql, out, record, dry_run)
    return TrainingSet(service, str(out), rows, len(types), lost, changes)


def export_training_set(project: Project, name: str, out: Path) -> TrainingSet:
    """Write a training-set model's table, as built last, to a Parquet file.

    Raises:
        ForebayError: there is no such training set, or it was not built yet.
    """
    catalog = project.catalog()
    named = [t for t in catalog.training_sets.values() if name in (t.name, t.service)]
    if not named:
        catalog.service(name)
        raise ForebayError(
            f"no training-set model holds service {name!r}",
            where="--spine",
            mend="give a spine file: --spine labels.parquet",
        )
    table = find_table(open_lake(catalog.lake), named[0].table)
    if table is None:
        raise ForebayError(
            f"training set {named[0].name!r} is not built yet",
            where=named[0].table,
            mend="run `forebay build`",
        )
    connection = connect(catalog)
    sql = pin(table).sql
    types = _types(connection, sql)
    record = {"service": named[0].service, **exported(read_property(table), table, types)}
    changes = _write(project, connection, sql, out, record)
    counted = connection.execute(f"select count(*) from ({sql})").fetchone()
    assert counted is not None
    return TrainingSet(named[0].service, str(out), int(counted[0]), len(types), 0, changes)


def _types(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    """The columns of a query and their types."""
    return {name: kind for name, kind, *_ in connection.execute(f"describe {sql}").fetchall()}


def _write(
    project: Project,
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    out: Path,
    record: Record,
    dry_run: bool = False,
) -> TrainingChanges | None:
    """Write the rows with their record; what changed since the service's last training set."""
    before = last_record(project, record["service"], out)
    if not dry_run:
        copy_to_parquet(connection, sql, out, {FOOTER_KEY: json.dumps(record)})
        keep_record(project, record)
    return None if before is None else compare(before, record)


def point_in_time_sql(
    project: Project, service: str, spine: str, timestamp: str, behind: str = "0"
) -> str:
    """The compiled statement of a service over a spine relation.

    Raises:
        ForebayError: the service was not compiled.
    """
    path = project.folder / "sql" / "duckdb" / "services" / f"{service}.sql"
    if not path.exists():
        raise ForebayError("compiled SQL is missing", where=str(path), mend="run `forebay compile`")
    sql = path.read_text()
    for name, value in ((SPINE, spine), (TIMESTAMP, timestamp), (LAG, behind)):
        sql = sql.replace(name, value)
    return sql


#: Of a column with more distinct values in a row group no dictionary is tried to the end: numbers
#: would be collected in one and written plainly after all, which is a sixth of the writing.
MOST_IN_DICTIONARY = 10_000


def copy_to_parquet(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    out: Path,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a query's rows to a file that appears only once it is whole.

    Args:
        metadata: keys and texts for the file's footer.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    options = ["format parquet", f"dictionary_size_limit {MOST_IN_DICTIONARY}"]
    if metadata:
        pairs = ", ".join(f"{quoted(k)}: {literal(v)}" for k, v in metadata.items())
        options.append(f"kv_metadata {{{pairs}}}")
    try:
        connection.execute(f"copy ({sql}) to {literal(str(partial))} ({', '.join(options)})")
        partial.replace(out)
    except duckdb.Error as error:
        raise explain_text(str(error).replace(str(partial), str(out))) or DataError(
            first_line(error), where=str(out), mend="mend the rows or the query"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _agreed_types(catalog: Catalog, views: list[str]) -> dict[str, str]:
    """Types of keys and request values on which all views agree; a text spine is read by them."""
    found: dict[str, set[str]] = {}
    for name in dict.fromkeys(views):
        for column in (*catalog.view(name).entities, *catalog.view(name).requests):
            found.setdefault(fold_name(column.name), set()).add(column.type)
    return {name: kinds.pop() for name, kinds in found.items() if len(kinds) == 1}


def _check_names(columns: Iterable[str], features: Iterable[str], spine: Path) -> None:
    """Raises DataError where a spine column has the name of a feature or begins like our own."""
    taken = {fold_name(f) for f in features}
    for name in columns:
        if fold_name(name) in taken:
            raise DataError(
                f"spine column {name!r} is named like a feature that is added beside it",
                where=str(spine),
                mend=f"rename it in the spine, for example {name}_before",
            )
        if fold_name(name).startswith(OWN_COLUMNS):
            raise DataError(
                f"spine column {name!r} begins with {OWN_COLUMNS}, as forebay's own columns do",
                where=str(spine),
                mend="rename it in the spine",
            )


def _check_columns(
    catalog: Catalog, views: list[str], columns: Mapping[str, str], spine: Path
) -> set[str]:
    keys: set[str] = set()
    kinds = {fold_name(name): kind for name, kind in columns.items()}
    for name in dict.fromkeys(views):
        view = catalog.view(name)
        for column in (*view.entities, *view.requests):
            if fold_name(column.name) not in kinds:
                kind = "key" if column in view.entities else "request value"
                raise DataError(
                    f"the spine lacks {kind} {column.name!r} of feature view {name!r}",
                    where=str(spine),
                    mend=f"add the column as {column.type}; " + did_you_mean(column.name, columns),
                )
        for key in view.entities:
            keys.add(key.name)
            given = kinds[fold_name(key.name)]
            if not _widens(given, key):
                raise DataError(
                    f"spine column {key.name!r} is a {given}, but feature view "
                    f"{name!r} has it as {key.type}",
                    where=str(spine),
                    mend=f"cast it to {key.type}",
                )
    return keys


def _widens(given: str, wanted: Column) -> bool:
    """Whether every value of one type is one and only one value of the other."""
    if given == wanted.type:
        return True
    if given in _INTEGERS and wanted.type in _INTEGERS:
        return True
    return given.startswith("DECIMAL") and wanted.type.startswith("DECIMAL")


def _microseconds(lag: str) -> int:
    duration: timedelta = parse_duration(lag, field="--lag", where="--lag")
    return duration // timedelta(microseconds=1)
