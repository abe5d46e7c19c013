"""What a training set was made of, as it is kept with it: in the Parquet file, in the Iceberg table.

docs/training.md describes each field. A record is plain JSON, so that other tools can read it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from pyiceberg.catalog import Catalog as Lake
from pyiceberg.table import Table

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.sql_types import lists_of
from feature_specs.view import FeatureReference
from lakehouse.content_hash import ALGORITHM, UNKNOWN
from lakehouse.lake import find_table
from lakehouse.scan import Pinned

FORMAT = 1
#: The packages by whose versions bytes may differ.
_DECIDING = ("duckdb", "pyarrow", "pyiceberg")
#: The key of the record in a Parquet file's metadata, and in the properties of an Iceberg table.
FOOTER_KEY, PROPERTY = "forebay", "forebay.training"

Record: TypeAlias = dict[str, Any]

_CALL = re.compile(r"/\* forebay point_in_time (\{.*?\}) \*/")


@dataclass(frozen=True)
class SpineReading:
    """One reading of a service's features over a spine.

    Attributes:
        spine: what is known of it: ``path``, ``sha256`` and ``rows`` of a file, ``relation`` in dbt.
        timestamp: the spine's column of instants.
        lag_us: how long before each instant stored features were read.
        timezone: the zone given to instants that had none.
    """

    service: str
    spine: Mapping[str, Any]
    timestamp: str
    lag_us: int = 0
    timezone: str | None = None


def make_record(
    catalog: Catalog,
    lake: Lake,
    readings: Sequence[SpineReading],
    pinned: Mapping[str, Pinned],
    types: Mapping[str, str],
    root: Path,
    recipe: Record | None = None,
    *,
    computed: bool = True,
) -> Record:
    """The record of a training set about to be written.

    Args:
        readings: of one service each; mostly there is one.
        pinned: the tables read, by relation.
        types: of the training set's columns, for those that are features.
        root: the project's folder, whose git commit is recorded.
        recipe: what makes the set again, beside the tables: its engine's name and its statement.
        computed: from the views' leaves; else they are not recorded.
    """
    references = [
        FeatureReference(*pair) for r in readings for pair in catalog.service(r.service).features
    ]
    views = {name: catalog.view(name) for name in dict.fromkeys(r.view for r in references)}
    leaves = sorted({leaf for view in views.values() for leaf in view.leaves if computed})
    first, *others = (asdict(r) for r in readings)
    return {
        "format": FORMAT,
        "id": secrets.token_hex(8),
        "made_at": datetime.now(UTC).isoformat(),
        "forebay": version("forebay"),
        "compiler": catalog.compiler_version,
        "versions": {name: version(name) for name in _DECIDING},
        "project": catalog.project,
        "git": git_commit(root),
        **first,
        **({"others": others} if others else {}),
        "features": [_feature(r, views[r.view], types) for r in dict.fromkeys(references)],
        "views": {
            name: {
                "semantic_hash": view.semantic_hash,
                "definition_hash": view.definition_hash,
                **_keys(catalog, name),
                **_table(find_table(lake, view.table), view.table),
            }
            for name, view in views.items()
        },
        "leaves": {
            leaf: table_of(pinned[entry.relation])
            for leaf, entry in ((name, catalog.leaves[name]) for name in leaves)
        },
        **({"recipe": recipe} if recipe else {}),
        "content": {"algorithm": ALGORITHM, "hash": UNKNOWN},
    }  # fmt: skip


def _feature(reference: FeatureReference, view: ViewEntry, types: Mapping[str, str]) -> Record:
    return {
        "name": reference.column,
        "view": reference.view,
        "feature": reference.feature,
        "type": _declared(view, reference.feature, types.get(reference.column)),
    }


def _keys(catalog: Catalog, name: str) -> Record:
    """Of a role, the columns that it reads its view by, which no hash of the view is of."""
    role = catalog.roles.get(name)
    return {} if role is None else {"view": role.view, "keys": dict(role.keys)}


def table_of(pinned: Pinned) -> Record:
    """A table that is read, by name and uuid, at the snapshot and schema that it is read at."""
    return _table(pinned.table, ".".join(pinned.table.name()), pinned)


def _table(table: Table | None, name: str, pinned: Pinned | None = None) -> Record:
    """A table by name and uuid, at one snapshot and schema; all None where it is not built."""
    if table is None:
        return {"table": name, "uuid": None, "snapshot": None, "schema": None}
    current = table.current_snapshot()
    snapshot = None if current is None else current.snapshot_id
    return {
        "table": name,
        "uuid": str(table.metadata.table_uuid),
        "snapshot": snapshot if pinned is None else pinned.snapshot,
        "schema": table.schema().schema_id,
    }


def readings_of(sql: str) -> list[SpineReading]:
    """What the macro point_in_time() says in a model's compiled SQL of its own calls."""
    found = []
    for match in _CALL.finditer(sql):
        said = json.loads(match[1])
        spine = {"relation": said["spine"]}
        found.append(SpineReading(said["service"], spine, said["timestamp"], said["lag_us"]))
    return found


def exported(record: Record | None, table: Table, types: Mapping[str, str]) -> Record:
    """The record of a file that holds a training-set table, from that of the table.

    Args:
        record: None of a table that forebay wrote before it kept records.
    """
    made: Record = {"format": FORMAT, "made_at": None, **(record or {})}
    made["id"] = secrets.token_hex(8)  # another set, of the table's snapshot
    made["content"] = {"algorithm": ALGORITHM, "hash": UNKNOWN}
    made["versions"] = {name: version(name) for name in _DECIDING}
    made["features"] = [
        {**feature, "type": types.get(feature["name"])} for feature in made.get("features", [])
    ]
    made["model"] = _table(table, ".".join(table.name()))
    made["exported_at"] = datetime.now(UTC).isoformat()
    return made


def read_property(table: Table) -> Record | None:
    """The record in an Iceberg table's properties; None where it has none."""
    return parse_record(table.properties.get(PROPERTY))


def parse_record(text: str | bytes | None) -> Record | None:
    """A record from its JSON; None of anything else, or of a format of the future."""
    if not text:
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_commit(root: Path) -> Record | None:
    """The commit of a project's folder and whether files differ from it; None outside git."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None  # no git, no repository, or no commit yet
    return {"commit": commit, "dirty": bool(changed)}


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def _declared(view: ViewEntry, feature: str, found: str | None) -> str | None:
    """The type that a statement gives a feature; an array's with its size, which statements lack."""
    for known in view.names:
        if known.name == feature and lists_of(known.type) == found:
            return known.type
    return found
