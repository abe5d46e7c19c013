"""What a change to a feature view touches downstream."""

from __future__ import annotations

from feature_specs.catalog import Catalog


def services_touched(catalog: Catalog, view: str) -> tuple[str, ...]:
    """Names of the feature services that read a view, sorted."""
    return tuple(
        sorted(
            s.name
            for s in catalog.services.values()
            if view in {catalog.view_behind(v) for v, _ in s.features}
        )
    )


def training_sets_touched(catalog: Catalog, view: str) -> tuple[str, ...]:
    """Names of the training sets that hold features of a view, sorted."""
    services = services_touched(catalog, view)
    return tuple(sorted(t.name for t in catalog.training_sets.values() if t.service in services))
