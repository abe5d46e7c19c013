"""Write what was translated as files: SQL of the models, YAML of sources, views and services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import duckdb
import yaml

from feature_specs.durations import duration_text
from feature_specs.quote import quoted
from forebay.import_feast.translate import Exposure, FeastColumn, Model, Table, Translation

#: Files besides one for each model.
SOURCES, VIEWS, SERVICES = "sources.yml", "features.yml", "services.yml"


def write_texts(made: Translation, feast: str) -> dict[str, str]:
    """The content of each file, by its name.

    Args:
        feast: the version of Feast, for comments.
    """
    head = f"# Imported from Feast {feast} by `forebay import feast`.\n"
    files = {SOURCES: head + _dump({"sources": [_source(made)]})} if made.tables else {}
    for model in made.models:
        files[f"{model.name}.sql"] = _select(model, made.schema)
    if made.models:
        files[VIEWS] = head + _dump({"models": [_view(model) for model in made.models]})
    if made.exposures:
        files[SERVICES] = head + _dump({"exposures": [_service(e) for e in made.exposures]})
    return files


def _select(model: Model, schema: str) -> str:
    """The query of a model: each column once."""
    columns = [*model.keys, model.event_time]
    if model.tie_break is not None:
        columns.append(model.tie_break)
    names = {c.name for c in columns}
    columns += [f for f in model.features if f.name not in names]
    items = ",\n    ".join(map(_item, columns))
    source = f"{{{{ source('{schema}', '{model.table.name}') }}}}"
    return f"select\n    {items}\nfrom {source}\n"


def _item(column: FeastColumn) -> str:
    if column.column == column.name:
        return _identifier(column.name)
    return f"{_identifier(column.column)} as {_identifier(column.name)}"


def _identifier(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _keywords()
    return name if plain else quoted(name)


@cache
def _keywords() -> frozenset[str]:
    """Words that DuckDB takes as a column's name in quotes only, or not everywhere without."""
    asked = "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
    return frozenset(row[0] for row in duckdb.connect().execute(asked).fetchall())


def _source(made: Translation) -> dict[str, Any]:
    return {
        "name": made.schema,
        "schema": made.schema,
        "tables": [_table(table) for table in made.tables],
    }


def _table(table: Table) -> dict[str, Any]:
    source = table.source
    where = source.path or source.table or ("a query" if source.query else source.name)
    said = f"Feast's data source {source.name}: {where}."
    config: dict[str, Any] = {"event_time": source.column(source.event_time)}
    if source.created:
        said += (
            f" {source.column(source.created)} decides between rows of one event time, as in Feast;"
            " `loaded_at_field` in place of that would also hide rows until they were created."
        )
    return {
        "name": table.name,
        "description": _text(f"{source.description} {said}"),
        "config": config,
    }


def _view(model: Model) -> dict[str, Any]:
    options: dict[str, Any] = {"entities": [key.name for key in model.keys]}
    if model.tie_break is not None:
        options["tie_break"] = [model.tie_break.name]
    if model.of.ttl_s is not None:
        options["ttl"] = duration_text(model.of.ttl_s)
    if model.of.owner:
        options["owner"] = _text(model.of.owner)
    config: dict[str, Any] = {
        "materialized": "feature_view",
        "tags": ["feature_view"],
        "event_time": model.event_time.name,
        "meta": {"feature_view": options, **_tags(model.of.tags)},
    }
    columns = [
        {"name": c.name, "description": _text(c.description)}
        for c in (*model.keys, *model.features)
        if c.description
    ]
    made = {"name": model.name, "description": _text(model.of.description), "config": config}
    return {k: v for k, v in {**made, "columns": columns}.items() if v}


def _service(exposure: Exposure) -> dict[str, Any]:
    service = exposure.of
    owner = {"email" if "@" in service.owner else "name": _text(service.owner or "Feast")}
    read = dict.fromkeys(model for model, _ in exposure.features)
    features = [f"{model}.{feature}" for model, feature in exposure.features]
    meta = {"feature_service": {"features": features}, **_tags(service.tags)}
    made = {
        "name": exposure.name,
        "type": "ml",
        "description": _text(service.description),
        "owner": owner,
        "depends_on": [f"ref('{model}')" for model in read],
        "config": {"meta": meta},
    }
    return {k: v for k, v in made.items() if v}


def _tags(tags: Mapping[str, str]) -> dict[str, Any]:
    return {"feast": {_text(k): _text(v) for k, v in tags.items()}} if tags else {}


def _text(text: str) -> str:
    """One line, in which dbt finds no Jinja."""
    return re.sub(r"([{}%#])(?=[{}%#])", r"\1 ", " ".join(text.split()))


def _dump(value: dict[str, Any]) -> str:
    made: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    return made
