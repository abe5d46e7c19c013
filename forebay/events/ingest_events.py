"""What an ingest read and wrote, as OpenLineage datasets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog as Lake

from lakehouse.iceberg_dataset import Change, iceberg_dataset, written
from lakehouse.lake import load_table
from lineage.events.encode_event import Dataset
from lineage.events.names import place, source
from lineage.events.run import Run

if TYPE_CHECKING:
    from forebay.example_flights.ingest_flights import IngestReport
    from lakehouse.ingest.files import Ingested


def tell_ingest(
    run: Run, lake: Lake, config: Mapping[str, str], loaded: Ingested, *, replaced: bool
) -> None:
    """Note files, and the table that they came into; none of files that were loaded before."""
    came = [file for file in loaded.files if not file.known]
    if not came:
        return

    def describe(run: Run) -> None:
        for file in came:
            run.read(file_dataset(file.path, file.rows))
        change = _change(loaded, replaced)
        made = iceberg_dataset(load_table(lake, loaded.after.name), config, change=change)
        run.wrote(written(made, loaded.rows))

    run.note(describe)


def _change(loaded: Ingested, replaced: bool) -> Change | None:
    if loaded.before is None:
        return "CREATE"
    if replaced:
        return "OVERWRITE"
    return "ALTER" if loaded.before.columns != loaded.after.columns else None


def tell_example(run: Run, lake: Lake, config: Mapping[str, str], report: IngestReport) -> None:
    """Note the example's tables that were written, and the package's folder."""
    from forebay.example_flights.ingest_flights import flights_folder

    def describe(run: Run) -> None:
        run.read(file_dataset(flights_folder()))
        for name, made in report.tables.items():
            if made.written:
                dataset = iceberg_dataset(load_table(lake, name), config, change="OVERWRITE")
                run.wrote(written(dataset, made.rows))

    run.note(describe)


def file_dataset(path: Path, rows: int | None = None) -> Dataset:
    """A file on this machine, as it was read."""
    namespace, name = place(str(path.absolute()))
    facets = {"dataSource": source(namespace), "datasetType": {"datasetType": "FILE"}}
    if rows is None:
        return Dataset(namespace, name, facets)
    statistics = {"rowCount": rows, "size": path.stat().st_size, "fileCount": 1}
    return Dataset(namespace, name, facets, {"inputStatistics": statistics})
