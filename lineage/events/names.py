"""Dataset names by OpenLineage's naming convention, so that events of all tools match.

The classes of `openlineage.client.naming` say the same, which a test holds; they cost an import
that short commands do without.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from lineage.events.encode_event import Dataset, Facet

#: Schemes under which engines write one object store.
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}


def place(uri: str) -> tuple[str, str]:
    """Namespace and name of files, from a path or a URI of an object store.

    >>> place("s3a://lake/warehouse/raw/clicks"), place("file:///srv/lake/raw/clicks/")
    (('s3://lake', 'warehouse/raw/clicks'), ('file', '/srv/lake/raw/clicks'))
    """
    url = urlsplit(uri)
    if url.scheme in ("", "file"):
        path = uri if not url.scheme else unquote(url.path)
        return (f"file://{url.netloc}" if url.netloc else "file"), path.rstrip("/") or "/"
    scheme = _SAME.get(url.scheme, url.scheme)
    return f"{scheme}://{url.netloc}", url.path.strip("/") or "/"


def source(namespace: str) -> Facet:
    """The facet ``dataSource``: the namespace is the address of what keeps the data."""
    return {"name": namespace, "uri": namespace}


def cassandra_table(host: str, port: int, keyspace: str, table: str) -> tuple[str, str]:
    """Namespace and name of a table of a CQL store."""
    return f"cassandra://{host}:{port}", f"{keyspace}.{table}"


def kafka_topic(servers: str, topic: str) -> tuple[str, str]:
    """Namespace and name of a topic; of several brokers the first that is named.

    >>> kafka_topic("b1:9092,b2:9092", "clicks")
    ('kafka://b1:9092', 'clicks')
    """
    first = servers.split(",")[0].strip().rpartition("://")[2]
    return f"kafka://{first if ':' in first else f'{first}:9092'}", topic


def with_symlink(dataset: Dataset, namespace: str, name: str) -> Dataset:
    """The dataset, known by one name more."""
    known = dataset.facets.get("symlinks", {"identifiers": ()})["identifiers"]
    more = {"namespace": namespace, "name": name, "type": "TABLE"}
    if more in known:
        return dataset
    return dataset.with_facets(symlinks={"identifiers": [*known, more]})
