"""OpenLineage events of a training set: what it reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from feature_specs.catalog import Catalog, LeafEntry
from feature_specs.names import fold_name
from forebay.dbt_project.project import Project
from forebay.events.ingest_events import file_dataset
from forebay.events.job_events import job_events
from forebay.events.view_columns import set_columns
from lakehouse.iceberg_dataset import iceberg_dataset, read_from, written
from lakehouse.lake import find_table, open_lake
from lineage.events.encode_event import Dataset, Facet
from lineage.events.names import place, source
from lineage.events.run import NO_RUN, Run, current_run

if TYPE_CHECKING:
    from forebay.training.training_set import TrainingSet

#: A longer statement is left out of the events.
_LONGEST_SQL = 200_000


@contextmanager
def set_events(project: Project, made: TrainingSet, out: Path) -> Iterator[None]:
    """Tell of a training set as it is written: in the command's run, or else in one of its own."""
    told: AbstractContextManager[Run] = nullcontext(current_run())
    if current_run() is NO_RUN:
        told = job_events(project, "train", made.service)
    with told as run:
        yield
        run.note(lambda run: _describe(run, project, made, out))


def _describe(run: Run, project: Project, made: TrainingSet, out: Path) -> None:
    catalog, record = project.catalog(), made.record
    if len(made.sql) <= _LONGEST_SQL:
        run.describe_job(sql={"query": made.sql, "dialect": made.engine})
    service = catalog.services.get(made.service)
    owner = service.owner if service is not None else ""
    if owner:
        run.describe_job(ownership={"owners": [{"name": owner}]})
    instants = _instants(out, record.get("timestamp"))
    run.read(*_spine(record), *_leaves(catalog, record, instants), *_model(catalog, record))
    columns = set_columns(
        project.root, catalog, record.get("features") or [], open_lake(catalog.lake)
    )
    run.wrote(_written(made, out, instants, owner, columns))


def _spine(record: Mapping[str, Any]) -> Iterator[Dataset]:
    spine = record.get("spine") or {}
    if spine.get("path"):
        yield file_dataset(Path(spine["path"]), spine.get("rows"))


def _leaves(
    catalog: Catalog, record: Mapping[str, Any], instants: tuple[datetime, datetime] | None
) -> Iterator[Dataset]:
    """The tables of which the features were computed, at their snapshots, up to the last instant."""
    lake = open_lake(catalog.lake)
    lag = timedelta(microseconds=record.get("lag_us") or 0)
    for name, known in (record.get("leaves") or {}).items():
        table = find_table(lake, known["table"])
        if table is None:
            continue  # dropped since
        made = iceberg_dataset(table, catalog.lake, snapshot=known["snapshot"])
        made = read_from(table, made, known["snapshot"])
        leaf = catalog.leaves.get(name)
        bounds = [] if leaf is None or instants is None else _bounds(leaf, instants[1] - lag)
        yield made.with_io(subset={"inputCondition": _all_of(bounds)} if bounds else None)


def _model(catalog: Catalog, record: Mapping[str, Any]) -> Iterator[Dataset]:
    """The table of a training-set model that was exported."""
    known = record.get("model")
    if known and (table := find_table(open_lake(catalog.lake), known["table"])) is not None:
        yield read_from(table, iceberg_dataset(table, catalog.lake, snapshot=known["snapshot"]))


def _written(
    made: TrainingSet,
    out: Path,
    instants: tuple[datetime, datetime] | None,
    owner: str,
    columns: Facet | None,
) -> Dataset:
    namespace, name = place(str(out.absolute()))
    fields = [{"name": field.name, "type": str(field.type)} for field in pq.read_schema(out)]
    facets: dict[str, Facet] = {
        "schema": {"fields": fields},
        "dataSource": source(namespace),
        "datasetType": {"datasetType": "FILE"},
        "storage": {"storageLayer": "parquet", "fileFormat": "parquet"},
        "lifecycleStateChange": {"lifecycleStateChange": "OVERWRITE"},
        **({"ownership": {"owners": [{"name": owner}]}} if owner else {}),
        **({"columnLineage": columns} if columns is not None else {}),
    }
    if digest := (made.record.get("content") or {}).get("hash"):
        facets["version"] = {"datasetVersion": digest}
    dataset = written(Dataset(namespace, name, facets), made.rows, out.stat().st_size)
    if instants is None:
        return dataset
    column = str(made.record["timestamp"])
    ends = [
        _compare(column, "GREATER_EQUAL_THAN", instants[0]),
        _compare(column, "LESS_EQUAL_THAN", instants[1]),
    ]
    return dataset.with_io(subset={"outputCondition": _all_of(ends)})


def _bounds(leaf: LeafEntry, until: datetime) -> list[Facet]:
    """What bounds a leaf's rows by the last instant: the times by which each becomes visible."""
    times = [leaf.times.get(name) for name in ("event_time", "loaded_at", "valid_from")]
    return [_compare(time, "LESS_EQUAL_THAN", until) for time in times if time]


def _compare(column: str, comparison: str, instant: datetime) -> Facet:
    return {
        "type": "compare",
        "left": {"type": "field", "field": column},
        "right": {"type": "literal", "value": instant.astimezone(UTC).isoformat()},
        "comparison": comparison,
    }


def _all_of(conditions: list[Facet]) -> Facet:
    first, *more = conditions
    if not more:
        return first
    return {"type": "binary", "operator": "AND", "left": first, "right": _all_of(more)}


def _instants(out: Path, column: str | None) -> tuple[datetime, datetime] | None:
    """The first and last instant of the spine, from the file's statistics; None where it has none."""
    if column is None:
        return None
    file = pq.read_metadata(out)
    names = [fold_name(file.schema.column(n).path) for n in range(file.num_columns)]
    if fold_name(column) not in names:
        return None
    place = names.index(fold_name(column))
    groups = [file.row_group(n).column(place).statistics for n in range(file.num_row_groups)]
    known = [each for each in groups if each is not None and each.has_min_max]
    ends = [(each.min, each.max) for each in known]
    if not ends or not all(isinstance(t, datetime) for pair in ends for t in pair):
        return None
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return (low.replace(tzinfo=low.tzinfo or UTC), high.replace(tzinfo=high.tzinfo or UTC))
