"""Derive what is known of a SELECT's rows from its sources, conditions and outputs."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from feature_specs.compile.proof.gather import (
    check_gathering,
    check_instant,
    check_per_spine_row,
    framed_at_spine,
    is_instant_of,
    names_groups,
    read_at_marks,
)
from feature_specs.compile.proof.reach import cut_of, later, meets_spine, respects
from feature_specs.compile.proof.relation import CUT, Relation, UnboundError
from feature_specs.compile.proof.select_proof import SelectProof
from feature_specs.compile.proof.shapes import axis_of, claims_a_start, is_marked_place
from feature_specs.compile.sql.own_names import is_bookkeeping


def conclude(reading: SelectProof) -> Relation:
    """What is known of the rows that a SELECT gives.

    Raises:
        UnboundError: rows of a leaf reach them without a bound in time.
    """
    outputs = reading.outputs()
    check_instant(reading, outputs)
    settled = {a: r.spine for a, r in reading.sources.items() if r.status == "settled"}
    needs = [a for a, r in reading.sources.items() if r.status == "held"]
    for alias in list(needs):
        spine = meets_spine(reading, alias)
        if spine is not None:
            needs.remove(alias)
            settled[alias] = spine
    for alias, leaf in reading.scans.items():
        cut = cut_of(reading, alias, leaf, outputs)
        if cut is not None:
            settled[alias] = CUT
            reading.bounds.scans.append((leaf.name, cut))
        elif leaf.role != "static" or later(reading, alias, leaf, outputs):
            needs.append(alias)
        else:
            reading.bounds.scans.append((leaf.name, "static, so its rows are always visible"))
    claims = {n: e for n, e in outputs.items() if claims_a_start(n)}
    if needs:
        return held_relation(reading, needs, claims, outputs)
    if settled:
        return materialized_relation(reading, settled, claims, outputs)
    return free_relation(reading, outputs)


def free_relation(reading: SelectProof, outputs: Mapping[str, exp.Expr]) -> Relation:
    columns = tuple(outputs)
    spine = None
    if {"fb_row", "fb_t"} <= set(columns):
        passed = [r.spine for r in reading.sources.values() if "fb_row" in r.columns]
        spine = passed[0] if passed else reading.name
    return Relation(columns, "free", frozenset(columns), spine, marker=marker(reading, outputs))


def marker(
    reading: SelectProof, outputs: Mapping[str, exp.Expr]
) -> tuple[int, int, str | None] | None:
    """Places of ``(fb_t - constant) * 2 + 1`` and of a number made of ``fb_row``."""
    place = mark = spine = None
    for number, node in enumerate(outputs.values()):
        columns = {c.name: c for c in node.find_all(exp.Column)}
        if "fb_row" in columns and columns.keys() <= {"fb_row", "fb_read"}:
            mark = number
            owner = reading.owner(columns["fb_row"])
            spine = reading.sources[owner].spine if owner in reading.sources else None
        elif is_marked_place(node):
            place = number
    return (place, mark, spine) if place is not None and mark is not None else None


def held_relation(
    reading: SelectProof,
    needs: list[str],
    claims: Mapping[str, exp.Expr],
    outputs: Mapping[str, exp.Expr],
) -> Relation:
    columns = tuple(outputs)
    anchored = read_at_marks(reading, needs, outputs)
    if anchored is None and not claims:
        anchored = framed_at_spine(reading, needs, outputs)
    if anchored is not None:
        return Relation(columns, "settled", frozenset(), anchored)
    if not claims and (all(map(is_bookkeeping, columns)) or names_groups(reading, outputs)):
        return free_relation(reading, outputs)
    good = {
        name for name, e in claims.items() if all(respects(reading, e, a, outputs) for a in needs)
    }
    bad = sorted(claims.keys() - good)
    if bad or not good:
        raise UnboundError(complaint(reading, needs, bad))
    check_gathering(reading, claims, good, outputs)
    for alias in needs:
        if alias in reading.scans:
            shown = _as_instants(claims[sorted(good)[0]])
            reading.bounds.scans.append(
                (
                    reading.scans[alias].name,
                    f"visible from {shown}, read only up to the spine's instant",
                )
            )
    anchored = next((reading.sources[a].anchored for a in needs if a in reading.sources), None)
    anchored = anchored or at_marker(reading, outputs)
    in_step = columns_in_step(reading, claims, outputs)
    return Relation(columns, "held", frozenset(good), None, anchored, in_step)


def at_marker(reading: SelectProof, outputs: Mapping[str, exp.Expr]) -> str | None:
    """The spine of a source of markers, where each row is given one marker's place and number."""
    given = (outputs.get("fb_place"), outputs.get("fb_mark"))
    owners = {reading.owner(node) if isinstance(node, exp.Column) else None for node in given}
    owner = owners.pop() if len(owners) == 1 else None
    if owner is None or owner not in reading.sources:
        return None
    source = reading.sources[owner]
    if source.status != "free" or source.marker is None:
        return None
    place, mark, spine = source.marker
    named = [node.name for node in given if isinstance(node, exp.Column)]
    return spine if named == [source.columns[place], source.columns[mark]] else None


def columns_in_step(
    reading: SelectProof, claims: Mapping[str, exp.Expr], outputs: Mapping[str, exp.Expr]
) -> frozenset[str]:
    """Outputs that increase whenever ``fb_start`` does."""
    start = claims.get("fb_start")
    while isinstance(start, exp.Add) and isinstance(start.expression, exp.Literal):
        start = start.this
    inner = axis_of(start) if start is not None else None
    if inner is not None:
        return frozenset(n for n, e in outputs.items() if e == inner)
    if isinstance(start, exp.Column) and len(reading.sources) == 1 and not reading.scans:
        (source,) = reading.sources.values()
        return frozenset(
            n for n, e in outputs.items() if isinstance(e, exp.Column) and e.name in source.in_step
        )
    return frozenset()


def complaint(reading: SelectProof, needs: list[str], bad: list[str]) -> str:
    names = ", ".join(reading.scans[a].name if a in reading.scans else a for a in needs)
    return f"{names} in {reading.name}" + (f", whose {bad[0]} may be too early" if bad else "")


def materialized_relation(
    reading: SelectProof,
    settled: Mapping[str, str | None],
    claims: Mapping[str, exp.Expr],
    outputs: Mapping[str, exp.Expr],
) -> Relation:
    columns = tuple(outputs)
    spines = {s for s in settled.values() if s != CUT}
    if not spines:
        return Relation(columns, "settled", frozenset(), CUT)
    if len(spines) > 1:
        raise UnboundError(f"{reading.name} mixes rows of two spines")
    spine = spines.pop()
    if claims:
        for expression in claims.values():
            if not is_instant_of(reading, expression, spine):
                raise UnboundError(f"{reading.name} starts rows apart from their instant")
        return Relation(columns, "held", frozenset(claims), None)
    check_per_spine_row(reading, outputs)
    return Relation(columns, "settled", frozenset(), spine)


def _as_instants(claim: exp.Expr) -> str:
    """The claim for reading: its instants as the columns that they come from, not as microseconds."""
    shown = claim.transform(lambda node: axis_of(node) or node)
    return shown.sql("duckdb", identify=False)
