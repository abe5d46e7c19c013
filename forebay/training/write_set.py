"""Training sets as Parquet files, as `forebay train` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feature_specs.deprecation import deprecated_reads
from feature_specs.errors import ForebayError
from feature_specs.progress import Progress
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from forebay.training.changes import TrainingChanges
from forebay.training.check_out import check_out
from forebay.training.duckdb_engine import DuckDBEngine
from forebay.training.make_set import SetOptions, make_training_set
from forebay.training.training_set import TrainingSet
from lakehouse.lake import find_table, open_lake
from lakehouse.scan import pin
from lakehouse.training_record import exported, read_property


@dataclass(frozen=True)
class WrittenSet:
    """What was written: rows, columns, and spine rows that could match no entity.

    Attributes:
        changes: what differs from the service's last training set; None where it is the first.
        recompiled: what had changed since `forebay compile`, and was compiled anew for this set.
        deprecated: what is to be told of views that it reads and that are deprecated.
    """

    service: str
    out: str
    rows: int
    columns: int
    without_entity: int
    changes: TrainingChanges | None = None
    recompiled: tuple[str, ...] = ()
    deprecated: tuple[str, ...] = ()


def write_training_set(
    project: Project,
    service: str,
    spine: Path | str,
    out: Path,
    *,
    timestamp: str | None = None,
    lag: str | None = None,
    timezone: str | None = None,
    engine: str = "duckdb",
    dry_run: bool = False,
    report: Progress | None = None,
) -> WrittenSet:
    """Join a service's features to a spine file, each row as of its own instant.

    The features are those that the project's files define now, whether they are built or not.

    Args:
        spine: a Parquet, CSV or JSON file, or a query in the engine's SQL; all of its rows and
            columns are kept.
        out: a Parquet file, which appears whole or not at all.
        lag: a duration by which stored features stand behind the instants.
        timezone: the zone of the spine's instants where they have none.
        engine: what computes it.
        dry_run: check everything, count the spine, compare with the last set, write nothing.

    Raises:
        ForebayError: the spine lacks a column, or one has the wrong type.
    """
    check_out(out, spine if isinstance(spine, Path) else None, "--out")
    options = SetOptions(timestamp, lag, timezone, engine)
    with make_training_set(project, service, spine, options) as made:
        return _write(made, out, report, dry_run)


def export_training_set(
    project: Project, name: str, out: Path, report: Progress | None = None
) -> WrittenSet:
    """Write a training-set model's table, as built last, to a Parquet file.

    Raises:
        ForebayError: there is no such training set, or it was not built yet.
    """
    check_out(out, None, "--out")
    catalog = project.catalog()
    named = [t for t in catalog.training_sets.values() if name in (t.name, t.service)]
    if not named:
        catalog.service(name)
        raise ForebayError(
            f"no training-set model holds service {name!r}",
            where="--spine",
            hint="give a spine file: --spine labels.parquet",
        )
    read = catalog.services.get(named[0].service)
    check_readable(project, catalog, (view for view, _ in (read.features if read else ())))
    table = find_table(open_lake(catalog.lake), named[0].table)
    if table is None:
        raise ForebayError(
            f"training set {named[0].name!r} is not built yet",
            where=named[0].table,
            hint="run `forebay build`",
        )
    engine = DuckDBEngine(catalog)
    sql, rows = engine.table_statement(pin(table))
    types = engine.column_types(sql)
    record = {"service": named[0].service, **exported(read_property(table), table, types)}
    with TrainingSet(project, engine, sql, types, record, rows) as built:
        if read is not None:
            built.deprecated = tuple(deprecated_reads(catalog, read.features))
        return _write(built, out, report, dry_run=False)


def _write(made: TrainingSet, out: Path, report: Progress | None, dry_run: bool) -> WrittenSet:
    """Write the rows with their record; what changed since the service's last training set."""
    changes = made.changes(out)
    if not dry_run:
        made.write(out, report=report)
    return WrittenSet(
        made.service,
        str(out),
        made.rows,
        len(made.columns),
        made.without_entity,
        changes,
        made.recompiled,
        made.deprecated,
    )
