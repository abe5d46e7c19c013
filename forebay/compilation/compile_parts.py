"""Compile what the cache does not hold. Imported only then: the compiler is slow to load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from feature_specs.catalog import Column, Role
from feature_specs.compile import CompiledView, compile_service, compile_view
from feature_specs.compile.define_view import define_view
from feature_specs.compile.leaves.find_join_keys import find_join_keys
from feature_specs.compile.leaves.find_reads import find_reads
from feature_specs.compile.variants.find_reach import find_reach
from feature_specs.view import FeatureReference
from forebay.compilation.compile_cache import ViewParts
from forebay.compilation.generate_macros import LAG, SPINE, TIMESTAMP
from lakehouse.feature_tables.feature_types import table_types
from lakehouse.plans import WHY_IN_FULL, plan_files
from lineage.follow_columns import follow_columns

__all__ = ["compile_view", "parts_of", "service_template"]


def parts_of(view: CompiledView) -> ViewParts:
    """What is kept of a view."""
    stored, features = table_types(view)
    label, event_time = view.label, view.view.event_time
    return ViewParts(
        entities=tuple(Column(label(k), stored[k]) for k in view.view.entities),
        event_time=label(event_time) if event_time else None,
        stored=tuple(Column(n, stored[n]) for n in view.stored_names),
        features=tuple((label(f.name), features[f.name], f.tree) for f in view.features),
        requests=view.requests,
        leaves=tuple(leaf.name for leaf in view.leaves),
        joined=find_join_keys(view.draft),
        lowering=view.lowering,
        semantic_hash=view.semantic_hash,
        assumptions=view.certificate.assumptions,
        files=plan_files(_statements(view), view.deltas()),
        definition=define_view(view.draft, features),
        lineage=follow_columns(view.draft).dump(),
        reach=find_reach(view.draft),
        reads=find_reads(view.draft),
        bounds=tuple((scan.leaf, scan.bound) for scan in view.certificate.scans),
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
    else:
        out[WHY_IN_FULL] = f"-- {steps.why}"
    return out


def service_template(
    features: Sequence[tuple[str, str]],
    views: Sequence[CompiledView],
    roles: Mapping[str, Role] | None = None,
    aliases: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """SQL of a service's training set over a spine that is yet to be named.

    Args:
        roles: by the name that features say instead of their view's.
        aliases: of those features that are another name of one, the feature's own.
    """
    known = {view.name: view for view in views}
    named = dict.fromkeys(name for name, _ in features)
    views = [
        known[roles[n].view].in_role(n, roles[n].keys) if roles and n in roles else known[n]
        for n in named
    ]
    own = aliases or {}
    references = [FeatureReference(v, f, own.get((v, f), "")) for v, f in features]
    return compile_service(views, references, spine=SPINE, timestamp=TIMESTAMP, behind=LAG)
