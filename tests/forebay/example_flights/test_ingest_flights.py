"""The year of flights: all rows, the right instants, one commit a table."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog import Catalog

from forebay.example_flights import flights_tables
from forebay.example_flights.ingest_flights import IngestReport, ingest_flights
from lakehouse.commit import commit_rows
from lakehouse.lake import find_table, load_table
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

#: Flights that never left, that have no time at the gate, and that came there by a detour.
FACTS = {
    "without_departure": 8_255,
    "without_arrival": 8_713,
    "arrived_without_delay": 717,
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, IngestReport]:
    folder = tmp_path_factory.mktemp("lake")
    lake = local_lake(folder)
    return lake, ingest_flights(lake)


@pytest.fixture(scope="module")
def flights(loaded: tuple[Catalog, IngestReport]) -> pa.Table:
    return read_arrow(load_table(loaded[0], "nyc.flights")).sort_by("flight_id")


def test_every_row_is_loaded_and_what_is_missing_is_counted(
    loaded: tuple[Catalog, IngestReport],
) -> None:
    lake, report = loaded
    assert {name: table.rows for name, table in report.tables.items()} == {
        "nyc.flights": 336_776,
        "nyc.weather": 26_115,
        "nyc.planes": 3_322,
        "nyc.airports": 1_458,
        "nyc.airlines": 16,
    }
    for name, table in report.tables.items():
        assert read_arrow(load_table(lake, name)).num_rows == table.rows and table.written
    assert report.tables["nyc.flights"].facts == FACTS


def test_instants_are_utc_microseconds_and_keys_are_required(
    loaded: tuple[Catalog, IngestReport],
) -> None:
    schema = load_table(loaded[0], "nyc.flights").schema()
    times = ("scheduled_at", "departed_at", "arrived_at")
    assert {str(schema.find_type(name)) for name in times} == {"timestamptz"}
    assert schema.find_field("scheduled_at").required
    assert not schema.find_field("arrived_at").required
    assert str(schema.find_type("flight_id")) == "long"
    weather = load_table(loaded[0], "nyc.weather").schema()
    assert {str(f.field_type) for f in weather.fields[2:]} == {"double"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("flight_id", "scheduled", "departed", "arrived"),
    [
        # UA 1545 EWR-IAH: 05:15 EST, two minutes late, in at 08:30 CST
        (1, "2013-01-01 10:15", "2013-01-01 10:17", "2013-01-01 14:30"),
        # B6 1109 JFK-RDU: in at 2400, the midnight that ends the day of departure
        (818, "2013-01-02 02:55", "2013-01-02 03:09", "2013-01-02 05:00"),
        # B6 739 JFK-PSE: Puerto Rico, from our own list of zones, an hour ahead of EST; 190 in air
        (144506, "2013-03-10 03:55", "2013-03-10 03:59", "2013-03-10 07:59"),
        # spring: left 23:06 EST, in at "02:03", which that night was 03:03 EDT; 141 in the air
        (144508, "2013-03-10 02:45", "2013-03-10 04:06", "2013-03-10 07:03"),
        # autumn: left 22:17 EDT for LAX, in at 01:14 PDT, the first of two that night; 339 in air
        (57552, "2013-11-02 20:55", "2013-11-03 02:17", "2013-11-03 08:14"),
        # EWR-HNL by a detour, 22:44 in Honolulu
        (178756, "2013-04-15 17:30", "2013-04-15 17:38", "2013-04-16 08:44"),
    ],
)
def test_flights_checked_by_hand(
    flights: pa.Table, flight_id: int, scheduled: str, departed: str, arrived: str
) -> None:
    row = flights.slice(flight_id - 1, 1).to_pylist()[0]
    assert row["flight_id"] == flight_id
    assert (row["scheduled_at"], row["departed_at"]) == (at(scheduled), at(departed))
    assert row["arrived_at"] == at(arrived)


def test_the_gate_is_reached_a_taxi_after_the_air_time(flights: pa.Table) -> None:
    """A wrong zone, day or offset would show as an hour or a day too many or too few."""
    gate_to_gate = pc.divide(
        pc.subtract(flights["arrived_at"], flights["departed_at"]).cast(pa.int64()), 60_000_000
    )
    taxi = pc.subtract(gate_to_gate, flights["air_time"].cast(pa.int64())).drop_null()
    assert len(taxi) == 327_346
    assert pc.min(taxi).as_py() >= 5
    assert pc.max(taxi).as_py() < 240
    assert pc.quantile(taxi, 0.999)[0].as_py() < 155


def test_facts_are_known_in_their_order(flights: pa.Table) -> None:
    assert not pc.any(pc.less_equal(flights["arrived_at"], flights["departed_at"])).as_py()
    without = flights.filter(pc.is_null(flights["departed_at"]))
    assert without["arrived_at"].null_count == without["dep_delay"].null_count == len(without)
    known = flights.filter(pc.is_valid(flights["arr_delay"]))
    assert known["arrived_at"].null_count == 0
    late = pc.subtract(flights["departed_at"], flights["scheduled_at"]).cast(pa.int64())
    minutes = pc.multiply(flights["dep_delay"].cast(pa.int64()), 60_000_000)
    assert pc.all(pc.equal(late, minutes)).as_py()


def test_a_second_run_writes_nothing_and_a_changed_table_is_loaded_again(lake: Catalog) -> None:
    ingest_flights(lake)
    before = load_table(lake, "nyc.flights").metadata_location
    again = ingest_flights(lake)
    assert not any(table.written for table in again.tables.values())
    assert again.tables["nyc.flights"].facts == FACTS
    assert load_table(lake, "nyc.flights").metadata_location == before

    airlines = read_arrow(load_table(lake, "nyc.airlines"))
    commit_rows(lake, "nyc.airlines", airlines, mode="append")
    fixed = ingest_flights(lake)
    assert [name for name, table in fixed.tables.items() if table.written] == ["nyc.airlines"]
    assert read_arrow(load_table(lake, "nyc.airlines")).num_rows == 16


def test_killed_before_its_commit_a_table_is_not_there(
    lake: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(lake), "commit_table", killed)
        ingest_flights(lake)
    assert find_table(lake, "nyc.airlines") is None
    assert ingest_flights(lake).tables["nyc.flights"].rows == 336_776


def test_progress_names_each_table(lake: Catalog) -> None:
    told: list[tuple[str, int, int]] = []
    ingest_flights(lake, lambda label, done, total: told.append((label, done, total)))
    assert [label for label, *_ in told[:-1]] == [f"nyc.{t.name}" for t in flights_tables.TABLES]
    assert told[-1][1:] == (5, 5)
