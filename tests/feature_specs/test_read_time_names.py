"""What a read-time expression stores has a name that nothing else in the view has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import duckdb
import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.errors import CompileError

LEAF = Leaf("e", {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "x": "INTEGER"}, event_time="ts")
AT = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("entity", "items", "expected"),
    [
        ("k", "sum(x) as a__part2, epoch(now() - max(ts)) as a", (5, 86400.0)),
        ("k", "sum(x) as a__part1, epoch(now() - max(ts)) as a", (5, 86400.0)),
        ("k", "sum(x) as A__PART1, epoch(now() - max(ts)) + min(x) as a", (5, 86405.0)),
        ("k", "epoch(now() - max(ts)) as a, sum(x) as a__part1", (86400.0, 5)),
        (
            "k",
            "epoch(now() - max(ts)) as a, epoch(now() - min(ts)) as a__part1",
            (86400.0, 86400.0),
        ),
        ("a__part1", "epoch(now() - max(ts)) as a", (86400.0,)),
    ],
)
def test_no_name_is_taken_twice(entity: str, items: str, expected: Sequence[object]) -> None:
    view = FeatureView("v", f"select k as {entity}, {items} from e group by k", [entity])
    compiled = compile_view(view, [LEAF])
    names = [entity, *compiled.stored_names]
    assert len({n.lower() for n in names}) == len(names)
    with duckdb.connect() as duck:
        duck.execute("set timezone = 'UTC'")
        duck.execute("create table e as select 'a' as k, timestamptz '2024-01-01' as ts, 5 as x")
        duck.execute(f"create table spine as select 'a' as {entity}, timestamptz '{AT}' as ts")
        assert duck.execute(compiled.point_in_time()).fetchall()[0][2:] == expected
        assert duck.execute(compiled.as_of(AT)).fetchall() == [("a", *expected)]
        steps = compiled.incremental()
        for sql in (*steps.create, *steps.step):
            duck.execute(sql, {"as_of": AT} if "$as_of" in sql else None)
        read = duck.execute(steps.read, {"as_of": AT} if "$as_of" in steps.read else None)
        assert read.fetchall() == [("a", *expected)]


def test_names_depend_on_nothing_but_the_query() -> None:
    def names(items: str) -> tuple[str, ...]:
        view = FeatureView("v", f"select k, {items} from e group by k", ["k"])
        return compile_view(view, [LEAF]).stored_names

    plain = "epoch(now() - max(ts)) + sum(x) as a"
    assert names(plain) == names(plain) == ("a__part1", "a__part2")


@pytest.mark.parametrize(
    "kind",
    ["timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp(0)", "json", "enum(''a'', ''b'')"],
)
def test_types_that_a_vectors_reader_lacks_are_refused(kind: str) -> None:
    """It would keep what DuckDB rounds, or take what DuckDB refuses."""
    written = kind.replace("''", "'")
    for value in (f"request('a', '{kind}')", f"cast(request('a', 'varchar') as {written})"):
        view = FeatureView("v", f"select k, {value} is null as v from e", ["k"])
        with pytest.raises(CompileError, match="cannot be evaluated when a vector is read"):
            compile_view(view, [LEAF])
