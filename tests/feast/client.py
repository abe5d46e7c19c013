"""The real Feast client in its own Python, spoken to by lines of JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.feast.environment import feast_environment, feast_python

SETTINGS = """\
project: {project}
registry: {registry}
provider: local
online_store: {{type: remote, path: "{url}", connection_retries: 0}}
offline_store: {{type: duckdb}}
entity_key_serialization_version: 3
"""
_PROGRAM = """\
import json, os, sys
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
from feast import types
from feast.errors import FeastError
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.value_type import ValueType
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
store = FeatureStore(repo_path=".")

def ask(features=None, service=None, registered=None, rows=(), full=False, versions=False):
    if service is not None:
        features = FeatureService(name=service, features=[])
    if registered is not None:
        features = store.get_feature_service(registered)
    response = store.get_online_features(
        features=features, entity_rows=list(rows), full_feature_names=full,
        include_feature_view_version_metadata=versions)
    found = response.proto.metadata.feature_view_metadata
    statuses = [list(r.statuses) for r in response.proto.results]
    frame = response.to_df()
    return {"values": response.to_dict(), "versions": [[v.name, v.version] for v in found],
            "statuses": dict(zip(response.proto.metadata.feature_names.val, statuses)),
            "frame": frame.to_dict("list"), "types": {k: str(t) for k, t in frame.dtypes.items()}}

def read(view, key, values, features):
    table = FeatureView(
        name=view, entities=[Entity(name=key, join_keys=[key], value_type=ValueType.STRING)],
        schema=[Field(name=n, dtype=getattr(types, t)) for n, t in features.items()],
        source=FileSource(path="nowhere.parquet", timestamp_field="at"))
    keys = [EntityKey(join_keys=[key], entity_values=[Value(string_val=v)]) for v in values]
    rows = store._get_provider().online_read(store.config, table, keys, list(features))
    return [{n: str(v).strip() for n, v in found.items()} for _, found in rows]

for line in sys.stdin:
    name, call = json.loads(line)
    try:
        told = {"ask": ask, "read": read}[name](**call)
    except (FeastError, RuntimeError, TypeError, ValueError) as error:
        told = {"raised": [type(error).__module__, type(error).__name__, str(error)]}
    print(json.dumps(told, default=repr), file=answers, flush=True)
"""


class FeastError(Exception):
    """What Feast's client raised.

    Attributes:
        module, kind: of the exception's class.
    """

    def __init__(self, module: str, kind: str, message: str) -> None:
        self.module, self.kind = module, kind
        super().__init__(message)


class FeastClient:
    """A FeatureStore whose online store is a server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(
        self,
        features: Sequence[str] | None = None,
        *,
        rows: Sequence[dict[str, Any]],
        service: str | None = None,
        registered: str | None = None,
        full: bool = False,
        versions: bool = False,
    ) -> dict[str, Any]:
        """What `get_online_features` answers: ``values`` of to_dict, ``frame`` and ``types`` of to_df,
        ``versions`` and ``statuses``.

        Args:
            service: a feature service by its name only.
            registered: one of the client's registry.

        Raises:
            FeastError: Feast's client raised.
        """
        call = {"features": features, "rows": rows, "service": service, "registered": registered}
        return dict(self._call("ask", {**call, "full": full, "versions": versions}))

    def read(
        self, view: str, key: str, values: Sequence[str], features: dict[str, str]
    ) -> list[dict[str, str]]:
        """What Feast's `online_read` gives, as protobuf text, for features of Feast's types."""
        call = {"view": view, "key": key, "values": values, "features": features}
        return list(self._call("read", call))

    def _call(self, name: str, call: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, call]) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        if isinstance(told, dict) and "raised" in told:
            raise FeastError(*told["raised"])
        return told


@contextmanager
def feast_client(
    folder: Path,
    url: str,
    registry: str = "registry.db",
    project: str = "any",
    token: str | None = None,
) -> Iterator[FeastClient]:
    """A client of the server at a URL.

    Args:
        token: that it sends; None sends none.
        folder: for its settings, new or empty.
        registry, project: what it finds feature services in.
    """
    folder.mkdir(exist_ok=True)
    settings = SETTINGS.format(project=project, registry=registry, url=url)
    if token is not None:
        settings += f"auth: {{type: oidc, token: {token}}}\n"
    (folder / "feature_store.yaml").write_text(settings)
    log = folder / "client.log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [str(feast_python()), "-c", _PROGRAM],
            cwd=folder,
            env=feast_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
        )
    try:
        yield FeastClient(process)
    finally:
        process.communicate(timeout=60)  # it ends with its input
