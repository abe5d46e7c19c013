"""The types that a feature table's columns have: DuckDB's, as Iceberg can hold them."""

from __future__ import annotations

from feature_specs.compile import CompiledView


def table_types(view: CompiledView) -> tuple[dict[str, str], dict[str, str]]:
    """Types of a view's stored columns (keys and event_time too) and of its features."""
    stored, features = view.types.stored, view.types.features
    return {n: _storable(k) for n, k in stored.items()}, {
        n: _storable(k) for n, k in features.items()
    }


def _storable(kind: str) -> str:
    """Iceberg's integers end at 64 bits: wider ones are kept as decimals."""
    return "DECIMAL(38,0)" if kind in ("HUGEINT", "UHUGEINT", "UBIGINT") else kind
