"""Which values of a leaf's time column a row has that starts or ends between two instants.

Said of the column alone, a scan skips what its files' and row groups' bounds rule out.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from feature_specs.compile.draft import Draft, IntervalForm, Term
from feature_specs.compile.leaves.leaf_tables import leaf_of
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.variants.read_deltas import edge_of
from feature_specs.leaf import Leaf


def edge_ranges(draft: Draft, form: IntervalForm, low: str, high: str) -> list[str] | None:
    """SQL over the form's source: a test for each instant at which a row may start or end.

    A row that starts or ends after ``low`` and up to ``high`` passes one of them, as may others.
    None where there is no such test for one of these instants.

    Args:
        low: SQL of an instant, in microseconds.
    """
    aliases = {t.alias_or_name: leaf_of(draft, t) for t in form.source.find_all(exp.Table)}
    windows = [form.window, *(p.window for p in form.aggregates)]
    tests: dict[str, None] = {}
    for term in dict.fromkeys(t for w in windows for t in (*w.starts, *w.ends)):
        test = _range(term, aliases, low, high)
        if test is None:
            return None
        tests[test] = None
    return list(tests)


def _range(term: Term, aliases: Mapping[str, Leaf | None], low: str, high: str) -> str | None:
    columns = list(term.instant.find_all(exp.Column))
    leaf = aliases.get(columns[0].table) if len(columns) == 1 else None
    if leaf is None:
        return None
    edge = edge_of(leaf, term)
    if edge is None:
        return None
    column = duckdb_sql(columns[0])
    kind = leaf.columns[columns[0].name].upper()
    made = "make_timestamptz" if "TZ" in kind or "ZONE" in kind else "make_timestamp"
    least, most = (
        f"{made}({instant} - ({edge.offset + slack}))"
        for instant, slack in ((low, edge.slack), (high, -edge.slack))
    )
    if kind.startswith("DATE") and not kind.startswith("DATETIME"):
        least, most = f"cast({least} as date)", f"cast({most} as date)"
        return f"{column} >= {least} and {column} <= {most}"
    return f"{column} > {least} and {column} <= {most}"
