"""Projects whose lake is elsewhere: a catalog of a server, and a warehouse on disk or in S3."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq

from tests.forebay.small import FILES, PROFILES, payments
from tests.servers.postgres import PostgresServer
from tests.servers.rest_catalog import rest_catalog_server
from tests.servers.s3 import S3Server

#: The kind of catalog, and where its tables are.
KINDS = [(catalog, store) for catalog in ("sql", "rest") for store in ("disk", "s3")]


@dataclass(frozen=True)
class Elsewhere:
    """A lake, as a profile opens it.

    Attributes:
        config: the plugin's config of it.
        environment: variables that hold what the profile does not.
        secrets: what must be written nowhere.
    """

    config: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


def sql_lake(postgres: PostgresServer, warehouse: str, s3: S3Server | None) -> Elsewhere:
    """A catalog in PostgreSQL; the password stands in the profile, S3's keys in the environment."""
    password = quote(postgres.password, safe="")
    place = f"127.0.0.1:{postgres.port}/{postgres.create_database()}"
    uri = f"postgresql+psycopg2://{postgres.user}:{password}@{place}"
    config = {"name": "lake", "type": "sql", "uri": uri, "warehouse": warehouse}
    secrets = (password, postgres.password)
    if s3 is None:
        return Elsewhere(config, {}, secrets)
    return Elsewhere(config, s3.environment(), (*secrets, s3.secret_key))


@contextmanager
def open_elsewhere(
    kind: tuple[str, str], postgres: PostgresServer, s3: S3Server, folder: Path
) -> Iterator[Elsewhere]:
    """A lake of one kind, with its servers; a REST catalog vends the keys of its store."""
    catalog, store = kind
    warehouse = f"s3://{s3.create_bucket()}/ware house" if store == "s3" else f"file://{folder}"
    used = s3 if store == "s3" else None
    if catalog == "sql":
        yield sql_lake(postgres, warehouse, used)
        return
    vended = s3.properties() if store == "s3" else {}
    with rest_catalog_server(postgres, warehouse, s3=used, vended=vended) as url:
        yield Elsewhere({"name": "lake", "uri": url}, {}, (s3.secret_key, postgres.password))


def write_project(root: Path, lake: Elsewhere, changed: Mapping[str, str] | None = None) -> Path:
    """Write the small project over a lake, with its payments in a file beside it."""
    config = {**lake.config, "online": "lmdb://online.lmdb"}
    before, _, _ = PROFILES.partition("          config:\n")
    lines = "".join(f"            {name}: {json.dumps(v)}\n" for name, v in config.items())
    profile = {"profiles/profiles.yml": f"{before}          config:\n{lines}"}
    library = Path(__file__).parents[3] / "macros" / "forebay.sql"
    files = {**FILES, **profile, "macros/forebay.sql": library.read_text(), **(changed or {})}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    pq.write_table(payments(), root / "payments.parquet")
    pq.write_table(payments((9,)), root / "more.parquet")
    return root
