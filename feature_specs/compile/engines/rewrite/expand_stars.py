"""Write out ``* exclude (...)``, whose columns are known by following the statement."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.errors import CompileError


def expand_stars(statement: EngineStatement) -> None:
    """Expand stars, in place. A star over the spine stays where its columns are not known.

    >>> show(expand_stars, "select * exclude (until) from versions", "spark")
    SELECT "versions"."k", "versions"."plan", "versions"."price", "versions"."since" FROM
    versions
    """
    tree, trace = statement.tree, statement.trace
    for select in tree.find_all(exp.Select):
        items: list[exp.Expr] = []
        for item in select.expressions:
            known = trace.starred(select, item) if item.is_star else None
            if known is None:
                items.append(item)
                continue
            items += [exp.column(name, table=alias, quoted=True) for alias, name in known]
        select.set("expressions", items)


def exclude_by_table_function(statement: EngineStatement) -> None:
    """Trino has no ``* exclude``: its function exclude_columns drops columns of the whole result.

    Raises:
        CompileError: such a star stands elsewhere than in the outermost SELECT.

    >>> show(
    ...     exclude_by_table_function,
    ...     "select * exclude (fb_row) from (select 1 as fb_row, s.* from spine as s) as q",
    ...     "trino",
    ... )
    SELECT * FROM TABLE(EXCLUDE_COLUMNS(input => TABLE(SELECT * FROM (SELECT 1 AS fb_row,
    s.* FROM spine AS s) AS q), columns => DESCRIPTOR("fb_row")))
    """
    if statement.engine != "trino":
        return
    tree = statement.tree
    for item in _excluding(tree):
        select = item.parent_select
        if select is not tree or not isinstance(tree, exp.Select):
            raise CompileError(
                "trino has no `* exclude`, and the columns are not known",
                where="engine trino",
                hint="give spine_columns",
            )
        star = item.this if isinstance(item, exp.Column) else item
        dropped = [exp.to_identifier(e.name, quoted=True) for e in star.args["except_"]]
        star.set("except_", None)
        inner = exp.Select()
        for key, value in list(tree.args.items()):
            if key != "with_":
                inner.set(key, value)
                tree.set(key, None)
        call = exp.Anonymous(
            this="exclude_columns",
            expressions=[
                exp.Kwarg(this=exp.var("input"), expression=_call("TABLE", inner)),
                exp.Kwarg(this=exp.var("columns"), expression=_call("DESCRIPTOR", *dropped)),
            ],
        )
        tree.set("expressions", [exp.Star()])
        tree.set("from_", exp.From(this=_call("TABLE", call)))
        return


def _excluding(tree: exp.Expr) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    for star in tree.find_all(exp.Star):
        if star.args.get("except_"):
            found.append(star.parent if isinstance(star.parent, exp.Column) else star)
    return found


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))
