"""Names that begin like forebay's own: no author's column, table, CTE, alias or request has one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import feature_specs
from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.compile.proof.certify_bounds import certify_bounds
from feature_specs.compile.sql.own_names import (
    BOOKKEEPING,
    RELATIONS,
    UNIT_SUFFIXES,
    VALUES,
    is_bookkeeping,
)
from feature_specs.errors import CompileError, ForebayError, SpecError, UnsafeQueryError

TZ = "TIMESTAMP WITH TIME ZONE"
COLUMNS = {"k": "VARCHAR", "ts": TZ, "x": "INTEGER", "s": "STRUCT(fb_row INTEGER)"}
E = Leaf("e", COLUMNS, event_time="ts")

#: The first two were once missing from a list.
NAMES = ("fb_mark_before", "fb_unit1_all", "fb_row", "FB_T", "Fb_Anything", "forebay_change")

TEXTS = {
    "output": 'select k, max(x) as "{}" from e group by k',
    "inner column": 'select k, max(i."{0}") as m from (select k, x as "{0}" from e) as i group by k',
    "CTE": 'with "{0}" as (select k, x from e) select k, max(x) as m from "{0}" group by k',
    "alias of a table": 'select "{0}".k, max("{0}".x) as m from e as "{0}" group by "{0}".k',
    "column names of a CTE": 'with c(k, "{0}") as (select k, x from e) select k, max("{0}") as m from c group by k',
    "request": "select k, max(x) + request('{}', 'double') as m from e group by k",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", TEXTS)
def test_a_name_in_the_query_is_refused(place: str, name: str) -> None:
    view = FeatureView("v", TEXTS[place].format(name), ["k"], file="v.sql")
    with pytest.raises(CompileError, match="begins like forebay's own") as caught:
        compile_view(view, [E])
    assert name.lower() in caught.value.what.lower()
    assert caught.value.file == "v.sql"
    plain = FeatureView("v", TEXTS[place].format("b_row"), ["k"])
    assert compile_view(plain, [E]).certificate.scans


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_leaf_is_refused_whether_it_is_read_or_not(name: str) -> None:
    view = FeatureView("v", "select k, max(x) as m from e group by k", ["k"])
    leaf = Leaf("e", {**COLUMNS, name: "INTEGER"}, event_time="ts", where="s.yml:3")
    with pytest.raises(CompileError, match="column of e") as caught:
        compile_view(view, [leaf])
    assert str(caught.value.where) == "s.yml:3"
    table = FeatureView("v", f'select k, max(x) as m from "{name}" group by k', ["k"])
    with pytest.raises(CompileError, match="table"):
        compile_view(table, [Leaf(f'"{name}"', COLUMNS, event_time="ts")])
    with pytest.raises(UnsafeQueryError, match="begins like"):
        certify_bounds("select 1 as one", (leaf,), "v.sql")


def test_entities_and_views_are_no_names_of_ours() -> None:
    makes: list[Callable[[], object]] = [
        lambda: FeatureView("v", "select 1", ["FB_row"]),
        lambda: FeatureView("fb_v", "select 1", ["k"]),
    ]
    for make in makes:
        with pytest.raises(SpecError, match="begins like"):
            make()


def test_an_unbounded_join_under_such_names_is_not_certified() -> None:
    """Bookkeeping columns pass the proof unbounded: an author's would have taken rows along."""
    sql = (
        "select e.k, max(f.fb_mark_before) as m from e join "
        "(select k as fb_unit1_all, x as fb_mark_before from e) as f on f.fb_unit1_all = e.k group by e.k"
    )
    with pytest.raises(ForebayError):
        compile_view(FeatureView("v", sql, ["k"]), [E])


def test_a_schema_and_a_field_may_have_such_names() -> None:
    leaf = Leaf("forebay_demo.fb_raw.e", COLUMNS, event_time="ts")
    sql = "select k, max(struct_extract(s, 'fb_row')) as m from forebay_demo.fb_raw.e group by k"
    assert compile_view(FeatureView("v", sql, ["k"]), [leaf]).certificate.scans


def test_every_name_that_the_compiler_writes_stands_in_the_one_list() -> None:
    home = Path(feature_specs.__file__).parent
    known = {*BOOKKEEPING, *VALUES, *RELATIONS, *(f"unit{s}" for s in UNIT_SUFFIXES)}
    engines = {
        "asof_at",
        "asof_last",
        "asof_right",
        "asof_row",
        "asof_side",
        "asof_key",
        "asof",
        "places",
        "marks",
        "listed",
    }
    known |= {"", *engines}
    for path in home.rglob("*.py"):
        for name in re.findall(r"\bfb_(\w*)", path.read_text()):
            stem = re.sub(r"\d+", "", name).rstrip("_")
            assert stem in known, f"{path.name}: add fb_{name} to own_names.py"


def test_values_are_no_bookkeeping() -> None:
    assert not [
        n for n in VALUES for number in ("", "0", "12") if is_bookkeeping(f"fb_{n}{number}")
    ]
    assert all(is_bookkeeping(f"fb_{n}") for n in BOOKKEEPING if n != "unit")
    assert not is_bookkeeping("fb_unit1_total")
