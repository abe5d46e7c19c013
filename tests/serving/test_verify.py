"""Verify finds what differs, and says nothing of what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from feature_specs.catalog import ViewEntry
from feature_specs.errors import ForebayError
from serving.state import ViewState, load_state
from serving.stores import StoredView, open_store
from serving.sync import sync
from serving.verify import Difference, near_value, same_value, verify
from tests.serving.project import Project, carriers, hours, instant, make_view
from tests.serving.stored_rows import encode_row

DELAYS = StoredView.of(make_view("delays"))
MORNING = instant("07-01T08:00")


@pytest.fixture
def view(project: Project) -> ViewEntry:
    made = make_view("delays", freshness_us=hours(4))
    project.add(made)
    rows = carriers({"AA": (1, 1.0), "B6": (2, None), "DL": (3, float("nan"))})
    project.build(made, rows, MORNING)
    return made


def test_equal_and_fresh(project: Project, view: ViewEntry) -> None:
    sync(project.catalog)
    (report,) = verify(project.catalog)
    assert report.ok
    assert (report.offline_rows, report.online_rows, report.values) == (3, 3, 6)
    assert (report.different, report.missing, report.extra) == (0, 0, 0)
    assert report.age_us == hours(4)
    assert report.behind_us == 0
    assert report.non_null == {"n": 1.0, "delay": 2 / 3}


def test_values_that_differ(project: Project, view: ViewEntry) -> None:
    sync(project.catalog)
    store = open_store(project.catalog.online)
    state = store.get_state(DELAYS) or b""
    changed = [
        (b"AA", encode_row(None, ["1", "1.0000000000000002"])),
        (b"UA", encode_row(None, ["4", "4.0"])),
    ]
    store.write(DELAYS, changed, [b"B6"], state, replace=False)
    store.close()
    (report,) = verify(project.catalog)
    assert not report.ok
    assert (report.different, report.missing, report.extra) == (1, 1, 1)
    assert report.examples == [
        Difference(("AA",), "delay", 1.0, 1.0000000000000002),
        Difference(("B6",), None, "a row", None),
        Difference(("UA",), None, None, "a row"),
    ]
    assert [str(example) for example in report.examples] == [
        "('AA',) delay: offline 1.0, online 1.0000000000000002",
        "('B6',): only offline",
        "('UA',): only online",
    ]


def test_rows_of_another_shape(project: Project, view: ViewEntry) -> None:
    sync(project.catalog)
    store = open_store(project.catalog.online)
    state = store.get_state(DELAYS) or b""
    store.write(DELAYS, [(b"AA", b"\x001")], [], state, replace=False)
    store.close()
    (report,) = verify(project.catalog)
    assert report.different == 2


def test_stale_rows(project: Project, view: ViewEntry) -> None:
    sync(project.catalog)
    (report,) = verify(project.catalog, now=instant("07-01T12:00:00.000001"))
    assert report.equal
    assert not report.fresh
    assert not report.ok


def test_a_view_never_synced(project: Project, view: ViewEntry) -> None:
    project.add(replace(make_view("other"), table="features.delays"))
    sync(project.catalog, ["delays"])
    (report,) = verify(project.catalog, ["other"])
    assert not report.ok
    assert (report.missing, report.age_us, report.behind_us) == (3, None, None)


def test_rows_of_another_query(project: Project, view: ViewEntry) -> None:
    sync(project.catalog)
    store = open_store(project.catalog.online)
    known = load_state(store.get_state(DELAYS))
    assert known is not None
    store.write(DELAYS, (), (), replace(known, semantic_hash="other").dumps(), replace=False)
    store.close()
    (report,) = verify(project.catalog)
    assert not report.same_query
    assert not report.ok


def test_before_any_sync(project: Project, view: ViewEntry, tmp_path: Path) -> None:
    with pytest.raises(ForebayError, match="forebay sync"):
        verify(project.catalog)


def test_states_read_back() -> None:
    state = ViewState(5, "hash", 7, 2**62)
    assert load_state(state.dumps()) == state
    assert load_state(None) is None
    assert load_state(b'{"at": 1, "of": "another version"}') is None
    assert load_state(b"\x80 no JSON") is None


def many(n: int, wrong: int = 0) -> pa.Table:
    return carriers({f"c{i}": (i + (i < wrong), 0.5) for i in range(n)})


def test_a_sample_says_what_it_leaves_open(project: Project) -> None:
    made = make_view("delays")
    project.add(made)
    project.build(made, many(5000), MORNING)
    sync(project.catalog)
    (report,) = verify(project.catalog, sample=500)
    assert report.ok and (report.offline_rows, report.online_rows) == (5000, 5000)
    assert report.sampled is not None and 300 < report.sampled < 700
    assert report.values == 2 * report.sampled
    # None of n drawn differs, where this share of all does, in one case of a hundred.
    assert report.most_wrong is not None
    assert (1 - report.most_wrong) ** report.sampled == pytest.approx(0.01)
    (whole,) = verify(project.catalog, sample=5000)
    assert (whole.sampled, whole.most_wrong, whole.values) == (None, None, 10_000)


def test_a_sample_meets_what_differs_as_often_as_it_is(project: Project) -> None:
    made = make_view("delays")
    project.add(made)
    project.build(made, many(5000), MORNING)
    sync(project.catalog)
    project.build(made, many(5000, wrong=1000), MORNING)
    (report,) = verify(project.catalog, sample=1000)
    assert report.sampled is not None and not report.ok and report.most_wrong is None
    # Five standard deviations about a fifth.
    assert abs(report.different / report.sampled - 0.2) < 5 * (0.16 / report.sampled) ** 0.5


@pytest.mark.parametrize(
    ("one", "other", "near", "same"),
    [
        (0.1 + 0.2, 0.3, True, False),
        ([1.0, 0.1 + 0.2], [1.0, 0.3], True, False),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, True, False),
        (1.0, 1.00001, False, False),
        (10**18, 10**18 + 1, False, False),
        (float("nan"), float("nan"), True, True),
        (float("inf"), 1e308, False, False),
        (None, 0.0, False, False),
    ],
)
def test_floats_are_near_where_the_order_of_a_sum_may_differ(
    one: object, other: object, near: bool, same: bool
) -> None:
    assert (near_value(one, other), same_value(one, other)) == (near, same)
