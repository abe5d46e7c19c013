"""What a server answers from while a project goes from one compiled catalog to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from feature_specs.catalog import Catalog, ServiceEntry, ViewEntry
from feature_specs.names import fold_name


@dataclass(frozen=True)
class Merged:
    """A catalog of which every view can be read, as far as that is possible.

    Attributes:
        waiting: views as they were before, since the store does not have what they mean now.
    """

    catalog: Catalog
    waiting: tuple[str, ...]


def merge(
    served: Catalog,
    later: Catalog,
    ready: Callable[[ViewEntry], bool],
    readable: Callable[[ViewEntry], bool],
) -> Merged:
    """The later catalog, with views as they were where only those can be read yet.

    A service is the later one where its features are there, else as it was.

    Args:
        ready: whether the store has the rows of that meaning as the present ones, and this version
            of forebay can serve it.
        readable: whether the store has them at all.
    """
    views: dict[str, ViewEntry] = {}
    waiting = []
    for name, entry in later.views.items():
        before = served.views.get(name)
        if before is None or before == entry or ready(entry) or not readable(before):
            views[name] = entry
        else:
            views[name] = before
            waiting.append(name)
    for out in later.views_left_out():
        before = served.views.get(out.name)
        if before is not None and readable(before):
            views[out.name] = before
            waiting.append(out.name)
    # A name that is a view's by now is no role any more: it would be answered from other rows.
    taken = {*views, *(out.name for out in later.views_left_out())}
    roles = {r: role for r, role in served.roles.items() if r not in taken} | dict(later.roles)
    asked = replace(later, views=views, roles=roles).readable
    services = {}
    for name, service in later.services.items():
        earlier = served.services.get(name)
        if earlier and any(served.roles.get(v) != roles.get(v) for v, _ in earlier.features):
            earlier = None  # what it names is another view, or the view by other keys
        services[name] = _service(asked, service, earlier)
    left_out = {i: out for i, out in later.left_out.items() if out.name not in waiting}
    merged = replace(later, views=views, roles=roles, services=services, left_out=left_out)
    return Merged(merged, tuple(waiting))


def _service(
    views: Mapping[str, ViewEntry], entry: ServiceEntry, before: ServiceEntry | None
) -> ServiceEntry:
    if before is not None and not _complete(views, entry) and _complete(views, before):
        return before
    return entry


def _complete(views: Mapping[str, ViewEntry], service: ServiceEntry) -> bool:
    """Whether all features of the service are there."""
    return all(
        name in views and fold_name(feature) in {fold_name(f.name) for f in views[name].names}
        for name, feature in service.features
    )
