"""Drop the handling of infinite instants, which other engines do not have."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement


def drop_infinities(statement: EngineStatement) -> None:
    """Replace ``coalesce(epoch_us(x), case x when 'infinity' ...)`` by ``epoch_us(x)``, in place.

    >>> show(
    ...     drop_infinities,
    ...     "select coalesce(epoch_us(ts), case ts when 'infinity' then 9 end) as t from "
    ...     "events",
    ...     "trino",
    ... )
    SELECT EPOCH_US(ts) AS t FROM events
    """
    tree = statement.tree
    for node in list(tree.find_all(exp.Coalesce)):
        (*_, ends) = node.expressions
        if isinstance(ends, exp.Case) and ends.this is not None:
            first = ends.args["ifs"][0].this
            if first == exp.Literal.string("infinity"):
                node.replace(node.this)
