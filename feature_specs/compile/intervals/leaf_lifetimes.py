"""When the rows of a leaf are visible, by its time role (DESIGN 2 and 3)."""

from __future__ import annotations

from collections.abc import Collection

from sqlglot import exp

from feature_specs.compile.draft import Draft, Term, Window
from feature_specs.compile.intervals.interval_relation import (
    END,
    START,
    CteBuilder,
    IntervalRelation,
    NoFormError,
    physical,
    union_all,
)
from feature_specs.compile.leaves.bound_leaves import change_order
from feature_specs.compile.leaves.leaf_tables import leaf_table
from feature_specs.compile.leaves.leaf_window import leaf_window
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.time_axis import (
    NEVER,
    instant_of,
    or_never,
    us_of,
    valid_to_of,
)
from feature_specs.leaf import Leaf
from feature_specs.quote import quoted

#: A leaf with more times at which columns become known is left to decorrelation: 2^n pieces.
_MOST_SPLITS = 3


def splits_of(draft: Draft, leaf: Leaf, used: Collection[str]) -> dict[str, list[str]]:
    """Time column to the used columns whose values become known at that time, after the row."""
    out: dict[str, list[str]] = {}
    for column in sorted(used):
        known = leaf.known_later.get(column)
        if column == leaf.valid_to and leaf.visibility == "history":
            known = leaf.valid_to
        if known is None or (leaf.role == "arrival" and known == leaf.loaded_at):
            continue
        out.setdefault(known, []).append(column)
    return out


def never_seen(leaf: Leaf, column: str) -> bool:
    """A column that is null as long as its row is visible: when the open version will close."""
    return column == leaf.valid_to and leaf.visibility != "history"


def row_tests(leaf: Leaf, alias: str) -> list[exp.Expr]:
    """What a row must be to be visible ever, besides having its times."""
    if leaf.valid_to is None or leaf.visibility != "history":
        return []
    assert leaf.valid_from is not None
    start, end = instant_of(leaf, leaf.valid_from, alias), valid_to_of(leaf, alias)
    lives = exp.LT(this=start, expression=end)
    return [exp.paren(exp.or_(exp.Is(this=end.copy(), expression=exp.Null()), lives))]


def derive_pieces(ctes: CteBuilder, leaf: Leaf, used: Collection[str]) -> IntervalRelation:
    """A leaf some of whose columns become known later: each row in pieces, before and after."""
    draft, alias = ctes.draft, "leaf"
    splits = splits_of(draft, leaf, used)
    if len(splits) > _MOST_SPLITS:
        raise NoFormError(f"columns of {leaf.name} become known at {len(splits)} times")
    pieces: list[tuple[Window, dict[str, exp.Expr]]] = [
        (leaf_window(draft, leaf, alias), {c: exp.column(c, alias, quoted=True) for c in used})
    ]
    for time, columns in splits.items():
        instant = (
            valid_to_of(leaf, alias) if time == leaf.valid_to else instant_of(leaf, time, alias)
        )
        at = Term(or_never(us_of(instant)), on_axis=True)
        split = []
        for window, items in pieces:
            hidden = {c: exp.cast(exp.Null(), leaf.columns[c], dialect=DUCKDB) for c in columns}
            split.append((window.clip(Window(ends=(at,))), {**items, **hidden}))
            split.append((window.clip(Window(starts=(at,))), items))
        pieces = split
    # Only a row that is known at some time reaches NEVER, so a piece beyond it is empty.
    source = _source(draft, leaf, alias)
    sql = union_all(physical(draft, source, w.clip(_ever()), items) for w, items in pieces)
    return IntervalRelation(ctes.add(f"{alias}_{len(used)}", sql), tuple(used))


def derive_changelog(ctes: CteBuilder, leaf: Leaf, used: Collection[str]) -> IntervalRelation:
    """The latest visible change of each key, unless that deletes it.

    Changes are ranked; one answers from its own start until a greater one starts.
    """
    assert leaf.changelog is not None
    if splits_of(ctes.draft, leaf, leaf.columns):
        raise NoFormError(f"columns of the changelog {leaf.name} become known later")
    draft, alias = ctes.draft, "leaf"
    items = {c: exp.column(c, alias, quoted=True) for c in leaf.columns}
    changes = ctes.add(
        "changes",
        physical(draft, _source(draft, leaf, alias), leaf_window(draft, leaf, alias), items),
    )
    keys = ", ".join(map(quoted, leaf.changelog.key))
    order = ", ".join(f"{duckdb_sql(p)} desc nulls last" for p in change_order(draft, leaf))
    sql = winners_sql(quoted(changes), keys, order)
    columns = ", ".join(map(quoted, used))
    name = ctes.add(
        "versions",
        f"select {columns}, {START}, {END} from ({sql}) as versions "
        f"where not coalesce({quoted(leaf.changelog.deleted)}, false)",
    )
    unique = frozenset(leaf.changelog.key)
    return IntervalRelation(name, tuple(used), unique=unique if unique <= set(used) else None)


def winners_sql(relation: str, partition: str, order: str, alias: str = "w") -> str:
    """Of rows that never end, each while it is the first of its partition in an order.

    A row ever comes first only if no row that starts by then precedes it: those whose rank is the
    least so far. It stays first until the next such row starts.

    Args:
        partition, order: SQL over ``alias``.
    """
    by = f"partition by {partition} " if partition else ""
    ranked = (
        f"select *, row_number() over ({by}order by {order}) as fb_rank from {relation} as {alias}"
    )
    least = (
        f"select * from ({ranked}) as {alias} qualify fb_rank = min(fb_rank) over "
        f"({by}order by {START} range between unbounded preceding and current row)"
    )
    return (
        f"select * exclude ({END}, fb_rank), lead({START}, 1, {NEVER}) over "
        f"({by}order by {START}) as {END} from ({least}) as {alias}"
    )


def _source(draft: Draft, leaf: Leaf, alias: str) -> exp.Select:
    table = leaf_table(leaf)
    table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    source = exp.Select().from_(table)
    for test in row_tests(leaf, alias):
        source = source.where(test, copy=False)
    return source


def _ever() -> Window:
    return Window(ends=(Term(exp.Literal.number(NEVER), on_axis=True),))
