"""What a server has, as its pages and probes show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Service:
    """A feature service: what one model reads.

    Attributes:
        features: references, ``view:feature``, in order.
    """

    name: str
    features: tuple[str, ...]
    owner: str = ""
    description: str = ""


@dataclass(frozen=True)
class Feature:
    """A feature that can be asked for.

    Attributes:
        reference: the name to ask by, ``view:feature``.
        type: DuckDB's.
        entities, requests: columns that it needs, to DuckDB's types.
        computed_at_reading: it is computed when it is read, from stored columns, the clock or
            request values.
        status: of its view in the online store: ``fresh``, ``stale``, ``unsynced``, ``outdated`` or
            ``failed``.
        age: of its view's rows, in seconds; None where there are none.
        freshness: how old they may be, in seconds; None where nothing is declared.
    """

    reference: str
    view: str
    name: str
    type: str
    description: str
    entities: Mapping[str, str]
    requests: Mapping[str, str]
    computed_at_reading: bool
    status: str
    age: float | None
    owner: str = ""
    freshness: float | None = None


@dataclass(frozen=True)
class Health:
    """Whether all views can be served.

    Attributes:
        not_ready: views that cannot.
        waiting: views that were compiled anew and are answered as they were, until they are synced.
    """

    ok: bool
    not_ready: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


def read_services(listing: Mapping[str, Any]) -> list[Service]:
    """The services of a listing, in its order."""
    return [
        Service(each["name"], tuple(each["features"]), each["owner"], each["description"])
        for each in listing["services"]
    ]


def read_features(listing: Mapping[str, Any]) -> list[Feature]:
    """The features of a listing, view by view."""
    return [_feature(view, each) for view in listing["views"] for each in view["features"]]


def _feature(view: Mapping[str, Any], feature: Mapping[str, Any]) -> Feature:
    age_us, freshness_us = view["online"]["age_us"], view["freshness_us"]
    return Feature(
        reference=feature["reference"],
        view=view["name"],
        name=feature["name"],
        type=feature["type"],
        description=feature["description"],
        entities={column["name"]: column["type"] for column in view["entities"]},
        requests={column["name"]: column["type"] for column in view["requests"]},
        computed_at_reading=feature["computed_at_reading"],
        status=view["online"]["status"],
        age=None if age_us is None else age_us / 1e6,
        owner=view["owner"],
        freshness=None if freshness_us is None else freshness_us / 1e6,
    )
