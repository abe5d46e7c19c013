"""What compiling each view and service gave, kept under the project's target folder.

A view is compiled again when its own text, that of a model it inlines, a leaf's columns or roles, or
the compiler itself has changed. What is read from the cache is what would be compiled anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import feature_specs
import lineage
import serving
from feature_specs.catalog import Column, Expression, Role
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.write_text import write_if_changed


@dataclass(frozen=True)
class ViewParts:
    """All of a compiled view that a project's compile writes, as plain data.

    Attributes:
        entities: key columns, spelled as the author has them.
        stored: the other columns of the feature table besides event_time.
        features: name, type and read-time expression (None for a stored column) of each.
        joined: of each static leaf, the columns of each join to it.
        files: its plan on disk, file name to text.
        definition: what it is made of, as plain data.
        lineage: which leaf columns reach each feature: `ViewLineage.dump`.
        reach: how far back it reads of each leaf (``ViewEntry.reach``).
        reads: which columns of each leaf (``ViewEntry.reads``).
        bounds: of each scan of a leaf, what bounds it in the point-in-time statement.
    """

    entities: tuple[Column, ...]
    event_time: str | None
    stored: tuple[Column, ...]
    features: tuple[tuple[str, str, Expression | None], ...]
    requests: tuple[Column, ...]
    leaves: tuple[str, ...]
    joined: Mapping[str, Sequence[Sequence[str]]]
    lowering: str
    semantic_hash: str
    assumptions: tuple[str, ...]
    files: Mapping[str, str]
    definition: Mapping[str, Any]
    lineage: Mapping[str, Any]
    bounds: tuple[tuple[str, str], ...] = ()
    reach: Mapping[str, int] = field(default_factory=dict)
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)


class CompileCache:
    """A folder with a JSON file for each view and service, each under the key that it answers.

    What is kept stands under the key by which it was last asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "compiled"
        self._asked: dict[str, str] = {}
        self._answered: set[str] = set()

    def view_key(self, view: FeatureView, leaves: Sequence[Leaf]) -> str:
        """Of all that decides what a view compiles to."""
        sized = [(leaf, leaf.rows_per_key) for leaf in leaves]
        return _digest([_compiler(), repr(view), repr(sized)])

    def service_key(
        self,
        features: Sequence[tuple[str, str]],
        view_keys: Iterable[str],
        roles: Mapping[str, Role],
        aliases: Mapping[tuple[str, str], str],
    ) -> str:
        """Of all that decides what a service compiles to."""
        named = [repr(said) for said in (roles, aliases) if said]
        return _digest([repr(features), *view_keys, *named])

    def view(self, name: str, key: str) -> ViewParts | None:
        """What was kept of a view under that key, if anything."""
        raw = self._read(f"views/{name}.json", key)
        return None if raw is None else _view_parts(raw)

    def service(self, name: str, key: str) -> str | None:
        """The statement that was kept of a service under that key, if any."""
        raw = self._read(f"services/{name}.json", key)
        return None if raw is None else str(raw["template"])

    def keep_view(self, name: str, parts: ViewParts) -> None:
        """Write what a view came to, unless it was read from here."""
        self._write(f"views/{name}.json", vars(parts))

    def keep_service(self, name: str, template: str) -> None:
        """Write what a service came to, unless it was read from here."""
        self._write(f"services/{name}.json", {"template": template})

    def _read(self, file: str, key: str) -> dict[str, Any] | None:
        self._asked[file] = key
        try:
            kept: dict[str, Any] = json.loads((self.folder / file).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None  # never written, or cut off by a kill: compiled anew
        if kept.get("key") != key:
            return None
        self._answered.add(file)
        value: dict[str, Any] = kept["value"]
        return value

    def _write(self, file: str, value: Mapping[str, Any]) -> None:
        if file not in self._answered:
            kept = {"key": self._asked[file], "value": value}
            write_if_changed(self.folder / file, json.dumps(kept, default=vars))


def _view_parts(raw: dict[str, Any]) -> ViewParts:
    for name in ("entities", "stored", "requests"):
        raw[name] = tuple(Column(**c) for c in raw[name])
    raw["features"] = tuple((name, kind, tree) for name, kind, tree in raw["features"])
    raw["leaves"], raw["assumptions"] = tuple(raw["leaves"]), tuple(raw["assumptions"])
    raw["bounds"] = tuple((leaf, bound) for leaf, bound in raw.get("bounds", ()))
    return ViewParts(**raw)


@cache
def _compiler() -> str:
    """Of the code that compiles and that reads what was compiled, and of what it stands on."""
    packages = [Path(str(p.__file__)).parent for p in (feature_specs, lineage, serving)]
    homes = (packages[0], packages[1], packages[2] / "read_time")
    sources = [p.read_text() for home in homes for p in sorted(home.rglob("*.py"))]
    return _digest([version("sqlglot"), version("duckdb"), *sources])


def _digest(texts: Iterable[str]) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()
