"""A SQL-native feature platform on a lakehouse: compile one SQL query into variants that agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import feature_specs

if TYPE_CHECKING:
    from feature_specs import (
        Changelog,
        CompiledView,
        FeatureView,
        Leaf,
        compile_service,
        compile_view,
    )

__all__ = [
    "Changelog",
    "CompiledView",
    "FeatureView",
    "Leaf",
    "compile_service",
    "compile_view",
]


def __getattr__(name: str) -> Any:
    # On first use, as there: `forebay --help` must not load SQLGlot.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(feature_specs, name)
