"""What a feature is, and how its SQL becomes variants that agree."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feature_specs.compile import CompiledView, compile_service, compile_view
    from feature_specs.leaf import Changelog, Leaf
    from feature_specs.view import FeatureView

__all__ = [
    "Changelog",
    "CompiledView",
    "FeatureView",
    "Leaf",
    "compile_service",
    "compile_view",
]

# Looked up on first use: serving reads feature_specs.catalog and must not load SQLGlot with it.
_HOME = {
    "Changelog": ".leaf",
    "Leaf": ".leaf",
    "FeatureView": ".view",
    "CompiledView": ".compile",
    "compile_view": ".compile",
    "compile_service": ".compile",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)
