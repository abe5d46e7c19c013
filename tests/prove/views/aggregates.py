"""Aggregates over what is in scope. Orders are total, or as good: ties share the value taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.prove.tables import Kind
from tests.prove.views.clocks import open_end, plain, window
from tests.prove.views.draw import Draw, Rel


@dataclass(frozen=True)
class Item:
    """A select item. ``exact`` values may be compared with a constant further out."""

    sql: str
    kind: Kind | None
    exact: bool = True

    def named(self, name: str) -> str:
        return f"{self.sql} as {name}"


Maker = Callable[[Draw, Rel], Item | None]


def _over(call: str, *kinds: Kind, result: Kind | None = None, exact: bool = True) -> Maker:
    """An aggregate of one column of some kinds."""

    def make(draw: Draw, rel: Rel) -> Item | None:
        cols = rel.of(*kinds)
        if not cols:
            return None
        col = draw.pick(*cols)
        whole = exact and col.kind != "float"
        return Item(call.format(col.sql), result or col.kind, whole)

    return make


def _count_star(draw: Draw, rel: Rel) -> Item:
    return Item("count(*)", "int")


def _sum_case(draw: Draw, rel: Rel) -> Item | None:
    cols = rel.of("int")
    if not cols:
        return None
    text = f"sum(case when {plain(draw, rel)} then {draw.pick(*cols).sql} else 0 end)"
    return Item(text, "int")


def _sum_product(draw: Draw, rel: Rel) -> Item | None:
    cols = rel.of("int")
    if len(cols) < 2:
        return None
    one, two = draw.rng.sample(cols, 2)
    return Item(f"sum({one.sql} * coalesce({two.sql}, 1))", "int")


def _arg(draw: Draw, rel: Rel) -> Item | None:
    """The value at the greatest time; a tie in time is decided by the value itself."""
    if rel.time is None:
        return None
    cols = rel.of("int", "str", "dec", "float", "bool")
    if not cols:
        return None
    col = draw.pick(*cols)
    name = draw.pick("arg_max", "arg_max", "max_by", "arg_min")
    return Item(f"{name}({col.sql}, row({rel.time}, {col.sql}))", col.kind, False)


def _ordered(draw: Draw, rel: Rel, value: str) -> str:
    time = rel.time or value
    way = draw.pick("", "", " desc", " desc nulls last", " nulls first")
    return f"order by {time}{draw.pick('', ' desc')}, {value}{way}"


def _first(draw: Draw, rel: Rel) -> Item | None:
    cols = rel.of("int", "str", "dec")
    if not cols:
        return None
    col = draw.pick(*cols)
    return Item(f"{draw.pick('first', 'last')}({col.sql} {_ordered(draw, rel, col.sql)})", col.kind)


def _list(draw: Draw, rel: Rel) -> Item | None:
    cols = rel.of("int", "str", "float")
    if not cols:
        return None
    col = draw.pick(*cols)
    return Item(f"{draw.pick('list', 'array_agg')}({col.sql} {_ordered(draw, rel, col.sql)})", None)


def _string_agg(draw: Draw, rel: Rel) -> Item | None:
    cols = rel.of("str")
    if not cols:
        return None
    col = draw.pick(*cols)
    return Item(f"string_agg({col.sql}, ',' {_ordered(draw, rel, col.sql)})", "str")


def _quantile(draw: Draw, rel: Rel) -> Item | None:
    cols = rel.of("int", "float", "dec")
    if not cols:
        return None
    col = draw.pick(*cols)
    q = draw.pick("0.9", "0.5", "0.25")
    name = draw.pick("quantile_cont", "quantile_cont", "quantile_disc")
    if draw.chance(0.2):
        return Item(f"percentile_cont({q}) within group (order by {col.sql})", None, False)
    return Item(f"{name}({col.sql}, {q})", None, False)


def _pair(draw: Draw, rel: Rel) -> Item | None:
    cols = rel.of("int")
    if len(cols) < 2:
        return None
    one, two = draw.rng.sample(cols, 2)
    return Item(f"{draw.pick('covar_pop', 'covar_samp')}({one.sql}, {two.sql})", "float", False)


_MAKERS: Mapping[str, tuple[float, Maker]] = {
    "count_star": (4, _count_star),
    "count": (2, _over("count({})", "int", "str", "float", "bool", "time", result="int")),
    "count_distinct": (1.5, _over("count(distinct {})", "int", "str", "dec", result="int")),
    "sum_int": (4, _over("sum({})", "int")),
    "sum_dec": (2, _over("sum({})", "dec")),
    "sum_float": (2.5, _over("sum({})", "float", exact=False)),
    "avg_int": (2, _over("avg({})", "int", result="float", exact=False)),
    "avg_dec": (0.7, _over("avg({})", "dec", result="float", exact=False)),
    "avg_float": (1, _over("avg({})", "float", exact=False)),
    "min": (2, _over("min({})", "int", "dec", "float", "str", "time")),
    "max": (3, _over("max({})", "int", "dec", "float", "str", "time")),
    "bool": (0.8, _over("bool_or({})", "bool")),
    "bool_and": (0.5, _over("bool_and({})", "bool")),
    "stddev": (1, _over("stddev_samp({})", "int", "float", result="float", exact=False)),
    "variance": (0.7, _over("var_pop({})", "int", "dec", result="float", exact=False)),
    "median": (0.8, _over("median({})", "int", "float", exact=False)),
    "quantile": (0.6, _quantile),
    "arg_max": (1.4, _arg),
    "first": (0.9, _first),
    "list": (0.7, _list),
    "string_agg": (0.6, _string_agg),
    "approx_count_distinct": (
        0.4,
        _over("approx_count_distinct({})", "int", "str", result="int", exact=False),
    ),
    "sum_distinct": (0.3, _over("sum(distinct {})", "int")),
    "sum_case": (1, _sum_case),
    "sum_product": (0.6, _sum_product),
    "bits": (0.2, _over("bit_or({})", "int")),
    "covariance": (0.2, _pair),
    "count_if": (0.3, _over("count_if({})", "bool", result="int")),
    "top": (0.2, _over("max({}, 2)", "int", result=None, exact=False)),
}
AGGREGATES = tuple(_MAKERS)
#: Aggregates whose value stays within a part of a billion next to 1e16, in any order of adding.
_FOR_HUGE = {"sum_float": 4.0, "avg_float": 2.0, "max": 1.0, "count_star": 1.0, "min": 1.0}


def aggregate(draw: Draw, rel: Rel, *, filtered: float = 0.35) -> Item:
    """One aggregate, perhaps with a FILTER that holds clock predicates."""
    weights = _FOR_HUGE if draw.huge else {n: w for n, (w, _) in _MAKERS.items()}
    item = None
    while item is None:
        name = draw.weighted(weights)
        item = _MAKERS[name][1](draw, rel)
    draw.tag(f"aggregate:{name}")
    tests = []
    if rel.time is not None and draw.chance(filtered):
        tests.append(window(draw, rel.time))
    if draw.chance(filtered / 3):
        tests.append(plain(draw, rel))
    known = open_end(draw, rel) if draw.chance(filtered / 2) else None
    if known is not None:
        tests.append(known)
    if not tests:
        return item
    draw.tag("construct:filter")
    return Item(f"{item.sql} filter (where {' and '.join(tests)})", item.kind, item.exact)


def exact_aggregate(draw: Draw, rel: Rel) -> Item:
    """An aggregate that is a whole number, to be compared or divided by further out."""
    names = {n: _MAKERS[n][0] for n in ("count_star", "count", "sum_int", "count_distinct")}
    item = None
    while item is None:
        name = draw.weighted(names)
        item = _MAKERS[name][1](draw, rel)
    draw.tag(f"aggregate:{name}")
    return item
