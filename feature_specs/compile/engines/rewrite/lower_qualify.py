"""Write QUALIFY as a condition on a subquery that computes the window functions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.sql.select_item import select_item
from feature_specs.errors import CompileError


def lower_qualify(statement: EngineStatement) -> None:
    """Move QUALIFY into an outer WHERE, in place.

    >>> show(
    ...     lower_qualify,
    ...     "select k, x from events qualify row_number() over (partition by k order by x) = "
    ...     "1",
    ...     "trino",
    ... )
    SELECT "k", "x" FROM (SELECT k, x, ROW_NUMBER() OVER (PARTITION BY k ORDER BY x) AS
    "fb_qualified1" FROM events) AS "fb_qualified" WHERE "fb_qualified1" = 1
    """
    tree, trace = statement.tree, statement.trace
    for select in reversed(list(tree.find_all(exp.Select))):
        if select.args.get("qualify") is None:
            continue
        names = trace.names_of(select)
        if names is None or select.args.get("order") or select.args.get("limit"):
            raise CompileError(
                "QUALIFY stands beside `*` of unknown columns, or ORDER BY",
                where="engine",
                hint="name the columns, and order in a query around it",
            )
        outer = _split(select, names)
        if select is tree:
            statement.tree = tree = outer
        else:
            select.replace(outer)
        inner = outer.args["from_"].this
        inner.set("this", select)


def _split(select: exp.Select, names: Sequence[str]) -> exp.Select:
    """An outer SELECT over a subquery that is still empty; ``select`` becomes what fills it."""
    test = select.args["qualify"].this
    select.set("qualify", None)
    hidden: dict[exp.Expr, str] = {}

    def moved(node: exp.Expr) -> exp.Expr:
        own = isinstance(node, exp.Column) and not node.table and node.name in names
        if isinstance(node, (exp.Window, exp.Column)) and not own:
            name = hidden.setdefault(node, f"fb_qualified{len(hidden) + 1}")
            column = exp.column(name, quoted=True)
            column.type = node.type
            return column
        return node

    condition = test.transform(moved)
    for item, name in zip(list(select.expressions), names, strict=False):
        if not item.is_star and not item.alias_or_name:
            item.replace(select_item(item.copy(), name))
    for node, name in hidden.items():
        select.append("expressions", select_item(node.copy(), name))
    holder = exp.Subquery(alias=exp.TableAlias(this=exp.to_identifier("fb_qualified", quoted=True)))
    outer = exp.Select(
        expressions=[exp.column(name, quoted=True) for name in names],
        from_=exp.From(this=holder),
        where=exp.Where(this=condition),
        distinct=select.args.get("distinct"),
        with_=select.args.get("with_"),
    )
    select.set("distinct", None)
    select.set("with_", None)
    return outer
