"""One case of the proof: a view, its leaves and rows, and the instants asked; and its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from feature_specs import Changelog, FeatureView, Leaf
from tests.feature_specs.oracle import Row

#: The spine's columns around the entity's: an id in front, the instant and a request behind.
KEY_TYPES = {"k": "VARCHAR", "j": "INTEGER"}
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Case:
    """All that a run needs, and nothing that was drawn on the way.

    Attributes:
        name: the seed that draws it again.
        spine: rows of (id, keys..., ts, amount).
        tags: what the case covers, each ``category:name``.
        visible: ties of the history are broken by when a row became visible; see the oracle.
    """

    name: str
    view: FeatureView
    leaves: tuple[Leaf, ...]
    tables: Mapping[str, Sequence[Row]]
    spine: Sequence[Row]
    tags: frozenset[str] = frozenset()
    visible: bool = False
    lag: timedelta = timedelta()

    @property
    def asks(self) -> bool:
        """A value that the caller sends takes part."""
        return "forebay_request_" in self.view.sql

    @property
    def whole_sql(self) -> str:
        """The query with its models as CTEs: what runs by itself."""
        if not self.view.models:
            return self.view.sql
        staged = ", ".join(f"{name} as ({sql})" for name, sql in self.view.models.items())
        head = re.match(r"with\s", self.view.sql, re.IGNORECASE)
        rest = f", {self.view.sql[head.end() :]}" if head else f" {self.view.sql}"
        return f"with {staged}{rest}"

    @property
    def spine_columns(self) -> dict[str, str]:
        keys = {e: KEY_TYPES[e] for e in self.view.entities}
        return {"id": "INTEGER", **keys, "ts": "TIMESTAMP WITH TIME ZONE", "amount": "DOUBLE"}


def to_json(case: Case) -> dict[str, Any]:
    """A case as plain JSON values."""
    return {
        "name": case.name,
        "view": _declared(case.view),
        "leaves": [_declared(leaf) for leaf in case.leaves],
        "tables": {name: [_row(row) for row in rows] for name, rows in case.tables.items()},
        "spine": [_row(row) for row in case.spine],
        "tags": sorted(case.tags),
        "visible": case.visible,
        "lag": encode(case.lag),
    }


def from_json(value: Mapping[str, Any]) -> Case:
    """The case that ``to_json`` wrote."""
    return Case(
        value["name"],
        FeatureView(**{n: decode(v) for n, v in value["view"].items()}),
        tuple(_leaf(leaf) for leaf in value["leaves"]),
        {name: [_values(row) for row in rows] for name, rows in value["tables"].items()},
        [_values(row) for row in value["spine"]],
        frozenset(value["tags"]),
        value["visible"],
        decode(value["lag"]),
    )


def encode(value: Any) -> Any:
    """A value as JSON; what JSON has no word for becomes an object of one key."""
    match value:
        case datetime():
            return {"at": value.isoformat()}
        case date():
            return {"day": value.isoformat()}
        case timedelta():
            return {"us": value // MICROSECOND}
        case Decimal():
            return {"decimal": str(value)}
        case float() if value != value or value in (float("inf"), float("-inf")):
            return {"float": str(value)}
        case Changelog():
            return {"changelog": {"key": list(value.key), "deleted": value.deleted}}
        case Mapping():
            return {"map": [[encode(k), encode(v)] for k, v in value.items()]}
        case list() | tuple():
            return [encode(v) for v in value]
        case None | bool() | int() | float() | str():
            return value
    return {"text": str(value)}


def decode(value: Any) -> Any:
    """The value that ``encode`` wrote."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    match kind:
        case "at":
            return datetime.fromisoformat(inner)
        case "day":
            return date.fromisoformat(inner)
        case "us":
            return inner * MICROSECOND
        case "decimal":
            return Decimal(inner)
        case "float":
            return float(inner)
        case "changelog":
            return Changelog(tuple(inner["key"]), inner["deleted"])
        case "map":
            return {decode(k): decode(v) for k, v in inner}
    return inner


def dump(value: Any) -> str:
    """Readable JSON: a table's row is one line."""
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _declared(thing: FeatureView | Leaf) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for f in fields(thing):
        value = getattr(thing, f.name)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if value != default:
            found[f.name] = encode(value)
    return found


def _leaf(value: Mapping[str, Any]) -> Leaf:
    return Leaf(**{n: decode(v) for n, v in value.items()})


def _row(row: Row) -> list[Any]:
    return [encode(v) for v in row]


def _values(row: Sequence[Any]) -> Row:
    return tuple(decode(v) for v in row)


__all__ = [
    "KEY_TYPES",
    "MICROSECOND",
    "Case",
    "decode",
    "dump",
    "encode",
    "field",
    "from_json",
    "to_json",
]
