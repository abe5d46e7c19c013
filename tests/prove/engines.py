"""Two databases a worker: the variants run in one, the oracle in the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from tests.feature_specs.oracle import Oracle, Row, connect
from tests.prove.case import Case

_ARROW: dict[str, Any] = {
    "INTEGER": pa.int32(), "BIGINT": pa.int64(), "DECIMAL(12,2)": pa.decimal128(12, 2),
    "DOUBLE": pa.float64(), "VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"), "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
}  # fmt: skip


class TimedOutError(Exception):
    """A statement ran longer than any statement over thirty rows may."""


@dataclass
class Engines:
    """Connections that are kept from case to case."""

    variants: duckdb.DuckDBPyConnection = field(default_factory=connect)
    brute: duckdb.DuckDBPyConnection = field(default_factory=connect)

    def close(self) -> None:
        self.variants.close()
        self.brute.close()

    def load(self, case: Case) -> Oracle:
        """Put a case's tables into both databases."""
        oracle = Oracle(case.view, case.leaves, case.whole_sql, self.brute, visible=case.visible)
        for leaf in case.leaves:
            rows = case.tables[leaf.name]
            fill(self.variants, leaf.name, leaf.columns, rows)
            fill(self.brute, f"raw_{leaf.name}", leaf.columns, rows)
        fill(self.variants, "spine", case.spine_columns, case.spine)
        return oracle

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Interrupt what runs longer. Raises TimedOutError."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.variants.interrupt()
            self.brute.interrupt()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.InterruptException as error:
            if late.is_set():
                raise TimedOutError(f"longer than {seconds:g} s") from error
            raise
        finally:
            timer.cancel()
            timer.join()


def fill(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: Mapping[str, str],
    rows: Sequence[Row],
) -> None:
    """Create a table with these rows, by way of Arrow: three times faster than VALUES."""
    arrays = [
        pa.array([row[i] for row in rows], _ARROW[kind]) for i, kind in enumerate(columns.values())
    ]
    connection.register("filling", pa.table(arrays, names=list(columns)))
    connection.execute(f"create or replace table {name} as select * from filling")
    connection.unregister("filling")
