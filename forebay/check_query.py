"""Refuse queries over the tables of private views."""

from __future__ import annotations

import re
from contextlib import closing

import duckdb

from feature_specs.names import fold_name
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from lakehouse.named_tables import named_tables
from serving.served.commit_spool import SERVED


def check_query(project: Project, query: str) -> None:
    """Refuse a query that names a table of a view which is private to another group.

    Views are those that were compiled last, whichever of them the query's service reads. The log of
    served vectors holds values of all views, so it counts as a table of each. Besides the tables that
    DuckDB finds, names are looked for in the text, in whichever engine's SQL: in a literal or a comment
    they count too.

    Raises:
        ForbiddenError: says who to ask.
    """
    catalog = project.catalog()
    tables = {table: [view.name] for view in catalog.views.values() for table in view.tables}
    tables[SERVED] = list(catalog.access)
    named = [view for table, views in tables.items() if names_table(query, table) for view in views]
    check_readable(project, catalog, named)


def names_table(query: str, table: str) -> bool:
    """Whether a query names a table, with its schema or, where a relation may stand, without."""
    parts = tuple(fold_name(part) for part in table.split("."))
    with closing(duckdb.connect()) as connection:
        found = named_tables(connection, query) or set()
    # A name may lack the schema, or have a catalog before it.
    if any(name[-len(parts) :] == parts[-len(name) :] for name in found):
        return True
    schema, _, name = table.rpartition(".")
    quote = r"[\"`]?"
    whole = (
        rf"(?<!\w){quote}{re.escape(schema)}{quote}\s*\.\s*{quote}{re.escape(name)}{quote}(?!\w)"
    )
    alone = rf"(?:(?:\bfrom|\bjoin|,)[\s(]*|\btable\s+){quote}{re.escape(name)}{quote}(?![\w.])"
    return re.search(f"{whole}|{alone}", query, re.IGNORECASE) is not None
