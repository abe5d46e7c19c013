"""What a change to a feature view touches downstream."""

from __future__ import annotations

from collections.abc import Iterable

from feature_specs.catalog import Catalog
from lineage.project_lineage import ProjectLineage


def services_touched(catalog: Catalog, view: str) -> tuple[str, ...]:
    """Names of the feature services that read a view, sorted."""
    return tuple(
        sorted(
            s.name
            for s in catalog.services.values()
            if view in {catalog.view_behind(v) for v, _ in s.features}
        )
    )


def owners_touched(catalog: Catalog, view: str) -> dict[str, str]:
    """The owner of each feature service that reads a view, where it names one."""
    return owners_of(catalog, services_touched(catalog, view))


def owners_of(catalog: Catalog, services: Iterable[str]) -> dict[str, str]:
    """The owner of each of some services that is there and names one."""
    known = {name: catalog.services[name].owner for name in services if name in catalog.services}
    return {name: owner for name, owner in known.items() if owner}


def training_sets_touched(catalog: Catalog, view: str) -> tuple[str, ...]:
    """Names of the training sets that hold features of a view, sorted."""
    services = services_touched(catalog, view)
    return tuple(sorted(t.name for t in catalog.training_sets.values() if t.service in services))


def exposures_touched(lineage: ProjectLineage, view: str) -> tuple[str, ...]:
    """Names of the exposures that read a view, or a training set of it, and are not services; sorted."""
    services = {
        s for s, features in lineage.services.items() if any(v == view for v, _ in features)
    }
    sets = {name for name, service in lineage.training_sets.items() if service in services}
    return tuple(
        sorted(
            c.name
            for c in lineage.consumers.values()
            if c.name not in lineage.services and {view, *sets} & set(c.reads)
        )
    )
