"""The objects of a Feast registry that have a counterpart here, from its protobuf as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The entity of views without one.
DUMMY_ENTITY = "__dummy"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A column: ``type`` is Feast's value type, such as INT64 or DOUBLE_LIST."""

    name: str
    type: str
    description: str = ""


@dataclass(frozen=True)
class FeastSource:
    """Where a view's rows come from.

    Attributes:
        kind: Feast's type, such as BATCH_FILE.
        path: of a file, as the repository has it.
        file_format: of a file: parquet, delta, or what else Feast calls it.
        table, query: of a database; at most one is not empty.
        mapping: the column in the source to the name that views use.
    """

    name: str
    kind: str
    event_time: str
    created: str
    path: str = ""
    file_format: str = "parquet"
    table: str = ""
    query: str = ""
    description: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> str:
        """The source's own name of a column that views call ``name``."""
        return next((old for old, new in self.mapping.items() if new == name), name)


@dataclass(frozen=True)
class View:
    """A feature view.

    Attributes:
        ttl_s: how long a row counts, in seconds; None for ever.
        made_by: what makes its rows besides reading its source; empty where nothing does.
        stream: the name of its push or stream source; mostly there is none.
    """

    name: str
    keys: tuple[Field, ...]
    features: tuple[Field, ...]
    source: FeastSource | None
    ttl_s: float | None
    made_by: str = ""
    stream: str = ""
    online: bool = True
    owner: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OnDemandView:
    """Features that Feast's server computes for each request.

    Attributes:
        views: the feature views that it reads.
        requests: what the caller sends.
    """

    name: str
    mode: str
    features: tuple[Field, ...]
    views: tuple[str, ...]
    requests: tuple[Field, ...]


@dataclass(frozen=True)
class Projection:
    """What a service reads of one view.

    Attributes:
        name: under which its features are answered: the view's, unless it is renamed.
        keys: the view's key column to the caller's name for it.
    """

    view: str
    name: str
    features: tuple[str, ...]
    keys: Mapping[str, str]


@dataclass(frozen=True)
class Service:
    name: str
    projections: tuple[Projection, ...]
    owner: str = ""
    description: str = ""
    logs: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """One project of a registry.

    Attributes:
        streams: kind and name of each push and stream source.
        others: kind and name of each object that has no counterpart here.
    """

    feast: str
    project: str
    offline_store: str
    views: tuple[View, ...]
    on_demand: tuple[OnDemandView, ...]
    services: tuple[Service, ...]
    streams: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, str], ...]

    @property
    def is_empty(self) -> bool:
        return not (self.views or self.on_demand or self.services)


#: Kinds of objects without a counterpart, by their field in the registry.
_OTHERS = {
    "label_views": "label view",
    "saved_datasets": "saved dataset",
    "validation_references": "validation reference",
    "permissions": "permission",
}
_STREAMS = {
    "PUSH_SOURCE": "push source",
    "STREAM_KAFKA": "Kafka source",
    "STREAM_KINESIS": "Kinesis source",
}
_OPTIONS = ("bigquery", "redshift", "snowflake", "spark", "trino", "athena")


def parse_registry(dumped: Json) -> Registry:
    """The objects of ``dump_registry``'s JSON, of each kind by name: Feast keeps them in no order."""
    project, raw = str(dumped["project"]), dumped["registry"]

    def specs(name: str) -> Iterator[Json]:
        found = (item.get("spec", item) for item in raw.get(name, ()))
        own = (spec for spec in found if spec.get("project", project) == project)
        yield from sorted(own, key=lambda spec: str(spec.get("name", "")))

    views = [_view(spec) for spec in specs("feature_views")]
    views += [_view(spec, "stream feature view") for spec in specs("stream_feature_views")]
    return Registry(
        feast=str(dumped["feast"]),
        project=project,
        offline_store=str(dumped.get("offline_store", "")),
        views=tuple(views),
        on_demand=tuple(_on_demand(spec) for spec in specs("on_demand_feature_views")),
        services=tuple(_service(spec) for spec in specs("feature_services")),
        streams=tuple(
            (_STREAMS[spec["type"]], spec.get("name", ""))
            for spec in specs("data_sources")
            if spec.get("type") in _STREAMS
        ),
        others=tuple(
            (kind, spec.get("name", "")) for key, kind in _OTHERS.items() for spec in specs(key)
        ),
    )


def _fields(raw: Sequence[Json]) -> tuple[Field, ...]:
    return tuple(
        Field(str(f["name"]), str(f.get("value_type", "")), str(f.get("description", "")))
        for f in raw
    )


def _view(spec: Json, kind: str = "") -> View:
    source = spec.get("batch_source")
    keys = () if DUMMY_ENTITY in spec.get("entities", ()) else spec.get("entity_columns", ())
    return View(
        name=str(spec["name"]),
        keys=_fields(keys),
        features=_fields(spec.get("features", ())),
        source=None if source is None else _source(source),
        ttl_s=_seconds(spec.get("ttl", "")),
        made_by=_made_by(spec, kind),
        stream=str(spec.get("stream_source", {}).get("name", "")),
        online=bool(spec.get("online", False)),
        owner=str(spec.get("owner", "")),
        description=str(spec.get("description", "")),
        tags=dict(spec.get("tags", {})),
    )


def _made_by(spec: Json, kind: str) -> str:
    if spec.get("source_views"):
        return "its rows are made of other feature views"
    if spec.get("feature_transformation") or spec.get("user_defined_function"):
        return f"its rows are made by a transformation ({spec.get('mode') or 'python'})"
    if spec.get("aggregations"):
        return f"its rows are made by aggregations of the {kind or 'view'}"
    return ""


def _seconds(text: str) -> float | None:
    """Protobuf's ``7200s``; 0 says that rows count for ever."""
    return float(text.removesuffix("s") or 0) or None


def _source(raw: Json) -> FeastSource:
    options: Json = next(
        (raw[f"{kind}_options"] for kind in _OPTIONS if f"{kind}_options" in raw), {}
    )
    file = raw.get("file_options", {})
    table = ".".join(
        str(options[part]) for part in ("database", "schema", "table") if options.get(part)
    )
    return FeastSource(
        name=str(raw.get("name", "")),
        kind=str(raw.get("type", "")),
        event_time=str(raw.get("timestamp_field", "")),
        created=str(raw.get("created_timestamp_column", "")),
        path=str(file.get("uri", "") or options.get("path", "")),
        file_format=_format(file.get("file_format", {})),
        table=table if options.get("table") else "",
        query=str(options.get("query", "")),
        description=str(raw.get("description", "")),
        mapping=dict(raw.get("field_mapping", {})),
    )


def _format(raw: Json) -> str:
    """``{"delta_format": {}}`` says delta; nothing says Parquet."""
    return next((key.removesuffix("_format") for key in raw), "parquet")


def _on_demand(spec: Json) -> OnDemandView:
    views: list[str] = []
    requests: list[Field] = []
    for source in spec.get("sources", {}).values():
        if "feature_view_projection" in source:
            views.append(str(source["feature_view_projection"]["feature_view_name"]))
        elif "feature_view" in source:
            views.append(str(source["feature_view"]["spec"]["name"]))
        else:
            options = source.get("request_data_source", {}).get("request_data_options", {})
            requests += _fields(options.get("schema", ()))
    return OnDemandView(
        name=str(spec["name"]),
        mode=str(spec.get("mode") or "pandas"),
        features=_fields(spec.get("features", ())),
        views=tuple(views),
        requests=tuple(requests),
    )


def _service(spec: Json) -> Service:
    projections = tuple(
        Projection(
            view=str(p["feature_view_name"]),
            name=str(p.get("feature_view_name_alias") or p["feature_view_name"]),
            features=tuple(str(f["name"]) for f in p.get("feature_columns", ())),
            keys=dict(p.get("join_key_map", {})),
        )
        for p in spec.get("features", ())
    )
    return Service(
        name=str(spec["name"]),
        projections=projections,
        owner=str(spec.get("owner", "")),
        description=str(spec.get("description", "")),
        logs="logging_config" in spec,
        tags=dict(spec.get("tags", {})),
    )
