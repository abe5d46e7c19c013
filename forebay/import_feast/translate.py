"""Decide what becomes of each object of a Feast registry, and say what becomes of none.

A feature view becomes a history view: its source's columns, `event_time` from the source's timestamp,
`tie_break` from its created timestamp, and the ttl, which both count with both ends included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from feature_specs.names import fold_name, is_reserved
from forebay.import_feast.registry import (
    FeastSource,
    Field,
    OnDemandView,
    Projection,
    Registry,
    Service,
    View,
)

#: Value types of which no key is made.
_NO_KEYS = ("FLOAT", "DOUBLE", "BYTES", "PDF_BYTES", "IMAGE_BYTES", "JSON", "MAP", "STRUCT")


@dataclass(frozen=True)
class Left:
    """Something that is not carried over, whole or in part.

    Attributes:
        kind, name: Feast's words for it.
        what: what is not there, and why.
        hint: what to write instead; may be empty.
    """

    kind: str
    name: str
    what: str
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A source as it is written: ``name`` in dbt, in the schema of the project's name."""

    name: str
    source: FeastSource


@dataclass(frozen=True)
class FeastColumn:
    """An item of a select list: a column of the source, and its name in the view."""

    column: str
    name: str
    description: str = ""


@dataclass(frozen=True)
class Model:
    """A feature view as it is written.

    Attributes:
        of: Feast's name of the view that it is made of.
        tie_break: the column by which rows of one event time are ordered; may be empty.
    """

    name: str
    of: View
    table: Table
    keys: tuple[FeastColumn, ...]
    event_time: FeastColumn
    tie_break: FeastColumn | None
    features: tuple[FeastColumn, ...]


@dataclass(frozen=True)
class Exposure:
    """A feature service as it is written: its (model, feature) pairs in order."""

    name: str
    of: Service
    features: tuple[tuple[str, str], ...]


@dataclass
class Translation:
    """All that is written, and all that is not.

    Attributes:
        schema: of the sources; the lake's namespace too.
    """

    schema: str
    tables: list[Table] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    exposures: list[Exposure] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


def translate(registry: Registry) -> Translation:
    """What is written for a registry."""
    made = Translation(plain_name(registry.project))
    for view in registry.views:
        _add_view(made, view)
    on_demand = {view.name: view for view in registry.on_demand}
    made.left += [_left_on_demand(view) for view in registry.on_demand]
    by_name = {view.name: view for view in registry.views}
    for service in registry.services:
        _add_service(made, service, by_name, on_demand)
    made.left += [
        Left(kind, name, "rows come into the tables by `forebay ingest`")
        for kind, name in registry.streams
    ]
    made.left += [Left(kind, name, "has no counterpart") for kind, name in registry.others]
    return made


def plain_name(text: str) -> str:
    """A name of letters, digits and underscores, as dbt and Iceberg want them.

    >>> plain_name("driver-stats v2"), plain_name("2024")
    ('driver_stats_v2', 'n_2024')
    """
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "unnamed"
    return name if not name[0].isdigit() else f"n_{name}"


def _add_view(made: Translation, view: View) -> None:
    reason = _refusal(view)
    if reason is not None:
        made.left.append(Left("feature view", view.name, *reason))
        return
    name = _model_name(made, view.name)
    made.models.append(_model(made, view, name, {}))
    if name != view.name:
        made.left.append(
            Left(
                "feature view",
                view.name,
                f"is named {name}: names are plain and differ in more than case",
            )
        )
    if not view.online:
        made.left.append(
            Left(
                "feature view",
                view.name,
                "online: false is not kept",
                "name the views that are to be online: `forebay sync VIEW...`",
            )
        )


def _refusal(view: View) -> tuple[str, str] | None:
    """Why no view can be made of it, and what to do."""
    if view.made_by:
        return view.made_by, "write it as SQL over the source: that is a feature view here"
    if not view.keys:
        return "it has no entity", "select a constant as its key"
    if view.source is None:
        return (
            "it has no batch source, and so no past",
            "load its events into a table, and read that",
        )
    if not view.source.event_time:
        return (
            "its source has no timestamp_field",
            "declare one in Feast, or write the view by hand",
        )
    if view.ttl_s is not None and view.ttl_s % 1:
        return f"its ttl, {view.ttl_s} s, is not one of whole seconds", "round it in Feast"
    return _key_refusal(view) or _name_refusal(view)


def _key_refusal(view: View) -> tuple[str, str] | None:
    for key in view.keys:
        if key.type in _NO_KEYS or key.type.endswith(("_LIST", "_SET")):
            return (
                f"its entity {key.name!r} is of type {key.type}",
                "cast the key in SQL, and declare it",
            )
    return None


def _name_refusal(view: View) -> tuple[str, str] | None:
    features = (f.name for f in view.features if f.name not in {k.name for k in view.keys})
    names = [*(k.name for k in view.keys), *features]
    folded = [fold_name(name) for name in names]
    for name in names:
        if is_reserved(name):
            return f"{name!r} begins like a name of forebay's own", "rename it in SQL"
        if "{" in name:
            return f"{name!r} would be read as Jinja", "rename it in SQL"
        if folded.count(fold_name(name)) > 1:
            return f"{name!r} is there twice, in whichever case", "rename one of them in SQL"
    return None


def _model(made: Translation, view: View, name: str, keys: Mapping[str, str]) -> Model:
    """The model of a view.

    Args:
        keys: the view's key columns to the names that they have in the model, where they differ.
    """
    assert view.source is not None
    source = view.source

    def column(name: str, wanted: str = "", description: str = "") -> FeastColumn:
        return FeastColumn(source.column(name), wanted or name, description)

    taken = {keys.get(k.name, k.name) for k in view.keys}
    features = [f for f in view.features if f.name not in taken and f.name != source.event_time]
    return Model(
        name=name,
        of=view,
        table=_table(made, source),
        keys=tuple(column(k.name, keys.get(k.name, ""), k.description) for k in view.keys),
        event_time=column(source.event_time),
        tie_break=column(source.created) if source.created else None,
        features=tuple(column(f.name, description=f.description) for f in features),
    )


def _table(made: Translation, source: FeastSource) -> Table:
    known = next((t for t in made.tables if t.source == source), None)
    if known is not None:
        return known
    stem = source.name.rstrip("/").rsplit("/", 1)[-1].removesuffix(".parquet")
    name = _free(plain_name(stem).lower(), {t.name for t in made.tables})
    table = Table(name, source)
    made.tables.append(table)
    if source.query:
        made.left.append(
            Left(
                "data source",
                source.name,
                "its rows are those of a query",
                f"load what it gives into {made.schema}.{name}",
            )
        )
    return table


def _model_name(made: Translation, wanted: str) -> str:
    return _free(plain_name(wanted), {m.name for m in made.models})


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where it is taken in any case."""
    folded = {fold_name(t) for t in taken}
    numbered = (f"{name}_{n}" for n in range(2, len(taken) + 3))
    return next(n for n in (name, *numbered) if fold_name(n) not in folded)


def _left_on_demand(view: OnDemandView) -> Left:
    read = ", ".join(view.views)
    sent = ", ".join(f"{{{{ request('{f.name}', '{_sql_type(f)}') }}}}" for f in view.requests)
    hint = "write each of its features as an expression in a select list"
    hint += f" of {read}" if read else ""
    hint += f"; what the caller sends is {sent}" if sent else ""
    return Left(
        "on-demand feature view",
        view.name,
        f"its transformation is {view.mode} code, for {', '.join(f.name for f in view.features)}",
        hint,
    )


_SQL_TYPES = {
    "INT32": "integer",
    "INT64": "bigint",
    "FLOAT": "float",
    "DOUBLE": "double",
    "STRING": "varchar",
    "BOOL": "boolean",
    "UNIX_TIMESTAMP": "timestamptz",
}


def _sql_type(sent: Field) -> str:
    return _SQL_TYPES.get(sent.type, "varchar")


def _add_service(
    made: Translation,
    service: Service,
    views: Mapping[str, View],
    on_demand: Mapping[str, OnDemandView],
) -> None:
    features: list[tuple[str, str]] = []
    for projection in service.projections:
        model = _model_of(made, projection, views)
        if model is None:
            kind = "on-demand feature view" if projection.view in on_demand else "feature view"
            lost = ", ".join(projection.features) or "its features"
            what = f"lacks {lost}: {kind} {projection.view} is not carried over"
            made.left.append(Left("feature service", service.name, what))
            continue
        known = {f.name for f in model.features}
        features += [(model.name, f) for f in projection.features if f in known]
    # An exposure's name may have hyphens too: Feast's client asks for a service by its name.
    kept = re.fullmatch(r"[\w-]+", service.name, flags=re.ASCII) is not None
    wanted = service.name if kept else plain_name(service.name)
    name = _free(wanted, {e.name for e in made.exposures})
    if not features:
        made.left.append(Left("feature service", service.name, "no feature of it is carried over"))
        return
    made.exposures.append(Exposure(name, service, tuple(features)))
    made.left += list(_notes(service, name))


def _notes(service: Service, name: str) -> Iterator[Left]:
    if name != service.name:
        yield Left(
            "feature service",
            service.name,
            f"is named {name}: names are plain and differ in more than case",
        )
    if service.logs:
        yield Left("feature service", service.name, "what it answers is not logged")


def _model_of(made: Translation, projection: Projection, views: Mapping[str, View]) -> Model | None:
    """The model that a service's projection reads, a new one where it renames a view or its keys."""
    base = next((m for m in made.models if m.of.name == projection.view and _is_plain(m)), None)
    if base is None:
        return None
    if projection.name == projection.view and not projection.keys:
        return base
    renamed = [projection.keys.get(k.name, k.name) for k in base.of.keys]
    for model in made.models:
        same = fold_name(model.name) == fold_name(plain_name(projection.name))
        if same and model.of == base.of and [k.name for k in model.keys] == renamed:
            return model
    model = _model(
        made, views[projection.view], _model_name(made, projection.name), projection.keys
    )
    made.models.append(model)
    return model


def _is_plain(model: Model) -> bool:
    """Whether a model is its view under the view's own keys."""
    return [k.name for k in model.keys] == [k.name for k in model.of.keys]
