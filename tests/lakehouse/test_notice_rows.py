"""What a build says of rows that are valid and yet commonly a mistake."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from feature_specs.catalog import LeafEntry
from feature_specs.leaf import Changelog, Leaf
from feature_specs.view import FeatureView
from lakehouse.feature_tables.materialize import Advance, advance_view
from lakehouse.lake import load_table
from lakehouse.scan import define_relation, pin
from tests.feature_specs.oracle import Row, connect
from tests.feature_specs.worlds import BASE, EVENTS, LATE, TZ, VERSIONS
from tests.lakehouse.builds import HOUR, Build

pytestmark = pytest.mark.slow

COUNTS = FeatureView("counts", "select k, count(*) as n from events group by k", ("k",))
WINDOW = FeatureView(
    "window",
    "select k, count(*) as n from events where ts > now() - interval '1' hour group by k",
    ("k",),
)
PLANS = FeatureView("plans", "select k, max(price) as price from versions group by k", ("k",))
ROLES = {
    "events": {"event_time": "ts"},
    "late": {"event_time": "ts", "loaded_at": "loaded"},
    "versions": {"valid_from": "since", "valid_to": "until"},
}


def advance(
    build: Build, at: datetime, times: dict[str, str], key: tuple[str, ...] = ()
) -> Advance:
    connection = connect()
    pinned, roles = {}, {}
    for leaf in build.leaves:
        name = leaf.name
        pinned[name] = pin(load_table(build.lake, f"raw.{name}"))
        define_relation(connection, name, pinned[name])
        entry = LeafEntry(name, name, f"raw.{name}", str(leaf.role))
        roles[name] = entry if leaf.static else replace(entry, times=times, key=key)
    return advance_view(
        connection,
        build.lake,
        build.entry,
        build.plan,
        pinned,
        at,
        roles=roles,
        clock="var forebay_now",
    )


def event(k: str | None, ts: datetime | None, loaded: datetime | None = None) -> Row:
    return (k, 1, ts, loaded, 5, None, 1.5, "p", True)


def test_versions_that_are_open_twice_or_end_before_they_begin(tmp_path: Path) -> None:
    build = Build(tmp_path, PLANS, (VERSIONS,))
    build.append(
        VERSIONS,
        [
            ("a", "old", 1, BASE, BASE + HOUR),
            ("a", "new", 2, BASE + HOUR, None),
            ("b", "one", 3, BASE, None),
            ("b", "two", 4, BASE + HOUR, None),
            ("c", "turned", 5, BASE + HOUR, BASE),
            ("c", "empty", 6, BASE, BASE),
            (None, "whose", 7, BASE, None),
            (None, "whose", 8, BASE, None),
        ],
    )
    done = advance(build, BASE + 2 * HOUR, ROLES["versions"])
    build.check(BASE + 2 * HOUR)
    assert done.warnings == (
        "versions of versions that end no later than they begin, and are never visible: 2; "
        "for example k = c",
        "keys of versions with more than one open version, all of which are visible: 1; "
        "for example k = b",
    )
    assert done.notes == (
        "2 of 8 rows of versions have a null in key 'k': such a row is not an entity's",
    )
    build.append(VERSIONS, [("d", "x", 1, BASE, None)])
    assert advance(build, BASE + 3 * HOUR, ROLES["versions"]).warnings == ()
    build.append(VERSIONS, [("e", "x", 1, BASE, BASE)])
    (warning,) = advance(build, BASE + 3 * HOUR, ROLES["versions"]).warnings
    assert warning.startswith("versions of versions that end") and warning.endswith("k = e")


def test_an_inclusive_end_may_be_the_beginning(tmp_path: Path) -> None:
    leaf = replace(VERSIONS, valid_to_inclusive=True)
    build = Build(tmp_path, PLANS, (leaf,))
    turned = [("c", "turned", 5, BASE + HOUR, BASE), ("d", "once", 6, BASE, BASE)]
    build.append(leaf, [*turned, ("a", "x", 1, BASE, None)])
    times = ROLES["versions"] | {"valid_to_inclusive": "true"}
    assert advance(build, BASE, times).warnings == (
        "versions of versions that end before they begin, and are never visible: 1; "
        "for example k = c",
    )
    build.check(BASE)


@pytest.mark.parametrize(
    ("since", "visible"),
    [("DATE", "end"), ("DATE", "start"), (TZ, "end"), (TZ, "start")],
)
def test_the_last_day_counts(tmp_path: Path, since: str, visible: str) -> None:
    columns = {**VERSIONS.columns, "since": since, "until": "DATE"}
    leaf = replace(
        VERSIONS,
        columns=columns,
        valid_to_inclusive=True,
        date_visible="end" if visible == "end" else "start",
    )
    build = Build(tmp_path, PLANS, (leaf,))
    day, before = BASE.date(), (BASE - HOUR).date()
    begun = day if since == "DATE" else BASE
    build.append(leaf, [("a", "once", 1, begun, day), ("c", "turned", 5, begun, before)])
    times = {**ROLES["versions"], "valid_to_inclusive": "true", "date_visible": visible}
    at = BASE + (24 if (since, visible) == ("DATE", "end") else 1) * HOUR
    (warning,) = advance(build, at, times).warnings
    assert warning.endswith("never visible: 1; for example k = c")
    build.check(at)


def test_a_far_future_end_is_open_too(tmp_path: Path) -> None:
    build = Build(tmp_path, PLANS, (VERSIONS,))
    end = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
    build.append(VERSIONS, [("a", "x", 1, BASE, end), ("a", "y", 1, BASE, None)])
    times = ROLES["versions"] | {"valid_to_open": "9999-12-31 00:00:00+00"}
    (warning,) = advance(build, BASE + HOUR, times).warnings
    assert "more than one open version" in warning and warning.endswith("k = a")


def test_changes_of_one_key_at_one_instant(tmp_path: Path) -> None:
    changes = Leaf(
        "changes",
        {"k": "VARCHAR", "v": "INTEGER", "ts": TZ, "gone": "BOOLEAN"},
        event_time="ts",
        changelog=Changelog(("k",), "gone"),
        written="changelog",
    )
    view = FeatureView("now_held", "select k, sum(v) as v from changes group by k", ("k",))
    build = Build(tmp_path, view, (changes,))
    build.append(
        changes,
        [
            ("a", 1, BASE, False),
            ("a", 2, BASE, False),
            ("b", 1, BASE, False),
            ("b", 2, None, False),
        ],
    )
    done = advance(build, BASE + HOUR, {"event_time": "ts"}, ("k",))
    (warning,) = done.warnings
    assert warning.startswith("keys of changes with several changes at one instant")
    assert warning.endswith("for example k = a")
    assert done.notes == (
        "1 of 4 rows of changes have a null in event_time 'ts': such a row is never visible",
    )


def test_a_clock_before_all_rows(tmp_path: Path) -> None:
    build = Build(tmp_path, COUNTS, (LATE,))
    build.append(LATE, [event("a", BASE, BASE + 2 * HOUR), event("a", BASE, BASE + 3 * HOUR)])
    (warning,) = advance(build, BASE + HOUR, ROLES["late"]).warnings
    first = (BASE + 2 * HOUR).isoformat()
    assert warning == (
        f"counts has no rows: all 2 rows of events become visible after the clock, the first at "
        f"{first}; the run's clock is {(BASE + HOUR).isoformat()}, from var forebay_now"
    )
    again = advance(build, BASE + HOUR, ROLES["late"])
    assert again.how == "nothing" and again.warnings == (warning,)
    assert advance(build, BASE + 4 * HOUR, ROLES["late"]).warnings == ()


def test_a_clock_long_after_all_windows(tmp_path: Path) -> None:
    build = Build(tmp_path, WINDOW, (EVENTS,))
    build.append(EVENTS, [event("a", BASE), event("b", None)])
    (warning,) = advance(build, BASE + 100 * HOUR, ROLES["events"]).warnings
    assert "though events has 2, the last of which became visible at " + BASE.isoformat() in warning
    assert "its windows and filters leave none" in warning


@pytest.mark.parametrize("times", [{}, ROLES["events"]])
def test_an_empty_leaf_is_no_mistake(times: dict[str, str], tmp_path: Path) -> None:
    build = Build(tmp_path, COUNTS, (EVENTS,))
    done = advance(build, BASE, times)
    assert (done.rows, done.warnings, done.notes) == (0, (), ())


PRICES = Leaf("prices", {"k": "VARCHAR", "Place": "VARCHAR", "price": "INTEGER"}, static=True)
WORTH = FeatureView(
    "worth",
    "select e.k, sum(p.price) as worth from events e join prices p on p.k = e.k group by e.k",
    ("k",),
)


def test_keys_of_a_static_table_in_several_rows(tmp_path: Path) -> None:
    """Nothing declares the key of such a table: it is that by which it is joined."""
    build = Build(tmp_path, WORTH, (EVENTS, PRICES))
    build.append(EVENTS, [event("a", BASE), event("b", BASE)])
    build.append(PRICES, [("a", "x", 1), ("a", "y", 2), ("b", "x", 3), (None, "x", 4)])
    done = advance(build, BASE + HOUR, ROLES["events"])
    # Both rows count, as SQL has it.
    build.check(BASE + HOUR)
    (warning,) = [w for w in done.warnings if "prices" in w]
    assert warning == (
        "prices is joined by k, and keys that stand in several of its rows match each of them: "
        "1 of 2; for example k = a"
    )
    # A step looks at what came: no prices did.
    build.append(EVENTS, [event("b", BASE)])
    assert advance(build, BASE + 2 * HOUR, ROLES["events"]).warnings == ()
    # Where most keys have several rows that is the table's nature, which is told and no more.
    build.append(PRICES, [("b", "y", 5)])
    done = advance(build, BASE + 2 * HOUR, ROLES["events"])
    assert done.how == "full" and done.warnings == ()
    assert [n for n in done.notes if "prices is joined by k" in n and "2 of 2" in n]


def test_a_static_table_by_several_columns_and_none(tmp_path: Path) -> None:
    view = replace(WORTH, sql=WORTH.sql.replace("= e.k", "= e.k and p.place = e.s", 1))
    build = Build(tmp_path / "two", view, (EVENTS, PRICES))
    assert build.entry.joined == {"prices": [["k", "place"]]}
    build.append(EVENTS, [event("a", BASE)])
    build.append(PRICES, [("a", "p", 1), ("a", "q", 2)])
    assert advance(build, BASE + HOUR, ROLES["events"]).warnings == ()
    all_of_them = WORTH.sql.replace("join prices p on p.k = e.k", "cross join prices p")
    build = Build(tmp_path / "none", replace(WORTH, sql=all_of_them), (EVENTS, PRICES))
    assert build.entry.joined == {}


def test_names_that_only_python_takes_for_the_same(tmp_path: Path) -> None:
    """DuckDB folds A to Z and nothing else: two columns, of which one is not a key."""
    leaf = replace(
        VERSIONS, columns={"k": "VARCHAR", "K\u0308": "VARCHAR", "Ä": TZ, "ä": TZ}, valid_from="Ä",
        valid_to="ä",
    )  # fmt: skip
    view = FeatureView("plans", "select k, count(*) as n from versions group by k", ("k",))
    build = Build(tmp_path, view, (leaf,))
    build.append(leaf, [("a", "x", BASE, None), ("b", "x", BASE + HOUR, BASE)])
    (warning,) = advance(build, BASE + HOUR, {"valid_from": "Ä", "valid_to": "ä"}).warnings
    assert warning.endswith("never visible: 1; for example k = b")
