"""Remove the checks of the spine's types, which only DuckDB evaluates as constants."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement


def drop_type_checks(statement: EngineStatement) -> None:
    """Replace ``case when typeof(...) ... then ... else x end`` by x, in place.

    Trino refuses to compare a number with text by itself, and reads instants in microseconds.

    >>> show(
    ...     drop_type_checks,
    ...     "select k from events where case when typeof(k) = 'DOUBLE' then false else true "
    ...     "end",
    ...     "trino",
    ... )
    SELECT k FROM events WHERE TRUE
    """
    tree = statement.tree
    for case in list(tree.find_all(exp.Case)):
        default = case.args.get("default")
        if default is not None and case.this is None and case.args["ifs"][0].this.find(exp.Typeof):
            case.replace(default)
