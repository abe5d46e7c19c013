"""Make the tables of ``tables.tar.xz``, by hand: Spark writes them, and says what it reads of them.

    cd /tmp
    for jar in org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0 \\
               org.xerial:sqlite-jdbc:3.54.1.0; do
      mvn org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \\
        -Dartifact=$jar -DoutputDirectory=.
    done
    JAVA_HOME=... .venv/bin/python .../others_write/spark/write_tables.py       # JDK 17

The paths that a table's files hold are absolute, so the warehouse has a name as long as that to
which ``spark_lake.py`` unpacks it.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HOME = Path("/tmp/forebay-spark-lake")
#: Characters in the warehouse's path.
LENGTH = 160
KEPT = HOME / "kept"
WAREHOUSE = HOME / ("w" * (LENGTH - len(str(HOME)) - 1))


def statements() -> list[tuple[str, str, str]]:
    """Table, what is done, and the SQL of it."""
    plan: list[tuple[str, str, str]] = []
    table = ""
    for part in f"\n{(HERE / 'tables.sql').read_text()}".split("\n-- ")[1:]:
        said, _, sql = part.partition("\n")
        if said.startswith("table: "):
            table, said = said.removeprefix("table: ").split(", ", 1)
        plan.append((table, said, sql.strip().removesuffix(";")))
    return plan


def plain(value: Any) -> Any:
    """A value that JSON can hold."""
    match value:
        case bool() | int() | str() | None:
            return value
        case dt.datetime():
            return {"at": value.isoformat()}
        case dt.date():
            return {"date": value.isoformat()}
        case decimal.Decimal():
            return {"dec": str(value)}
        case float():
            return {"float": repr(value)}
        case bytes() | bytearray():
            return {"hex": value.hex()}
        case dict():
            return {"map": [[plain(k), plain(v)] for k, v in value.items()]}
        case list():
            return [plain(v) for v in value]
    return {"row": {name: plain(v) for name, v in value.asDict().items()}}


def session() -> Any:
    from pyspark.sql import SparkSession

    jars = Path(sys.prefix).parent
    builder = SparkSession.builder.master("local[1]")
    settings = {
        "spark.jars": ",".join(map(str, jars.glob("*.jar"))),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": str(WAREHOUSE),
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    }
    for name, kind in (("lake", "SparkCatalog"), ("spark_catalog", "SparkSessionCatalog")):
        catalog = f"spark.sql.catalog.{name}"
        settings[catalog] = f"org.apache.iceberg.spark.{kind}"
        settings[f"{catalog}.catalog-impl"] = "org.apache.iceberg.jdbc.JdbcCatalog"
        settings[f"{catalog}.uri"] = f"jdbc:sqlite:{HOME}/catalog.db"
        settings[f"{catalog}.warehouse"] = f"file://{WAREHOUSE}"
        settings[f"{catalog}.jdbc.schema-version"] = "V1"
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def location_of(spark: Any, table: str) -> str:
    """The metadata file at which the catalog points."""
    rows = spark.sql(
        f"select file from {table}.metadata_log_entries order by timestamp desc, file desc"
    ).collect()
    return str(Path(rows[0][0].removeprefix("file:")).relative_to(WAREHOUSE))


def main() -> None:
    os.environ |= {"TZ": "UTC", "LC_ALL": "C.UTF-8"}
    shutil.rmtree(HOME, ignore_errors=True)
    WAREHOUSE.mkdir(parents=True)
    spark = session()
    said: list[dict[str, Any]] = []
    before = "-"
    for table, step, sql in statements():
        if table != before:
            _archive(said)
            before = table
        for one in sql.replace("WAREHOUSE", f"file:{WAREHOUSE}").split(";;"):
            if one.strip():
                print(f"{table}: {step}", flush=True)
                spark.sql(one)
        if table == "-":
            continue
        named = table if table.startswith("spark_catalog.") else f"lake.{table}"
        answer = spark.sql(f"select * from {named}")
        said.append(
            {
                "table": table.removeprefix("spark_catalog."),
                "step": step,
                "metadata": location_of(spark, named),
                "columns": answer.columns,
                "rows": [[plain(v) for v in row] for row in answer.collect()],
            }
        )
        _keep()
    spark.stop()
    _archive(said)


def _keep() -> None:
    """Put all files aside, since an expiry deletes those of older steps."""
    for path in WAREHOUSE.rglob("*"):
        aside = KEPT / path.relative_to(WAREHOUSE)
        if path.is_file() and path.suffix != ".crc" and not aside.exists():
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, aside)


def _archive(said: list[dict[str, Any]]) -> None:
    KEPT.mkdir(exist_ok=True)
    (KEPT / "said.json").write_text(json.dumps(said, ensure_ascii=False, indent=1))
    with tarfile.open(HERE / "tables.tar.xz", "w:xz") as archive:
        archive.add(KEPT, arcname=".", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
