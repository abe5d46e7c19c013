"""lineage.json: the lineage of a whole project, from source columns to consumers of features.

`forebay compile` writes it; commands, events and the catalogue read it, without SQLGlot or dbt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_specs.errors import ForebayError
from lineage.effects import Effects, together
from lineage.view_lineage import Columns, ViewLineage, load_lineage
from lineage.view_lines import ViewLines, split_views

if TYPE_CHECKING:
    from feature_specs.catalog import Catalog

FORMAT = 1
FILE = "lineage.json"
_COMPILE = "run `forebay compile`"


@dataclass(frozen=True)
class Exposure:
    """A dbt exposure that reads features, training sets or models.

    Attributes:
        name: its name; of type ``ml`` it is the feature service of that name.
        type: dbt's: ``ml``, ``dashboard``, ``application``, ``notebook``, ``analysis``.
        owner: name or mail address.
        reads: names of the feature views and training sets that it depends on.
    """

    name: str
    type: str
    owner: str = ""
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class ViewNode:
    """A feature view in the graph.

    Attributes:
        table: Iceberg identifier of its latest rows; its features are columns of it.
        owner: as the author names them.
        semantic_hash: of what its rows mean.
        lineage: what reaches it, as plain values until `of` is asked. Leaves are named by their Iceberg
            tables, models by their dbt names.
    """

    table: str
    owner: str
    semantic_hash: str
    raw: Mapping[str, Any]

    @property
    def lineage(self) -> ViewLineage:
        """The columns that reach each feature: see `ViewLineage`."""
        return load_lineage(self.raw)


@dataclass(frozen=True)
class ProjectLineage:
    """All edges of a project.

    Attributes:
        tables: of each Iceberg table under a view, its columns and their DuckDB types.
        views: by name.
        services: of each feature service, its ``(view, feature)`` pairs, roles taken back to views.
        owners: of each service its owner.
        training_sets: of each training set, the service whose vectors it holds.
        consumers: by dbt's unique id, the exposures.
    """

    project: str
    tables: Mapping[str, Mapping[str, str]]
    views: Mapping[str, ViewNode]
    services: Mapping[str, Sequence[tuple[str, str]]]
    owners: Mapping[str, str] = field(default_factory=dict)
    training_sets: Mapping[str, str] = field(default_factory=dict)
    consumers: Mapping[str, Exposure] = field(default_factory=dict)

    def dumps(self) -> str:
        """The JSON text of lineage.json, a view a line."""
        views = ",\n".join(f"{json.dumps(n)}:{_plain(vars(v))}" for n, v in self.views.items())
        rest = {k: v for k, v in vars(self).items() if k != "views"}
        head = ",\n".join(f"{json.dumps(k)}:{_plain(v)}" for k, v in rest.items())
        return f'{{"format":{FORMAT},\n{head},\n"views":{{\n{views}\n}}}}\n'


def _plain(value: Any) -> str:
    return json.dumps(value, default=vars, separators=(",", ":"))


def project_lineage(
    catalog: Catalog,
    views: Mapping[str, ViewLineage],
    consumers: Mapping[str, Exposure],
    models: Mapping[str, str],
) -> ProjectLineage:
    """Put the lineage of a project together.

    Args:
        views: of each view, its lineage over leaves and models as the compiler names them.
        models: of each inlined model's relation, in lower case without quotes, its dbt name.
    """
    tables = {leaf.name: leaf.table for leaf in catalog.leaves.values()}
    known: dict[str, dict[str, str]] = {}
    for leaf in catalog.leaves.values():
        known[leaf.table] = {**known.get(leaf.table, {}), **leaf.columns}
    nodes = {
        name: ViewNode(
            entry.table,
            entry.owner,
            entry.semantic_hash,
            _renamed(views[name], tables, models).dump(),
        )
        for name, entry in catalog.views.items()
    }
    return ProjectLineage(
        catalog.project,
        dict(sorted(known.items())),
        nodes,
        {
            s.name: tuple(
                (catalog.view_behind(view), catalog.view(view).feature(feature).own_name)
                for view, feature in s.features
            )
            for s in catalog.services.values()
        },
        {s.name: s.owner for s in catalog.services.values()},
        {t.name: t.service for t in catalog.training_sets.values()},
        consumers,
    )


def _renamed(
    lineage: ViewLineage, tables: Mapping[str, str], models: Mapping[str, str]
) -> ViewLineage:
    def columns(found: Columns, names: Mapping[str, str]) -> Columns:
        return {n: _under(e, names) for n, e in found.items()}

    return ViewLineage(
        columns(lineage.features, tables),
        columns(lineage.keys, tables),
        _under(lineage.rows, tables),
        {models.get(m, m): columns(c, tables) for m, c in lineage.models.items()},
        columns(lineage.through, models),
        _under(lineage.rows_through, models),
    )


def _under(effects: Effects, names: Mapping[str, str]) -> Effects:
    """The effects under other names of tables; two leaves may be one table."""
    return together({(names.get(t, t), c): e} for (t, c), e in effects.items())


def load_project_lineage(path: Path) -> ProjectLineage:
    """Read lineage.json.

    Raises:
        ForebayError: it is not there, or of another version of forebay.
    """
    try:
        text = path.read_text()
        split = split_views(text)
        raw = json.loads(text if split is None else split[0])
    except FileNotFoundError:
        raise ForebayError(
            f"nothing is compiled yet: no {FILE}", where=str(path), hint=_COMPILE
        ) from None
    except ValueError as error:
        raise ForebayError(f"not JSON: {error}", where=str(path), hint=_COMPILE) from None
    try:
        if raw.pop("format") == FORMAT:
            return _lineage(raw, None if split is None else split[1])
    except (TypeError, KeyError, AttributeError):
        pass
    raise ForebayError("written by another version of forebay", where=str(path), hint=_COMPILE)


def _lineage(raw: dict[str, Any], lines: Mapping[str, str] | None) -> ProjectLineage:
    if lines is None:
        raw["views"] = {n: ViewNode(**v) for n, v in raw["views"].items()}
    else:
        raw["views"] = ViewLines(lines, lambda view: ViewNode(**view))
    raw["services"] = {n: tuple(map(tuple, f)) for n, f in raw["services"].items()}
    raw["consumers"] = {
        n: Exposure(**{**c, "reads": tuple(c["reads"])}) for n, c in raw["consumers"].items()
    }
    return ProjectLineage(**raw)
