"""Run in a process of its own: statements come as lines of JSON, answers go back likewise."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain(value: Any) -> Any:
    """A value that JSON can hold; tests.servers.spark.revive reads it back."""
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return {"ntz": value.isoformat()}
        difference = value - EPOCH
        return {"ts": (difference.days * 86_400 + difference.seconds) * 1_000_000
                + difference.microseconds}  # fmt: skip
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"dec": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value)


def main() -> None:
    from pyspark.sql import SparkSession

    os.environ["TZ"] = "UTC"
    out = os.fdopen(os.dup(1), "w")
    warehouse = tempfile.mkdtemp(prefix="forebay-spark-")
    os.chdir(warehouse)
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", warehouse)
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.driver.extraJavaOptions", "-Duser.timezone=UTC")
        .config("spark.log.level", "OFF")
        .getOrCreate()
    )
    out.write("ready\n")
    out.flush()
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            frame = spark.sql(json.loads(line))
            zoned = {f.name for f in frame.schema.fields if f.dataType.typeName() == "timestamp"}
            names = list(frame.columns)
            rows = []
            for row in frame.collect():
                cells = []
                for name, value in zip(names, row, strict=True):
                    if isinstance(value, datetime) and name in zoned:
                        value = value.replace(tzinfo=UTC)
                    cells.append(plain(value))
                rows.append(cells)
            answer = {"names": names, "rows": rows}
        except Exception as error:  # noqa: BLE001
            answer = {"error": str(error)[:1500]}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
