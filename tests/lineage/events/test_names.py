"""Datasets are named as `openlineage.client.naming` names them."""

from __future__ import annotations

import pytest
from openlineage.client.naming import dataset as theirs

from lineage.events.names import cassandra_table, kafka_topic, place


@pytest.mark.parametrize(
    ("ours", "naming"),
    [
        (place("/srv/lake/raw/a"), theirs.LocalFileSystem(path="/srv/lake/raw/a")),
        (place("file:///srv/lake/raw/a/"), theirs.LocalFileSystem(path="/srv/lake/raw/a")),
        (place("file:///srv/my%20lake/a"), theirs.LocalFileSystem(path="/srv/my lake/a")),
        (place("file://nas/lake/a"), theirs.RemoteFileSystem(host="nas", path="/lake/a")),
        (place("s3://lake/raw/a"), theirs.S3(bucket_name="lake", object_key="raw/a")),
        (place("s3a://lake/raw/a"), theirs.S3(bucket_name="lake", object_key="raw/a")),
        (place("gs://lake/raw/a"), theirs.GCS(bucket_name="lake", object_key="raw/a")),
        (
            place("abfss://box@acct.dfs.core.windows.net/raw/a"),
            theirs.ABFSS(container="box", service="acct", path="raw/a"),
        ),
        (
            cassandra_table("h", 9042, "features", "forebay_rows"),
            theirs.Cassandra(host="h", port="9042", keyspace="features", table="forebay_rows"),
        ),
        (
            kafka_topic("SASL_SSL://b1:9093,b2:9093", "clicks"),
            theirs.Kafka(bootstrap_server_host="b1", port="9093", topic="clicks"),
        ),
        (
            kafka_topic("b1", "clicks"),
            theirs.Kafka(bootstrap_server_host="b1", port="9092", topic="clicks"),
        ),
    ],
)
def test_names(ours: tuple[str, str], naming: theirs.DatasetNaming) -> None:
    assert ours == (naming.get_namespace(), naming.get_name())
