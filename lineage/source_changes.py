"""Raw columns that were dropped or retyped since the last compile, and what that affects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from feature_specs.names import fold_name
from lineage.project_lineage import ProjectLineage
from lineage.walk import Graph, Kind, Node

#: What a column's type may become without a value changing: Iceberg's own promotions.
_WIDER = {("INTEGER", "BIGINT"), ("FLOAT", "DOUBLE")}


@dataclass(frozen=True)
class SourceChange:
    """One raw column that features read, as it was when they were compiled, and as it is.

    Attributes:
        column: ``table.column``.
        now: its type now; None where it is gone.
        renamed: of a column that is gone, the one new column of its type, which it may have become.
        features, services, training_sets, exposures: what it reaches, ties apart.
        owners: of those services.
    """

    column: str
    was: str
    now: str | None
    renamed: str | None = None
    features: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    training_sets: tuple[str, ...] = ()
    exposures: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    @property
    def breaking(self) -> bool:
        """A view that reads it may no longer compile, or give values of another type."""
        return self.now is None or (self.was, self.now) not in _WIDER

    def __str__(self) -> str:
        what = f"{self.column}: {self.was} -> {self.now}"
        if self.now is None:
            perhaps = f", or renamed to {self.renamed}" if self.renamed else ""
            what = f"{self.column} ({self.was}) is dropped{perhaps}"
        hit = {
            "features": self.features,
            "services": self.services,
            "training sets": self.training_sets,
            "exposures": self.exposures,
            "owners": self.owners,
        }
        return "; ".join([what, *(f"{n}: {', '.join(v)}" for n, v in hit.items() if v)])


def source_changes(
    lineage: ProjectLineage, present: Mapping[str, Mapping[str, str]]
) -> list[SourceChange]:
    """Every column that differs and reaches a feature.

    Args:
        lineage: as it was compiled.
        present: the tables that are there now, each with its columns and their DuckDB types.
    """
    graph = Graph(lineage)
    out = []
    for table, columns in lineage.tables.items():
        if table not in present:
            continue  # which every view that reads it says itself
        now = {fold_name(c): kind for c, kind in present[table].items()}
        known = {fold_name(c) for c in columns}
        for column, was in columns.items():
            kind = now.get(fold_name(column))
            if kind != was:
                fresh = [
                    c for c, t in present[table].items() if t == was and fold_name(c) not in known
                ]
                renamed = fresh[0] if kind is None and len(fresh) == 1 else None
                change = SourceChange(
                    f"{table}.{column}", was, kind, renamed, **_hit(graph, table, column)
                )
                out += [change] if change.features else []
    return out


def _hit(graph: Graph, table: str, column: str) -> dict[str, Any]:
    edges = graph.walk(Node("column", f"{table}.{column}"), "downstream")

    def names(kind: Kind) -> Iterator[str]:
        yield from dict.fromkeys(e.target.name for e in edges if e.target.kind == kind)

    services = tuple(names("service"))
    owners = (graph.lineage.owners.get(s, "") for s in services)
    return {
        "features": tuple(names("feature")),
        "services": services,
        "training_sets": tuple(names("training set")),
        "exposures": tuple(names("exposure")),
        "owners": tuple(dict.fromkeys(o for o in owners if o)),
    }
