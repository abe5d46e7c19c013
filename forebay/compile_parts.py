"""Compile what the cache does not hold. Imported only then: the compiler is slow to load."""

from __future__ import annotations

from collections.abc import Sequence

from feature_specs.catalog import Column
from feature_specs.compile import CompiledView, compile_service, compile_view
from feature_specs.compile.define_view import define_view
from feature_specs.view import FeatureReference
from forebay.compile_cache import ViewParts
from forebay.generate_macros import LAG, SPINE, TIMESTAMP
from lakehouse.describe import table_types
from lakehouse.plans import plan_files

__all__ = ["compile_view", "parts_of", "service_template"]


def parts_of(view: CompiledView) -> ViewParts:
    """What is kept of a view."""
    stored, features = table_types(view)
    label, event_time = view.draft.label, view.draft.view.event_time
    return ViewParts(
        entities=tuple(Column(label(k), stored[k]) for k in view.draft.view.entities),
        event_time=label(event_time) if event_time else None,
        stored=tuple(Column(n, stored[n]) for n in view.draft.stored_names),
        features=tuple((label(f.name), features[f.name], f.tree) for f in view.features),
        requests=view.requests,
        leaves=tuple(leaf.name for leaf in view.leaves),
        lowering=view.choice.lowering,
        semantic_hash=view.semantic_hash,
        taken_on_word=view.certificate.taken_on_word,
        files=plan_files(_statements(view), view.deltas()),
        definition=define_view(view.draft, features),
    )


def _statements(view: CompiledView) -> dict[str, str]:
    steps = view.stored_queries()
    out = {
        "as_of": view.as_of(),
        "create": steps.create,
        "step": steps.step,
        "features": view.features_over("forebay_stored"),
    }
    if view.has_past:
        out["point_in_time"] = view.point_in_time()
    if steps.touched is not None:
        out["touched"] = steps.touched
    return out


def service_template(features: Sequence[tuple[str, str]], views: Sequence[CompiledView]) -> str:
    """SQL of a service's training set over a spine that is yet to be named."""
    references = [FeatureReference(view, feature) for view, feature in features]
    return compile_service(views, references, spine=SPINE, timestamp=TIMESTAMP, behind=LAG)
