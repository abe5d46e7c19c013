"""Upkeep of a table in an object store, by either FileIO of pyiceberg's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from lakehouse.maintain.free_files import Ages
from tests.lakehouse.maintain.lakes import TABLE, later, maintain
from tests.servers.s3 import S3Server


@pytest.mark.slow
@pytest.mark.parametrize(
    "client", ["pyiceberg.io.pyarrow.PyArrowFileIO", "pyiceberg.io.fsspec.FsspecFileIO"]
)
def test_what_nothing_needs_goes(client: str, tmp_path: Path, s3: S3Server) -> None:
    bucket = s3.create_bucket()
    places = {"uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"s3://{bucket}/lake"}
    lake = open_lake({"name": "lake", "py-io-impl": client, **places, **s3.properties()})
    for n in range(4):
        commit_rows(lake, TABLE, pa.table({"n": [n]}), mode="replace")
    said = maintain(lake, later(2), ages=Ages(metadata_files=0), dry_run=True)
    done = maintain(lake, later(2), ages=Ages(metadata_files=0))
    assert (said.expired, done.expired, done.kept, done.failed) == (6, 6, 1, ())
    assert len(done.freed[0].files) == 3 and said.freed[0] == done.freed[0]
    assert load_table(lake, TABLE).scan().to_arrow()["n"].to_pylist() == [3]
    left = [o["Key"] for o in s3.client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert len([key for key in left if not key.endswith("/")]) == 4, left  # pyarrow marks folders
