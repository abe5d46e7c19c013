"""Take away what DuckDB alone asks about a spine column's type, a constant to it."""

from __future__ import annotations

from sqlglot import exp


def drop_type_checks(tree: exp.Expr) -> None:
    """In place: ``case when typeof(...) ... then ... else x end`` is x.

    Trino refuses to compare a number with text by itself, and reads instants in microseconds.
    """
    for case in list(tree.find_all(exp.Case)):
        default = case.args.get("default")
        first = case.args["ifs"][0].this
        if default is not None and case.this is None and first.find(exp.Typeof):
            case.replace(default)
