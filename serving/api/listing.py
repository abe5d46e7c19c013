"""What can be asked for, as JSON: views, features and services with their age."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from feature_specs.access import ViewAccess
from feature_specs.catalog import Catalog, Column, Feature, ViewEntry
from serving.state import ViewState, load_state
from serving.stores import OnlineStore, StoredView, view_of

#: Statuses of views that lookups answer with 503.
NOT_READY = ("unsynced", "outdated", "failed")

#: Of a catalog that was compiled before access was.
_NOT_COMPILED = ViewAccess("")


@dataclass(frozen=True)
class Online:
    """How a view stands in the online store.

    Attributes:
        rows: entities; age_us: age of the rows in microseconds. Both None if never synced.
        status: ``fresh``, ``stale``, ``unsynced``, ``outdated`` where there are only rows of another
            query than the one served, or ``failed`` where the view cannot be served at all.
    """

    status: str
    rows: int | None = None
    age_us: int | None = None


async def online_views(
    catalog: Catalog, store: OnlineStore, now_us: int, failed: Container[str] = ()
) -> dict[str, Online]:
    """How every view stands, all of one moment; ``failed`` holds those that cannot be served."""
    return await asyncio.to_thread(_online_views, catalog, store, now_us, failed)


def _online_views(
    catalog: Catalog, store: OnlineStore, now_us: int, failed: Container[str]
) -> dict[str, Online]:
    states = {stored.name: raw for stored, raw in store.states().items()}
    stored = {view_of(name) for name in states}
    made = {}
    for name, view in catalog.views.items():
        state = load_state(states.get(StoredView.of(view).name))
        if name in failed:
            made[name] = Online("failed")
        elif state is None or state.semantic_hash != view.semantic_hash:
            made[name] = Online("outdated" if name in stored else "unsynced")
        else:
            made[name] = _online(view, state, now_us)
    return made


def _online(view: ViewEntry, state: ViewState, now_us: int) -> Online:
    age = now_us - state.at
    stale = view.freshness_us is not None and age > view.freshness_us
    return Online("stale" if stale else "fresh", state.rows, age)


def listing(
    catalog: Catalog,
    online: Mapping[str, Online],
    access: Mapping[str, ViewAccess],
    may_read: Callable[[str], bool] | None = None,
) -> dict[str, Any]:
    """The answer of GET /features. Durations are in microseconds.

    Args:
        access: of each view by name.
        may_read: whether the caller may read a view; None where everybody may.
    """

    def access_of(name: str) -> dict[str, Any]:
        known = access.get(name, _NOT_COMPILED)
        return {
            "access": known.access,
            "group": known.group,
            "ask": known.owner,
            "readable": may_read is None or may_read(name),
        }

    return {
        "project": catalog.project,
        "views": [
            _view(view, online[view.name]) | access_of(view.name) for view in catalog.views.values()
        ],
        "services": [
            {
                "name": service.name,
                "owner": service.owner,
                "description": service.description,
                "features": [f"{view}:{feature}" for view, feature in service.features],
            }
            for service in catalog.services.values()
        ],
    }


def _view(view: ViewEntry, online: Online) -> dict[str, Any]:
    return {
        "name": view.name,
        "owner": view.owner,
        "description": view.description,
        "file": view.file,
        "entities": [_column(c) for c in view.entities],
        "requests": [_column(c) for c in view.requests],
        "features": [_feature(view, f) for f in view.features],
        "aliases": [
            {"name": f.name, "of": f.alias_of, "deprecated": f.deprecated} for f in view.aliases
        ],
        "event_time": view.event_time,
        "ttl_us": view.ttl_us,
        "freshness_us": view.freshness_us,
        "on_stale": view.on_stale,
        "online": {"status": online.status, "rows": online.rows, "age_us": online.age_us},
    }


def _column(column: Column) -> dict[str, str]:
    return {"name": column.name, "type": column.type}


def _feature(view: ViewEntry, feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "reference": f"{view.name}:{feature.name}",
        "type": feature.type,
        "description": feature.description,
        "computed_at_reading": feature.expression is not None,
    }
