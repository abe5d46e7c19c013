"""Complete names of views, services and tables in a shell, from catalog.json alone.

Each press of a key waits for it: nothing is opened but that file, and whatever is wrong with it
gives no names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click

from feature_specs.errors import ForebayError
from forebay.dbt_project.find_root import compiled_folder, find_root


def complete_view(ctx: click.Context, argument: click.Parameter, begun: str) -> list[str]:
    """Names of compiled feature views that begin so, but those that the line has already."""
    given = ctx.params.get(argument.name or "") or ()
    return [name for name in _names(begun, _entries("views")) if name not in given]


def complete_service(ctx: click.Context, argument: click.Parameter, begun: str) -> list[str]:
    """Names of compiled services that begin so."""
    return _names(begun, _entries("services"))


def complete_table(ctx: click.Context, argument: click.Parameter, begun: str) -> list[str]:
    """Dotted names of tables of the lake that begin so, as far as the compiled project knows them."""
    return _names(begun, _tables())


def complete_lineage(ctx: click.Context, argument: click.Parameter, begun: str) -> list[str]:
    """Names that have a lineage: views, services, training sets and tables; after a dot, columns."""
    owners = [*_entries("views"), *_entries("services"), *_entries("training_sets"), *_tables()]
    if "." not in begun:
        return _names(begun, owners)
    columns: list[str] = []
    for name, view in _entries("views").items():
        if begun.startswith(f"{name}.") and isinstance(view, dict):
            columns += (f"{name}.{f.get('name')}" for f in view.get("features") or ())
    for leaf in _entries("leaves").values():
        if isinstance(leaf, dict) and begun.startswith(f"{leaf.get('table')}."):
            columns += (f"{leaf['table']}.{column}" for column in leaf.get("columns") or ())
    return _names(begun, [*owners, *columns])


def complete_key(ctx: click.Context, argument: click.Parameter, begun: str) -> list[str]:
    """``NAME=`` of the key columns of the view that the line names, but those that it has already."""
    # Click leaves the arguments unread where the last option lacks its value.
    named = next(iter(ctx.args), None) if ctx.params.get("view") is None else ctx.params["view"]
    view = _entries("views").get(named)
    entities = view.get("entities") if isinstance(view, dict) else None
    given = {str(word).partition("=")[0] for word in ctx.params.get(argument.name or "") or ()}
    columns = (c.get("name") for c in entities or () if isinstance(c, dict))
    return [f"{name}=" for name in _names(begun, columns) if name not in given]


def _tables() -> Iterator[object]:
    yield from _entries("relations").values()
    for entry in _entries("views").values():
        if isinstance(entry, dict):
            yield from (entry.get("table"), entry.get("history_table"))
    for kind in ("leaves", "training_sets"):
        yield from (e.get("table") for e in _entries(kind).values() if isinstance(e, dict))


def _names(begun: str, known: Iterable[object]) -> list[str]:
    return sorted({name for name in known if isinstance(name, str) and name.startswith(begun)})


def _entries(kind: str) -> dict[Any, Any]:
    try:
        catalog = json.loads((compiled_folder(find_root()) / "catalog.json").read_text())
    except (ForebayError, OSError, ValueError, RecursionError):
        return {}
    found = catalog.get(kind) if isinstance(catalog, dict) else None
    return found if isinstance(found, dict) else {}
