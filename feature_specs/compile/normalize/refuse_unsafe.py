"""Refuse what has no determined value at a past instant."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.parse.mark_typed_divisions import TYPED_DIVISION
from feature_specs.compile.parse.refuse_shapes import refuse_spread, refuse_unnamed
from feature_specs.compile.sql.clock import is_now
from feature_specs.compile.sql.duckdb_functions import (
    AGGREGATES,
    CLOCKS,
    PURE,
    REFUSED,
    UNKNOWN_AGGREGATES,
    why_refused,
)
from feature_specs.compile.sql.request_values import REQUEST_PREFIX
from feature_specs.errors import TimeRoleError, UnsafeQueryError, did_you_mean

_KNOWN = PURE | CLOCKS | AGGREGATES
#: What SQLGlot calls otherwise than DuckDB does.
_DUCKDB_NAMES: dict[type[exp.Expr], str] = {
    exp.Rand: "random", exp.Randn: "random", exp.Uuid: "uuid", exp.CurrentVersion: "version",
}  # fmt: skip
_HINTS = {
    "gives another value at every call": (
        "remove it, or derive the value from a column, for example hash(key)"
    ),
    "hides the clock": "write current_timestamp - interval '...'",
    "depends on the order of rows": "use arg_max(value, order), or min or max",
    "stops the query": "remove it, and test the column with a dbt data test",
    "makes several rows of one": "write unnest(...) in a subquery, and aggregate over it",
}


def refuse_unsafe(draft: Draft) -> Draft:
    """Check every node of the inlined query, and that every leaf has a time role.

    Raises:
        TimeRoleError: a leaf has no role, or is rewritten in place.
        UnsafeQueryError: a construct is random, hidden in time, or depends on row order.
        CompileError: a feature has no name, or a struct is spread into columns.

    >>> show(refuse_unsafe, "select k, random() as v from events")
    v.sql:1:16: random() gives another value at every call. Hint: remove it, or derive the
    value from a column, for example hash(key)
    """
    for leaf in draft.leaves.values():
        _check_leaf(draft, leaf.name)
    for node in draft.tree.walk():
        _check_node(draft, node)
    assert isinstance(draft.tree, exp.Query)
    refuse_unnamed(draft, draft.tree)
    return draft


def _check_leaf(draft: Draft, name: str) -> None:
    leaf = next(x for x in draft.leaves.values() if x.name == name)
    where = leaf.where or draft.file
    if leaf.role is None:
        raise TimeRoleError(
            f"{leaf.name} has no declared time role, so nothing says when its rows could be seen",
            where=where,
            hint="add `config: {event_time: <column>}` to it, or `meta: {valid_from: <column>}`, "
            "or `meta: {time: static}` if it never changes",
        )
    for column in (leaf.event_time, leaf.loaded_at, leaf.valid_from, leaf.valid_to):
        if column is None:
            continue
        kind = leaf.columns[column].upper()
        if kind in ("TIMESTAMPTZ_NS", "TIMESTAMP_NS WITH TIME ZONE"):
            raise TimeRoleError(
                f"{leaf.name}.{column} is of type {kind}, which is finer than the microseconds of time here",
                where=where,
                hint="cast it to TIMESTAMPTZ in a model in between",
            )
        if kind.startswith("TIMESTAMP") and "TZ" not in kind and "ZONE" not in kind:
            if leaf.timezone is None:
                raise TimeRoleError(
                    f"{leaf.name}.{column} is a timestamp without a time zone",
                    where=where,
                    hint="add `meta: {timezone: UTC}` (or its real zone) to it",
                )
        elif not kind.startswith(("TIMESTAMP", "DATE")):
            raise TimeRoleError(
                f"{leaf.name}.{column} is of type {kind}, which is not a point in time",
                where=where,
                hint="name a TIMESTAMP WITH TIME ZONE or DATE column",
            )


def _check_node(draft: Draft, node: exp.Expr) -> None:
    if isinstance(node, exp.Func):
        unnamed = isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc))
        name = node.name.lower() if unnamed else node.sql_name().lower()
        _check_function(draft, node, name)
    if isinstance(node, exp.Explode):
        refuse_spread(draft, node)
    if isinstance(node, (exp.Add, exp.Sub)) and _moves_now_by_a_number(node):
        _refuse(
            draft,
            node,
            "a number beside now() says no unit of time",
            "write an interval, as in now() - interval '7' day",
        )
    if isinstance(node, exp.Explode) and node.parent_select is draft.tree:
        _refuse(
            draft,
            node,
            "unnest() makes several rows of one entity's",
            "unnest in a subquery, and aggregate over it",
        )
    if isinstance(node, exp.Columns) or _filters_star(node):
        _refuse(
            draft,
            node,
            "columns are picked by a pattern, and a new column would change the features",
            "write the columns, or `* exclude (...)`",
        )
    if isinstance(node, exp.TableSample):
        _refuse(draft, node, "USING SAMPLE draws rows at random", "remove it")
    if isinstance(node, exp.Limit) and not _is_number_of_rows(node):
        _refuse(draft, node, "LIMIT is not a plain number", "write a number")
    if isinstance(node, exp.With) and node.recursive:
        _refuse(draft, node, "a recursive CTE", "write the query without recursion")
    method = str(node.args.get("method") or "").upper() if isinstance(node, exp.Join) else ""
    if method not in ("", "ASOF", "HASH", "LOOP", "MERGE"):
        _refuse(draft, node, f"a {method} join", "join by explicit columns")
    if method == "ASOF" and node.args.get("using"):
        _refuse(
            draft,
            node,
            "an ASOF join with USING",
            "write its condition under ON: a.k = b.k and a.ts >= b.ts",
        )


def _moves_now_by_a_number(node: exp.Add | exp.Sub) -> bool:
    sides = [side.unnest() for side in (node.this, node.expression)]
    return any(map(is_now, sides)) and any(
        isinstance(s, exp.Literal) and s.is_number for s in sides
    )


def _filters_star(node: exp.Expr) -> bool:
    if isinstance(node, exp.Star):
        return bool(node.args.get("ilike"))
    if not isinstance(node, (exp.Binary, exp.Predicate)) or isinstance(node.this, exp.Query):
        return False  # the star of a subquery on its left is its own
    return bool(node.this) and node.this.is_star


def _is_number_of_rows(limit: exp.Limit) -> bool:
    options = limit.args.get("limit_options")
    percent = options is not None and options.args.get("percent")
    return isinstance(limit.expression, exp.Literal) and not percent


def _check_function(draft: Draft, node: exp.Func, name: str) -> None:
    name = _DUCKDB_NAMES.get(type(node), name)
    why = why_refused(name)
    if why is not None:
        hint = _HINTS.get(why, "remove it, or compute the value in the table's own pipeline")
        _refuse(draft, node, f"{name}() {why}", hint)
    if name == "getvariable" and not _is_request(node):
        _refuse(
            draft,
            node,
            "getvariable() tells of the session, not of the data",
            "write the value, or request('name', 'type') where the caller sends it",
        )
    if name == "age" and len(list(node.args.get("expressions") or [])) == 1:
        _refuse(
            draft,
            node,
            "age() with one argument hides the clock",
            "write date_diff('day', column, current_timestamp)",
        )
    known = name in _KNOWN or name == TYPED_DIVISION
    known = known or isinstance(node.parent, exp.Table)  # select_from_functions has taken it
    if isinstance(node, exp.Anonymous) and name not in _KNOWN | UNKNOWN_AGGREGATES and not known:
        close = did_you_mean(name, _KNOWN)
        if close.startswith("did you mean") and name not in REFUSED:
            _refuse(draft, node, f"DuckDB has no function {name}() of its own", close)
    if isinstance(node, exp.Anonymous) and not known:
        _refuse(
            draft,
            node,
            f"{name}() is not known to depend on its arguments alone",
            "use a standard function, or compute the value in the table's own pipeline",
        )


def _is_request(node: exp.Func) -> bool:
    said = node.expressions[0] if node.expressions else None
    return isinstance(said, exp.Literal) and said.name.startswith(REQUEST_PREFIX)


def _refuse(draft: Draft, node: exp.Expr, what: str, hint: str) -> None:
    raise UnsafeQueryError(what, where=draft.locate(node), hint=hint)
