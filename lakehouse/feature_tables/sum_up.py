"""The running sums of a feature table: updated by the rows that came and went, or recomputed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyiceberg.manifest import ManifestEntry

from feature_specs.deltas import Deltas, added_relation, kept_relation
from lakehouse.data_files.select_rows import select_rows
from lakehouse.feature_tables.slices import Span, living_where, rows_in, spans_between
from lakehouse.lake import FeatureState
from lakehouse.scan import Pinned

#: Runs a statement, ``$before`` and ``$as_of`` given.
Run = Callable[[str], object]


def all_sums(deltas: Deltas, leaf: Pinned, at: int) -> str:
    """SQL of every entity's values and sums, from all of the leaf."""
    living = living_where(leaf.table.schema(), deltas.starts, deltas.ends, at)
    leaf_rows = f"select * from {deltas.leaf} where {living}"
    return (
        f"with {added_relation(deltas.leaf)} as ({leaf_rows}), "
        f"forebay_summed as ({deltas.fold}) {deltas.finish}"
    )


def changed_spans(deltas: Deltas, leaf: Pinned, before: FeatureState, at: int) -> list[Span]:
    """Where the rows lie of what was there before that start or end until ``at``."""
    if at <= before.at:
        return []
    return spans_between(leaf.table.schema(), deltas.edges, before.at, at)


def sum_deltas(
    run: Run,
    deltas: Deltas,
    leaf: Pinned,
    before: FeatureState,
    at: int,
    added: Sequence[ManifestEntry],
) -> None:
    """Fill ``forebay_touched`` with what is to be added to whose sums.

    Args:
        before: the state to which it is to be added.
        added: the files that came since.
    """
    spans = changed_spans(deltas, leaf, before, at)
    kept = rows_in(leaf.table, before.snapshots.get(deltas.leaf), spans)
    came = select_rows(leaf.table, added)
    run(
        f"create or replace temp table forebay_touched as with {kept_relation(deltas.leaf)} as "
        f"({kept}), {added_relation(deltas.leaf)} as ({came}) {deltas.deltas}"
    )


def add_deltas(run: Run, deltas: Deltas, keys: Sequence[str]) -> None:
    """Fill ``forebay_fresh`` with ``forebay_previous`` and ``forebay_touched`` added up.

    Args:
        keys: the quoted names of the entities.
    """
    was = ", ".join([*keys, *(f"{sql} as {name}" for name, sql in deltas.sums.items())])
    sums = ", ".join(f"coalesce(p.{s}, 0) + t.{s} as {s}" for s in deltas.sums)
    run(
        f"create or replace temp table forebay_fresh as with forebay_summed as ("
        f"select {', '.join(f't.{k}' for k in keys)}, {sums} from forebay_touched as t "
        f"left join (select {was} from forebay_previous) as p using ({', '.join(keys)})"
        f") {deltas.finish}"
    )
