"""Write out ``over w`` where the SELECT says ``window w as (...)``."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.compile.sql.named_windows import expand_named_windows


def write_out_windows(query: exp.Query, _text: AuthorText) -> exp.Query:
    """Write out named windows in every SELECT, in place.

    >>> show(
    ...     write_out_windows,
    ...     "select k, sum(x) over w as v from events window w as (partition by k)",
    ... )
    SELECT k, SUM(x) OVER (PARTITION BY k) AS v FROM events
    """
    for select in query.find_all(exp.Select):
        expand_named_windows(select)
    return query
