"""Write ASOF joins as one running window over both sides together.

Each right row becomes a struct, so that a null inside it is not passed over; rows of the right come
first at equal instants where the comparison includes them. ``last_value ignore nulls`` then carries
to each left row the struct of the last right row before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.rewrite.trace_columns import Trace
from feature_specs.compile.sql.comparisons import MIRRORED
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.errors import CompileError

_AT, _SIDE, _PACKED, _LAST = "fb_asof_at", "fb_asof_side", "fb_asof_row", "fb_asof_last"


def lower_asof_joins(statement: EngineStatement) -> None:
    """Replace every ASOF join, in place.

    >>> show(
    ...     lower_asof_joins,
    ...     "select t.k, t.ts, v.plan from trips as t asof join versions as v on v.k = t.k "
    ...     "and t.ts >= v.since",
    ...     "spark",
    ... )
    SELECT `fb_asof0_0`.`t__k` AS `k`, `fb_asof0_0`.`t__ts` AS `ts`,
    `fb_asof0_0`.`fb_asof_last`.`plan` AS `plan` FROM (SELECT `t__k`, `t__ts`,
    `fb_asof_last` FROM (SELECT `fb_asof_right`, `t__k`, `t__ts`, LAST_VALUE(`fb_asof_row`)
    IGNORE NULLS OVER (PARTITION BY `fb_asof_key0` ORDER BY `fb_asof_at` ASC, `fb_asof_side`
    NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS `fb_asof_last` FROM
    (SELECT t.k AS `fb_asof_key0`, t.ts AS `fb_asof_at`, 1 AS `fb_asof_side`, FALSE AS
    `fb_asof_right`, `t`.`k` AS `t__k`, `t`.`ts` AS `t__ts`, NULL AS `fb_asof_row` FROM
    trips AS t UNION ALL SELECT v.k AS `fb_asof_key0`, v.since AS `fb_asof_at`, 0 AS
    `fb_asof_side`, TRUE AS `fb_asof_right`, NULL AS `t__k`, NULL AS `t__ts`,
    NAMED_STRUCT('plan', `v`.`plan`) AS `fb_asof_row` FROM versions AS v WHERE NOT v.k IS
    NULL AND NOT v.since IS NULL) AS `fb_both`) AS `fb_carried` WHERE NOT `fb_asof_right`)
    AS `fb_asof0_0` WHERE NOT `fb_asof0_0`.`fb_asof_last` IS NULL
    """
    tree, trace, engine = statement.tree, statement.trace, statement.engine
    for number, select in enumerate(reversed(list(tree.find_all(exp.Select)))):
        joins = select.args.get("joins") or []
        if not any(_is_asof(j) for j in joins):
            continue
        for column in select.find_all(exp.Column):
            if not column.table and column.parent_select is select and not column.is_star:
                _qualify(column, trace)
        while (place := _first(select)) is not None:
            _lower(select, place, engine, f"fb_asof{number}_{place}")


def _first(select: exp.Select) -> int | None:
    joins = select.args.get("joins") or []
    return next((i for i, j in enumerate(joins) if _is_asof(j)), None)


def _is_asof(join: exp.Join) -> bool:
    return str(join.args.get("method") or "").upper() == "ASOF"


def _qualify(column: exp.Column, trace: Trace) -> None:
    table = trace.table_of(column)
    if table is None:
        raise _refusal(f"the table of column {column.name} is not known beside an ASOF join")
    column.set("table", exp.to_identifier(table, quoted=True))


@dataclass(frozen=True)
class _Condition:
    """An as-of condition: pairs of equal keys, and the instants of both sides.

    Attributes:
        inclusive: a right row at the very instant counts.
        backwards: the nearest right row after the instant, not before it.
    """

    keys: list[tuple[exp.Expr, exp.Expr]]
    left: exp.Expr
    right: exp.Expr
    inclusive: bool
    backwards: bool


def _lower(select: exp.Select, place: int, engine: str, alias: str) -> None:
    joins = select.args["joins"]
    join = joins[place]
    right = join.this
    name = right.alias_or_name
    condition = _read_condition(join, name)
    join.set("on", None)
    before, after = joins[:place], joins[place + 1 :]
    start = select.args["from_"].this
    lefts = {start.alias_or_name, *(j.this.alias_or_name for j in before)}
    used = [
        c
        for c in select.find_all(exp.Column)
        if c.table in lefts | {name} and not _inside(c, [start, right, *(j for j in before)])
    ]
    if any(c.is_star for c in used) or any(s.is_star for s in select.expressions):
        raise _refusal("`*` of unknown columns stands beside an ASOF join")
    held = list(dict.fromkeys((c.table, c.name) for c in used if c.table in lefts))
    given = list(dict.fromkeys(c.name for c in used if c.table == name)) or [_only(condition, name)]
    union = _union(engine, condition, start, before, right, held, given)
    query = _carry(union, condition, [f"{t}__{c}" for t, c in held])
    derived = exp.Subquery(
        this=query, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True))
    )
    left_join = str(join.side or "").upper() == "LEFT"
    for column in used:
        column.replace(_reference(engine, column, alias, lefts, given))
    select.set("from_", exp.From(this=derived))
    select.set("joins", after)
    matched = exp.column(_LAST, table=alias, quoted=True).is_(exp.null()).not_()
    if not left_join:
        where = select.args.get("where")
        tests = [matched, *([where.this] if where is not None else [])]
        select.set("where", exp.Where(this=exp.and_(*tests)))


def _only(condition: _Condition, name: str) -> str:
    """Some column of the right, where the SELECT reads none."""
    column = next(iter(condition.right.find_all(exp.Column)), None)
    if column is None:
        raise _refusal(f"the ASOF join reads nothing of {name}")
    return column.name


def _read_condition(join: exp.Join, right: str) -> _Condition:
    keys: list[tuple[exp.Expr, exp.Expr]] = []
    order: tuple[exp.Expr, exp.Expr, type[exp.Expr]] | None = None
    on = join.args.get("on")
    for test in conjuncts(on):
        if type(test) not in (*MIRRORED, exp.EQ):
            raise _refusal("the condition of an ASOF join is neither an equality nor an inequality")
        ours, theirs = test.this, test.args["expression"]
        kind: type[exp.Expr] = type(test)
        if _reads(ours, right):
            ours, theirs, kind = theirs, ours, MIRRORED.get(kind, kind)
        if _reads(ours, right) or not _reads(theirs, right):
            raise _refusal("a condition of an ASOF join does not compare its two sides")
        if kind is exp.EQ:
            keys.append((ours, theirs))
        elif order is None:
            order = (ours, theirs, kind)
        else:
            raise _refusal("an ASOF join has two inequalities")
    if order is None:
        raise _refusal("an ASOF join has no inequality")
    ours, theirs, kind = order
    return _Condition(
        keys, ours, theirs, kind in (exp.GTE, exp.LTE), backwards=kind in (exp.LT, exp.LTE)
    )


def _reads(node: exp.Expr, table: str) -> bool:
    return any(c.table == table for c in node.find_all(exp.Column))


def _inside(node: exp.Expr, roots: Sequence[exp.Expr]) -> bool:
    parent: exp.Expr | None = node
    while parent is not None:
        if any(parent is r for r in roots):
            return True
        parent = parent.parent
    return False


def _union(
    engine: str,
    condition: _Condition,
    start: exp.Expr,
    before: Sequence[exp.Expr],
    right: exp.Expr,
    held: Sequence[tuple[str, str]],
    given: Sequence[str],
) -> exp.Expr:
    """Left rows with a null in place of a right row, then right rows with nulls for the left's."""
    names = [f"{t}__{c}" for t, c in held]
    keys = [f"fb_asof_key{i}" for i in range(len(condition.keys))]
    # Rows of the right come first at equal instants where these count.
    ours, theirs = (1, 0) if condition.inclusive else (0, 1)
    left = exp.Select(
        expressions=[
            *(_as(k, n) for (k, _), n in zip(condition.keys, keys, strict=True)),
            _as(condition.left, _AT),
            _as(exp.Literal.number(ours), _SIDE),
            _as(exp.false(), "fb_asof_right"),
            *(
                _as(exp.column(c, table=t, quoted=True), n)
                for (t, c), n in zip(held, names, strict=True)
            ),
            _as(exp.null(), _PACKED),
        ],
        from_=exp.From(this=start),
        joins=list(before),
    )
    name = right.alias_or_name
    present = [*(k for _, k in condition.keys), condition.right]
    packed = [exp.column(c, table=name, quoted=True) for c in given]
    other = exp.Select(
        expressions=[
            *(_as(k, n) for (_, k), n in zip(condition.keys, keys, strict=True)),
            _as(condition.right, _AT),
            _as(exp.Literal.number(theirs), _SIDE),
            _as(exp.true(), "fb_asof_right"),
            *(_as(exp.null(), n) for n in names),
            _as(_pack(engine, packed, given), _PACKED),
        ],
        from_=exp.From(this=right),
        where=exp.Where(this=exp.and_(*(p.copy().is_(exp.null()).not_() for p in present))),
    )
    return exp.Union(this=left, expression=other, distinct=False)


def _carry(union: exp.Expr, condition: _Condition, names: Sequence[str]) -> exp.Select:
    keys = [exp.column(f"fb_asof_key{i}", quoted=True) for i in range(len(condition.keys))]
    # A left row without an instant stands before every right row, so it has no match.
    order = [
        exp.Ordered(this=exp.column(_AT, quoted=True), desc=condition.backwards, nulls_first=True),
        exp.Ordered(this=exp.column(_SIDE, quoted=True), nulls_first=False),
    ]
    window = exp.Window(
        this=exp.IgnoreNulls(this=exp.LastValue(this=exp.column(_PACKED, quoted=True))),
        partition_by=keys,
        order=exp.Order(expressions=order),
        spec=exp.WindowSpec(
            kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"
        ),
    )
    inner = exp.Select(
        expressions=[
            exp.column("fb_asof_right", quoted=True),
            *(exp.column(n, quoted=True) for n in names),
            _as(window, _LAST),
        ],
        from_=exp.From(this=exp.Subquery(this=union, alias=_alias("fb_both"))),
    )
    return exp.Select(
        expressions=[*(exp.column(n, quoted=True) for n in names), exp.column(_LAST, quoted=True)],
        from_=exp.From(this=exp.Subquery(this=inner, alias=_alias("fb_carried"))),
        where=exp.Where(this=exp.Not(this=exp.column("fb_asof_right", quoted=True))),
    )


def _reference(
    engine: str, column: exp.Column, alias: str, lefts: set[str], given: Sequence[str]
) -> exp.Expr:
    made: exp.Expr
    if column.table in lefts:
        made = exp.column(f"{column.table}__{column.name}", table=alias, quoted=True)
    elif engine == "spark":
        last = exp.column(_LAST, table=alias, quoted=True)
        made = exp.Dot(this=last, expression=exp.to_identifier(column.name, quoted=True))
    else:
        last = exp.column(_LAST, table=alias, quoted=True)
        place = exp.Literal.number(given.index(column.name) + 1)
        made = exp.Bracket(this=last, expressions=[place], offset=1, safe=False)
    made.type = column.type
    if isinstance(column.parent, exp.Select) and column.arg_key == "expressions":
        return exp.alias_(made, column.name, quoted=True)
    return made


def _pack(engine: str, values: Sequence[exp.Expr], names: Sequence[str]) -> exp.Expr:
    if engine == "spark":
        named = [p for v, n in zip(values, names, strict=True) for p in (exp.Literal.string(n), v)]
        return exp.Anonymous(this="named_struct", expressions=named)
    return exp.Anonymous(this="ROW", expressions=list(values))


def _as(node: exp.Expr, name: str) -> exp.Expr:
    return exp.alias_(node.copy(), name, quoted=True)


def _alias(name: str) -> exp.TableAlias:
    return exp.TableAlias(this=exp.to_identifier(name, quoted=True))


def _refusal(what: str) -> CompileError:
    return CompileError(what, where="engine", hint="write the join as a window or a subquery")
