"""Lists, arrays of a fixed size, structs and maps in every variant, by every lowering."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_specs.compile import compile_view
from feature_specs.errors import CompileError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Row, same

NAN = float("nan")
HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
EVENTS = Leaf(
    "events",
    {
        "k": "VARCHAR", "ts": "TIMESTAMP WITH TIME ZONE", "nr": "INTEGER", "item": "VARCHAR",
        "price": "DOUBLE", "emb": "FLOAT[]", "tags": "VARCHAR[]",
        "place": "STRUCT(city VARCHAR, codes INTEGER[])", "prefs": "MAP(VARCHAR, DOUBLE)",
    },
    event_time="ts",
)  # fmt: skip


def event(key: str, hours: float, *values: Any) -> Row:
    return (key, START + hours * HOUR, *values)


ROWS = [
    event("a", 0, 1, "x", 1.5, [1.0, 2.0, 3.0, 4.0], ["p", None], {"city": "U", "codes": [1, None]}, {"l": 1.0, "m": None}),
    event("a", 1, 2, "y", NAN, [NAN, 0.0, 0.5, 1e30], [], {"city": None, "codes": None}, {}),
    event("a", 2, 3, None, None, None, None, None, None),
    event("b", 1, 4, "x", 2.0, [0.0, 0.0, 0.0, None], ["q"], {"city": "V", "codes": []}, {"z": NAN}),
    event("b", 1, 5, "x", 3.0, [0.0, 0.0, 0.0, 1.0], ["q", "r"], {"city": "V", "codes": [2]}, {"z": 2.0}),
    event("c", 5, 6, "z", 3.0, [9.0, 0.0, 0.0, 1.0], ["q", "r"], {"city": "V", "codes": [2]}, {"z": 2.0}),
]  # fmt: skip
INSTANTS = [START + n * HOUR for n in (-1, 0, 0.5, 1, 1.5, 2, 3, 6, 24.5, 25, 31)]
SPINE = [
    (n, key, at, None) for n, (key, at) in enumerate((key, at) for key in "abcd" for at in INSTANTS)
]
DAY = "from events where ts > current_timestamp - interval '1' day group by k"
AS_OF = {
    "lists": f"select k, list(item order by ts, nr) as items, list(price order by ts desc, nr)[:2] as last_2, list(emb order by ts, nr) as embs {DAY}",
    "structs": f"select k, {{'n': count(*), 'most': max(price), 'all': list(item order by ts, nr)}} as st, list({{'item': item, 'price': price}} order by ts desc, nr) as rows {DAY}",
    "maps": f"select k, cast(histogram(item) as map(varchar, bigint)) as counts {DAY}",
    "arrays": f"select k, cast(max(emb) as float[4]) as most, cast(arg_max(emb, ts) as float[4]) as last, array_value(cast(sum(price) as float), cast(count(*) as float)) as pair, {{'in': array_value(count(*), 1)}} as st {DAY}",
}
HISTORY = {
    "columns": "select k, ts, nr, cast(emb as float[4]) as emb, tags, place, prefs, [place, place] as places from events",
    "parts": "select k, ts, nr, emb[1] as first, place.city as city, prefs['z'] as z, len(tags) as n, list_transform(emb, lambda x: x * 2) as twice from events",
}


def view_of(sql: str, **options: Any) -> FeatureView:
    return FeatureView(name="v", sql=sql, entities=("k",), file="v.sql", **options)


def hold(view: FeatureView) -> None:
    world = make_world(view, [EVENTS], {"events": ROWS}, SPINE)
    assert {"chosen", "stab", "decorrelated"} <= set(world.check_point_in_time())
    world.check_as_of(INSTANTS)
    world.check_online(INSTANTS, HOUR)


@pytest.mark.parametrize("name", AS_OF)
def test_as_of_views(name: str) -> None:
    hold(view_of(AS_OF[name]))


@pytest.mark.parametrize("name", HISTORY)
def test_history_views(name: str) -> None:
    hold(view_of(HISTORY[name], event_time="ts", tie_break=("nr",)))


def test_an_array_s_type_is_kept_and_its_column_is_a_list() -> None:
    compiled = compile_view(view_of(AS_OF["arrays"]), [EVENTS])
    assert compiled.types.features == {
        "most": "FLOAT[4]",
        "last": "FLOAT[4]",
        "pair": "FLOAT[2]",
        "st": 'STRUCT("in" BIGINT[2])',
    }
    assert compiled.types.stored["most"] == "FLOAT[4]"


@pytest.mark.parametrize(
    "item",
    [
        "max(cast(emb as float[4])) as e",
        "list(cast(emb as float[4]) order by ts) as e",
        "len(list(cast(emb as float[4]) order by ts) filter (where price > 0)) as e",
    ],
)
def test_an_aggregate_of_arrays_is_refused_by_name(item: str) -> None:
    with pytest.raises(CompileError, match=r"FLOAT\[4\].*array of a fixed size.*aggregate lists"):
        compile_view(view_of(f"select k, {item} from events group by k"), [EVENTS])


def test_the_comparison_sees_what_differs_inside() -> None:
    """It cannot be that all agree because nothing is looked at."""
    value = {"a": [1.0, NAN, None], "b": {"c": ("x",)}}
    assert same(value, {"a": [1.0, NAN, None], "b": {"c": ["x"]}}, 1.0)
    for other in (
        {"a": [1.0, NAN, 0.0], "b": {"c": ("x",)}},
        {"a": [1.0, NAN], "b": {"c": ("x",)}},
        {"a": [2.0, NAN, None], "b": {"c": ("x",)}},
        {"a": [1.0, NAN, None], "b": {"c": ("y",)}},
        {"b": {"c": ("x",)}, "a": [1.0, NAN, None]},
        {"a": None, "b": {"c": ("x",)}},
    ):
        assert not same(other, value, 1.0) and not same(value, other, 1.0)
