"""Have Trino find each row's marker by a search in an array, rather than sort rows and markers.

One map, from a key to its markers' places in order, stands beside every row; ``width_bucket`` is a
binary search in it. Nothing is sorted but the markers, and no row is copied or moved for it.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.map.nodes import not_null, raw
from feature_specs.compile.sql.time_axis import ALWAYS

#: From here on places stand for the end of time; their distance to the first one is a double's bits.
_LAST, _FIRST = -2 * ALWAYS - 2**53, 2 * ALWAYS - 1


def search_markers(statement: EngineStatement) -> None:
    """Replace ASOF joins of rows with the next marker for Trino, in place.

    >>> show(
    ...     search_markers,
    ...     "with m as (select k as fb_key, ts as fb_place, x as fb_mark from t) "
    ...     "select m.fb_mark, max(r.fb_at) as fb_at from r asof left join m "
    ...     "on r.fb_key = m.fb_key and r.fb_at <= m.fb_place group by m.fb_mark",
    ...     "spark",
    ... )
    WITH m AS (SELECT k AS fb_key, ts AS fb_place, x AS fb_mark FROM t) SELECT m.fb_mark,
    MAX(r.fb_at) AS fb_at FROM r ASOF LEFT JOIN m ON r.fb_key = m.fb_key AND r.fb_at <=
    m.fb_place GROUP BY m.fb_mark
    """
    if statement.engine != "trino":
        return
    for select in list(statement.tree.find_all(exp.Select)):
        joins = select.args.get("joins") or []
        if len(joins) == 1 and _meets_markers(select, joins[0]):
            _search(select, joins[0])


def _meets_markers(select: exp.Select, join: exp.Join) -> bool:
    """Whether rows, as r, meet the next marker, as m, of which nothing else is read."""
    if (str(join.args.get("method") or "").upper(), str(join.side).upper()) != ("ASOF", "LEFT"):
        return False
    on = join.args["on"].sql("duckdb", identify=False).lower().replace('"', "")
    read = {c.name for c in select.find_all(exp.Column) if c.table == "m"}
    held = {c.name for c in join.args["on"].find_all(exp.Column) if c.table == "m"}
    return (
        on == "r.fb_key = m.fb_key and r.fb_at <= m.fb_place"
        and join.this.alias_or_name == "m"
        and select.args["from_"].this.alias_or_name == "r"
        and read - held == {"fb_mark"}
    )


def _search(select: exp.Select, join: exp.Join) -> None:
    rows, marks = select.args["from_"].this, join.this
    join.pop()
    used = [c for c in select.find_all(exp.Column) if c.parent_select is select]
    for column in used:
        if column.table == "m":
            column.set("table", exp.to_identifier("r", quoted=True))
    names = dict.fromkeys(c.name for c in used if c.name != "fb_mark")
    # Before a marker are the rows up to its place: those of the number of places before the row.
    place = f"width_bucket({_as_double('r.fb_at - 1')}, element_at(h.fb_places, r.fb_key)) + 1"
    found = raw(f"element_at(element_at(h.fb_marks, r.fb_key), {place})")
    beside = exp.Select(
        expressions=[
            *(exp.column(name, table="r", quoted=True) for name in names),
            exp.alias_(found, "fb_mark", quoted=True),
        ],
        from_=exp.From(this=rows),
        joins=[exp.Join(this=_subquery(_held(marks), "h"), kind="CROSS")],
    )
    select.set("from_", exp.From(this=_subquery(beside, "r")))


def _held(marks: exp.Expr) -> exp.Select:
    """One row: the places of each key in order, as doubles, and their markers."""
    listed = exp.Select(
        expressions=[
            exp.column("fb_key", table="m", quoted=True),
            exp.alias_(
                raw("array_agg(row(m.fb_place, m.fb_mark) order by m.fb_place)"), "fb_listed"
            ),
        ],
        from_=exp.From(this=marks),
        where=exp.Where(this=not_null(exp.column("fb_key", table="m", quoted=True))),
        group=exp.Group(expressions=[exp.column("fb_key", table="m", quoted=True)]),
    )
    places = f"map_agg(fb_key, transform(fb_listed, x -> {_as_double('x[1]')}))"
    return exp.Select(
        expressions=[
            exp.alias_(raw(places), "fb_places"),
            exp.alias_(raw("map_agg(fb_key, transform(fb_listed, x -> x[2]))"), "fb_marks"),
        ],
        from_=exp.From(this=_subquery(listed, "m")),
    )


def _as_double(place: str) -> str:
    """A double in the order of the places, all of which are exact: as a number they would not be."""
    return f"from_ieee754_64(to_big_endian_64(least({place}, {_LAST}) + {1 - _FIRST}))"


def _subquery(query: exp.Select, alias: str) -> exp.Subquery:
    name = exp.to_identifier(alias, quoted=True)
    return exp.Subquery(this=query, alias=exp.TableAlias(this=name))
