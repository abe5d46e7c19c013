"""Write ``exists (select * ...)`` as ``exists (select 1 ...)``: EXISTS asks for rows, not for columns.

A star would bring every column of its tables into the interval form, for nothing.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.parse.author_text import AuthorText

#: Parts of a SELECT that its select list has a say in, or by which it has a row whatever is read.
_READ_THE_LIST = ("distinct", "group", "having", "order", "limit", "offset", "fetch", "into")


def plain_exists(query: exp.Query, _text: AuthorText) -> exp.Query:
    """Select 1 in every EXISTS whose select list is one plain star, in place.

    >>> show(
    ...     plain_exists,
    ...     "select k from versions where exists (select * from events order by ts limit 1)",
    ... )
    SELECT k FROM versions WHERE EXISTS(SELECT 1 FROM events)
    """
    for node in query.find_all(exp.Exists):
        inner = node.this
        if isinstance(inner, exp.Subquery):
            inner = inner.unnest()
        if not isinstance(inner, exp.Select):
            continue
        _drop_order(inner)
        if not any(inner.args.get(part) for part in _READ_THE_LIST) and _is_star(inner):
            inner.set("expressions", [exp.Literal.number(1)])
    return query


def _drop_order(select: exp.Select) -> None:
    """``order by ... limit 1`` leaves a row wherever there is one."""
    limit = select.args.get("limit")
    count = limit.expression if isinstance(limit, exp.Limit) else None
    options = limit.args.get("limit_options") if limit is not None else None
    some = isinstance(count, exp.Literal) and count.name.isdigit() and int(count.name) > 0
    if ((some and options is None) or limit is None) and not select.args.get("offset"):
        select.set("limit", None)
        if not select.args.get("distinct"):  # DISTINCT ON reads it
            select.set("order", None)


def _is_star(select: exp.Select) -> bool:
    """``*`` or ``t.*``, with nothing excluded, replaced or matched."""
    if len(select.expressions) != 1:
        return False
    (item,) = select.expressions
    star = item.this if isinstance(item, exp.Column) else item
    return isinstance(star, exp.Star) and not any(star.args.values())
