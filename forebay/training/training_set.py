"""A training set: what it is made of, and its rows in batches, as frames or as a file."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from feature_specs.errors import DataError
from feature_specs.progress import Progress, Share
from forebay.closing import Closing
from forebay.dbt_project.project import Project
from forebay.engines.connect_engine import check_package
from forebay.progress_line import progress_line
from forebay.training.batches import Batches, beside
from forebay.training.changes import TrainingChanges, compare, keep_record, last_record
from forebay.training.check_out import check_out
from forebay.training.engine import TrainingEngine
from forebay.training.own_rows import OwnRows
from forebay.training.seal_file import seal, sealing
from forebay.training.set_events import set_events
from forebay.training.write_batches import write_batches
from lakehouse.keep_snapshots import forget_snapshots, keep_snapshots, kept_of
from lakehouse.lake import open_lake
from lakehouse.training_record import FOOTER_KEY, Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    from mlflow.data.dataset import Dataset

    from forebay.training.describe_set import Description


class TrainingSet(Closing):
    """A service's features for every row of a spine, each as of its own instant.

    Its rows are computed when they are read, and each reading computes them anew, from the tables
    as they stood when it was made. Rows of a frame, a table or a stream keep their order and their
    columns, which stand first as they were given; rows of a file or a query come in any order.

    Attributes:
        sql: the statement, in the engine's SQL.
        features: DuckDB's type of each feature, in order.
        record: what it is made of; docs/training.md describes it.
        rows: how many there are.
        without_entity: how many of them could match no entity, since a key or the instant is null.
        recompiled: what had changed since `forebay compile`, and was compiled anew for this set.
        deprecated: what is to be told of views that it reads and that are deprecated.
    """

    def __init__(
        self,
        project: Project,
        engine: TrainingEngine,
        sql: str,
        types: Mapping[str, str],
        record: Record,
        rows: int,
        without_entity: int = 0,
        recompiled: tuple[str, ...] = (),
    ) -> None:
        self._project = project
        self._engine = engine
        self._types = dict(types)
        self._own: OwnRows | None = None
        self._in_order = sql
        self._remove: weakref.finalize[..., TrainingSet] | None = None
        #: Whether readings without a ``report`` of their own tell on stderr how far they are.
        self.show_progress = False
        self.sql = sql
        self.record = record
        self.rows = rows
        self.without_entity = without_entity
        self.recompiled = recompiled
        self.deprecated: tuple[str, ...] = ()

    def stand_beside(self, own: OwnRows, in_order: str) -> None:
        """Put the features beside a caller's own rows.

        Args:
            in_order: SQL of the features alone, in the order of those rows.
        """
        self._own, self._in_order = own, in_order

    def keep(self, folder: Path) -> None:
        """Keep a folder that rows are read from, for as long as the set."""
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def service(self) -> str:
        """The feature service."""
        return str(self.record["service"])

    @property
    def engine(self) -> str:
        """What computes it: ``duckdb``, ``trino`` or ``spark``."""
        return self._engine.name

    @property
    def features(self) -> dict[str, str]:
        """DuckDB's type of each feature, in order."""
        return {f["name"]: f["type"] for f in self.record["features"]}

    @property
    def columns(self) -> list[str]:
        """The spine's columns, and then the features."""
        own = () if self._own is None else self._own.names
        return [*own, *self._types]

    @property
    def schema(self) -> pa.Schema:
        """The columns in Arrow, as `batches` gives them."""
        made = self._engine.schema(self._in_order)
        if self._own is None:
            return made
        own = [pa.field(name, self._own.type_of(name)) for name in self._own.names]
        return pa.schema([*own, *made])

    def __len__(self) -> int:
        return self.rows

    def batches(self, rows: int = 65_536, *, report: Progress | None = None) -> Batches:
        """The rows in Arrow record batches of at most so many, computed as they are read.

        Memory holds a batch, not the set. Each iteration starts from the first row.

        Raises:
            DataError: that is not a number of rows.
        """
        if type(rows) is not int or rows < 1:
            raise DataError(
                f"{rows!r} is not a number of rows", where="batches()", hint="write batches(65_536)"
            )
        return Batches(rows, lambda size: self._batches(size, report))

    def to_arrow(self, *, report: Progress | None = None) -> pa.Table:
        """All rows in one Arrow table."""
        return pa.Table.from_batches(self._batches(65_536, report), self.schema)

    def to_pandas(self, *, report: Progress | None = None) -> pd.DataFrame:
        """All rows in a pandas frame, features in pandas' Arrow types.

        Of a pandas spine its index and its columns are the caller's own.
        """
        from forebay.client.frames import pandas_frame

        if self._own is None or self._own.kind != "pandas":
            return pandas_frame(self.to_arrow(report=report))
        from forebay.training.frames import beside_pandas

        return beside_pandas(self._own.given, self._features_alone(report))

    def to_polars(self, *, report: Progress | None = None) -> pl.DataFrame:
        """All rows in a polars frame; of a polars spine its columns are the caller's own."""
        from forebay.client.frames import polars_frame

        if self._own is None or self._own.kind != "polars":
            return polars_frame(self.to_arrow(report=report))
        from forebay.training.frames import beside_polars

        return beside_polars(self._own.given, self._features_alone(report))

    def to_numpy(
        self, columns: Sequence[str] | None = None, *, report: Progress | None = None
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Numbers as a matrix of doubles, nulls as NaN: what scikit-learn takes.

        An array of a fixed size n, such as an embedding, takes n columns: one alone is (rows, n).

        Args:
            columns: which; by default all features.

        Raises:
            DataError: a column is not a number, holds one that a double does not hold, or has lists
                that may differ in length.
        """
        from forebay.training.frames import matrix

        return matrix(self.to_arrow(report=report), list(columns or self.features), self.features)

    def describe(self, *, report: Progress | None = None) -> Description:
        """Rows, nulls, least, greatest and mean of each column, from one pass over the batches."""
        from forebay.training.describe_set import describe_batches

        return describe_batches(self.schema, self._batches(65_536, report))

    def changes(self, out: str | Path | None = None) -> TrainingChanges | None:
        """What differs from the set at a path, else from the service's last; None of the first."""
        path = Path(out) if out else self._project.root / "target" / f"{self.service}.parquet"
        before = last_record(self._project, self.service, path)
        return None if before is None else compare(before, self.record)

    def write(self, out: str | Path, *, report: Progress | None = None) -> Path:
        """Write the rows and their record to a Parquet file, which appears whole or not at all.

        The snapshots that it was made of are tagged, and stay until the set is forgotten.

        Raises:
            ForebayError: it is the spine's own file, says another format, or has a column that
                Parquet has no type for.
        """
        path = Path(out)
        spine = self.record.get("spine", {}).get("path")
        check_out(path, None if spine is None else Path(spine), "write()")
        with set_events(self._project, self, path):
            keep_snapshots(open_lake(self._project.lake), self.record)
            try:
                with sealing(path) as staged:
                    self.write_rows(staged, json.dumps(self.record), report)
                    self.record["content"]["hash"] = seal(staged)
            except BaseException:
                forget_snapshots(
                    open_lake(self._project.lake), self.record["id"], kept_of(self.record)
                )
                raise
            keep_record(self._project, self.record)
        return path

    def write_rows(self, path: Path, record: str, report: Progress | None = None) -> None:
        """Write the rows and a record's JSON to a Parquet file, and nothing else anywhere."""
        facts = {FOOTER_KEY: record}
        if self._own is None:
            self._engine.write_parquet(self.sql, path, facts, self._told(report))
        else:
            write_batches(self._batches(122_880, report), self.schema, path, facts)

    def log_to_mlflow(
        self, *, context: str | None = "training", tags: Mapping[str, str] | None = None
    ) -> Dataset:
        """Log the set as an input of MLflow's active run, or of one that this starts.

        Its digest is a hash of what decides the rows, so that equal digests mean equal rows; its
        source names that: the spine, each view's hashes and the snapshots of the tables they read.
        All columns of a frame are hashed. A query's tables may move: each set over one has a digest
        of its own.

        Raises:
            ForebayError: MLflow is not installed, or a column of the frame has no Arrow type.
        """
        check_package("mlflow", "mlflow", "log_to_mlflow()")
        from forebay.training.mlflow_dataset import log_dataset

        return log_dataset(self.record, self._own, context, dict(tags or {}))

    def cancel(self) -> None:
        """End what is being computed, from any thread."""
        self._engine.cancel()

    def close(self) -> None:
        """Release what computes it. A set that is not closed releases it once it is forgotten."""
        self._engine.close()
        if self._remove is not None:
            self._remove()

    def __repr__(self) -> str:
        return f"<TrainingSet of {self.service}: {self.rows} x {len(self.columns)}>"

    def _repr_html_(self) -> str:
        from forebay.show import html_table

        views = self.record["views"]
        rows = [
            (f["name"], f["type"], f["view"], views[f["view"]]["table"])
            for f in self.record["features"]
        ]
        caption = f"{self.service}: {self.rows:,} rows, {len(self.columns)} columns"
        return html_table(rows, ("feature", "type", "view", "table"), caption)

    def _batches(self, rows: int, report: Progress | None) -> Iterator[pa.RecordBatch]:
        made = self._engine.batches(self._in_order, rows, self._told(report))
        return made if self._own is None else beside(self._own, made, self.rows)

    def _features_alone(self, report: Progress | None) -> pa.Table:
        made = self._engine.batches(self._in_order, 65_536, self._told(report))
        return pa.Table.from_batches(made, self._engine.schema(self._in_order))

    def _told(self, report: Progress | None) -> Share | None:
        """What is told of the share that is written, as rows of the training set."""
        if report is None and self.show_progress:
            report = progress_line()
        if report is None:
            return None
        tell = report
        return lambda share: tell(f"train {self.service}", int(share * self.rows), self.rows)
