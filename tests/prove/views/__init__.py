"""The grammar: views as people write them, simple ones mostly, with a tail of odd ones."""

from __future__ import annotations

import random

from feature_specs import FeatureView
from tests.prove.case import Case
from tests.prove.rows import draw_rows
from tests.prove.spine import draw_spine
from tests.prove.views.draw import Builder, Draw, new_draw
from tests.prove.views.grouped import one_stream, versions_only
from tests.prove.views.history import history
from tests.prove.views.joins import filtered, joined
from tests.prove.views.latest import latest
from tests.prove.views.nested import nested, pair
from tests.prove.views.odd import calendar, cases, decay, either, in_on
from tests.prove.views.windowed import windowed

_BUILDERS: dict[str, tuple[float, Builder]] = {
    "one stream": (28, one_stream),
    "versions": (2, versions_only),
    "joined": (15, joined),
    "filtered": (7, filtered),
    "latest": (9, latest),
    "history": (13, history),
    "pair": (7, pair),
    "nested": (7, nested),
    "windowed": (5, windowed),
    "calendar": (2, calendar),
    "decay": (1.2, decay),
    "or": (1.2, either),
    "case": (1.2, cases),
    "in on": (1, in_on),
}
BUILDERS = tuple(_BUILDERS)


def draw_case(name: str) -> Case:
    """The case of a seed. The same seed gives the same case in every process."""
    rng = random.Random(name)
    draw = new_draw(rng)
    shape = draw.weighted({n: w for n, (w, _) in _BUILDERS.items()})
    draw.tag(f"shape:{shape}")
    sql = _BUILDERS[shape][1](draw)
    return _finish(name, draw, sql)


def _finish(name: str, draw: Draw, sql: str) -> Case:
    size = draw.pick(10, 20, 28, 30)
    tables = {n: draw_rows(draw.rng, t, draw.grid, size) for n, t in draw.tables.items()}
    lag = draw.grid.step * draw.pick(1, 2) if draw.lagged else draw.grid.step * 0
    if lag:
        draw.tag("option:lag")
        draw.widths.add(lag)
    draw.tag(f"time:{draw.grid.name}", f"entity:{'+'.join(draw.entities)}")
    draw.tag(*(f"option:{option}" for option in draw.options))
    leaves = tuple(t.leaf for t in draw.tables.values())
    spine = draw_spine(draw.rng, draw.grid, leaves, tables, sorted(draw.widths), draw.entities)
    view = FeatureView("drawn", sql, draw.entities, models=draw.models, **draw.options)
    return Case(name, view, leaves, tables, spine, frozenset(draw.tags), draw.visible, lag)
