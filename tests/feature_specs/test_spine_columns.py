"""A spine whose columns are known is refused before it is read."""

from __future__ import annotations

import duckdb
import pytest

from feature_specs import FeatureView, Leaf, compile_service, compile_view
from feature_specs.errors import SpecError
from tests.feature_specs.oracle import connect

TZ = "TIMESTAMP WITH TIME ZONE"
LEAF = Leaf("e", {"k": "VARCHAR", "J": "INTEGER", "ts": TZ, "x": "INTEGER"}, event_time="ts")
VIEW = compile_view(
    FeatureView(
        "v",
        "select k, J, max(x) as Most, max(x) + request('amount', 'double') as m from e group by k, J",
        ["k", "J"],
    ),
    [LEAF],
)
WHOLE = ("k", "j", "ts", "AMOUNT", "other")


def _spine(names: tuple[str, ...]) -> str:
    return f"(select {', '.join(f'null as {name}' for name in names)})"


@pytest.mark.parametrize(
    ("without", "says"),
    [
        (("k",), "the spine lacks entity 'k' of feature view 'v'. Hint: add it"),
        (("j",), "lacks entity 'J' of feature view 'v'"),
        (("AMOUNT",), "lacks request value 'amount' of feature view 'v'"),
        (("ts",), "lacks the column of instants 'ts'"),
        (("k", "j"), "lacks entity 'k' of feature view 'v' and entity 'J' of feature view 'v'"),
    ],
)
def test_a_column_that_is_missing(without: tuple[str, ...], says: str) -> None:
    names = tuple(name for name in WHOLE if name not in without)
    for spine, columns in (("spine", names), (_spine(names), None), ("labels", list(names))):
        with pytest.raises(SpecError, match=says):
            VIEW.point_in_time(spine, spine_columns=columns)
        with pytest.raises(SpecError, match=says):
            compile_service([VIEW], spine=spine, spine_columns=columns)


@pytest.mark.parametrize("name", ["most", "M", "fb_t"])
def test_a_column_of_a_taken_name(name: str) -> None:
    with pytest.raises(
        SpecError, match=f"spine column '{name}' is named like a feature, or begins"
    ):
        VIEW.point_in_time(_spine((*WHOLE, name)))
    if name != "fb_t":
        assert compile_service([VIEW], spine=_spine((*WHOLE, name)))
    with pytest.raises(SpecError, match="spine column 'V__Most'"):
        compile_service([VIEW], spine_columns=[*WHOLE, "V__Most"])


def test_what_is_there_or_not_known_is_taken() -> None:
    for spine in ("spine", "(from spine)", "(select * from spine)", "(values (1, 2))", "read('x')"):
        assert VIEW.point_in_time(spine)
    assert VIEW.point_in_time(_spine(WHOLE)) and VIEW.point_in_time(spine_columns=WHOLE)
    assert "other" in VIEW.point_in_time(engine="trino", spine_columns=WHOLE)
    with pytest.raises(SpecError, match="lacks the column of instants 'At'"):
        VIEW.point_in_time(timestamp="At", spine_columns=WHOLE)


def test_what_is_not_known_is_told_by_duckdb() -> None:
    opened = connect()
    opened.execute(f"create table e (k varchar, j integer, ts {TZ}, x integer)")
    opened.execute("create table spine as select 1 as j, now() as ts, 1.0 as amount")
    with pytest.raises(duckdb.BinderException, match='column "k" not found'):
        opened.execute(VIEW.point_in_time())
