"""Check that aggregates and windows gather only rows that have started."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from feature_specs.compile.proof.relation import Relation, UnboundError
from feature_specs.compile.proof.select_proof import SelectProof
from feature_specs.compile.proof.shapes import looks_back
from feature_specs.compile.sql.own_names import is_bookkeeping


def check_gathering(
    reading: SelectProof,
    claims: Mapping[str, exp.Expr],
    good: set[str],
    outputs: Mapping[str, exp.Expr],
) -> None:
    """Check that aggregates and windows gather no row that starts after their claimed start."""
    starts = {claims[n] for n in good} | {exp.column(n) for n in good}
    group = reading.select.args.get("group")
    values = {n: e for n, e in outputs.items() if not is_bookkeeping(n)}
    if group is not None:
        keys = set(group.expressions)
        by_start = bool(keys & starts) or any(
            isinstance(k, exp.Column) and k.name in good for k in keys
        )
        # The last start of a group is not before any other.
        by_start = by_start or any(isinstance(claims[n], exp.Max) for n in good)
        having = reading.select.args.get("having")
        plain = all(e in keys or not e.find(exp.AggFunc) for e in values.values())
        plain = plain and (having is None or not having.find(exp.AggFunc))
        if not by_start and not plain:
            raise UnboundError(f"{reading.name} gathers rows that start later")
    qualify = reading.select.args.get("qualify")
    roots = [*values.values(), *([qualify] if qualify is not None else [])]
    for root in roots:
        for window in root.find_all(exp.Window):
            if not window_is_bounded(reading, window, starts, good):
                raise UnboundError(f"a window in {reading.name} sees rows that start later")


def window_is_bounded(
    reading: SelectProof, window: exp.Window, starts: set[exp.Expr], good: set[str]
) -> bool:
    def is_start(node: exp.Expr) -> bool:
        return (
            node in starts
            or (
                isinstance(node, exp.Column)
                and any(
                    node.name in r.carriers for r in reading.sources.values() if r.status == "held"
                )
            )
            or (isinstance(node, exp.Column) and node.name in good)
        )

    base = window
    if window.args.get("alias"):
        named = {w.name: w for w in reading.select.args.get("windows") or []}
        base = named.get(window.alias, window)
    if any(is_start(p) for p in base.args.get("partition_by") or []):
        return True
    order = base.args.get("order")
    if order is None:
        return follows_input(reading, base)
    first = order.expressions[0]
    if first.args.get("desc") or not (is_start(first.this) or is_event_order(reading, first.this)):
        return False
    if not looks_back(window.this):
        return False
    spec = base.args.get("spec")
    if spec is None:
        return True
    end = str(spec.args.get("end") or "CURRENT ROW").upper()
    return end == "CURRENT ROW" or str(spec.args.get("end_side")).upper() == "PRECEDING"


def follows_input(reading: SelectProof, window: exp.Window) -> bool:
    """Whether a frame ends at the current row, over an input sorted by key and start."""
    spec = window.args.get("spec")
    counts = isinstance(window.this, exp.RowNumber)
    if not counts and (spec is None or str(spec.args.get("end")).upper() != "CURRENT ROW"):
        return False
    (source,) = reading.sources.values() if len(reading.sources) == 1 else (Relation(),)
    # What tells rows of one place apart comes after the place.
    order = [name for name in source.sorted_by if name != "fb_mark"]
    return order[-1:] != [] and order[-1] in source.carriers


def sorted_by(reading: SelectProof) -> tuple[str, ...]:
    """The columns that the rows are sorted by, from ORDER BY or from the only source."""
    select = reading.select
    order = select.args.get("order")
    if order is not None:
        rising = all(not k.args.get("desc") for k in order.expressions)
        return tuple(k.this.name for k in order.expressions) if rising else ()
    regrouped = any(select.args.get(k) for k in ("joins", "laterals", "group", "distinct"))
    resorted = any(
        w.args.get("order") or w.args.get("partition_by")
        for item in (*select.expressions, select.args.get("qualify"))
        if item is not None
        for w in item.find_all(exp.Window)
    )
    if regrouped or resorted or len(reading.sources) != 1 or reading.scans:
        return ()
    (source,) = reading.sources.values()
    return source.sorted_by


def is_event_order(reading: SelectProof, node: exp.Expr) -> bool:
    """Whether an order is by a column that increases with the start."""
    return isinstance(node, exp.Column) and any(
        node.name in r.in_step for r in reading.sources.values()
    )


def names_groups(reading: SelectProof, outputs: Mapping[str, exp.Expr]) -> bool:
    """Whether expressions are group keys, which are equal for all rows of a group."""
    group = reading.select.args.get("group")
    keys = [k.name for k in group.expressions] if group is not None else []
    return keys == ["fb_group"] and all(
        n == "fb_group" or isinstance(e, exp.First) for n, e in outputs.items()
    )


def framed_at_spine(
    reading: SelectProof, needs: list[str], outputs: Mapping[str, exp.Expr]
) -> str | None:
    """Whether windows over rows and spine together end at the spine row."""
    if len(needs) != 1 or "fb_row" not in outputs or needs[0] not in reading.sources:
        return None
    relation = reading.sources[needs[0]]
    windows = [w for e in outputs.values() for w in e.find_all(exp.Window)]
    plain = [e for n, e in outputs.items() if n != "fb_row" and not e.find(exp.Window)]
    if relation.anchored is None or not windows:
        return None
    if any(c for e in plain for c in e.find_all(exp.Column)):
        return None
    good = set(relation.carriers)
    ok = all(window_is_bounded(reading, w, set(), good) for w in windows)
    return relation.anchored if ok else None


def read_at_marks(
    reading: SelectProof, needs: list[str], outputs: Mapping[str, exp.Expr]
) -> str | None:
    """Rows of the axis at which a spine row stands, each under that spine row's number."""
    if len(needs) != 1 or needs[0] not in reading.sources:
        return None
    row = outputs.get("fb_row")
    if row is None or {c.name for c in row.find_all(exp.Column)} != {"fb_mark"}:
        return None
    if not any(c.name == "fb_mark" for t in reading.tests for c in t.find_all(exp.Column)):
        return None
    windows = [w for e in outputs.values() for w in e.find_all(exp.Window)]
    if not all(isinstance(w.this, exp.RowNumber) for w in windows):
        return None  # the marks may be numbered, since they are the spine's own
    return reading.sources[needs[0]].anchored


def is_instant_of(reading: SelectProof, node: exp.Expr, spine: str | None) -> bool:
    if not isinstance(node, exp.Column) or node.name != "fb_t":
        return False
    owner = reading.owner(node)
    if owner is None or reading.sources[owner].spine != spine:
        return False
    settled = [a for a, r in reading.sources.items() if r.status == "settled"]
    tied = {
        reading.owner(side)
        for t in reading.tests
        if isinstance(t, exp.EQ) and t.this.name == t.expression.name == "fb_row"
        for side in (t.this, t.expression)
        if isinstance(side, exp.Column)
    }
    return {owner, *settled} <= tied


def check_instant(reading: SelectProof, outputs: Mapping[str, exp.Expr]) -> None:
    """Check that what is passed on as a spine row's instant is that instant."""
    instant = outputs.get("fb_t")
    if instant is None or (isinstance(instant, exp.Column) and instant.name == "fb_t"):
        return
    if any({"fb_t", "fb_place"} & {*relation.columns} for relation in reading.sources.values()):
        raise UnboundError(f"{reading.name} gives spine rows another instant")


def check_per_spine_row(reading: SelectProof, outputs: Mapping[str, exp.Expr]) -> None:
    """Check that settled rows are aggregated or ranked per spine row."""
    group = reading.select.args.get("group")
    if group is not None and not any(k.name == "fb_row" for k in group.expressions):
        raise UnboundError(f"{reading.name} gathers rows of several spine rows")
    roots = [e for n, e in outputs.items() if not is_bookkeeping(n)]
    roots += [reading.select.args["qualify"]] if reading.select.args.get("qualify") else []
    for window in (w for r in roots for w in r.find_all(exp.Window)):
        if not any(p.name == "fb_row" for p in window.args.get("partition_by") or []):
            raise UnboundError(f"a window in {reading.name} runs over several spine rows")
